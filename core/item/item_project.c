/* core/item/item_project.c - an item with some of its attributes only.
 *
 * Job      Makes the items that a projection returns, and the key after which a read continues.
 *          They are images like a builder's, and so items like any other.
 * Tests    tests/unit/item/item_project_test.c
 */
#include "core/item/item.h"
#include "core/item/item_records.h"

#define PROJECT_WORDS ((ITEM_ATTRS_MAX + 63) / 64)

/* A bit for each ordinal to keep: this sorts the names and drops repeated ones without
 * allocating. */
struct project_set {
    uint32_t count;
    uint64_t bits[PROJECT_WORDS];
};

/* One attribute of the image. */
struct project_record {
    const uint8_t *start;
    struct item_record record;
    struct larder_value value;
    size_t bytes; /* as a record that holds its value */
};

static void project_select(const struct item_head *image, const struct bytes *names, uint32_t name_count,
                           struct project_set *set) {
    set->count = 0;
    memset(set->bits, 0, ((size_t)image->attr_count + 63) / 64 * sizeof *set->bits);
    for (uint32_t i = 0; i < name_count; i++) {
        uint16_t ordinal = item_find_attr(image, (const char *)names[i].at, names[i].len);
        if (ordinal == ITEM_NO_ATTR)
            continue;
        uint64_t bit = UINT64_C(1) << (ordinal % 64);
        set->count += !(set->bits[ordinal / 64] & bit);
        set->bits[ordinal / 64] |= bit;
    }
}

/* The first ordinal of the set at or after `from`; there must be one. */
static uint32_t project_next(const struct project_set *set, uint32_t from) {
    uint32_t word = from / 64;
    uint64_t bits = set->bits[word] & (~UINT64_C(0) << (from % 64));
    while (!bits)
        bits = set->bits[++word];
    return word * 64 + (uint32_t)__builtin_ctzll(bits);
}

static struct project_record project_read(const struct item_head *image, uint32_t ordinal) {
    struct project_record r = {.start = item_record(image, ordinal)};
    r.record = item_record_at(r.start);
    const uint8_t *end = item_read_record(image, r.start, &r.value);
    r.bytes = item_tag_keys(r.record.tag) ? item_scalar_record_bytes(r.record.name_field.len, &r.value)
                                          : (size_t)(end - r.start);
    return r;
}

static uint8_t *project_put(const struct project_record *r, uint8_t *to) {
    return item_tag_keys(r->record.tag) ? item_put_scalar_record(to, r->record.name_field, &r->value)
                                        : item_put_bytes(to, r->start, r->bytes);
}

size_t item_attr_ddb_bytes(struct bytes name, const struct larder_value *value) {
    struct item_measure measure = {.ddb_bytes = 0};
    switch (value->type) {
    case LARDER_S:
    case LARDER_N:
    case LARDER_B:
        return name.len + value->bytes;
    case LARDER_BOOL:
    case LARDER_NULL:
        return name.len + 1;
    default:
        item_measure_container(value, &measure);
        return name.len + measure.ddb_bytes;
    }
}

size_t item_project(const struct item_head *image, const struct bytes *names, uint32_t name_count, void *to) {
    struct project_set set;
    size_t records_bytes = 0;
    struct item_head *h = to;
    project_select(image, names, name_count, &set);
    memset(h, 0, sizeof *h);
    h->attr_count = (uint16_t)set.count;
    for (uint32_t i = 0, ordinal = 0; i < set.count; i++, ordinal++) {
        ordinal = project_next(&set, ordinal);
        struct project_record r = project_read(image, ordinal);
        records_bytes += r.bytes;
        item_set_ddb_bytes(h, item_ddb_bytes(h) + item_attr_ddb_bytes(r.record.name, &r.value));
    }
    uint8_t *at = (uint8_t *)h + item_lay_out(h, records_bytes);
    for (uint32_t i = 0, ordinal = 0; i < set.count; i++, ordinal++) {
        ordinal = project_next(&set, ordinal);
        struct project_record r = project_read(image, ordinal);
        item_set_record_offset(h, i, (uint32_t)(at - (uint8_t *)h));
        at = project_put(&r, at);
    }
    memset(at, 0, h->bytes - (size_t)(at - (uint8_t *)h));
    return h->bytes;
}

/* ---- Keys alone ------------------------------------------------------------------------------ */

size_t item_of_keys_bytes_max(const struct item_key_attr *const *attrs, const struct larder_value *values,
                              uint32_t count) {
    size_t bytes = sizeof(struct item_head) + 7;
    for (uint32_t i = 0; i < count; i++)
        bytes += sizeof(uint16_t) + 1 + 2 * ITEM_VARINT_BYTES_MAX + attrs[i]->name_bytes + values[i].bytes;
    return bytes;
}

/* A key attribute that becomes a record. */
struct key_record {
    struct bytes name;
    uint8_t name_byte;
    const struct larder_value *value;
};

static struct key_record key_record(const struct item_key_attr *attr, const struct larder_value *value) {
    uint8_t name_byte = attr->name_byte ? attr->name_byte : item_name_byte(attr->name, attr->name_bytes);
    return (struct key_record){{(const uint8_t *)attr->name, attr->name_bytes}, name_byte, value};
}

/* Puts the attributes in the order of their names, each once. Returns their number. */
static uint32_t sort_keys(const struct item_key_attr *const *attrs, const struct larder_value *values, uint32_t count,
                          struct key_record *sorted) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct key_record key = key_record(attrs[i], &values[i]);
        uint32_t at = kept;
        int before = 1;
        while (at > 0 && (before = item_compare_bytes(key.name, sorted[at - 1].name)) < 0)
            at--;
        if (before == 0)
            continue;
        memmove(&sorted[at + 1], &sorted[at], (kept - at) * sizeof *sorted);
        sorted[at] = key;
        kept++;
    }
    return kept;
}

void item_of_keys(const struct item_key_attr *const *attrs, const struct larder_value *values, uint32_t count,
                  void *to) {
    struct key_record keys[ITEM_KEYS_MAX];
    struct item_head *h = to;
    size_t records_bytes = 0;
    memset(h, 0, sizeof *h);
    h->attr_count = (uint16_t)sort_keys(attrs, values, count, keys);
    for (uint32_t i = 0; i < h->attr_count; i++) {
        const struct key_record *key = &keys[i];
        records_bytes += item_scalar_record_bytes(item_name_as_bytes(key->name_byte, key->name), key->value);
        item_set_ddb_bytes(h, item_ddb_bytes(h) + key->name.len + key->value->bytes);
    }
    uint8_t *at = (uint8_t *)h + item_lay_out(h, records_bytes);
    for (uint32_t i = 0; i < h->attr_count; i++) {
        const struct key_record *key = &keys[i];
        item_set_record_offset(h, i, (uint32_t)(at - (uint8_t *)h));
        uint8_t tag = *at++ = item_scalar_tag(key->value->type, key->value->bytes);
        at = item_put_name_as(at, key->name_byte, key->name);
        at = item_put_scalar(at, tag, key->value->data, key->value->bytes);
    }
    memset(at, 0, h->bytes - (size_t)(at - (uint8_t *)h));
}
