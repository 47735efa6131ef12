/* dynamodb/json_item.h - the attributes of an item as JSON text, a block of bytes at a time.
 *
 * Job      Writes '"name":{"S":"value"},' for each attribute that is usual: an S of up to 127 bytes
 *          or a key, or an N that is an integer, of printable ASCII, with a name of up to 14
 *          bytes. It stops at the first that is something else, which json_writer.c writes.
 * Idea     The items of a table have the same attributes in the same order. What stands between two
 *          values is kept: at each place, the name's bytes in a record and their text. A record is
 *          compared with them by one comparison, and the text is copied.
 * Tests    tests/dynamodb/dynamodb_values_test.c, tests/fuzz/document_fuzz.c
 */
#ifndef LARDER_DYNAMODB_JSON_ITEM_H
#define LARDER_DYNAMODB_JSON_ITEM_H

#include "core/item/item.h"

#define JSON_ITEM_BLOCK 16u
#define JSON_ITEM_PLACES 32u

/* A record's start as it was met. All zero: none. */
struct json_place {
    uint8_t ignored[JSON_ITEM_BLOCK]; /* bits that are not compared */
    uint8_t start[JSON_ITEM_BLOCK];   /* tag and name, with all of those bits set */
    char text[29];                    /* '"name":{"S":"' */
    uint8_t text_bytes;
    uint8_t value_at; /* in the record */
    uint8_t kind;     /* json_item.c */
};
_Static_assert(sizeof(struct json_place) == 64, "a line of the cache");

struct json_places {
    struct json_place at[JSON_ITEM_PLACES];
};

/* Where an item is read and written. */
struct json_item {
    const struct item_head *head;
    const uint8_t *at, *end; /* of the records: the next one, and behind the last one */
    uint32_t ordinal, left;  /* of the next one; how many there are from it on */
    char *to, *to_end;       /* text, and the end of the room for it: at least json_item_room() */
};

/* How many are looked at at once. */
static inline uint32_t json_item_count(const struct json_item *item) {
    uint32_t places = JSON_ITEM_PLACES - item->ordinal % JSON_ITEM_PLACES;
    return item->left < places ? item->left : places;
}
/* Of an attribute's text, besides the bytes of its value: its name, a number, a block. */
#define JSON_ITEM_BESIDE 92u
/* Keys lie in front of the records, and their records have no value. */
static inline size_t json_item_room(const struct json_item *item) {
    return (size_t)(item->end - item->at) + (size_t)json_item_count(item) * JSON_ITEM_BESIDE +
           item->head->partition_bytes + item->head->sort_bytes;
}
/* Writes the next `count` attributes, json_item_count() at most, as far as they are usual. Moves
 * `at` and `to` on. Returns how many of `count` are left. */
uint32_t json_item_put(struct json_places *places, struct json_item *item, uint32_t count);

#endif
