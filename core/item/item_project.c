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

static int compare_key_names(const struct item_key_attr *a, const struct item_key_attr *b) {
    uint8_t x = (uint8_t)a->name[0], y = (uint8_t)b->name[0]; /* names have a byte at least */
    if (x != y)
        return x < y ? -1 : 1;
    return item_compare_bytes((struct bytes){(const uint8_t *)a->name, a->name_bytes},
                              (struct bytes){(const uint8_t *)b->name, b->name_bytes});
}

/* The numbers of the attributes in the order of their names, each name once. Returns how many. */
static uint32_t sort_keys(const struct item_key_attr *const *attrs, uint32_t count, uint8_t *sorted) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = kept;
        int before = 1;
        while (at > 0 && (before = compare_key_names(attrs[i], attrs[sorted[at - 1]])) < 0)
            at--;
        if (before == 0)
            continue;
        for (uint32_t k = kept++; k > at; k--)
            sorted[k] = sorted[k - 1];
        sorted[at] = (uint8_t)i;
    }
    return kept;
}

/* Such an item is small: its offsets are narrow. */
_Static_assert(ITEM_KEYS_MAX *(LARDER_PARTITION_KEY_BYTES_MAX + 512u) < ITEM_NARROW_BYTES_MAX / 2,
               "item_of_keys() writes a narrow directory");

void item_of_keys(const struct item_key_attr *const *attrs, const struct larder_value *values, uint32_t count,
                  void *to) {
    uint8_t sorted[ITEM_KEYS_MAX];
    struct item_head *h = to;
    size_t ddb_bytes = 0;
    uint32_t kept = sort_keys(attrs, count, sorted);
    *h = (struct item_head){.attr_count = (uint16_t)kept};
    uint8_t *directory = item_directory(h), *at = directory + sizeof(uint16_t) * kept;
    for (uint32_t i = 0; i < kept; i++) {
        const struct item_key_attr *attr = attrs[sorted[i]];
        const struct larder_value *value = &values[sorted[i]];
        uint8_t name_byte = attr->name_byte ? attr->name_byte : item_name_byte(attr->name, attr->name_bytes);
        uint16_t offset = (uint16_t)(at - (uint8_t *)h);
        memcpy(directory + sizeof offset * i, &offset, sizeof offset);
        uint8_t tag = *at++ = item_scalar_tag(value->type, value->bytes);
        at = item_put_name_as(at, name_byte, (struct bytes){(const uint8_t *)attr->name, attr->name_bytes});
        at = item_put_scalar(at, tag, value->data, value->bytes);
        ddb_bytes += attr->name_bytes + value->bytes;
    }
    h->bytes = (uint32_t)item_round8((size_t)(at - (uint8_t *)h));
    item_set_ddb_bytes(h, ddb_bytes);
    memset(at, 0, h->bytes - (size_t)(at - (uint8_t *)h));
}
