/* core/item/item_check.c - whether bytes are an image.
 *
 * Job      Trusts nothing: every length is compared with the bytes that are left before it is used.
 *          item_readable.c may follow an image that passed, without bounds. The bytes must not
 *          change meanwhile: check copies.
 * Rules    I1 and I2 of core/item/item.h, and what makes an image unique: records without gaps,
 *          shortest varints, canonical numbers, sorted sets and maps, offsets no wider than they
 *          must be, zero padding, the size it claims to have.
 * Tests    tests/unit/item/item_check_test.c, tests/fuzz/item_decode_fuzz.c
 */
#include "core/base/err.h"
#include "core/base/utf8.h"
#include "core/item/item.h"
#include "core/item/item_join.h"
#include "core/item/item_records.h"
#include "core/item/num.h"

/* The bytes that are left to read. */
struct item_check {
    const uint8_t *at, *end;
    size_t ddb_bytes;            /* read so far, as DynamoDB counts */
    uint32_t levels, levels_max; /* of M and L: around `at`, and the most there were */
};

static int check_value(struct item_check *c, unsigned tag);

static int check_byte(struct item_check *c, uint8_t *byte) {
    if (c->at == c->end)
        return 0;
    *byte = *c->at++;
    return 1;
}

static int check_varint(struct item_check *c, size_t *value) {
    size_t got = 0;
    for (unsigned i = 0; i < ITEM_VARINT_BYTES_MAX; i++) {
        uint8_t byte;
        if (!check_byte(c, &byte))
            return 0;
        got |= (size_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *value = got;
            return byte != 0 || i == 0; /* a final 0 would be a longer form of the same value */
        }
    }
    return 0;
}

static int check_run(struct item_check *c, size_t bytes, struct bytes *out) {
    if (bytes > (size_t)(c->end - c->at))
        return 0;
    *out = (struct bytes){c->at, bytes};
    c->at += bytes;
    return 1;
}

/* A length, and so many bytes. */
static int check_bytes(struct item_check *c, struct bytes *out) {
    size_t bytes;
    return check_varint(c, &bytes) && check_run(c, bytes, out);
}

static int is_text(struct bytes b) {
    return utf8_valid_bytes((const char *)b.at, b.len) == b.len;
}

/* An S, N or B: its bytes. */
static int check_scalar(struct item_check *c, unsigned tag, struct bytes *out) {
    enum larder_type type = item_tag_type(tag);
    if (tag >= ITEM_SHORT_N) {
        if (!item_take_scalar(tag, c->at, c->end, out))
            return 0;
        c->at += out->len;
    } else if (!check_bytes(c, out))
        return 0;
    if (tag != item_scalar_tag(type, out->len))
        return 0;
    c->ddb_bytes += out->len;
    if (type == LARDER_S)
        return is_text(*out);
    return type != LARDER_N || num_is_sane(out->at, out->len);
}

/* A name as it is written. Does not check that a listed name was written as its one byte. */
static int check_name_field(struct item_check *c, struct bytes *name) {
    uint8_t first;
    if (!check_byte(c, &first))
        return 0;
    *name = item_listed_name(first);
    if (first & ITEM_NAME_LISTED)
        return name->len != 0;
    size_t bytes = first;
    if (first == 0 && (!check_varint(c, &bytes) || bytes < ITEM_NAME_LISTED))
        return 0;
    return bytes <= LARDER_ATTRIBUTE_NAME_MAX && check_run(c, bytes, name);
}

/* A name in its only form, which must come after the previous one. */
static int check_name(struct item_check *c, int is_first, struct bytes *previous) {
    struct bytes name;
    const uint8_t *field = c->at;
    if (!check_name_field(c, &name) || (!(*field & ITEM_NAME_LISTED) && item_name_byte(name.at, name.len)))
        return 0;
    if (!is_text(name) || (!is_first && item_compare_bytes(*previous, name) >= 0))
        return 0;
    c->ddb_bytes += name.len;
    *previous = name;
    return 1;
}

static int check_set(struct item_check *c, enum larder_type element, size_t count) {
    struct bytes member, previous = {NULL, 0};
    for (size_t i = 0; i < count; i++) {
        uint8_t tag;
        if (!check_byte(c, &tag) || item_tag_keys(tag) || item_tag_type(tag) != element ||
            !check_scalar(c, tag, &member))
            return 0;
        if (i > 0 && item_compare_bytes(previous, member) >= 0)
            return 0;
        previous = member;
    }
    return count > 0;
}

/* The members of an L or M. */
static int check_nested(struct item_check *c, enum larder_type type, size_t count) {
    struct bytes previous = {NULL, 0};
    c->ddb_bytes += 3 + count;
    /* one more than a builder takes today; older builders took as many */
    if (++c->levels > LARDER_NESTING_MAX)
        return 0;
    if (c->levels > c->levels_max)
        c->levels_max = c->levels;
    for (size_t i = 0; i < count; i++) {
        uint8_t tag;
        if (!check_byte(c, &tag) || (type == LARDER_M && !check_name(c, i == 0, &previous)))
            return 0;
        if (!check_value(c, tag))
            return 0;
    }
    c->levels--;
    return 1;
}

static int check_members(struct item_check *c, enum larder_type type, size_t count) {
    switch (type) {
    case LARDER_M:
    case LARDER_L:
        return check_nested(c, type, count);
    case LARDER_SS:
        return check_set(c, LARDER_S, count);
    case LARDER_NS:
        return check_set(c, LARDER_N, count);
    case LARDER_BS:
        return check_set(c, LARDER_B, count);
    default:
        return 0;
    }
}

/* Length, count, and members that fill the length. */
static int check_container(struct item_check *c, enum larder_type type) {
    struct bytes rest;
    size_t count;
    const uint8_t *outer_end = c->end;
    if (!check_bytes(c, &rest))
        return 0;
    c->at = rest.at;
    c->end = rest.at + rest.len;
    if (!check_varint(c, &count) || !check_members(c, type, count) || c->at != c->end)
        return 0;
    c->end = outer_end;
    return 1;
}

/* A value that is not in the key area. */
static int check_value(struct item_check *c, unsigned tag) {
    struct bytes scalar;
    uint8_t byte;
    enum larder_type type = item_tag_type(tag);
    if (item_tag_keys(tag))
        return 0;
    switch (type) {
    case LARDER_S:
    case LARDER_N:
    case LARDER_B:
        return check_scalar(c, tag, &scalar);
    case LARDER_BOOL:
        c->ddb_bytes++;
        return check_byte(c, &byte) && byte <= 1;
    case LARDER_NULL:
        c->ddb_bytes++;
        return 1;
    case LARDER_M:
    case LARDER_L:
    case LARDER_SS:
    case LARDER_NS:
    case LARDER_BS:
        return check_container(c, type);
    default:
        return 0;
    }
}

int item_measure_container(const struct larder_value *value, struct item_measure *out) {
    if (value->bytes > ITEM_IMAGE_BYTES_MAX || (value->bytes && !value->data))
        return 0;
    const uint8_t *at = value->bytes ? value->data : (const uint8_t *)"";
    struct item_check c = {.at = at, .end = at + value->bytes};
    if (!check_members(&c, value->type, value->count) || c.at != c.end)
        return 0;
    *out = (struct item_measure){.ddb_bytes = c.ddb_bytes, .levels = c.levels_max};
    return 1;
}

static int is_zero(const uint8_t *at, const uint8_t *end) {
    for (; at < end; at++)
        if (*at)
            return 0;
    return 1;
}

/* A record of the image itself: its name, and its value here or in the key area. */
static int check_record(struct item_check *c, const struct item_head *h, int is_first, struct bytes *previous,
                        uint32_t *flags_seen) {
    uint8_t tag;
    if (!check_byte(c, &tag) || !check_name(c, is_first, previous))
        return 0;
    uint32_t flags = item_tag_keys(tag);
    enum larder_type type = item_tag_type(tag);
    if (!flags)
        return check_value(c, tag);
    if (flags == ITEM_KEY_FLAGS || (*flags_seen & flags) || type < LARDER_S || type > LARDER_B)
        return 0;
    *flags_seen |= flags;
    const uint8_t *key = item_key_area(h) + (flags == ITEM_IN_SORT_KEY ? h->partition_bytes : 0);
    size_t bytes = flags == ITEM_IN_SORT_KEY ? h->sort_bytes : h->partition_bytes;
    c->ddb_bytes += bytes;
    if (type == LARDER_S && !is_text((struct bytes){key, bytes}))
        return 0;
    return bytes > 0 && (type != LARDER_N || num_is_sane(key, bytes));
}

/* Joined keys in their only form: some if the image says so, else none. */
static int check_joined(struct item_check *c, const struct item_head *h) {
    uint32_t count = 0;
    for (; h->flags & ITEM_JOINED && c->at < c->end && *c->at; count++) {
        struct bytes key;
        if (!item_take_joined(c->at, c->end, &key) || key.len < 1 || key.len > LARDER_PARTITION_KEY_BYTES_MAX ||
            key.at + key.len != c->at + item_joined_record_bytes(key.len) ||
            *c->at != item_scalar_tag(LARDER_S, key.len))
            return 0;
        c->at = key.at + key.len;
    }
    return !(h->flags & ITEM_JOINED) || (count >= 1 && count <= ITEM_JOINED_MAX);
}

static int check_records(const struct item_head *h) {
    const uint8_t *start = (const uint8_t *)h;
    struct bytes previous = {NULL, 0};
    uint32_t flags_seen = 0;
    uint32_t flags_due = (h->partition_bytes ? ITEM_IN_PARTITION_KEY : 0u) | (h->sort_bytes ? ITEM_IN_SORT_KEY : 0u);
    const uint8_t *first = item_first_record(h);
    int is_walked = item_is_walked(h);
    struct item_check c = {.at = first, .end = start + h->bytes - item_timed_bytes(h)};
    for (uint32_t i = 0; i < h->attr_count; i++) {
        if (!is_walked && item_record_offset(h, i) != (size_t)(c.at - start))
            return 0;
        if (!check_record(&c, h, i == 0, &previous, &flags_seen))
            return 0;
    }
    if (!check_joined(&c, h))
        return 0;
    if (flags_seen != flags_due || c.ddb_bytes != item_ddb_bytes(h) || c.ddb_bytes > LARDER_ITEM_BYTES_MAX)
        return 0;
    if ((h->flags & (ITEM_WIDE | ITEM_WALKED)) != item_flags(h, (size_t)(c.at - first)))
        return 0;
    return c.end - c.at < 8 && is_zero(c.at, c.end);
}

/* The joined key that a slot refers to, in an image whose records are sane. 0: none. */
static int find_joined(const struct item_head *h, uint16_t attr, struct bytes *key) {
    for (uint32_t i = 0; i < ITEM_JOINED_MAX; i++) {
        const uint8_t *at = item_joined(h, h, i);
        if (!at)
            return 0;
        if (attr == (item_is_walked(h) ? (size_t)(at - (const uint8_t *)h) : ITEM_JOINED_FIRST + i))
            return item_take_joined(at, (const uint8_t *)h + h->bytes, key);
    }
    return 0;
}

/* The attribute of an index key that a slot refers to, in an image whose records are sane. */
static int check_index_key(const struct item_head *h, uint16_t attr, size_t bytes_max) {
    struct larder_value value;
    uint32_t ordinal = item_is_walked(h) ? 0 : attr;
    struct bytes joined;
    if (attr == ITEM_NO_ATTR)
        return 1;
    if (find_joined(h, attr, &joined))
        return joined.len <= bytes_max;
    while (item_is_walked(h) && ordinal < h->attr_count && item_record_offset(h, ordinal) != attr)
        ordinal++;
    if (ordinal >= h->attr_count)
        return 0;
    item_read_attr(h, ordinal, &value);
    if (value.type != LARDER_S && value.type != LARDER_N && value.type != LARDER_B)
        return 0;
    return value.bytes >= 1 && value.bytes <= bytes_max;
}

int item_slot_is_sane(const struct item_head *h, uint32_t i) {
    const struct item_index_slot *slot = &item_index_slots(h)[i];
    if (slot->kseq && slot->partition_attr == ITEM_NO_ATTR)
        return 0;
    return check_index_key(h, slot->partition_attr, LARDER_PARTITION_KEY_BYTES_MAX) &&
           check_index_key(h, slot->sort_attr, LARDER_SORT_KEY_BYTES_MAX);
}

static int check_slots(const struct item_head *h) {
    for (uint32_t i = 0; i < h->index_count; i++)
        if (!item_slot_is_sane(h, i))
            return 0;
    return 1;
}

/* Whether a record's value can be this key, by its type and size. */
static int may_be_key(const struct item_head *h, const struct item_record *r, const struct item_key_attr *key,
                      size_t bytes_max) {
    struct larder_value value;
    if (item_tag_type(r->tag) != key->type)
        return 0;
    if (item_tag_keys(r->tag))
        item_read_key_value(h, r->tag, &value);
    else
        (void)item_read_value(r->tag, r->value, &value);
    return value.bytes >= 1 && value.bytes <= bytes_max;
}

/* Whether the joined key that a sane slot refers to is what the attributes say. */
static int is_joined_at(const struct item_head *h, uint16_t attr, const struct item_key_attr *key, size_t bytes_max) {
    uint8_t right[LARDER_PARTITION_KEY_BYTES_MAX];
    struct bytes is;
    size_t bytes;
    return find_joined(h, attr, &is) && item_join_of(h, key, bytes_max, right, &bytes) == LARDER_OK &&
           is.len == bytes && memcmp(is.at, right, bytes) == 0;
}

/* Whether the record that a sane slot refers to is this key. */
static int is_key_at(const struct item_head *h, uint16_t attr, const struct item_key_attr *key, size_t bytes_max) {
    struct bytes joined;
    if (key->more_count)
        return is_joined_at(h, attr, key, bytes_max);
    if (find_joined(h, attr, &joined))
        return 0;
    const uint8_t *at = item_is_walked(h) ? (const uint8_t *)h + attr : item_record(h, attr);
    struct item_record r = item_record_at(at);
    return r.name.len == key->name_bytes && memcmp(r.name.at, key->name, r.name.len) == 0 &&
           may_be_key(h, &r, key, bytes_max);
}

/* Whether the item has this key. */
static int has_key(const struct item_head *h, const struct item_key_attr *key, size_t bytes_max) {
    uint8_t joined[LARDER_PARTITION_KEY_BYTES_MAX];
    size_t bytes;
    if (key->more_count)
        return h->attr_count <= ITEM_JOINED_FIRST && item_join_of(h, key, bytes_max, joined, &bytes) == LARDER_OK;
    uint16_t ordinal = item_find_attr(h, key->name, key->name_bytes);
    if (ordinal == ITEM_NO_ATTR)
        return 0;
    struct item_record r = item_record_at(item_record(h, ordinal));
    return may_be_key(h, &r, key, bytes_max);
}

int item_slot_is_true(const struct item_head *h, uint32_t i, const struct item_index_shape *index) {
    struct item_index_slot slot = item_index_slots(h)[i];
    const struct item_key_attr *partition = &index->partition, *sort = index->sort.name ? &index->sort : NULL;
    if (slot.partition_attr == ITEM_NO_ATTR)
        return slot.kseq == 0 && slot.sort_attr == ITEM_NO_ATTR &&
               !(has_key(h, partition, LARDER_PARTITION_KEY_BYTES_MAX) &&
                 (!sort || has_key(h, sort, LARDER_SORT_KEY_BYTES_MAX)));
    if (!is_key_at(h, slot.partition_attr, partition, LARDER_PARTITION_KEY_BYTES_MAX))
        return 0;
    return sort ? slot.sort_attr != ITEM_NO_ATTR && is_key_at(h, slot.sort_attr, sort, LARDER_SORT_KEY_BYTES_MAX)
                : slot.sort_attr == ITEM_NO_ATTR;
}

/* ---- Readable -------------------------------------------------------------------------------- */

/* Whether the tag refers to a key that no earlier record had. Each key may occur once: code that
 * moves keys into records has room for that. */
static inline int is_next_key(unsigned tag, uint32_t keys_seen) {
    unsigned keys = tag & ITEM_KEY_FLAGS, type = tag & ITEM_TYPE_MASK;
    return keys && keys != ITEM_KEY_FLAGS && !(keys & keys_seen) && type - LARDER_S <= LARDER_B - LARDER_S;
}

/* The end of the record at `at`, or 0 if it does not end by `end`: for records that checked_end()
 * leaves out. */
static size_t slow_checked_end(const uint8_t *start, size_t at, size_t end, uint32_t *keys_seen) {
    struct item_check c = {.at = start + at, .end = start + end};
    struct bytes name;
    uint8_t tag;
    if (!check_byte(&c, &tag) || !check_name_field(&c, &name))
        return 0;
    uint32_t keys = item_tag_keys(tag);
    if (keys ? !is_next_key(tag, *keys_seen) : !check_value(&c, tag))
        return 0;
    *keys_seen |= keys;
    return (size_t)(c.at - start);
}

/* The same in few instructions: most records have a short name, and a short tag or a value in the
 * key area. */
static inline size_t checked_end(const uint8_t *start, size_t at, size_t end, uint32_t *keys_seen) {
    if (__builtin_expect(at + 2 > end, 0)) /* the shortest record has two bytes */
        return 0;
    unsigned tag = start[at];
    size_t next = at + item_steps.tag[tag] + item_steps.name[start[at + 1]];
    if (__builtin_expect(next >= ITEM_STEP_NONE + at, 0))
        return slow_checked_end(start, at, end, keys_seen);
    if (__builtin_expect(tag < ITEM_SHORT_N, 0)) {
        if (!is_next_key(tag, *keys_seen))
            return 0;
        *keys_seen |= tag & ITEM_KEY_FLAGS;
    }
    return next <= end ? next : 0;
}

/* Whether only joined keys lie between the records and the end. */
static __attribute__((noinline)) int ends_joined(const struct item_head *h, size_t at, size_t end) {
    const uint8_t *start = (const uint8_t *)h, *last = item_joined_end(start + at, start + end);
    return h->flags & ITEM_JOINED && last && start + end - last < 8;
}

/* Each record ends where the next one begins, and a directory, if there is one, agrees. */
int item_is_readable(const void *image, size_t bytes) {
    const struct item_head *h = image;
    const uint8_t *start = image;
    if (bytes < sizeof *h || !item_head_is_sane(h, bytes))
        return 0;
    const uint8_t *directory = item_directory(h);
    uint32_t keys_seen = 0;
    size_t count = h->attr_count, end = h->bytes - item_timed_bytes(h), at = (size_t)(item_first_record(h) - start);
    if (item_is_walked(h)) { /* what struct item_places has room for */
        if (count > ITEM_WALKED_MAX || end > ITEM_NARROW_BYTES_MAX)
            return 0;
        for (size_t i = 0; i < count && at != 0; i++)
            at = checked_end(start, at, end, &keys_seen);
        return at != 0 && (end - at < 8 || ends_joined(h, at, end));
    }
    for (size_t i = 0; i < count && at != 0; i++)
        at = item_get_offset(directory, h->flags & ITEM_WIDE, (uint32_t)i) == at
                 ? checked_end(start, at, end, &keys_seen)
                 : 0;
    return at != 0 && (end - at < 8 || ends_joined(h, at, end));
}

int item_check_records(const struct item_head *image) {
    if (image->version == 0 || item_is_readable(image, image->bytes))
        return LARDER_OK;
    return err_set(LARDER_E_CORRUPT, "the item is damaged: a record leads outside of it");
}

int item_is_sane(const void *image, size_t bytes) {
    const struct item_head *h = image;
    if ((uintptr_t)image % 8 != 0 || bytes < sizeof *h || !item_head_is_sane(h, bytes))
        return 0;
    const uint8_t *keys_end = item_key_area(h) + h->partition_bytes + h->sort_bytes;
    if (!is_zero(keys_end, item_key_area(h) + item_key_area_bytes(h)))
        return 0;
    return check_records(h) && check_slots(h);
}

void item_clear_padding(struct item_head *h) {
    uint8_t *end = (uint8_t *)h + h->bytes - item_timed_bytes(h), *keys = item_key_area(h);
    const uint8_t *at = item_walk(item_first_record(h), end, h->attr_count);
    if (h->flags & ITEM_JOINED)
        at = item_joined_end(at, end);
    size_t key_bytes = (size_t)h->partition_bytes + h->sort_bytes;
    memset(keys + key_bytes, 0, item_key_area_bytes(h) - key_bytes);
    if (at && end - at < 8)
        memset(end - (end - at), 0, (size_t)(end - at));
}
