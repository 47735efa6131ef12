/* core/item/item_store.c - the image that a table stores: keys, index slots, expiry.
 *
 * Job      Checks and encodes key attributes, and turns an item into the image that the table
 *          stores. The attributes keep their order, so an ordinal means the same in both images.
 *          Only the records of the primary key change, from "value here" to "value in the key
 *          area". Everything between is copied in runs.
 * Rules    Nothing here allocates. An item comes from a builder or from a page of any table;
 *          item_check_records() comes before the first look at its records.
 * Tests    tests/unit/item/item_store_test.c
 */
#include <stdio.h>

#include "core/base/err.h"
#include "core/base/utf8.h"
#include "core/item/item.h"
#include "core/item/item_join.h"
#include "core/item/item_records.h"
#include "core/item/num.h"

/* DynamoDB does not expire items whose TTL is more than five years past (developer guide, "Using
 * time to live"). */
#define STORE_TTL_PAST_MAX_S (INT64_C(5) * 365 * 24 * 3600)
#define ASCII_NEVER UINT64_C(0x8080808080808080) /* bits that no ASCII text has */

/* ---- Keys ------------------------------------------------------------------------------------ */

static int refuse_type(const struct item_key_attr *attr, enum larder_type type, const char *what) {
    if (type == 0)
        return err_set(LARDER_E_INVAL, "%s \"%.*s\" is not set; %s is needed", what,
                       utf8_shown_bytes(attr->name, attr->name_bytes), attr->name, item_type_name(attr->type));
    return err_set(LARDER_E_INVAL, "%s \"%.*s\" is of type %s; %s is needed", what,
                   utf8_shown_bytes(attr->name, attr->name_bytes), attr->name, item_type_name(type),
                   item_type_name(attr->type));
}

static int check_size(const struct item_key_attr *attr, size_t bytes, const char *what, size_t bytes_max) {
    if (bytes >= 1 && bytes <= bytes_max)
        return LARDER_OK;
    return err_set(LARDER_E_INVAL, "%s \"%.*s\" has %zu bytes; 1 to %zu are allowed", what,
                   utf8_shown_bytes(attr->name, attr->name_bytes), attr->name, bytes, bytes_max);
}

static int refuse_no_data(const struct item_key_attr *attr, size_t bytes, const char *what) {
    return err_set(LARDER_E_INVAL, "%s \"%.*s\" has %zu bytes, but its data is NULL", what,
                   utf8_shown_bytes(attr->name, attr->name_bytes), attr->name, bytes);
}

static int encode_number(const struct larder_value *value, uint8_t *to, size_t *bytes) {
    if (value->count != ITEM_N_IS_ENCODED)
        return num_encode(value->data, value->bytes, to, bytes);
    if (!value->data || !num_is_sane(value->data, value->bytes))
        return err_set(LARDER_E_INVAL, "a value of type N with count 1 must have been read from an item");
    memcpy(to, value->data, value->bytes);
    *bytes = value->bytes;
    return LARDER_OK;
}

static int encode_key_value(const struct item_key_attr *attr, const struct larder_value *value, const char *what,
                            size_t bytes_max, uint8_t *to, size_t *bytes) {
    uint8_t number[NUM_BYTES_MAX];
    const uint8_t *from = value->data;
    size_t from_bytes = value->data ? value->bytes : 0;
    int result = LARDER_OK;
    if (value->type != attr->type)
        return refuse_type(attr, value->type, what);
    if (value->bytes && !value->data)
        return refuse_no_data(attr, value->bytes, what);
    if (value->type == LARDER_N) {
        result = encode_number(value, number, &from_bytes);
        from = number;
    }
    if (result == LARDER_OK)
        result = check_size(attr, from_bytes, what, bytes_max);
    if (result != LARDER_OK)
        return result;
    if (value->type == LARDER_S) {
        size_t valid = utf8_valid_bytes(value->data, from_bytes);
        if (valid < from_bytes)
            return err_set(LARDER_E_INVAL, "%s \"%.*s\" is not valid UTF-8 from byte %zu on", what,
                           utf8_shown_bytes(attr->name, attr->name_bytes), attr->name, valid);
    }
    item_put_bytes(to, from, from_bytes);
    *bytes = from_bytes;
    return LARDER_OK;
}

typedef uint64_t two_words __attribute__((vector_size(16)));

/* Copies 8 to 15 bytes: the first eight and the last eight, which may overlap. Returns the OR of
 * all bytes. */
static inline uint64_t copy_short(uint8_t *to, const uint8_t *from, size_t bytes) {
    uint64_t first, last;
    size_t last_at = bytes - sizeof last;
    memcpy(&first, from, sizeof first), memcpy(&last, from + last_at, sizeof last);
    memcpy(to, &first, sizeof first), memcpy(to + last_at, &last, sizeof last);
    return first | last;
}

static inline two_words copy_sixteen(uint8_t *to, const uint8_t *from) {
    two_words words;
    memcpy(&words, from, sizeof words);
    memcpy(to, &words, sizeof words);
    return words;
}

/* The same for 16 bytes and more, sixteen at a time; up to 32 without a loop. */
static inline uint64_t copy_long(uint8_t *to, const uint8_t *from, size_t bytes) {
    size_t last = bytes - sizeof(two_words);
    two_words bits = copy_sixteen(to, from) | copy_sixteen(to + last, from + last);
    for (size_t at = sizeof(two_words); __builtin_expect(at < last, 0); at += sizeof(two_words))
        bits |= copy_sixteen(to + at, from + at);
    return bits[0] | bits[1];
}

/* Most keys are ASCII text of 8 bytes and more: copied and checked in one pass. 0: not such a key;
 * the contents of `to` mean nothing. */
static inline int take_usual_key(const struct item_key_attr *attr, const struct larder_value *value, size_t bytes_max,
                                 uint8_t *to, size_t *bytes) {
    size_t count = value->bytes;
    if (attr->type != LARDER_S || value->type != LARDER_S || !value->data || count < sizeof(uint64_t) ||
        count > bytes_max)
        return 0;
    *bytes = count;
    uint64_t bits = count < sizeof(two_words) ? copy_short(to, value->data, count) : copy_long(to, value->data, count);
    return !(bits & ASCII_NEVER);
}

static inline int take_key(const struct item_key_attr *attr, const struct larder_value *value, const char *what,
                           size_t bytes_max, uint8_t *to, size_t *bytes) {
    return take_usual_key(attr, value, bytes_max, to, bytes)
               ? LARDER_OK
               : encode_key_value(attr, value, what, bytes_max, to, bytes);
}

int item_encode_key_value(const struct item_key_attr *attr, const struct larder_value *value, const char *what,
                          size_t bytes_max, uint8_t *to, size_t *bytes) {
    return take_key(attr, value, what, bytes_max, to, bytes);
}

int item_key_from_values(const struct item_shape *shape, const struct larder_key *key, struct item_key *out) {
    size_t partition_bytes = 0, sort_bytes = 0;
    int result = take_key(&shape->partition, &key->partition, "partition key", LARDER_PARTITION_KEY_BYTES_MAX,
                          out->area, &partition_bytes);
    if (result == LARDER_OK && shape->sort.name)
        result = take_key(&shape->sort, &key->sort, "sort key", LARDER_SORT_KEY_BYTES_MAX, out->area + partition_bytes,
                          &sort_bytes);
    if (result != LARDER_OK)
        return result;
    size_t used = partition_bytes + sort_bytes;
    out->partition_bytes = (uint16_t)partition_bytes;
    out->sort_bytes = (uint16_t)sort_bytes;
    out->area_bytes = (uint32_t)item_round8(used);
    /* the padding and a little more: `area` has room for a word */
    memcpy(out->area + used, &(uint64_t){0}, sizeof(uint64_t));
    return LARDER_OK;
}

/* ---- Finding key attributes ------------------------------------------------------------------ */

/* An attribute that may be a key. `value` has its type, and its data if that is S, N or B. */
struct found_attr {
    uint16_t ordinal;
    struct bytes name_field;
    struct larder_value value;
};

static int order_at(const struct item_places *p, uint32_t ordinal, const struct item_key_attr *attr) {
    struct bytes wanted = {(const uint8_t *)attr->name, attr->name_bytes};
    return item_compare_bytes(item_record_at(p->start + item_place(p, ordinal)).name, wanted);
}

/* How many names come before the attribute's; *near is tried first. */
static __attribute__((noinline)) uint32_t find_place(const struct item_places *p, const struct item_key_attr *attr,
                                                     uint16_t *near) {
    uint32_t low = 0, high = p->count, middle = *near;
    if (middle > 0 && middle <= high && order_at(p, middle - 1, attr) < 0)
        low = middle;
    while (low < high) {
        middle = low == *near ? low : low + (high - low) / 2;
        int order = order_at(p, middle, attr);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *near = (uint16_t)low;
    return low;
}

static inline void read_found(const struct item_head *h, const struct item_record *r, struct larder_value *value) {
    enum larder_type type = item_tag_type(r->tag);
    if (item_tag_keys(r->tag)) {
        item_read_key_value(h, r->tag, value);
        return;
    }
    *value = (struct larder_value){.type = type, .count = type == LARDER_N ? ITEM_N_IS_ENCODED : 0};
    if (type == LARDER_S || type == LARDER_N || type == LARDER_B)
        value->data = item_get_scalar(r->tag, r->value, &value->bytes);
}

/* Whether the record has the attribute's name. */
static inline int is_named(const uint8_t *record, const struct item_key_attr *attr) {
    struct bytes name;
    if (attr->name_byte)
        return record[1] == attr->name_byte;
    item_get_name(record + 1, &name);
    return name.len == attr->name_bytes && item_is_same_name(name.at, (const uint8_t *)attr->name, name.len);
}

/* 0: the item has no such attribute. *near is its place in an earlier item, and becomes its place
 * in this one. */
static inline int find_attr(const struct item_places *p, const struct item_key_attr *attr, uint16_t *near,
                            struct found_attr *out) {
    uint32_t at = *near;
    if (at >= p->count || !is_named(p->start + item_place(p, at), attr)) {
        at = find_place(p, attr, near);
        if (at >= p->count || order_at(p, at, attr) != 0)
            return 0;
    }
    struct item_record r = item_record_at(p->start + item_place(p, at));
    out->ordinal = (uint16_t)at;
    out->name_field = r.name_field;
    read_found((const struct item_head *)(const void *)p->start, &r, &out->value);
    return 1;
}

/* Finds an attribute of the primary key, which the item must have. */
static int find_key(const struct item_places *p, const struct item_key_attr *attr, const char *what, size_t bytes_max,
                    uint16_t *near, struct found_attr *out) {
    if (!find_attr(p, attr, near, out))
        return err_set(LARDER_E_INVAL, "the item has no attribute \"%.*s\", the %s of the table",
                       utf8_shown_bytes(attr->name, attr->name_bytes), attr->name, what);
    if (out->value.type != attr->type)
        return refuse_type(attr, out->value.type, what);
    return check_size(attr, out->value.bytes, what, bytes_max);
}

int item_key_from_item(const struct item_shape *shape, const struct larder_item *item, struct item_key *out) {
    const struct item_head *h = item_head(item);
    int result = item_check_records(h);
    if (result != LARDER_OK)
        return result;
    struct found_attr partition = {.value = {.type = shape->partition.type}},
                      sort = {.value = {.type = shape->sort.type}};
    struct item_places places;
    uint16_t near[2] = {0, 1};
    item_find_places(&places, h);
    result =
        find_key(&places, &shape->partition, "partition key", LARDER_PARTITION_KEY_BYTES_MAX, &near[0], &partition);
    if (result == LARDER_OK && shape->sort.name)
        result = find_key(&places, &shape->sort, "sort key", LARDER_SORT_KEY_BYTES_MAX, &near[1], &sort);
    if (result != LARDER_OK)
        return result;
    return item_key_from_values(shape, &(struct larder_key){.partition = partition.value, .sort = sort.value}, out);
}

static int is_of_key(const uint8_t *record, const struct item_key_attr *key) {
    for (uint32_t i = 0; i < item_key_count(key); i++)
        if (is_named(record, item_key_attr_at(key, i)))
            return 1;
    return 0;
}

static int is_key(const uint8_t *record, const struct item_key_attr *partition, const struct item_key_attr *sort) {
    return is_of_key(record, partition) || is_of_key(record, sort);
}

int item_start_key(const struct item_shape *shape, const struct item_index_shape *index,
                   const struct larder_item *start_key, struct item_key *out) {
    int result = item_key_from_item(shape, start_key, out); /* after this its records may be read */
    struct item_places places;
    if (result != LARDER_OK)
        return result;
    item_find_places(&places, item_head(start_key));
    for (uint32_t i = 0; i < places.count; i++) {
        const uint8_t *record = places.start + item_place(&places, i);
        struct bytes name = item_record_at(record).name;
        if (is_key(record, &shape->partition, &shape->sort) ||
            (index && is_key(record, &index->partition, &index->sort)))
            continue;
        return err_set(LARDER_E_INVAL,
                       "the start key has an attribute \"%.*s\"; only the keys of the table%s are allowed",
                       ITEM_SHOWN(name), index ? " and the index" : "");
    }
    return LARDER_OK;
}

/* ---- Index slots and expiry ------------------------------------------------------------------ */

/* An index key of the wrong type or size. */
static int refuse_index_key(const struct item_index_shape *index, const struct item_key_attr *attr,
                            const struct larder_value *value, size_t bytes_max) {
    char what[64];
    int shown = utf8_shown_bytes(index->name, strlen(index->name));
    snprintf(what, sizeof what, "key of index %.*s,", shown, index->name);
    return value->type != attr->type ? refuse_type(attr, value->type, what)
                                     : check_size(attr, value->bytes, what, bytes_max);
}

/* Whether the record at `at` is the attribute, short, and of the right type: true of most, and seen
 * in few instructions. */
static inline int is_usual_key(const struct item_places *p, const struct item_key_attr *attr, uint32_t at) {
    if (at >= p->count)
        return 0;
    const uint8_t *record = p->start + item_place(p, at);
    return record[0] >= ITEM_SHORT_N && item_tag_type(record[0]) == attr->type && item_tag_bytes(record[0]) != 0 &&
           is_named(record, attr);
}

/* Finds a key attribute of an index. *ordinal is ITEM_NO_ATTR if the item has none that fits.
 * LARDER_E_INVAL if it has one of the wrong type or size, unless is_lenient. */
static __attribute__((noinline)) int find_index_key(const struct item_places *p, const struct item_index_shape *index,
                                                    int is_lenient, const struct item_key_attr *attr, size_t bytes_max,
                                                    uint16_t *near, uint16_t *ordinal) {
    struct found_attr found;
    *ordinal = ITEM_NO_ATTR;
    if (!find_attr(p, attr, near, &found))
        return LARDER_OK;
    if (found.value.type == attr->type && found.value.bytes >= 1 && found.value.bytes <= bytes_max) {
        *ordinal = found.ordinal;
        return LARDER_OK;
    }
    return is_lenient ? LARDER_OK : refuse_index_key(index, attr, &found.value, bytes_max);
}

/* Places of `near`: partition key, sort key, TTL attribute, then two for each index, which share
 * places if there are many. */
enum { NEAR_PARTITION, NEAR_SORT, NEAR_TTL, NEAR_INDEXES };

static int fill_slot(struct item_store *s, uint32_t i, struct item_index_slot *slot) {
    const struct item_index_shape *index = &s->shape->indexes[i];
    const struct item_places *p = &s->places;
    int is_lenient = s->shape->is_lenient || index->is_lenient;
    uint16_t *near = &s->near[(NEAR_INDEXES + 2 * i) % (ITEM_NEAR_COUNT - 1)];
    uint16_t partition, sort = ITEM_NO_ATTR;
    int result = LARDER_OK;
    if (is_usual_key(p, &index->partition, near[0]))
        partition = near[0];
    else
        result =
            find_index_key(p, index, is_lenient, &index->partition, LARDER_PARTITION_KEY_BYTES_MAX, near, &partition);
    if (index->sort.name && is_usual_key(p, &index->sort, near[1]))
        sort = near[1];
    else if (result == LARDER_OK && index->sort.name)
        result = find_index_key(p, index, is_lenient, &index->sort, LARDER_SORT_KEY_BYTES_MAX, near + 1, &sort);
    if (result != LARDER_OK)
        return result;
    int is_in = partition != ITEM_NO_ATTR && (!index->sort.name || sort != ITEM_NO_ATTR);
    *slot = is_in ? (struct item_index_slot){.kseq = 1, .partition_attr = partition, .sort_attr = sort}
                  : (struct item_index_slot){.partition_attr = ITEM_NO_ATTR, .sort_attr = ITEM_NO_ATTR};
    return LARDER_OK;
}

static int refuse_joined(const struct item_index_shape *index, const struct item_key_attr *key, size_t bytes,
                         size_t bytes_max) {
    int shown = utf8_shown_bytes(index->name, strlen(index->name));
    return err_set(LARDER_E_INVAL,
                   "key of index %.*s, \"%.*s\" and the attributes that follow it, has %zu bytes in all; 1 to %zu are "
                   "allowed (one between two attributes; before the last a byte of value 0 or 1 counts twice)",
                   shown, index->name, utf8_shown_bytes(key->name, key->name_bytes), key->name, bytes, bytes_max);
}

static int refuse_many(const struct item_index_shape *index, uint32_t count) {
    return err_set(LARDER_E_INVAL,
                   "the item has %u attributes; in index %.*s, whose key has several, at most %u are allowed", count,
                   utf8_shown_bytes(index->name, strlen(index->name)), index->name, ITEM_JOINED_FIRST);
}

/* As find_index_key(), for a key of one or more attributes. *ordinal is that of the attribute, or
 * ITEM_JOINED_FIRST and more for a joined key, which is planned. */
static int find_any_key(struct item_store *s, uint32_t i, const struct item_key_attr *key, size_t bytes_max,
                        uint16_t *near, uint16_t *ordinal) {
    const struct item_index_shape *index = &s->shape->indexes[i];
    struct item_store_joined *joined = &s->joined[s->joined_count];
    int is_lenient = s->shape->is_lenient || index->is_lenient, is_there = 1;
    if (!key->more_count)
        return find_index_key(&s->places, index, is_lenient, key, bytes_max, near, ordinal);
    *joined = (struct item_store_joined){.count = item_key_count(key)};
    *ordinal = ITEM_NO_ATTR;
    for (uint32_t part = 0; part < joined->count; part++) {
        uint16_t *at = &joined->ordinal[part];
        int result = find_index_key(&s->places, index, is_lenient, item_key_attr_at(key, part), bytes_max, near, at);
        if (result != LARDER_OK)
            return result;
        is_there &= *at != ITEM_NO_ATTR;
        if (!is_there)
            continue;
        struct bytes value = item_joined_part(s, *at);
        joined->bytes += (uint32_t)(part == joined->count - 1 ? value.len : item_join_bytes(value));
    }
    if (!is_there)
        return LARDER_OK;
    if (s->from->attr_count > ITEM_JOINED_FIRST)
        return is_lenient ? LARDER_OK : refuse_many(index, s->from->attr_count);
    if (joined->bytes > bytes_max)
        return is_lenient ? LARDER_OK : refuse_joined(index, key, joined->bytes, bytes_max);
    s->joined_bytes += item_joined_record_bytes(joined->bytes);
    *ordinal = (uint16_t)(ITEM_JOINED_FIRST + s->joined_count++);
    return LARDER_OK;
}

/* fill_slot() in a table that has keys of several attributes. */
static int fill_any_slot(struct item_store *s, uint32_t i, struct item_index_slot *slot) {
    const struct item_index_shape *index = &s->shape->indexes[i];
    uint16_t *near = &s->near[(NEAR_INDEXES + 2 * i) % (ITEM_NEAR_COUNT - 1)];
    uint32_t joined_count = s->joined_count;
    size_t joined_bytes = s->joined_bytes;
    uint16_t partition, sort = ITEM_NO_ATTR;
    int result = find_any_key(s, i, &index->partition, LARDER_PARTITION_KEY_BYTES_MAX, near, &partition);
    if (result == LARDER_OK && index->sort.name)
        result = find_any_key(s, i, &index->sort, LARDER_SORT_KEY_BYTES_MAX, near + 1, &sort);
    if (result != LARDER_OK)
        return result;
    if (partition != ITEM_NO_ATTR && (!index->sort.name || sort != ITEM_NO_ATTR)) {
        *slot = (struct item_index_slot){.kseq = 1, .partition_attr = partition, .sort_attr = sort};
        return LARDER_OK;
    }
    *slot = (struct item_index_slot){.partition_attr = ITEM_NO_ATTR, .sort_attr = ITEM_NO_ATTR};
    s->joined_count = joined_count;
    s->joined_bytes = joined_bytes;
    return LARDER_OK;
}

static __attribute__((noinline)) int fill_any_slots(struct item_store *s, struct item_index_slot *slots) {
    int result = LARDER_OK;
    for (uint32_t i = 0; i < s->shape->index_count && result == LARDER_OK; i++)
        result = fill_any_slot(s, i, &slots[i]);
    return result;
}

/* The expiry in epoch seconds; 0: never. */
static uint64_t ttl_seconds(const struct larder_value *value, int64_t now_s) {
    if (value->type != LARDER_N)
        return 0;
    int64_t expiry_s = num_floor(value->data, value->bytes);
    if (expiry_s <= 0 || expiry_s < now_s - STORE_TTL_PAST_MAX_S)
        return 0;
    return (uint64_t)expiry_s < ITEM_EXPIRY_S_MAX ? (uint64_t)expiry_s : ITEM_EXPIRY_S_MAX;
}

uint64_t item_ttl_of(const struct item_head *image, const char *name, size_t name_bytes, int64_t now_s) {
    struct larder_value value;
    uint16_t ordinal = item_find_attr(image, name, name_bytes);
    if (ordinal == ITEM_NO_ATTR)
        return 0;
    item_read_attr(image, ordinal, &value);
    return ttl_seconds(&value, now_s);
}

/* ---- The stored image ------------------------------------------------------------------------ */

/* Keeps `changed` sorted. An ordinal that is there already is not added: a key here and in the
 * table that the item came from. */
static void plan_change(struct item_store *s, const struct found_attr *attr, uint8_t key_flag) {
    uint32_t i = s->changed_count;
    for (uint32_t k = 0; k < s->changed_count; k++)
        if (s->changed[k].ordinal == attr->ordinal)
            return;
    for (; i > 0 && s->changed[i - 1].ordinal > attr->ordinal; i--)
        s->changed[i] = s->changed[i - 1];
    s->changed[i] = (struct item_store_record){
        .ordinal = attr->ordinal, .key_flag = key_flag, .name_field = attr->name_field, .value = attr->value};
    s->changed_count++;
}

/* An item from a page has the keys of its table in its key area; those that are no keys here move
 * back into records. */
static void plan_former_keys(struct item_store *s) {
    const struct item_head *h = s->from;
    if (!h->partition_bytes)
        return;
    for (uint32_t i = 0; i < h->attr_count; i++) {
        struct item_record r = item_record_at(s->places.start + item_place(&s->places, i));
        struct found_attr attr = {.ordinal = (uint16_t)i, .name_field = r.name_field};
        if (!item_tag_keys(r.tag))
            continue;
        read_found(h, &r, &attr.value);
        plan_change(s, &attr, 0);
    }
}

/* Offset of the first byte behind a record. */
static inline size_t record_end(const struct item_store *s, uint32_t ordinal) {
    const struct item_places *p = &s->places;
    return (size_t)(item_skip_record(p->start + item_place(p, ordinal), p->start + p->end) - p->start);
}

static size_t plan_records_bytes(const struct item_store *s) {
    size_t bytes = 0;
    if (s->from->attr_count)
        bytes = record_end(s, s->from->attr_count - 1u) - item_place(&s->places, 0);
    for (uint32_t i = 0; i < s->changed_count; i++) {
        const struct item_store_record *r = &s->changed[i];
        bytes -= record_end(s, r->ordinal) - item_place(&s->places, r->ordinal);
        bytes += r->key_flag ? 1 + r->name_field.len : item_scalar_record_bytes(r->name_field.len, &r->value);
    }
    return bytes;
}

/* Notes where a record is in s->to. */
static void set_offset(struct item_store *s, uint32_t ordinal, size_t at) {
    if (item_is_walked(s->to))
        s->moved[ordinal] = (uint16_t)at;
    else
        item_set_record_offset(s->to, ordinal, (uint32_t)at);
}

/* The same for a run of records of s->from that move by the same distance. Most offsets are
 * narrow. */
static void move_offsets(struct item_store *s, uint32_t first, uint32_t last, size_t by) {
    const uint8_t *source = s->places.offsets;
    uint8_t *target = item_is_walked(s->to) ? (uint8_t *)s->moved : item_directory(s->to);
    if (s->places.is_wide || s->to->flags & ITEM_WIDE) {
        for (uint32_t i = first; i < last; i++)
            set_offset(s, i, item_place(&s->places, i) + by);
        return;
    }
    for (size_t i = first; i < last; i++) {
        uint16_t at;
        memcpy(&at, source + i * sizeof at, sizeof at);
        at = (uint16_t)(at + by);
        memcpy(target + i * sizeof at, &at, sizeof at);
    }
}

/* Copies the records [first, last) as they are; returns the offset behind them. */
static size_t copy_run(struct item_store *s, uint32_t first, uint32_t last, size_t at) {
    if (first >= last)
        return at;
    size_t start = item_place(&s->places, first), bytes = record_end(s, last - 1) - start;
    memcpy((uint8_t *)s->to + at, (const uint8_t *)s->from + start, bytes);
    move_offsets(s, first, last, at - start);
    return at + bytes;
}

static size_t put_changed(struct item_store *s, const struct item_store_record *r, size_t at) {
    uint8_t *start = (uint8_t *)s->to + at, *end = start;
    if (r->key_flag) {
        *end++ = (uint8_t)(r->value.type | r->key_flag);
        end = item_put_bytes(end, r->name_field.at, r->name_field.len);
    } else
        end = item_put_scalar_record(end, r->name_field, &r->value);
    set_offset(s, r->ordinal, at);
    return at + (size_t)(end - start);
}

static void put_keys(const struct larder_value *partition, const struct larder_value *sort, struct item_head *to) {
    to->partition_bytes = (uint16_t)partition->bytes;
    to->sort_bytes = (uint16_t)sort->bytes;
    uint8_t *end = item_put_bytes(item_key_area(to), partition->data, partition->bytes);
    end = item_put_bytes(end, sort->data, sort->bytes);
    memset(end, 0, item_key_area_bytes(to) - partition->bytes - sort->bytes);
}

size_t item_stored_bytes_max(const struct item_shape *shape, const struct larder_item *item) {
    const struct item_head *h = item_head(item);
    /* The image may become wide; former keys get their own length fields, the key area its padding,
     * and an expiry or timer its item_timed. */
    return item_round8(h->bytes + sizeof(struct item_timed) + sizeof(struct item_index_slot) * shape->index_count +
                       sizeof(uint32_t) * h->attr_count + 2u * ITEM_VARINT_BYTES_MAX + 8 +
                       item_joined_bytes_max(shape));
}

int item_store_key(struct item_store *s, const struct item_shape *shape, const struct larder_item *item, uint16_t *near,
                   void *to) {
    const struct item_head *from = item_head(item);
    struct found_attr partition = {.value = {.type = shape->partition.type}},
                      sort = {.value = {.type = shape->sort.type}};
    struct item_head *h = to;
    s->shape = shape;
    s->from = from;
    s->to = h;
    s->near = near;
    s->changed_count = 0;
    s->joined_count = 0;
    s->joined_bytes = 0;
    int result = item_check_records(from);
    if (result != LARDER_OK)
        return result;
    item_find_places(&s->places, from);
    if (item_ddb_bytes(from) > LARDER_ITEM_BYTES_MAX)
        return err_set(LARDER_E_INVAL, "the item has %u bytes; at most %d are allowed", item_ddb_bytes(from),
                       LARDER_ITEM_BYTES_MAX);
    result = find_key(&s->places, &shape->partition, "partition key", LARDER_PARTITION_KEY_BYTES_MAX,
                      &near[NEAR_PARTITION], &partition);
    if (result == LARDER_OK && shape->sort.name)
        result = find_key(&s->places, &shape->sort, "sort key", LARDER_SORT_KEY_BYTES_MAX, &near[NEAR_SORT], &sort);
    if (result != LARDER_OK)
        return result;
    plan_change(s, &partition, ITEM_IN_PARTITION_KEY);
    if (shape->sort.name)
        plan_change(s, &sort, ITEM_IN_SORT_KEY);
    plan_former_keys(s);
    memset(h, 0, sizeof *h);
    h->attr_count = from->attr_count;
    h->index_count = (uint8_t)shape->index_count;
    h->ddb_ttl = item_ddb_bytes(from);
    put_keys(&partition.value, &sort.value, h);
    return LARDER_OK;
}

int item_store_slots(struct item_store *s) {
    struct item_index_slot *slots = item_index_slots(s->to);
    if (__builtin_expect(s->shape->joined_count != 0, 0))
        return fill_any_slots(s, slots);
    for (uint32_t i = 0; i < s->shape->index_count; i++) {
        int result = fill_slot(s, i, &slots[i]);
        if (result != LARDER_OK)
            return result;
    }
    return LARDER_OK;
}

static uint64_t expiry_of(struct item_store *s, int64_t now_s) {
    struct found_attr found;
    struct item_key_attr ttl = {.name = s->shape->ttl_name, .name_bytes = s->shape->ttl_name_bytes};
    if (!ttl.name || !find_attr(&s->places, &ttl, &s->near[NEAR_TTL], &found))
        return 0;
    return ttl_seconds(&found.value, now_s);
}

/* In a walked image slots hold offsets, not ordinals. */
static void point_slots(const struct item_store *s) {
    struct item_index_slot *slots = item_index_slots(s->to);
    for (uint32_t i = 0; i < s->to->index_count; i++) {
        if (slots[i].partition_attr != ITEM_NO_ATTR)
            slots[i].partition_attr = s->moved[slots[i].partition_attr];
        if (slots[i].sort_attr != ITEM_NO_ATTR)
            slots[i].sort_attr = s->moved[slots[i].sort_attr];
    }
}

/* Writes directory (if any), records, padding and expiry. Head, key area and slots are already
 * there. */
void item_store_records(struct item_store *s, int64_t now_s) {
    uint32_t next = 0;
    size_t at = item_lay_out(s->to, plan_records_bytes(s) + s->joined_bytes);
    for (uint32_t i = 0; i < s->changed_count; i++) {
        const struct item_store_record *r = &s->changed[i];
        at = copy_run(s, next, r->ordinal, at);
        at = put_changed(s, r, at);
        next = r->ordinal + 1u;
    }
    at = copy_run(s, next, s->from->attr_count, at);
    if (s->joined_count)
        at = item_put_joined(s, at);
    else if (item_is_walked(s->to))
        point_slots(s);
    memset((uint8_t *)s->to + at, 0, s->to->bytes - at);
    uint64_t expiry_s = expiry_of(s, now_s);
    if (expiry_s == 0)
        return;
    item_make_timed(s->to, 1);
    item_timed_at(s->to, s->to)->expiry_s = expiry_s;
}

int item_to_stored(const struct item_shape *shape, const struct larder_item *item, int64_t now_s, void *to,
                   struct item_head **out) {
    struct item_store s;
    uint16_t near[ITEM_NEAR_COUNT] = {0};
    int result = item_store_key(&s, shape, item, near, to);
    if (result != LARDER_OK)
        return result;
    result = item_store_slots(&s);
    if (result != LARDER_OK)
        return result;
    item_store_records(&s, now_s);
    *out = s.to;
    return LARDER_OK;
}
