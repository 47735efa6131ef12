/* core/item/item.h - items: immutable images of attributes in DynamoDB's ten types.
 *
 * Job      The bytes of an item, how they are built, checked and read in place. Knows schemas
 *          (which attribute is a key), but no segment and no lock: an image is the same in private
 *          memory, in a page and in a block of the segment.
 * Picture  An image, all little-endian, 8-aligned:
 *            struct item_head                      fixed
 *            key area: partition key, sort key     bytes, zero-padded to 8, compared as words
 *            struct item_index_slot [index_count]  per secondary index, in the order of the schema
 *            record offsets [attr_count]           from the image's start, the directory: u16; u32
 *                                                  if ITEM_WIDE (image over 65535 bytes); none
 *                                                  if ITEM_WALKED
 *            records                               one per attribute, sorted by name, no gaps
 *            joined keys                           only if ITEM_JOINED: records without a name, for
 *                                                  indexes with keys of several attributes
 *            zeros                                 up to a multiple of 8
 *            struct item_timed                     only if ITEM_TIMED: expiry and timer
 *
 *          A varint is LEB128: 7 bits a byte, low ones first, the shortest form. A record: u8 tag,
 *          name, value. The tag says the type, a short length, and where the value lies:
 *            0x80 + length    S of up to 127 bytes
 *            0x40 + length    N, which is never longer (core/item/num.h's order-preserving form)
 *            0x10 + type      the value is the partition key of the key area
 *            0x20 + type      the value is the sort key
 *            type             any other: S B      length as varint, bytes
 *                                        BOOL     u8 0 or 1
 *                                        NULL     nothing
 *            L SS NS BS  varint bytes of the rest, varint count, members: tag and value as here
 *            M           varint bytes of the rest, varint count, records as here, sorted by name
 *          A name: one byte if core/item/item_names.h lists it; else a u8 length below 128, or 0
 *          and the length as varint; bytes. "The rest" is everything after that length: the count
 *          and the members. Sets are sorted by their members' bytes, so equal sets have equal
 *          images.
 *          A joined key (core/item/item_join.h) is such a record: u8 tag of an S, u8
 *          ITEM_NAME_JOINED in place of the name, value. An index slot refers to it as to an
 *          attribute. No walk over attributes comes that far: it counts them.
 *          Most items have few attributes, and a record says where it ends. Walking over a
 *          dozen records takes about as long as searching their directory, which would be a
 *          sixteenth of the item. So an image in a table has no directory, unless it has more than
 *          ITEM_WALKED_MAX attributes or is wide. Images of builders and projections have one: they
 *          live briefly, and a put finds their attributes at once.
 * Rules    I1 head.bytes is the whole image, a multiple of 8.
 *          I2 Names are sorted and unique.
 *          I3 An image from a segment is input: no offset or length of it is followed unchecked. A
 *             copy in a page has a sane head. A reader of single attributes checks each one as it
 *             reads it, so that reading few costs little. A reader of all attributes calls
 *             item_check_records() first. item_is_sane() also checks their contents.
 *          I4 Attributes and table determine every byte of an image; padding is zero. Only stamps
 *             are not contents: version, key sequences, TTL generation, and item_timed.
 *          I5 An item has an item_timed if it expires by the TTL attribute of its generation, or if
 *             a timer stood for the item that it replaced: so a standing timer is known and not
 *             added again. Most items have none, and pay nothing.
 * Files    core/item/README.md has the list.
 * Tests    tests/unit/item/, tests/fuzz/item_decode_fuzz.c
 */
#ifndef LARDER_ITEM_ITEM_H
#define LARDER_ITEM_ITEM_H

#include "core/base/shm.h"
#include "core/base/utf8.h"
#include "core/item/num.h"
#include "larder.h"

#define ITEM_WIDE 1u               /* head.flags: record offsets are u32 */
#define ITEM_TIMED 2u              /* head.flags: the image ends with a struct item_timed */
#define ITEM_WALKED 4u             /* head.flags: there is no directory */
#define ITEM_JOINED 8u             /* head.flags: joined keys lie behind the records */
#define ITEM_TYPE_MASK 0x0f        /* of a tag below ITEM_SHORT_N */
#define ITEM_IN_PARTITION_KEY 0x10 /* flags of such a tag: the value lies in the key area */
#define ITEM_IN_SORT_KEY 0x20
#define ITEM_SHORT_N 0x40
#define ITEM_SHORT_S 0x80
/* index_slot: the item is not in that index, or the index has no sort key */
#define ITEM_NO_ATTR 0xffffu
/* In a slot of an image with a directory: joined key 0, and so on. Such an image has no more
 * attributes, so no ordinal says the same. */
#define ITEM_JOINED_FIRST 0xff00u
#define ITEM_JOINED_MAX (2u * (LARDER_INDEXES_MAX + 1u))
/* count of LARDER_N values that were read from items; text has 0 (larder.h) */
#define ITEM_N_IS_ENCODED 1
#define ITEM_ATTRS_MAX 65535u
#define ITEM_WALKED_MAX 24u /* attributes */
/* The largest image of a legal item fits. DynamoDB does not count the bytes around the values. The
 * worst item is a list of sets of one empty B: each counts 1 byte and takes 5, 400 KB of them.
 * Short names add less than 48 KB. */
#define ITEM_IMAGE_BYTES_MAX (1u << 21)

/* no stripe is ever written so often (core/table/change.c) */
#define ITEM_VERSION_MAX (UINT64_C(1) << 62)
#define ITEM_EXPIRY_S_MAX ((UINT64_C(1) << 48) - 1)

/* head.ddb_ttl: two numbers in one word, since every item pays for its head. */
#define ITEM_DDB_BITS 20u
#define ITEM_DDB_BYTES_MAX ((1u << ITEM_DDB_BITS) - 1)
#define ITEM_TTL_GENERATION_MAX ((1u << (32 - ITEM_DDB_BITS)) - 1)
_Static_assert(LARDER_ITEM_BYTES_MAX < ITEM_DDB_BYTES_MAX, "a size over the limit is seen to be one");

/* The head of an image. In a segment it never changes after publication. It keeps the high half of
 * the key's hash, which chooses stripe, bucket and scan order (core/memory/htab.h); the slot's tag
 * is the low 16 bits. So a look from a slot compares 48 bits, a look with the key compares the key,
 * and a look from an index entry compares its key sequence, which no two items of a stripe share
 * until the stripe was written 2^32 times. Where the whole hash is needed it is computed from the
 * key (core/table/read.h). */
struct item_head {
    uint32_t bytes;     /* I1 */
    uint32_t hash_high; /* of the key's XXH3-64 (core/memory/htab.h); 0 in an image of no table */
    /* The stripe's write number when this image was built. No two images of a key ever stored in
     * the segment share it (core/table/change.c), unless the item was moved. 0: not stored, made by
     * a builder or projection. */
    uint64_t version;
    uint32_t kseq; /* key sequence of table order (index 0) */
    /* Low 20 bits: size as DynamoDB counts it. High 12: the table's TTL generation under which the
     * expiry, also "never", was computed; 0 in an image of no table. */
    uint32_t ddb_ttl;
    uint16_t partition_bytes, sort_bytes; /* key area */
    uint16_t attr_count;
    uint8_t index_count; /* secondary indexes the image has slots for */
    uint8_t flags;
};
_Static_assert(sizeof(struct item_head) == 32, "item_head is part of the segment format");

/* The last bytes of an image with ITEM_TIMED. */
struct item_timed {
    uint64_t expiry_s; /* epoch seconds, 0 never */
    /* Second of the wheel entry that stands for this item; 0 none. The only part of an image that
     * changes after publication; under the stripe's lock. ttl/ */
    _Atomic uint32_t armed_s;
    uint32_t zero;
};
_Static_assert(sizeof(struct item_timed) == 16, "item_timed is part of the segment format");

/* What ties an item to its entry in one secondary index. */
struct item_index_slot {
    uint32_t kseq; /* key sequence; 0: not in this index */
    /* The records of the index's key attributes, or its joined keys: ordinal in the directory
     * (ITEM_JOINED_FIRST), or offset in a walked image; or ITEM_NO_ATTR. */
    uint16_t partition_attr, sort_attr;
};
_Static_assert(sizeof(struct item_index_slot) == 8, "item_index_slot is part of the segment format");

/* Bytes inside an image or a caller's memory; borrowed. */
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

/* A primary key in place: in a struct item_key, in an image, or in an image under a peek. */
struct item_key_bytes {
    const uint8_t *area;
    uint16_t partition_bytes, sort_bytes;
};

/* One key attribute of a schema. name is 0-terminated; NULL: there is none. */
struct item_key_attr {
    const char *name;
    uint32_t name_bytes;
    enum larder_type type;
    uint8_t name_byte; /* item_name_byte() of the name, or 0: not known */
    /* of the first attribute of an index's key: how many follow it, and these */
    uint8_t more_count;
    const struct item_key_attr *more;
};
/* Attributes of a key; 0: there is none. */
static inline uint32_t item_key_count(const struct item_key_attr *key) {
    return key->name ? 1u + key->more_count : 0;
}
static inline const struct item_key_attr *item_key_attr_at(const struct item_key_attr *key, uint32_t i) {
    return i ? &key->more[i - 1] : key;
}

/* What the item code needs to know of a table. Borrowed. */
struct item_shape {
    struct item_key_attr partition, sort;
    uint32_t index_count; /* secondary indexes */
    const struct item_index_shape {
        const char *name; /* of the index, for messages */
        struct item_key_attr partition, sort;
        /* nonzero (index being filled): a key of the wrong type or size keeps the item out of the
         * index instead of failing the put */
        int is_lenient;
    } * indexes;
    uint32_t joined_count; /* keys of several attributes, of all indexes */
    /* the same for all indexes: for an item that is there already and only rewritten */
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
/* A size over the limit stays one: it is clamped above the limit. */
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
/* Bytes at the end of an image that belong to item_timed. */
static inline size_t item_timed_bytes(const struct item_head *h) {
    /* without a branch */
    return (size_t)(h->flags & ITEM_TIMED) * (sizeof(struct item_timed) / ITEM_TIMED);
}
/* The item_timed of the image at `image`, whose head (or a copy of it) is sane; NULL if it has
 * none. */
static inline struct item_timed *item_timed_at(const void *image, const struct item_head *head) {
    return head->flags & ITEM_TIMED
               ? (struct item_timed *)(void *)((uint8_t *)image + head->bytes - sizeof(struct item_timed))
               : NULL;
}
static inline uint64_t item_expiry_s(const struct item_head *h) {
    const struct item_timed *timed = item_timed_at(h, h);
    return timed ? timed->expiry_s : 0;
}
/* Gives a private image an item_timed, or takes it away (wanted 0). There is room
 * (item_stored_bytes_max). */
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

/* Where the records of an image lie, for readers of many: its directory, or what one walk found
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
struct larder_builder *item_builder_new(struct priv *p, size_t ddb_bytes_max);
/* Whether an attribute can have this name: LARDER_OK or LARDER_E_INVAL. */
int item_check_name(struct bytes name);
/* A copy of an item, for larder_item_free(). NULL: out of memory, larder_error() is set. */
struct larder_item *item_keep(struct priv *priv, const struct larder_item *item);

/* Encodes a key value (S, N or B as `attr` demands) as keys are stored: S and B as they are, N by
 * num_encode. Writes at most bytes_max bytes to `to`. On LARDER_E_INVAL the message calls the key
 * `what` ("partition key"). */
int item_encode_key_value(const struct item_key_attr *attr, const struct larder_value *value, const char *what,
                          size_t bytes_max, uint8_t *to, size_t *bytes);
/* The same for the first `count` attributes of an index's key, joined (core/item/item_join.h): a
 * key, or the beginning of one. `values` has their values; `is_whole`: the last value is not ended,
 * as in a key that ends with it. */
int item_encode_key(const struct item_key_attr *key, const struct larder_value *const *values, uint32_t count,
                    int is_whole, const char *what, size_t bytes_max, uint8_t *to, size_t *bytes);

/* A caller's key, checked and encoded. */
int item_key_from_values(const struct item_shape *shape, const struct larder_key *key, struct item_key *out);
/* The key of an item from a builder or a page; attributes are looked up by name. */
int item_key_from_item(const struct item_shape *shape, const struct larder_item *item, struct item_key *out);
/* The primary key in a start key: an item of the table's key attributes and those of the index
 * (NULL: none), and no others. */
int item_start_key(const struct item_shape *shape, const struct item_index_shape *index,
                   const struct larder_item *start_key, struct item_key *out);

/* Makes the image of `item` that a table of this shape stores. The keys move to the key area. Index
 * slots get the places of their attributes, and kseq 1 for "in this index" or 0; the caller assigns
 * real sequences. The expiry comes from the TTL attribute (generation 0); hash, version and armed_s
 * are 0. Checks what larder_put() promises to check. `now_s` is for the rule that an item with a
 * TTL more than five years past never expires (developer guide, "Using time to live"). `to` is
 * 8-aligned and has room for item_stored_bytes_max(). On success *out is `to`. */
size_t item_stored_bytes_max(const struct item_shape *shape, const struct larder_item *item);
int item_to_stored(const struct item_shape *shape, const struct larder_item *item, int64_t now_s, void *to,
                   struct item_head **out);

/* The same in three steps. After the first, *to has its head and key area, so the caller can hash
 * the key and prefetch while the other two work. `near` has ITEM_NEAR_COUNT places, where key
 * attributes stood in an earlier item; they are tried first. Any contents will do; they are
 * replaced by the places in this item. So puts of similar items search nothing. */
#define ITEM_NEAR_COUNT 64u
#define ITEM_STORE_CHANGED_MAX 4u /* two become keys, two were keys of another table */
struct item_store {
    const struct item_shape *shape;
    const struct item_head *from;
    struct item_places places; /* of `from` */
    struct item_head *to;
    uint16_t *near;
    uint16_t moved[ITEM_WALKED_MAX]; /* offsets of the records in `to`, if that is walked */
    uint32_t joined_count;
    size_t joined_bytes;
    struct item_store_joined { /* a joined key, and the places of its attributes in `from` */
        uint32_t count, bytes; /* bytes: of its value */
        uint16_t ordinal[LARDER_KEY_ATTRIBUTES_MAX];
    } joined[ITEM_JOINED_MAX];
    uint32_t changed_count;
    struct item_store_record { /* a record that is not copied as it is */
        uint16_t ordinal;
        /* ITEM_IN_PARTITION_KEY, ITEM_IN_SORT_KEY, or 0: the value moves into the record */
        uint8_t key_flag;
        struct bytes name_field; /* as it is written */
        struct larder_value value;
    } changed[ITEM_STORE_CHANGED_MAX]; /* sorted by ordinal */
};
int item_store_key(struct item_store *s, const struct item_shape *shape, const struct larder_item *item, uint16_t *near,
                   void *to);
int item_store_slots(struct item_store *s);
void item_store_records(struct item_store *s, int64_t now_s);

/* The expiry that the attribute `name` gives an image: epoch seconds, at most ITEM_EXPIRY_S_MAX, 0
 * never. Five-year rule as above. */
uint64_t item_ttl_of(const struct item_head *image, const char *name, size_t name_bytes, int64_t now_s);

/* An N as it is read from an item. `number` lives as long as the value. */
static inline struct larder_value item_encoded_number(const uint8_t *number, size_t bytes) {
    return (struct larder_value){.type = LARDER_N, .data = number, .bytes = bytes, .count = ITEM_N_IS_ENCODED};
}
/* What is added to a number of an item, and the number afterwards. */
struct item_sum {
    int64_t by;      /* if by_bytes is 0 */
    size_t by_bytes; /* of by_number: what is added, if it is no 64-bit integer */
    uint8_t by_number[NUM_BYTES_MAX];
    int only_int; /* refuse a sum that is no 64-bit integer */
    /* the number afterwards: `sum` if it is a 64-bit integer, and always encoded */
    int is_int;
    int64_t sum;
    size_t bytes;
    uint8_t number[NUM_BYTES_MAX];
};

/* Adds s->by to `value`, the attribute `name`; NULL: it is missing, and counts as 0. LARDER_OK;
 * LARDER_E_INVAL: the value is no number, or the sum is not allowed; LARDER_E_CORRUPT. */
int item_sum(struct bytes name, const struct larder_value *value, struct item_sum *s);
/* Makes in `to` a copy of `from`, a readable image of a table, with s->by added to attribute
 * `name`, which is no key of the table. `to` has room for ITEM_ADDED_BYTES_MAX more bytes. Stamps,
 * expiry and index slots are those of `from`. As item_sum(); LARDER_NOT_FOUND: there is no such
 * attribute, or the new item needs another layout or is too large; LARDER_E_CORRUPT without a
 * text. */
#define ITEM_ADDED_BYTES_MAX 32u
int item_add(const struct item_head *from, struct bytes name, struct item_sum *s, struct item_head *to);
/* The same with `with`, an S, N or B that was read from an item, in place of one of the same type.
 * `to` has room for with->bytes and ITEM_ADDED_BYTES_MAX more. LARDER_NOT_FOUND also if index slots
 * might have to change: for a text or binary that is empty or longer than a key. */
int item_replace(const struct item_head *from, struct bytes name, const struct larder_value *with,
                 struct item_head *to);

/* Encoded partition and sort key in secondary index i; len 0 and at NULL if there is none or its
 * record is damaged. */
struct bytes item_index_partition(const struct item_head *image, uint32_t i);
struct bytes item_index_sort(const struct item_head *image, uint32_t i);
/* Ordinal of an attribute by name, or ITEM_NO_ATTR. */
uint16_t item_find_attr(const struct item_head *image, const char *name, size_t name_bytes);

/* Whether an image can have so many bytes (I1). */
static inline int item_can_have_bytes(uint32_t bytes) {
    uint32_t more = bytes - (uint32_t)sizeof(struct item_head);
    /* rotated: too few bytes, or no multiple of 8, become a huge number */
    return (more >> 3 | more << 29) <= (ITEM_IMAGE_BYTES_MAX - sizeof(struct item_head)) / 8;
}

/* Checks that key area, index slots, directory and item_timed lie within head.bytes, and the limits
 * of keys. Inline, for the usual image: walked and not timed. */
static inline __attribute__((always_inline)) int item_parts_are_sane(const struct item_head *h) {
    size_t fixed = sizeof *h + item_key_area_bytes(h) + sizeof(struct item_index_slot) * h->index_count;
    if (__builtin_expect(h->flags != ITEM_WALKED, 0)) {
        if (h->flags & ~(ITEM_WIDE | ITEM_TIMED | ITEM_WALKED | ITEM_JOINED))
            return 0;
        if (h->flags & ITEM_JOINED && h->attr_count > ITEM_JOINED_FIRST)
            return 0;
        fixed += item_directory_entry_bytes(h) * h->attr_count + item_timed_bytes(h);
    }
    /* index_count counts ordinals, also those of failed additions: up to 255 */
    if (fixed > h->bytes || h->sort_bytes > LARDER_SORT_KEY_BYTES_MAX)
        return 0;
    if (__builtin_expect(h->partition_bytes - 1u < LARDER_PARTITION_KEY_BYTES_MAX, 1))
        return 1;
    return !(h->partition_bytes || h->sort_bytes || h->index_count);
}
/* The same, and that the image lies within `bytes`, the readable bytes at h. */
static inline int item_head_is_sane(const struct item_head *h, size_t bytes) {
    return h->bytes <= bytes && item_can_have_bytes(h->bytes) && item_parts_are_sane(h);
}
/* True if every offset and length stays inside, rules I1 and I2 hold, and the image is the one form
 * of its attributes (item_check.c). `bytes` are readable at image. */
int item_is_sane(const void *image, size_t bytes);
/* Whether index slot i refers to records that can be keys. The image is sane but for its slots. */
int item_slot_is_sane(const struct item_head *h, uint32_t i);
/* Whether index slot i of a sane image agrees with the attributes: it refers to the index's keys,
 * or says rightly that the item is not in that index. */
int item_slot_is_true(const struct item_head *h, uint32_t i, const struct item_index_shape *index);
/* Zeroes the padding of a private, readable image (I4). */
void item_clear_padding(struct item_head *h);

/* The part of that which reading in place needs: lengths, offsets and types. item_readable.c,
 * item_store.c and item_project.c read such an image without leaving it; its names may be out of
 * order, and its numbers invalid. Costs a tenth of item_is_sane(). */
int item_is_readable(const void *image, size_t bytes);
/* To call before reading all records of an item from a caller or a page. LARDER_OK, or
 * LARDER_E_CORRUPT if they cannot be read. Costs nothing for items of a builder. */
int item_check_records(const struct item_head *image);

/* An image in a segment, with a checked copy of its head. Every look stays inside the image,
 * whatever its bytes say by then. For writers, which change the segment between two looks
 * (core/item/item_peek.c). */
struct item_peek {
    const struct item_head *image;
    struct item_head head;
};
static inline struct item_key_bytes item_peek_key(const struct item_peek *p) {
    return (struct item_key_bytes){item_key_area(p->image), p->head.partition_bytes, p->head.sort_bytes};
}
/* `room` bytes are readable at image. False: the head is not sane (item_head_is_sane). */
int item_peek_open(struct item_peek *p, const struct item_head *image, size_t room);
/* Key sequence in secondary index i; 0 if the item is not in it. */
uint32_t item_peek_kseq(const struct item_peek *p, uint32_t i);
/* Encoded keys in secondary index i. False: the image has no such slot, or its keys are invalid. */
int item_peek_keys(const struct item_peek *p, uint32_t i, struct bytes *partition, struct bytes *sort);
/* Gives each index slot of `image` that is set a key sequence: that of `old` if it has the same
 * keys there, else `fresh`. Invalid keys are never the same. `image` is a readable one of this
 * process. Nonzero: one of the two images has an index entry that the other has not. */
int item_peek_take_kseqs(const struct item_peek *old, struct item_head *image, uint32_t fresh);

/* Upper limit of item_project()'s result: values move out of the key area, and it may become
 * wide. */
static inline size_t item_project_bytes_max(const struct item_head *image) {
    return (size_t)image->bytes + 16 + sizeof(uint32_t) * (size_t)image->attr_count;
}
/* Copies some attributes of an image into a builder's image (no key area, no index slots). names
 * may be in any order, repeated, or not in the item. Returns its bytes. `to` is 8-aligned and has
 * room for item_project_bytes_max(). */
size_t item_project(const struct item_head *image, const struct bytes *names, uint32_t name_count, void *to);

/* Makes an item of key attributes alone, as a builder would. `values` have the right types and were
 * read from an item; attributes may repeat. `to` is 8-aligned and has room for
 * item_of_keys_bytes_max(). */
/* partition and sort key of a table and of an index */
#define ITEM_KEYS_MAX (2u + 2u * LARDER_KEY_ATTRIBUTES_MAX)
size_t item_of_keys_bytes_max(const struct item_key_attr *const *attrs, const struct larder_value *values,
                              uint32_t count);
void item_of_keys(const struct item_key_attr *const *attrs, const struct larder_value *values, uint32_t count,
                  void *to);

#endif
