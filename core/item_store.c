/* core/item_store.c - what a table makes of an item: keys, index slots, expiry.
 *
 * Job      Checks key attributes and encodes them, and turns an item into the image that the table stores. The
 *          attributes and their order stay, so an ordinal means the same in both; only the records of the primary key
 *          change, from "value here" to "value in the key area". Everything between is copied in runs.
 * Rules    Nothing here allocates. An item is the sane image of a builder or a page, of any table.
 * Tests    tests/unit/item_test.c
 */
#include <stdio.h>

#include "core/err.h"
#include "core/item.h"
#include "core/item_records.h"
#include "core/num.h"
#include "core/utf8.h"

/* DynamoDB leaves items alone whose TTL is more than five years past (developer guide, "Using time to live"). */
#define STORE_TTL_PAST_MAX_S (INT64_C(5) * 365 * 24 * 3600)
#define STORE_TTL_S_MAX ((INT64_C(1) << 48) - 1)

/* ---- Keys ---------------------------------------------------------------------------------------------------- */

static int refuse_type(const struct item_key_attr *attr, enum larder_type type, const char *what) {
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

static int encode_number(const struct larder_value *value, uint8_t *to, size_t *bytes) {
    if (value->count != ITEM_N_IS_ENCODED)
        return num_encode(value->data, value->bytes, to, bytes);
    if (!value->data || !num_is_sane(value->data, value->bytes))
        return err_set(LARDER_E_INVAL, "a value of type N with count 1 must be one read from an item");
    memcpy(to, value->data, value->bytes);
    *bytes = value->bytes;
    return LARDER_OK;
}

int item_encode_key_value(const struct item_key_attr *attr, const struct larder_value *value, const char *what,
                          size_t bytes_max, uint8_t *to, size_t *bytes) {
    uint8_t number[NUM_BYTES_MAX];
    const uint8_t *from = value->data;
    size_t from_bytes = value->data ? value->bytes : 0;
    int result = LARDER_OK;
    if (value->type != attr->type)
        return refuse_type(attr, value->type, what);
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

int item_key_from_values(const struct item_shape *shape, const struct larder_key *key, struct item_key *out) {
    size_t partition_bytes = 0, sort_bytes = 0;
    int result = item_encode_key_value(&shape->partition, &key->partition, "partition key",
                                       LARDER_PARTITION_KEY_BYTES_MAX, out->area, &partition_bytes);
    if (result != LARDER_OK)
        return result;
    if (shape->sort.name) {
        result = item_encode_key_value(&shape->sort, &key->sort, "sort key", LARDER_SORT_KEY_BYTES_MAX,
                                       out->area + partition_bytes, &sort_bytes);
        if (result != LARDER_OK)
            return result;
    }
    size_t used = partition_bytes + sort_bytes;
    out->partition_bytes = (uint16_t)partition_bytes;
    out->sort_bytes = (uint16_t)sort_bytes;
    out->area_bytes = (uint32_t)item_round8(used);
    memset(out->area + used, 0, out->area_bytes - used);
    return LARDER_OK;
}

/* An attribute of an item that must be a primary key: where it is and what it holds. */
static int find_key(const struct item_head *h, const struct item_key_attr *attr, const char *what, size_t bytes_max,
                    uint16_t *ordinal, struct larder_value *value) {
    *ordinal = item_find_attr(h, attr->name, attr->name_bytes);
    if (*ordinal == ITEM_NO_ATTR)
        return err_set(LARDER_E_INVAL, "the item has no attribute \"%.*s\", the %s of the table",
                       utf8_shown_bytes(attr->name, attr->name_bytes), attr->name, what);
    item_read_attr(h, *ordinal, value);
    if (value->type != attr->type)
        return refuse_type(attr, value->type, what);
    return check_size(attr, value->bytes, what, bytes_max);
}

int item_key_from_item(const struct item_shape *shape, const struct larder_item *item, struct item_key *out) {
    const struct item_head *h = item_head(item);
    int result = item_check_records(h);
    if (result != LARDER_OK)
        return result;
    struct larder_key key = {.partition = {.type = shape->partition.type}, .sort = {.type = shape->sort.type}};
    uint16_t ordinal;
    result = find_key(h, &shape->partition, "partition key", LARDER_PARTITION_KEY_BYTES_MAX, &ordinal, &key.partition);
    if (result == LARDER_OK && shape->sort.name)
        result = find_key(h, &shape->sort, "sort key", LARDER_SORT_KEY_BYTES_MAX, &ordinal, &key.sort);
    return result == LARDER_OK ? item_key_from_values(shape, &key, out) : result;
}

/* ---- Index slots and expiry ---------------------------------------------------------------------------------- */

/* A key attribute of an index. *ordinal is ITEM_NO_ATTR if the item has none that will do; LARDER_E_INVAL if it has one
 * of the wrong type or size, unless is_lenient. */
static int find_index_key(const struct item_head *h, const struct item_index_shape *index, int is_lenient,
                          const struct item_key_attr *attr, size_t bytes_max, uint16_t *ordinal) {
    struct larder_value value;
    *ordinal = item_find_attr(h, attr->name, attr->name_bytes);
    if (*ordinal == ITEM_NO_ATTR)
        return LARDER_OK;
    item_read_attr(h, *ordinal, &value);
    if (value.type == attr->type && value.bytes >= 1 && value.bytes <= bytes_max)
        return LARDER_OK;
    *ordinal = ITEM_NO_ATTR;
    if (is_lenient)
        return LARDER_OK;
    char what[64];
    int shown = utf8_shown_bytes(index->name, strlen(index->name));
    snprintf(what, sizeof what, "key of index %.*s,", shown, index->name);
    return value.type != attr->type ? refuse_type(attr, value.type, what)
                                    : check_size(attr, value.bytes, what, bytes_max);
}

static int fill_slot(const struct item_head *h, const struct item_shape *shape, uint32_t i,
                     struct item_index_slot *slot) {
    const struct item_index_shape *index = &shape->indexes[i];
    int is_lenient = shape->is_lenient || index->is_lenient;
    uint16_t partition, sort = ITEM_NO_ATTR;
    int result = find_index_key(h, index, is_lenient, &index->partition, LARDER_PARTITION_KEY_BYTES_MAX, &partition);
    if (result == LARDER_OK && index->sort.name)
        result = find_index_key(h, index, is_lenient, &index->sort, LARDER_SORT_KEY_BYTES_MAX, &sort);
    if (result != LARDER_OK)
        return result;
    int is_in = partition != ITEM_NO_ATTR && (!index->sort.name || sort != ITEM_NO_ATTR);
    *slot = is_in ? (struct item_index_slot){.kseq = 1, .partition_attr = partition, .sort_attr = sort}
                  : (struct item_index_slot){.partition_attr = ITEM_NO_ATTR, .sort_attr = ITEM_NO_ATTR};
    return LARDER_OK;
}

uint64_t item_ttl_of(const struct item_head *image, const char *name, size_t name_bytes, int64_t now_s) {
    struct larder_value value;
    uint16_t ordinal = item_find_attr(image, name, name_bytes);
    if (ordinal == ITEM_NO_ATTR)
        return 0;
    item_read_attr(image, ordinal, &value);
    if (value.type != LARDER_N)
        return 0;
    int64_t expiry_s = num_floor(value.data, value.bytes);
    if (expiry_s <= 0 || expiry_s < now_s - STORE_TTL_PAST_MAX_S)
        return 0;
    return (uint64_t)(expiry_s < STORE_TTL_S_MAX ? expiry_s : STORE_TTL_S_MAX);
}

/* ---- The stored image ---------------------------------------------------------------------------------------- */

#define STORE_CHANGED_MAX 4 /* two that become keys, two that were keys of another table */

/* A record that is not copied as it is. */
struct store_record {
    uint16_t ordinal;
    uint8_t key_flag; /* ITEM_IN_PARTITION_KEY, ITEM_IN_SORT_KEY, or 0: the value moves into the record */
    struct item_record record;
    struct larder_value value;
};

struct store_plan {
    const struct item_head *from;
    struct store_record changed[STORE_CHANGED_MAX]; /* by ordinal */
    uint32_t changed_count;
};

/* Keeps `changed` sorted. An ordinal that is there already (a key here and in the table the item came from) stays once.
 */
static void plan_change(struct store_plan *plan, uint16_t ordinal, uint8_t key_flag) {
    uint32_t i = plan->changed_count;
    for (uint32_t k = 0; k < plan->changed_count; k++)
        if (plan->changed[k].ordinal == ordinal)
            return;
    for (; i > 0 && plan->changed[i - 1].ordinal > ordinal; i--)
        plan->changed[i] = plan->changed[i - 1];
    struct store_record *r = &plan->changed[i];
    r->ordinal = ordinal;
    r->key_flag = key_flag;
    r->record = item_record_at(item_record(plan->from, ordinal));
    item_read_attr(plan->from, ordinal, &r->value);
    plan->changed_count++;
}

/* An item out of a page has the keys of its table in its key area; those that are no keys here move back. */
static void plan_former_keys(struct store_plan *plan) {
    const struct item_head *h = plan->from;
    if (!h->partition_bytes)
        return;
    for (uint32_t i = 0; i < h->attr_count; i++)
        if (*item_record(h, i) & ITEM_KEY_FLAGS)
            plan_change(plan, (uint16_t)i, 0);
}

/* Offset of a record, or of the end of the last one. */
static size_t record_offset(const struct item_head *h, uint32_t ordinal) {
    if (ordinal < h->attr_count)
        return item_record_offset(h, ordinal);
    return (size_t)(item_records_end(h) - (const uint8_t *)h);
}

static size_t plan_records_bytes(const struct store_plan *plan) {
    const struct item_head *h = plan->from;
    size_t bytes = record_offset(h, h->attr_count) - record_offset(h, 0);
    for (uint32_t i = 0; i < plan->changed_count; i++) {
        const struct store_record *r = &plan->changed[i];
        bytes -= record_offset(h, r->ordinal + 1u) - record_offset(h, r->ordinal);
        bytes += item_scalar_record_bytes(r->record.name, r->value.bytes, r->key_flag);
    }
    return bytes;
}

/* Copies the records [first, last) as they are; returns the offset behind them. */
static size_t copy_run(const struct item_head *from, uint32_t first, uint32_t last, struct item_head *to, size_t at) {
    if (first >= last)
        return at;
    size_t start = record_offset(from, first), bytes = record_offset(from, last) - start;
    memcpy((uint8_t *)to + at, (const uint8_t *)from + start, bytes);
    for (uint32_t i = first; i < last; i++)
        item_set_record_offset(to, i, (uint32_t)(item_record_offset(from, i) - start + at));
    return at + bytes;
}

static size_t put_changed(const struct store_record *r, struct item_head *to, size_t at) {
    uint8_t *start = (uint8_t *)to + at, *end = start;
    *end++ = (uint8_t)(r->value.type | r->key_flag);
    end = item_put_varint(end, r->record.name.len);
    end = item_put_bytes(end, r->record.name.at, r->record.name.len);
    if (!r->key_flag) {
        end = item_put_varint(end, r->value.bytes);
        end = item_put_bytes(end, r->value.data, r->value.bytes);
    }
    item_set_record_offset(to, r->ordinal, (uint32_t)at);
    return at + (size_t)(end - start);
}

/* Directory, records and padding; the head says what comes before them. */
static void put_records(const struct store_plan *plan, struct item_head *to) {
    size_t at = item_lay_out(to, plan_records_bytes(plan));
    uint32_t next = 0;
    for (uint32_t i = 0; i < plan->changed_count; i++) {
        const struct store_record *r = &plan->changed[i];
        at = copy_run(plan->from, next, r->ordinal, to, at);
        at = put_changed(r, to, at);
        next = r->ordinal + 1u;
    }
    at = copy_run(plan->from, next, plan->from->attr_count, to, at);
    memset((uint8_t *)to + at, 0, to->bytes - at);
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
    /* Offsets may become wide; former keys get a length of their own, and the key area its padding. */
    return item_round8(h->bytes + sizeof(struct item_index_slot) * shape->index_count +
                       (sizeof(uint32_t) - sizeof(uint16_t)) * h->attr_count + 2u * ITEM_VARINT_BYTES_MAX + 8);
}

int item_to_stored(const struct item_shape *shape, const struct larder_item *item, int64_t now_s, void *to,
                   struct item_head **out) {
    struct store_plan plan = {.from = item_head(item)};
    struct larder_value partition = {.type = shape->partition.type}, sort = {.type = shape->sort.type};
    uint16_t partition_ordinal, sort_ordinal;
    struct item_head *h = to;
    if (plan.from->ddb_bytes > LARDER_ITEM_BYTES_MAX)
        return err_set(LARDER_E_INVAL, "the item has %u bytes; at most %d are allowed", plan.from->ddb_bytes,
                       LARDER_ITEM_BYTES_MAX);
    int result = item_check_records(plan.from);
    if (result == LARDER_OK)
        result = find_key(plan.from, &shape->partition, "partition key", LARDER_PARTITION_KEY_BYTES_MAX,
                          &partition_ordinal, &partition);
    if (result != LARDER_OK)
        return result;
    plan_change(&plan, partition_ordinal, ITEM_IN_PARTITION_KEY);
    if (shape->sort.name) {
        result = find_key(plan.from, &shape->sort, "sort key", LARDER_SORT_KEY_BYTES_MAX, &sort_ordinal, &sort);
        if (result != LARDER_OK)
            return result;
        plan_change(&plan, sort_ordinal, ITEM_IN_SORT_KEY);
    }
    plan_former_keys(&plan);

    memset(h, 0, sizeof *h);
    h->attr_count = plan.from->attr_count;
    h->index_count = (uint8_t)shape->index_count;
    h->ddb_bytes = plan.from->ddb_bytes;
    put_keys(&partition, &sort, h);
    for (uint32_t i = 0; i < shape->index_count; i++) {
        result = fill_slot(plan.from, shape, i, &item_index_slots(h)[i]);
        if (result != LARDER_OK)
            return result;
    }
    if (shape->ttl_name)
        h->expiry = item_ttl_of(plan.from, shape->ttl_name, shape->ttl_name_bytes, now_s);
    put_records(&plan, h);
    *out = h;
    return LARDER_OK;
}
