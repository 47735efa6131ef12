/* core/item/item.h - items: immutable images of attributes in DynamoDB's ten types.
 *
 * Job      The bytes of an item, how they are built, checked and read in place. Knows schemas
 *          (which attribute is a key), but no segment and no lock: an image is the same in private
 *          memory, in a page and in a block of the segment.
 * Picture  An image, all little-endian, 8-aligned:
 *
 *            struct item_head                                 fixed
 *            key area: partition key bytes, sort key bytes    zero-padded to 8, compared as words
 *            struct item_index_slot [index_count]             per secondary index, in the order of the schema
 *            record offsets [attr_count]                      from the image's start: the directory; u16, or u32 if ITEM_WIDE
 *                                                             (image over 65535 bytes); none if
 *                                                             ITEM_WALKED
 *            records                                          one per attribute, sorted by its name, no gaps,
 *                                                             zero-padded to 8
 *            struct item_timed                                only if ITEM_TIMED: expiry and timer
 *
 *          A varint is LEB128: 7 bits a byte, low ones first, the shortest form. A record: u8 tag,
 *          name, value. The tag says type, length if that is short, and where the value lies:
 *            0x80 + length    S of up to 127 bytes
 *            0x40 + length    N, which is never longer (core/item/num.h's order-preserving form)
 *            0x10 + type      the value is the partition key of the key area
 *            0x20 + type      the value is the sort key
 *            type             any other: S B      length as varint, bytes
 *                                        BOOL     u8 0 or 1
 *                                        NULL     nothing
 *            L SS NS BS  byte length of the rest as varint, count as varint, members: tag, value as here (no name)
 *            M           byte length of the rest as varint, count as varint, members sorted by name: records as here
 *          A name: one byte if core/item/item_names.h lists it; else a u8 length below 128, or 0
 *          and the length as varint; bytes. "The rest" is everything after that length: the count
 *          and the members. Sets are sorted by their members' bytes, so equal sets have equal
 *          images. Most items have few attributes, and a record says where it ends. To walk over a
 *          dozen takes about as long as to search a directory of a dozen, which would be a
 *          sixteenth of the item. So the image in a table has none, unless it has more than
 *          ITEM_WALKED_MAX attributes or is wide. What builders and projections make has one:
 *          nobody keeps it for long, and a put finds its attributes at once.
 * Rules    I1 head.bytes is the whole image, a multiple of 8.
 *          I2 Names are sorted and unique.
 *          I3 An image out of a segment is input: no offset or length of it is followed unchecked.
 *             A copy in a page has a head that is sane; whoever reads its attributes one by one
 *             checks each where it is read, so that reading few costs little; whoever wants all of
 *             them asks item_check_records() first. item_is_sane() also judges what they say.
 *          I4 An image is a function of its attributes (and of the table it is stored in): no byte
 *             is left to chance, padding is zero. Stamps are none of its contents: version, key
 *             sequences, TTL generation, and item_timed.
 *          I5 An item has an item_timed if it expires by the TTL attribute of its generation, or if
 *             a timer stood for the item that it replaced: so a timer that stands is known, and not
 *             added again. Most items have none, and pay nothing.
 * Files    item_builder.h the builder, item_read.c reading in place, item_readable.c the same
 *          without bounds, item_store.c what a table adds, item_project.c leaving attributes out,
 *          item_add.c changing a number, item_check.c I3, item_peek.c looks that are bounded by
 *          themselves, item_records.h the bytes of a record.
 * Not here Arithmetic beyond integers of 64 bits (with expressions).
 * Tests    tests/unit/item/, tests/fuzz/item_decode_fuzz.c
 */
#ifndef LARDER_ITEM_ITEM_H
#define LARDER_ITEM_ITEM_H

#include "core/base/shm.h"
#include "core/base/utf8.h"
#include "larder.h"

#define ITEM_WIDE 1u               /* head.flags: record offsets are u32 */
#define ITEM_TIMED 2u              /* head.flags: a struct item_timed is the last of the image */
#define ITEM_WALKED 4u             /* head.flags: there is no directory */
#define ITEM_TYPE_MASK 0x0f        /* of a tag below ITEM_SHORT_N */
#define ITEM_IN_PARTITION_KEY 0x10 /* flags of such a tag: the value lies in the key area */
#define ITEM_IN_SORT_KEY 0x20
#define ITEM_SHORT_N 0x40
#define ITEM_SHORT_S 0x80
#define ITEM_NO_ATTR 0xffffu /* index_slot: the item is not in that index, or the index has no sort key */
#define ITEM_ATTRS_MAX 65535u
#define ITEM_WALKED_MAX 24u /* attributes */
/* The largest image of a legal item fits. DynamoDB does not count what an image needs around the
 * values, so the worst is a list of sets of one empty B: 1 byte by its count, 5 of image, 400 KB of
 * them. Short names add less than 48 KB. */
#define ITEM_IMAGE_BYTES_MAX (1u << 21)

#define ITEM_VERSION_MAX (UINT64_C(1) << 62) /* no stripe is ever written so often (core/table/change.c) */
#define ITEM_EXPIRY_S_MAX ((UINT64_C(1) << 48) - 1)

/* head.ddb_ttl: two numbers in a word, for every item pays for its head. */
#define ITEM_DDB_BITS 20u
#define ITEM_DDB_BYTES_MAX ((1u << ITEM_DDB_BITS) - 1)
#define ITEM_TTL_GENERATION_MAX ((1u << (32 - ITEM_DDB_BITS)) - 1)
_Static_assert(LARDER_ITEM_BYTES_MAX < ITEM_DDB_BYTES_MAX, "a size over the limit is seen to be one");

/* The head of an image. In a segment it never changes after publication.
 *
 * Of the key's hash it has the high half: what stripe, bucket and a scan's order are chosen by
 * (core/memory/htab.h). The low 16 bits are the tag of the slot. So whoever comes by a slot
 * compares 48 bits; who has the key compares the key; who has an index entry its key sequence,
 * which no two items of a stripe share until it was written 2^32 times. The rest is made of the key
 * where it is needed (core/table/read.h). */
struct item_head {
    uint32_t bytes; /* I1 */
    uint32_t
        hash_high; /* of the XXH3-64 of the key, where core/memory/htab.h looks for it; 0 in an image that is in no table */
    /* Stripe's write number when this image was built: with the key, no two images that were ever
     * stored in the segment share it (core/table/change.c). 0: not stored, made by a builder or
     * projection of this process. */
    uint64_t version;
    uint32_t kseq; /* key sequence of table order (index 0) */
    /* Low 20 bits: size as DynamoDB counts it. High 12: TTL generation of the table that the expiry
     * was computed under, also if it was "never"; 0 in an image that is in no table. */
    uint32_t ddb_ttl;
    uint16_t partition_bytes, sort_bytes; /* key area */
    uint16_t attr_count;
    uint8_t index_count; /* secondary indexes the image has slots for */
    uint8_t flags;
};
_Static_assert(sizeof(struct item_head) == 32, "item_head is part of the segment format");

/* The end of an image with ITEM_TIMED. */
struct item_timed {
    uint64_t expiry_s; /* epoch seconds, 0 never */
    /* Second of the wheel entry that stands for this item; 0 none. The one thing in an image that
     * changes after publication, under the stripe's lock. ttl/ */
    _Atomic uint32_t armed_s;
    uint32_t zero;
};
_Static_assert(sizeof(struct item_timed) == 16, "item_timed is part of the segment format");

/* What ties an item to its entry in one secondary index. */
struct item_index_slot {
    uint32_t kseq; /* key sequence; 0: not in this index */
    /* Where the records of the index's key attributes are: place in the directory, or in a walked
     * image their offset; or ITEM_NO_ATTR. */
    uint16_t partition_attr, sort_attr;
};
_Static_assert(sizeof(struct item_index_slot) == 8, "item_index_slot is part of the segment format");

/* A run of bytes inside an image or a caller's memory; borrowed. */
struct bytes {
    const uint8_t *at;
    size_t len;
};
/* A name as the two arguments that "%.*s" takes. */
#define ITEM_SHOWN(name) utf8_shown_bytes((const char *)(name).at, (name).len), (name).at ? (const char *)(name).at : ""

/* The largest legal key area, both keys and padding. */
#define ITEM_KEY_AREA_MAX (LARDER_PARTITION_KEY_BYTES_MAX + LARDER_SORT_KEY_BYTES_MAX + 8)

/* A primary key in the form it is hashed, stored and compared in. */
struct item_key {
    uint16_t partition_bytes, sort_bytes;
    uint32_t area_bytes; /* of `area`, a multiple of 8 */
    _Alignas(8) uint8_t area[ITEM_KEY_AREA_MAX];
};

/* A primary key where it lies: in a struct item_key, in an image, or in the image that a peek looks
 * at. */
struct item_key_bytes {
    const uint8_t *area;
    uint16_t partition_bytes, sort_bytes;
};

/* One key attribute as a schema names it. name 0-terminated; name == NULL: there is none. */
struct item_key_attr {
    const char *name;
    uint32_t name_bytes;
    enum larder_type type;
    uint8_t name_byte; /* item_name_byte() of the name, or 0: nobody looked */
};

/* What the item code needs to know of a table. Borrowed. */
struct item_shape {
    struct item_key_attr partition, sort;
    uint32_t index_count; /* secondary indexes */
    const struct item_index_shape {
        const char *name; /* of the index, for messages */
        struct item_key_attr partition, sort;
        /* nonzero (index being filled): a key of the wrong type or size keeps the item out
         * instead of failing */
        int is_lenient;
    } * indexes;
    /* the same for all indexes: an item that is there already is only rewritten */
    int is_lenient;
    const char *ttl_name; /* NULL none */
    uint32_t ttl_name_bytes;
};

static inline size_t item_round8(size_t bytes) {
    return (bytes + 7) & ~(size_t)7;
}
static inline size_t item_key_area_bytes(const struct item_head *h) {
    return item_round8((size_t)h->partition_bytes + h->sort_bytes);
}
static inline uint8_t *item_key_area(const struct item_head *h) {
    return (uint8_t *)h + sizeof *h;
}
static inline struct item_key_bytes item_key_of(const struct item_key *key) {
    return (struct item_key_bytes){key->area, key->partition_bytes, key->sort_bytes};
}
static inline struct item_key_bytes item_key_in(const struct item_head *h) {
    return (struct item_key_bytes){item_key_area(h), h->partition_bytes, h->sort_bytes};
}
static inline int item_is_same_key(struct item_key_bytes a, struct item_key_bytes b) {
    return a.partition_bytes == b.partition_bytes && a.sort_bytes == b.sort_bytes &&
           memcmp(a.area, b.area, item_round8((size_t)a.partition_bytes + a.sort_bytes)) == 0;
}
static inline struct item_index_slot *item_index_slots(const struct item_head *h) {
    return (struct item_index_slot *)(item_key_area(h) + item_key_area_bytes(h));
}
static inline const struct item_head *item_head(const struct larder_item *item) {
    return (const struct item_head *)item;
}
static inline uint32_t item_ddb_bytes(const struct item_head *h) {
    return h->ddb_ttl & ITEM_DDB_BYTES_MAX;
}
/* A size that no item may have stays one. */
static inline void item_set_ddb_bytes(struct item_head *h, size_t bytes) {
    uint32_t fits = bytes < ITEM_DDB_BYTES_MAX ? (uint32_t)bytes : ITEM_DDB_BYTES_MAX;
    h->ddb_ttl = (h->ddb_ttl & ~ITEM_DDB_BYTES_MAX) | fits;
}
static inline uint32_t item_ttl_generation(const struct item_head *h) {
    return h->ddb_ttl >> ITEM_DDB_BITS;
}
static inline void item_set_ttl_generation(struct item_head *h, uint32_t generation) {
    h->ddb_ttl = item_ddb_bytes(h) | generation << ITEM_DDB_BITS;
}
static inline int item_is_walked(const struct item_head *h) {
    return (h->flags & ITEM_WALKED) != 0;
}
static inline size_t item_directory_entry_bytes(const struct item_head *h) {
    return item_is_walked(h) ? 0 : h->flags & ITEM_WIDE ? sizeof(uint32_t) : sizeof(uint16_t);
}
/* What the end of an image is no record, nor padding of one. */
static inline size_t item_timed_bytes(const struct item_head *h) {
    /* without a branch */
    return (size_t)(h->flags & ITEM_TIMED) * (sizeof(struct item_timed) / ITEM_TIMED);
}
/* The end of the image at `image`, whose head (or a copy of it) is sane; NULL if it has none. */
static inline struct item_timed *item_timed_at(const void *image, const struct item_head *head) {
    return head->flags & ITEM_TIMED
               ? (struct item_timed *)(void *)((uint8_t *)image + head->bytes - sizeof(struct item_timed))
               : NULL;
}
static inline uint64_t item_expiry_s(const struct item_head *h) {
    const struct item_timed *timed = item_timed_at(h, h);
    return timed ? timed->expiry_s : 0;
}
/* Gives a private image the item_timed that it has not yet, or (wanted 0) takes it away; there is
 * room (item_stored_bytes_max). */
static inline void item_make_timed(struct item_head *h, int wanted) {
    if (wanted && !(h->flags & ITEM_TIMED)) {
        memset((uint8_t *)h + h->bytes, 0, sizeof(struct item_timed));
        h->bytes += (uint32_t)sizeof(struct item_timed);
        h->flags |= ITEM_TIMED;
    } else if (!wanted && (h->flags & ITEM_TIMED)) {
        h->bytes -= (uint32_t)sizeof(struct item_timed);
        h->flags &= (uint8_t)~ITEM_TIMED;
    }
}

/* Where the records of an image lie, for who looks at many: its directory, or what one walk found
 * (core/item/item_records.h). Refers to itself, so it is not copied. */
struct item_places {
    const uint8_t *start;
    const uint8_t *offsets; /* the directory, or `walked` */
    size_t end;             /* of the image */
    uint32_t count;
    int is_wide;
    uint16_t walked[ITEM_WALKED_MAX];
};

/* A builder on an arena; larder_builder_new() takes the handle's. NULL: out of memory,
 * larder_error() is set. */
struct priv;
struct larder_builder *item_builder_new(struct priv *p);
/* A copy of an item, for larder_item_free(). NULL: out of memory, larder_error() is set. */
struct larder_item *item_keep(struct priv *priv, const struct larder_item *item);

/* Encodes a key value (S, N or B as `attr` demands) as index and table keys hold it: S and B as
 * they are, N by num_encode. At most bytes_max bytes are written to `to`. LARDER_E_INVAL with a
 * message that calls it `what` ("partition key"). */
int item_encode_key_value(const struct item_key_attr *attr, const struct larder_value *value, const char *what,
                          size_t bytes_max, uint8_t *to, size_t *bytes);

/* A caller's key, checked and encoded. */
int item_key_from_values(const struct item_shape *shape, const struct larder_key *key, struct item_key *out);
/* The key of an item that a builder made or a page holds (attributes looked up by name). */
int item_key_from_item(const struct item_shape *shape, const struct larder_item *item, struct item_key *out);
/* The key of a start key: an item of the table's key attributes and of those of the index (NULL: of
 * the table alone), and no other. */
int item_start_key(const struct item_shape *shape, const struct item_index_shape *index,
                   const struct larder_item *start_key, struct item_key *out);

/* `to` is 8-aligned. The image of `item` as a table of this shape stores it: keys moved to the
 * key area, index slots filled in with the ordinals of their attributes (kseq 1 for "in this
 * index", 0 for not; the caller assigns real sequences), expiry by the TTL attribute (generation
 * 0), hash, version and armed_s 0. Checks what larder_put() promises to check. `now_s` serves
 * the rule that a TTL more than five years past does not count (developer guide, "Using time to
 * live"); such an item never expires. It has room for item_stored_bytes_max(). On success *out
 * is to. */
size_t item_stored_bytes_max(const struct item_shape *shape, const struct larder_item *item);
int item_to_stored(const struct item_shape *shape, const struct larder_item *item, int64_t now_s, void *to,
                   struct item_head **out);

/* The same in three steps, one after the other. After the first, *to has its head and key area: the
 * caller can hash the key, and have memory fetched while the others work. `near` has
 * ITEM_NEAR_COUNT places: where key attributes stood in an earlier item, which is looked at first.
 * Anything does, and is replaced by what is true of this item. A put over items of one kind then
 * searches nothing. */
#define ITEM_NEAR_COUNT 64u
#define ITEM_STORE_CHANGED_MAX 4u /* two that become keys, two that were keys of another table */
struct item_store {
    const struct item_shape *shape;
    const struct item_head *from;
    struct item_places places; /* of `from` */
    struct item_head *to;
    uint16_t *near;
    uint16_t moved[ITEM_WALKED_MAX]; /* offsets of the records in `to`, if that is walked */
    uint32_t changed_count;
    struct item_store_record { /* a record that is not copied as it is */
        uint16_t ordinal;
        /* ITEM_IN_PARTITION_KEY, ITEM_IN_SORT_KEY, or 0: the value moves into the record */
        uint8_t key_flag;
        struct bytes name_field; /* as it is written */
        struct larder_value value;
    } changed[ITEM_STORE_CHANGED_MAX]; /* by ordinal */
};
int item_store_key(struct item_store *s, const struct item_shape *shape, const struct larder_item *item, uint16_t *near,
                   void *to);
int item_store_slots(struct item_store *s);
void item_store_records(struct item_store *s, int64_t now_s);

/* The expiry an image has by the attribute `name`: epoch seconds, at most ITEM_EXPIRY_S_MAX, 0
 * never. Five-year rule as above. */
uint64_t item_ttl_of(const struct item_head *image, const char *name, size_t name_bytes, int64_t now_s);

/* What a number of an item and `by` make. LARDER_E_INVAL: the value is no integer of 64 bits, or
 * the sum is none. */
int item_sum(struct bytes name, const struct larder_value *value, int64_t by, int64_t *sum);
/* `to` becomes the image of `from`, a readable one as a table stores it, with `by` added to that
 * number, which is no key of the table. It has room for ITEM_ADDED_BYTES_MAX more. Stamps,
 * expiry and index slots are those of `from`. LARDER_OK and *sum; LARDER_E_INVAL as above;
 * LARDER_NOT_FOUND: there is no such attribute, or the new item would have to be laid out anew,
 * or be too large; LARDER_E_CORRUPT without a text. */
#define ITEM_ADDED_BYTES_MAX 32u
int item_add_int(const struct item_head *from, struct bytes name, int64_t by, struct item_head *to, int64_t *sum);

/* Encoded partition and sort key in secondary index i; len 0 and at NULL if it has none, or its
 * record is damaged. */
struct bytes item_index_partition(const struct item_head *image, uint32_t i);
struct bytes item_index_sort(const struct item_head *image, uint32_t i);
/* Ordinal of an attribute by name, or ITEM_NO_ATTR. */
uint16_t item_find_attr(const struct item_head *image, const char *name, size_t name_bytes);

/* Sizes in the head, and that key area, index slots, directory and item_timed lie within `bytes`,
 * which is what is readable at h. */
static inline int item_head_is_sane(const struct item_head *h, size_t bytes) {
    size_t fixed = sizeof *h + item_key_area_bytes(h) + sizeof(struct item_index_slot) * h->index_count +
                   item_directory_entry_bytes(h) * h->attr_count + item_timed_bytes(h);
    if (h->bytes > bytes || h->bytes > ITEM_IMAGE_BYTES_MAX || h->bytes % 8 != 0 || fixed > h->bytes)
        return 0;
    if (h->flags & ~(ITEM_WIDE | ITEM_TIMED |
                     ITEM_WALKED)) /* index_count counts ordinals, also those of failed additions: up to 255 */
        return 0;
    if (h->partition_bytes > LARDER_PARTITION_KEY_BYTES_MAX || h->sort_bytes > LARDER_SORT_KEY_BYTES_MAX)
        return 0;
    return h->partition_bytes || !(h->sort_bytes || h->index_count);
}
/* `bytes` is what is readable at image. True if every offset and length inside stays inside and
 * rules I1 and I2 hold. */
int item_is_sane(const void *image, size_t bytes);
/* Whether index slot i says where records with possible keys are, in an image that is sane but for
 * its slots. */
int item_slot_is_sane(const struct item_head *h, uint32_t i);
/* Whether index slot i of a sane image says what its attributes do: the keys that they are, or
 * that the item is not in that index. */
int item_slot_is_true(const struct item_head *h, uint32_t i, const struct item_index_shape *index);
/* Makes the bytes between the parts of a private, readable image 0, which they are (I4). */
void item_clear_padding(struct item_head *h);

/* What reading in place needs of that, and no more: lengths, offsets and types. What passes may be
 * read by all of item_readable.c, item_store.c and item_project.c without leaving the image; its
 * names may be out of order and its numbers none. It costs a tenth of item_is_sane(). */
int item_is_readable(const void *image, size_t bytes);
/* Before all records of an item that a caller gave, or that a page holds, are read: LARDER_OK, or
 * LARDER_E_CORRUPT if they cannot be. Costs nothing for items of a builder. */
int item_check_records(const struct item_head *image);

/* An image in a segment, its head copied and checked: every look at it stays inside it, whatever
 * its bytes say by then. For who changes other parts of the segment between two looks
 * (core/item/item_peek.c). */
struct item_peek {
    const struct item_head *image;
    struct item_head head;
};
static inline struct item_key_bytes item_peek_key(const struct item_peek *p) {
    return (struct item_key_bytes){item_key_area(p->image), p->head.partition_bytes, p->head.sort_bytes};
}
/* `room` is what is readable at image. False: head, key area, index slots and directory do not
 * fit. */
int item_peek_open(struct item_peek *p, const struct item_head *image, size_t room);
/* Key sequence in secondary index i; 0 if it is not in it. */
uint32_t item_peek_kseq(const struct item_peek *p, uint32_t i);
/* Encoded keys in secondary index i, of which the image has a slot. False: they make no sense. */
int item_peek_keys(const struct item_peek *p, uint32_t i, struct bytes *partition, struct bytes *sort);
/* Each index slot of `image`, a readable one of this process, that is set gets its key sequence:
 * the one `old` has there under the same keys, else `fresh`. Keys that make no sense are not the
 * same. Nonzero: one of the two has an entry that the other has not. */
int item_peek_take_kseqs(const struct item_peek *old, struct item_head *image, uint32_t fresh);

/* Most bytes item_project() makes of an image: values move out of the key area, and it may become
 * wide. */
static inline size_t item_project_bytes_max(const struct item_head *image) {
    return (size_t)image->bytes + 16 + sizeof(uint32_t) * (size_t)image->attr_count;
}
/* A copy of an image with some attributes only, as a builder image (no key area, no index slots).
 * names: name_count of them, in any order, also twice or not in the item. Returns its bytes; `to`
 * (8-aligned) has room for item_project_bytes_max(). */
size_t item_project(const struct item_head *image, const struct bytes *names, uint32_t name_count, void *to);

/* An item of key attributes alone, as a builder would make it: count of them with their values (of
 * the right types, read from an item), some maybe twice. `to` (8-aligned) has room for
 * item_of_keys_bytes_max(). */
#define ITEM_KEYS_MAX 4u /* partition and sort key of a table and of an index */
size_t item_of_keys_bytes_max(const struct item_key_attr *const *attrs, const struct larder_value *values,
                              uint32_t count);
void item_of_keys(const struct item_key_attr *const *attrs, const struct larder_value *values, uint32_t count,
                  void *to);

#endif
