/* core/item/item_records.h - the bytes of a record, for the item_*.c files and expr/ only.
 *
 * Job      Reads and writes varints, tags, record heads and record offsets. item_get_ and
 *          item_read_ functions are for images that are known to be readable. item_take_,
 *          item_skip_ and item_walk functions are bounded, for images whose records were not
 *          checked. item_check.c has its own readers, which also refuse what is not canonical.
 * Names    A name is copied as it is written in another record, or written by item_put_name(),
 *          which looks it up in the list (core/item/item_names.h).
 * Rules    Offsets are read and written with memcpy, since images are also written as 64-bit words.
 * Tests    tests/unit/item/item_check_test.c
 */
#ifndef LARDER_ITEM_ITEM_RECORDS_H
#define LARDER_ITEM_ITEM_RECORDS_H

#include <endian.h>
#include <string.h>

#include "core/item/item.h"
#include "core/item/item_names.h"
#include "core/item/num.h"

#define ITEM_VARINT_BYTES_MAX 4 /* 28 bits: more than ITEM_IMAGE_BYTES_MAX */
#define ITEM_NARROW_BYTES_MAX 65535u
#define ITEM_KEY_FLAGS (ITEM_IN_PARTITION_KEY | ITEM_IN_SORT_KEY)

static inline size_t item_varint_bytes(size_t value) {
    size_t bytes = 1;
    for (; value >= 0x80; value >>= 7)
        bytes++;
    return bytes;
}

static inline uint8_t *item_put_varint(uint8_t *to, size_t value) {
    for (; value >= 0x80; value >>= 7)
        *to++ = (uint8_t)(value | 0x80);
    *to++ = (uint8_t)value;
    return to;
}

static inline const uint8_t *item_get_varint(const uint8_t *at, size_t *value) {
    size_t got = *at & 0x7f;
    for (unsigned shift = 7; *at++ & 0x80; shift += 7)
        got |= (size_t)(*at & 0x7f) << shift;
    *value = got;
    return at;
}

/* Bounded: NULL if it does not end by `end`. `at` may be NULL, so that steps can be chained. */
static inline const uint8_t *item_take_varint(const uint8_t *at, const uint8_t *end, size_t *value) {
    if (__builtin_expect(at && at < end && *at < 0x80, 1)) {
        *value = *at;
        return at + 1;
    }
    *value = 0;
    for (unsigned shift = 0; at && at < end && shift < 7 * ITEM_VARINT_BYTES_MAX; shift += 7) {
        *value |= (size_t)(*at & 0x7f) << shift;
        if (!(*at++ & 0x80))
            return at;
    }
    return NULL;
}

static inline const uint8_t *item_take_bytes(const uint8_t *at, const uint8_t *end, struct bytes *out) {
    at = item_take_varint(at, end, &out->len);
    if (!at || out->len > (size_t)(end - at))
        return NULL;
    out->at = at;
    return at + out->len;
}

static inline uint8_t *item_put_bytes(uint8_t *to, const void *from, size_t bytes) {
    if (bytes)
        memcpy(to, from, bytes);
    return to + bytes;
}

/* ---- Tags ------------------------------------------------------------------------------------ */

_Static_assert(NUM_BYTES_MAX < ITEM_SHORT_S - ITEM_SHORT_N, "every N has a short tag");

static inline unsigned item_tag_type(unsigned tag) {
    return tag >= ITEM_SHORT_S ? LARDER_S : tag >= ITEM_SHORT_N ? LARDER_N : tag & ITEM_TYPE_MASK;
}

/* Key flags: 0 unless the value lies in the key area. */
static inline unsigned item_tag_keys(unsigned tag) {
    return tag >= ITEM_SHORT_N ? 0 : tag & ITEM_KEY_FLAGS;
}

/* The length that a short tag contains. */
static inline size_t item_tag_bytes(unsigned tag) {
    return tag & (ITEM_SHORT_N - 1 + (tag >> 1 & ITEM_SHORT_N));
}
/* The text of the record at `at` of a walked image, if it is a short text with a name of fewer than
 * 128 bytes: so are most keys of indexes. 0: it is not, or there is no record. */
static inline __attribute__((always_inline)) int item_short_text(const struct item_head *h, uint32_t at,
                                                                 struct bytes *text) {
    const uint8_t *record = (const uint8_t *)h + at;
    if (at + 2 >= h->bytes)
        return 0;
    text->at = record + 2 + (record[1] & ITEM_NAME_LISTED ? 0 : record[1]);
    text->len = item_tag_bytes(record[0]);
    return record[0] >= ITEM_SHORT_S && record[1] != 0 && text->at + text->len <= (const uint8_t *)h + h->bytes;
}

/* The only tag for an S, N or B of so many bytes in its record. Only a damaged N is longer. */
static inline uint8_t item_scalar_tag(enum larder_type type, size_t bytes) {
    if (type == LARDER_S && bytes < 128)
        return (uint8_t)(ITEM_SHORT_S + bytes);
    return (uint8_t)(type == LARDER_N && bytes < 64 ? ITEM_SHORT_N + bytes : type);
}

/* First byte and length of an S, N or B with this tag whose length or bytes begin at `at`. */
static inline const uint8_t *item_get_scalar(unsigned tag, const uint8_t *at, size_t *bytes) {
    if (__builtin_expect(tag < ITEM_SHORT_N, 0))
        return item_get_varint(at, bytes);
    *bytes = item_tag_bytes(tag);
    return at;
}

/* Bounded: its end, or NULL. `at` may be NULL. */
static inline const uint8_t *item_take_scalar(unsigned tag, const uint8_t *at, const uint8_t *end, struct bytes *out) {
    if (__builtin_expect(tag < ITEM_SHORT_N, 0))
        return item_take_bytes(at, end, out);
    *out = (struct bytes){at, item_tag_bytes(tag)};
    return at && out->len <= (size_t)(end - at) ? at + out->len : NULL;
}

/* What follows the name. */
static inline uint8_t *item_put_scalar(uint8_t *to, unsigned tag, const void *from, size_t bytes) {
    return item_put_bytes(tag < ITEM_SHORT_N ? item_put_varint(to, bytes) : to, from, bytes);
}

/* ---- Names and records ----------------------------------------------------------------------- */

/* The listed name with this byte; length 0 if there is none. */
static inline struct bytes item_listed_name(uint8_t byte) {
    const struct item_name *name = &item_names[byte & (ITEM_NAME_LISTED - 1)];
    return (struct bytes){(const uint8_t *)name->text, name->bytes};
}

/* The first 8 bytes of a listed name, big-endian, padded with zeros. */
static inline uint64_t item_listed_prefix(uint8_t byte) {
    uint64_t prefix;
    memcpy(&prefix, item_names[byte & (ITEM_NAME_LISTED - 1)].text, sizeof prefix);
    return be64toh(prefix);
}

static inline const uint8_t *item_get_name(const uint8_t *at, struct bytes *name) {
    uint8_t first = *at++;
    if (first & ITEM_NAME_LISTED) {
        *name = item_listed_name(first);
        return at;
    }
    name->len = first;
    if (__builtin_expect(first == 0, 0))
        at = item_get_varint(at, &name->len);
    name->at = at;
    return at + name->len;
}

/* Bounded: NULL if it is no name, or does not end by `end`. */
static inline const uint8_t *item_take_name(const uint8_t *at, const uint8_t *end, struct bytes *name) {
    if (at >= end)
        return NULL;
    uint8_t first = *at++;
    if (first & ITEM_NAME_LISTED) {
        *name = item_listed_name(first);
        return name->len ? at : NULL;
    }
    name->len = first;
    if (first == 0)
        at = item_take_varint(at, end, &name->len);
    if (!at || name->len == 0 || name->len > (size_t)(end - at))
        return NULL;
    name->at = at;
    return at + name->len;
}

/* Bounded: the end of a name, which is not read; NULL as above. `at` may be NULL. */
static inline const uint8_t *item_skip_name(const uint8_t *at, const uint8_t *end) {
    if (!at || at >= end)
        return NULL;
    size_t bytes = *at++;
    if (bytes & ITEM_NAME_LISTED)
        return at;
    if (__builtin_expect(bytes == 0, 0))
        at = item_take_varint(at, end, &bytes);
    return at && bytes <= (size_t)(end - at) ? at + bytes : NULL;
}

/* The same for a value with this tag. */
static inline const uint8_t *item_skip_value(unsigned tag, const uint8_t *at, const uint8_t *end) {
    struct bytes run;
    if (tag >= ITEM_SHORT_N)
        return item_take_scalar(tag, at, end, &run);
    if (tag & ITEM_KEY_FLAGS || tag == LARDER_NULL)
        return at;
    if (tag == LARDER_BOOL)
        return at && at < end ? at + 1 : NULL;
    return tag >= LARDER_S && tag <= LARDER_BS ? item_take_bytes(at, end, &run) : NULL;
}

/* item_read.c: how far a record's end is from its beginning, as a sum of two numbers: by its tag,
 * and by the byte behind it. ITEM_STEP_NONE or more: that cannot be said so simply. It leads out of
 * every image. */
#define ITEM_STEP_NONE (2 * ITEM_IMAGE_BYTES_MAX)
extern const struct item_steps {
    uint64_t tag[256], name[256]; /* as wide as offsets, so they are added where they lie */
} item_steps;

/* The same for a record. */
static inline const uint8_t *item_skip_record(const uint8_t *at, const uint8_t *end) {
    if (__builtin_expect(!at || end - at < 2, 0)) /* the shortest record has two bytes */
        return NULL;
    size_t step = item_steps.tag[at[0]] + item_steps.name[at[1]];
    if (__builtin_expect(step < ITEM_STEP_NONE, 1))
        return step <= (size_t)(end - at) ? at + step : NULL;
    return item_skip_value(at[0], item_skip_name(at + 1, end), end);
}

/* What the byte behind the tag is in a record with this name: `byte` if it is listed, else its
 * length, or 0 if it is long. */
static inline unsigned item_name_key(struct bytes name, uint8_t byte) {
    return byte ? byte : name.len < ITEM_NAME_LISTED ? (unsigned)name.len : 0;
}

/* Fast for short names, most of which are equal when they are compared. */
static inline int item_is_same_name(const uint8_t *a, const uint8_t *b, size_t bytes) {
    uint64_t a8[2], b8[2];
    uint32_t a4[2], b4[2];
    if (bytes >= 8 && bytes <= 16) {
        memcpy(&a8[0], a, 8), memcpy(&a8[1], a + bytes - 8, 8);
        memcpy(&b8[0], b, 8), memcpy(&b8[1], b + bytes - 8, 8);
        return ((a8[0] ^ b8[0]) | (a8[1] ^ b8[1])) == 0;
    }
    if (bytes >= 4 && bytes < 8) {
        memcpy(&a4[0], a, 4), memcpy(&a4[1], a + bytes - 4, 4);
        memcpy(&b4[0], b, 4), memcpy(&b4[1], b + bytes - 4, 4);
        return ((a4[0] ^ b4[0]) | (a4[1] ^ b4[1])) == 0;
    }
    if (bytes > 16)
        return memcmp(a, b, bytes) == 0;
    for (size_t i = 0; i < bytes; i++)
        if (a[i] != b[i])
            return 0;
    return 1;
}

/* Bounded: whether the record at `at` has this name, which has the same key as the record's. There
 * are two bytes. */
static inline int item_has_name(const uint8_t *at, const uint8_t *end, struct bytes name, unsigned key) {
    struct bytes is = {at + 2, key};
    if (key & ITEM_NAME_LISTED)
        return 1;
    if (__builtin_expect(key == 0, 0) && !item_take_name(at + 1, end, &is))
        return 0;
    return is.len == name.len && is.len <= (size_t)(end - is.at) && item_is_same_name(is.at, name.at, name.len);
}

/* item_read.c: where the record behind the one at this offset begins, which has no simple step; 0:
 * outside. */
size_t item_walk_slowly(const uint8_t *start, size_t at, size_t end);

/* Bounded: passes the records of a walked image, of which *left are left, from offset `at` on.
 * LARDER_OK: `*record` has the name, ends within the image, and *left counts it, too;
 * LARDER_NOT_FOUND, LARDER_E_CORRUPT. A record takes ten instructions: a look beyond the last one
 * finds zeros, which are no record, or the image's end, or what *left says was none. */
static inline __attribute__((always_inline)) int item_walk_to_name(const struct item_head *h, size_t at,
                                                                   struct bytes name, unsigned key, uint32_t *left,
                                                                   const uint8_t **record) {
    const uint8_t *start = (const uint8_t *)h;
    size_t end = h->bytes, last = end - 2; /* the shortest record has two bytes */
    int64_t count = *left;
    if (__builtin_expect(at > last, 0))
        return count > 0 ? LARDER_E_CORRUPT : LARDER_NOT_FOUND;
    for (;;) {
        unsigned is = start[at + 1];
        if (__builtin_expect(is == key, 0) && item_has_name(start + at, start + end, name, key))
            break;
        size_t next = at + item_steps.tag[start[at]] + item_steps.name[is];
        count--;
        if (__builtin_expect(next > last, 0)) {
            if (count >= 0 && next >= ITEM_STEP_NONE)
                next = item_walk_slowly(start, at, end);
            if (count <= 0 || next > last || next == 0)
                return count < 0 || (count == 0 && next && next <= end) ? LARDER_NOT_FOUND : LARDER_E_CORRUPT;
        }
        at = next;
    }
    if (__builtin_expect(count <= 0, 0))
        return LARDER_NOT_FOUND;
    *left = (uint32_t)count;
    *record = start + at;
    return item_skip_record(start + at, start + end) ? LARDER_OK : LARDER_E_CORRUPT;
}

/* Writes a name: as `byte` if it is listed, else (byte 0) in full. */
static inline uint8_t *item_put_name_as(uint8_t *to, uint8_t byte, struct bytes name) {
    if (byte) {
        *to++ = byte;
        return to;
    }
    if (name.len >= ITEM_NAME_LISTED)
        *to++ = 0;
    return item_put_bytes(item_put_varint(to, name.len), name.at, name.len);
}
static inline size_t item_name_as_bytes(uint8_t byte, struct bytes name) {
    return byte ? 1 : (name.len >= ITEM_NAME_LISTED) + item_varint_bytes(name.len) + name.len;
}
static inline uint8_t *item_put_name(uint8_t *to, struct bytes name) {
    return item_put_name_as(to, item_name_byte(name.at, name.len), name);
}

/* A record without its value. */
struct item_record {
    uint8_t tag;
    struct bytes name;
    struct bytes name_field; /* the name as it is written */
    /* its first byte; the end of the record if the value lies in the key area */
    const uint8_t *value;
};

static inline struct item_record item_record_at(const uint8_t *at) {
    struct item_record r = {.tag = *at};
    r.value = item_get_name(at + 1, &r.name);
    r.name_field = (struct bytes){at + 1, (size_t)(r.value - at - 1)};
    return r;
}

/* Bounded: reads tag and name of the record at `at`. 0: it leads outside. */
static inline int item_take_record(const uint8_t *at, const uint8_t *end, struct item_record *r) {
    if (at >= end)
        return 0;
    r->tag = *at;
    r->value = item_take_name(at + 1, end, &r->name);
    r->name_field = (struct bytes){at + 1, (size_t)(r->value - at - 1)};
    return r->value != NULL;
}

/* memcmp, then shorter first: the order of names, and of the members of a set. */
static inline int item_compare_bytes(struct bytes a, struct bytes b) {
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.at, b.at, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static inline uint8_t *item_directory(const struct item_head *h) {
    return (uint8_t *)(item_index_slots(h) + h->index_count);
}

/* Offset of the first record of a walked image. */
static inline size_t item_first_offset(const struct item_head *h) {
    return sizeof *h + item_key_area_bytes(h) + sizeof(struct item_index_slot) * h->index_count;
}

static inline const uint8_t *item_first_record(const struct item_head *h) {
    return item_directory(h) + item_directory_entry_bytes(h) * h->attr_count;
}

/* An entry of a directory. */
static inline size_t item_get_offset(const uint8_t *directory, int is_wide, uint32_t ordinal) {
    uint32_t wide;
    uint16_t narrow;
    if (__builtin_expect(is_wide, 0)) {
        memcpy(&wide, directory + sizeof wide * ordinal, sizeof wide);
        return wide;
    }
    memcpy(&narrow, directory + sizeof narrow * ordinal, sizeof narrow);
    return narrow;
}

/* Does nothing if the image has no directory. */
static inline void item_set_record_offset(struct item_head *h, uint32_t ordinal, uint32_t offset) {
    uint8_t *directory = item_directory(h);
    uint16_t narrow = (uint16_t)offset;
    if (item_is_walked(h))
        return;
    if (h->flags & ITEM_WIDE)
        memcpy(directory + sizeof offset * ordinal, &offset, sizeof offset);
    else
        memcpy(directory + sizeof narrow * ordinal, &narrow, sizeof narrow);
}

/* Bounded: where the record `steps` behind the one at `at` begins. NULL: one before it leads
 * outside. */
static inline const uint8_t *item_walk(const uint8_t *at, const uint8_t *end, uint32_t steps) {
    for (; at && steps > 0; steps--)
        at = item_skip_record(at, end);
    return at;
}

/* Offset of a record. In a walked image bounded: head.bytes if an earlier record leads outside. In
 * others as the directory says. */
static inline size_t item_record_offset(const struct item_head *h, uint32_t ordinal) {
    const uint8_t *start = (const uint8_t *)h;
    if (!item_is_walked(h))
        return item_get_offset(item_directory(h), h->flags & ITEM_WIDE, ordinal);
    const uint8_t *at = item_walk(item_first_record(h), start + h->bytes, ordinal);
    return at ? (size_t)(at - start) : h->bytes;
}

static inline const uint8_t *item_record(const struct item_head *h, uint32_t ordinal) {
    return (const uint8_t *)h + item_record_offset(h, ordinal);
}

/* Finds the offsets of all records of a readable image. */
static inline void item_find_places(struct item_places *p, const struct item_head *h) {
    p->start = (const uint8_t *)h;
    p->offsets = item_directory(h);
    p->end = h->bytes;
    p->count = h->attr_count;
    p->is_wide = h->flags & ITEM_WIDE;
    if (!item_is_walked(h))
        return;
    const uint8_t *at = item_first_record(h);
    for (uint32_t i = 0; i < p->count; i++) {
        p->walked[i] = (uint16_t)(at - p->start);
        at = item_skip_record(at, p->start + p->end);
    }
    p->offsets = (const uint8_t *)p->walked;
    p->is_wide = 0;
}

/* The offset of one of them. */
static inline size_t item_place(const struct item_places *p, uint32_t ordinal) {
    return item_get_offset(p->offsets, p->is_wide, ordinal);
}

/* The flags of an image with so many bytes of records. An image in a table (it has a key area) is
 * walked if it can be; offsets are wide only if they must be. */
static inline uint8_t item_flags(const struct item_head *h, size_t records_bytes) {
    size_t fixed = (size_t)(item_directory(h) - (const uint8_t *)h);
    size_t narrow_max = ITEM_NARROW_BYTES_MAX - 7;
    if (h->partition_bytes && h->attr_count <= ITEM_WALKED_MAX && fixed + records_bytes <= narrow_max)
        return ITEM_WALKED;
    return fixed + sizeof(uint16_t) * h->attr_count + records_bytes > narrow_max ? ITEM_WIDE : 0;
}

/* Lays out an image without item_timed: sets head.bytes and flags from the rest of the head and
 * records_bytes. Returns the offset of the first record. */
static inline size_t item_lay_out(struct item_head *h, size_t records_bytes) {
    size_t fixed = (size_t)(item_directory(h) - (uint8_t *)h);
    h->flags = item_flags(h, records_bytes);
    size_t records = fixed + item_directory_entry_bytes(h) * h->attr_count;
    h->bytes = (uint32_t)item_round8(records + records_bytes);
    return records;
}

/* The value in the key area that a tag with key flags refers to. */
static inline void item_read_key_value(const struct item_head *h, uint8_t tag, struct larder_value *out) {
    enum larder_type type = tag & ITEM_TYPE_MASK;
    *out = (struct larder_value){.type = type, .count = type == LARDER_N ? ITEM_N_IS_ENCODED : 0};
    if (tag & ITEM_IN_PARTITION_KEY) {
        out->data = item_key_area(h);
        out->bytes = h->partition_bytes;
    } else {
        out->data = item_key_area(h) + h->partition_bytes;
        out->bytes = h->sort_bytes;
    }
}

/* item_readable.c: reads a value with this tag that is not in the key area. Returns its end. */
const uint8_t *item_read_value(unsigned tag, const uint8_t *at, struct larder_value *out);
/* item_read.c: record and ordinal of the attribute with this name; bounded. LARDER_OK,
 * LARDER_NOT_FOUND, or LARDER_E_CORRUPT without a text. */
int item_find_record(const struct item_head *h, struct bytes name, struct item_record *r, uint32_t *ordinal);
/* item_readable.c: reads the value of the record at `at`, or with this ordinal, also from the key
 * area. Returns the end of the record. */
const uint8_t *item_read_record(const struct item_head *h, const uint8_t *at, struct larder_value *out);
const uint8_t *item_read_attr(const struct item_head *h, uint32_t ordinal, struct larder_value *out);
/* item_read.c: reads the value of a record, bounded. Returns the record's end, or NULL. h is NULL
 * in a nested M, where no value lies in the key area. With h a container is checked as a whole, so
 * its depth is bounded, and a caller that recurses into it comes to an end. */
const uint8_t *item_take_record_value(const struct item_head *h, const struct item_record *r, const uint8_t *end,
                                      struct larder_value *out);

/* Bytes of a record that contains this S, N or B. */
static inline size_t item_scalar_record_bytes(size_t name_field_bytes, const struct larder_value *value) {
    size_t length_bytes =
        item_scalar_tag(value->type, value->bytes) < ITEM_SHORT_N ? item_varint_bytes(value->bytes) : 0;
    return 1 + name_field_bytes + length_bytes + value->bytes;
}
/* Writes it. */
static inline uint8_t *item_put_scalar_record(uint8_t *to, struct bytes name_field, const struct larder_value *value) {
    uint8_t tag = *to++ = item_scalar_tag(value->type, value->bytes);
    return item_put_scalar(item_put_bytes(to, name_field.at, name_field.len), tag, value->data, value->bytes);
}

/* item_project.c: bytes of an attribute as DynamoDB counts them. The image is readable. */
size_t item_attr_ddb_bytes(struct bytes name, const struct larder_value *value);

/* item_check.c: size and depth of a container. */
struct item_measure {
    size_t ddb_bytes; /* as DynamoDB counts the container */
    uint32_t levels;  /* of M and L, itself included */
};
/* False if the value is no M, L, SS, NS or BS in the form that items hold. */
int item_measure_container(const struct larder_value *value, struct item_measure *out);

const char *item_type_name(enum larder_type type); /* item_readable.c: "S", "N", ... */

#endif
