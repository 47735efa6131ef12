/* core/item/item_read.c - values, and reading items in place.
 *
 * Job      Looks up attributes and walks members without copying or allocating.
 * Damage   The functions of larder.h are bounded. The head of an item is sane: a builder made it,
 *          or it was checked when it was copied into a page. Every length and offset behind it is
 *          compared with the image's end before use. A record that leads outside is
 *          LARDER_E_CORRUPT. Readers without bounds checks are in item_readable.c.
 * Tests    tests/unit/item/item_build_test.c, tests/unit/item/item_check_test.c
 */
#include "core/base/err.h"
#include "core/item/item.h"
#include "core/item/item_join.h"
#include "core/item/item_records.h"
#include "core/item/num.h"

LARDER_API struct larder_value larder_str(const char *text) {
    return (struct larder_value){.type = LARDER_S, .data = text, .bytes = text ? strlen(text) : 0};
}

LARDER_API struct larder_value larder_num(const char *text) {
    return (struct larder_value){.type = LARDER_N, .data = text, .bytes = text ? strlen(text) : 0};
}

LARDER_API struct larder_value larder_bin(const void *data, size_t bytes) {
    return (struct larder_value){.type = LARDER_B, .data = data, .bytes = bytes};
}

static int read_damaged(void) {
    return err_set(LARDER_E_CORRUPT, "the item is damaged: a record leads outside of it");
}

static const uint8_t *read_end(const struct item_head *h) {
    return (const uint8_t *)h + h->bytes;
}

static const uint8_t *take_container(const uint8_t *at, const uint8_t *end, struct larder_value *out) {
    struct bytes rest;
    size_t count;
    const uint8_t *next = item_take_bytes(at, end, &rest);
    out->data = next ? item_take_varint(rest.at, next, &count) : NULL;
    if (!out->data)
        return NULL;
    out->bytes = (size_t)(next - (const uint8_t *)out->data);
    out->count = (uint32_t)count;
    return next;
}

/* Reads a value that is not in the key area; its end, or NULL. */
static const uint8_t *take_value(unsigned tag, const uint8_t *at, const uint8_t *end, struct larder_value *out) {
    enum larder_type type = item_tag_type(tag);
    struct bytes scalar;
    *out = (struct larder_value){.type = type};
    switch (type) {
    case LARDER_S:
    case LARDER_N:
    case LARDER_B:
        at = item_take_scalar(tag, at, end, &scalar);
        out->data = at ? scalar.at : NULL;
        out->bytes = at ? scalar.len : 0;
        out->count = type == LARDER_N ? ITEM_N_IS_ENCODED : 0;
        return at;
    case LARDER_BOOL:
        if (!at || at >= end)
            return NULL;
        out->is_true = *at;
        return at + 1;
    case LARDER_NULL:
        return at;
    case LARDER_M:
    case LARDER_L:
    case LARDER_SS:
    case LARDER_NS:
    case LARDER_BS:
        return take_container(at, end, out);
    default:
        return NULL;
    }
}

const uint8_t *item_take_record_value(const struct item_head *h, const struct item_record *r, const uint8_t *end,
                                      struct larder_value *out) {
    enum larder_type type = item_tag_type(r->tag);
    struct item_measure measure;
    if (item_tag_keys(r->tag)) {
        if (!h || type < LARDER_S || type > LARDER_B)
            return NULL;
        item_read_key_value(h, r->tag, out);
        return r->value;
    }
    const uint8_t *next = take_value(r->tag, r->value, end, out);
    return next && h && type >= LARDER_M && !item_measure_container(out, &measure) ? NULL : next;
}

static int take_attr(const struct item_head *h, uint32_t ordinal, struct item_record *r) {
    size_t offset = item_record_offset(h, ordinal);
    return offset < h->bytes && item_take_record((const uint8_t *)h + offset, read_end(h), r);
}

/* item_find_record() in an image with a directory. */
static int search_attr(const struct item_head *h, struct bytes wanted, struct item_record *r, uint32_t *ordinal) {
    uint32_t low = 0, high = h->attr_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (!take_attr(h, middle, r))
            return LARDER_E_CORRUPT;
        int order = item_compare_bytes(r->name, wanted);
        if (order == 0) {
            *ordinal = middle;
            return LARDER_OK;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return LARDER_NOT_FOUND;
}

#define TWO(n) (n), (n) + 1
#define EIGHT(n) TWO(n), TWO((n) + 2), TWO((n) + 4), TWO((n) + 6)
#define SIXTY_FOUR(n)                                                                                                  \
    EIGHT(n), EIGHT((n) + 8), EIGHT((n) + 16), EIGHT((n) + 24), EIGHT((n) + 32), EIGHT((n) + 40), EIGHT((n) + 48),     \
        EIGHT((n) + 56)

const struct item_steps item_steps = {
    /* scalars in the key area, then short tags */
    .tag =
        {
            [0 ... ITEM_IN_PARTITION_KEY] = ITEM_STEP_NONE,
            [ITEM_IN_PARTITION_KEY + LARDER_B + 1 ... ITEM_IN_SORT_KEY] = ITEM_STEP_NONE,
            [ITEM_IN_SORT_KEY + LARDER_B + 1 ... ITEM_SHORT_N - 1] = ITEM_STEP_NONE,
            [ITEM_SHORT_N] = SIXTY_FOUR(0),
            [ITEM_SHORT_S] = SIXTY_FOUR(0),
            SIXTY_FOUR(64),
        },
    /* tag, length and name; or tag and the byte of a listed name */
    .name =
        {
            ITEM_STEP_NONE,
            3,
            TWO(4),
            TWO(6),
            TWO(8),
            EIGHT(10),
            EIGHT(18),
            EIGHT(26),
            EIGHT(34),
            EIGHT(42),
            EIGHT(50),
            EIGHT(58),
            SIXTY_FOUR(66),
            [ITEM_NAME_LISTED... ITEM_NAME_LISTED + ITEM_NAMES_COUNT - 1] = 2,
            [ITEM_NAME_LISTED + ITEM_NAMES_COUNT... 255] = ITEM_STEP_NONE,
        },
};

size_t item_walk_slowly(const uint8_t *start, size_t at, size_t end) {
    const uint8_t *next = item_skip_record(start + at, start + end);
    return next ? (size_t)(next - start) : 0;
}

/* item_find_record() in a walked image. */
static int walk_to_attr(const struct item_head *h, struct bytes wanted, struct item_record *r, uint32_t *ordinal) {
    uint32_t left = h->attr_count;
    const uint8_t *record;
    unsigned key = item_name_key(wanted, item_name_byte(wanted.at, wanted.len));
    int result = item_walk_to_name(h, item_first_offset(h), wanted, key, &left, &record);
    if (result != LARDER_OK)
        return result;
    *r = item_record_at(record);
    *ordinal = h->attr_count - left;
    return LARDER_OK;
}

int item_find_record(const struct item_head *h, struct bytes name, struct item_record *r, uint32_t *ordinal) {
    return item_is_walked(h) ? walk_to_attr(h, name, r, ordinal) : search_attr(h, name, r, ordinal);
}

uint16_t item_find_attr(const struct item_head *image, const char *name, size_t name_bytes) {
    struct item_record r;
    uint32_t ordinal;
    struct bytes wanted = {(const uint8_t *)name, name_bytes};
    return item_find_record(image, wanted, &r, &ordinal) == LARDER_OK ? (uint16_t)ordinal : ITEM_NO_ATTR;
}

static inline int read_attr(const struct larder_item *item, const char *name, size_t name_bytes,
                            struct larder_value *out) {
    const struct item_head *h = item_head(item);
    struct item_record r;
    struct larder_value value;
    uint32_t ordinal;
    int result = item_find_record(h, (struct bytes){(const uint8_t *)name, name_bytes}, &r, &ordinal);
    if (result == LARDER_OK && !item_take_record_value(h, &r, read_end(h), &value))
        result = LARDER_E_CORRUPT;
    if (result == LARDER_OK)
        *out = value;
    return result == LARDER_E_CORRUPT ? read_damaged() : result;
}

LARDER_API int larder_item_getn(const struct larder_item *item, const char *name, size_t name_bytes,
                                struct larder_value *out) {
    if (ERR_IS_NULL(item) || ERR_IS_NULL(name) || ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    return read_attr(item, name, name_bytes, out);
}

LARDER_API int larder_item_get(const struct larder_item *item, const char *name, struct larder_value *out) {
    if (ERR_IS_NULL(item) || ERR_IS_NULL(name) || ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    return read_attr(item, name, strlen(name), out);
}

LARDER_API uint32_t larder_item_count(const struct larder_item *item) {
    return item ? item_head(item)->attr_count : 0;
}

LARDER_API size_t larder_item_size(const struct larder_item *item) {
    return item ? item_ddb_bytes(item_head(item)) : 0;
}

/* `attr` as in an index slot. */
static struct bytes read_index_key(const struct item_head *h, uint16_t attr) {
    struct item_record r;
    struct larder_value value;
    size_t at = attr;
    struct bytes text;
    if (__builtin_expect(item_is_walked(h) && item_short_text(h, attr, &text), 1))
        return text;
    if (item_joined_at(h, attr, &text))
        return text;
    if (!item_is_walked(h))
        at = attr < h->attr_count ? item_record_offset(h, attr) : h->bytes;
    /* ITEM_NO_ATTR, or damage */
    if (at >= h->bytes || !item_take_record((const uint8_t *)h + at, read_end(h), &r) ||
        !item_take_record_value(h, &r, read_end(h), &value) || value.type > LARDER_B)
        return (struct bytes){NULL, 0};
    return (struct bytes){value.data, value.bytes};
}

struct bytes item_index_partition(const struct item_head *image, uint32_t i) {
    return read_index_key(image, item_index_slots(image)[i].partition_attr);
}

struct bytes item_index_sort(const struct item_head *image, uint32_t i) {
    return read_index_key(image, item_index_slots(image)[i].sort_attr);
}

LARDER_API void larder_iter_item(const struct larder_item *item, struct larder_iter *it) {
    const struct item_head *h = item_head(item);
    if (!it)
        return;
    *it = (struct larder_iter){.of = LARDER_M};
    if (!item)
        return;
    *it = (struct larder_iter){.item = item, .end = read_end(h), .left = h->attr_count, .of = LARDER_M};
    if (h->attr_count)
        it->at = item_first_record(h);
}

LARDER_API void larder_iter_value(const struct larder_value *value, struct larder_iter *it) {
    if (!it)
        return;
    *it = (struct larder_iter){.of = value ? value->type : LARDER_NULL};
    if (!value || !value->data)
        return;
    switch (value->type) {
    case LARDER_M:
    case LARDER_L:
    case LARDER_SS:
    case LARDER_NS:
    case LARDER_BS:
        it->at = value->data;
        it->end = it->at + value->bytes;
        it->left = value->count;
        break;
    default:
        break;
    }
}

LARDER_API int larder_iter_next(struct larder_iter *it, struct larder_member *out) {
    struct larder_member member = {.name = NULL};
    const uint8_t *at = NULL;
    if (ERR_IS_NULL(it) || ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    if (!it->left)
        return LARDER_NOT_FOUND;
    if (it->of == LARDER_M) {
        struct item_record r;
        if (item_take_record(it->at, it->end, &r)) {
            at = item_take_record_value((const struct item_head *)it->item, &r, it->end, &member.value);
            member.name = (const char *)r.name.at;
            member.name_bytes = r.name.len;
        }
    } else if (it->at < it->end)
        at = item_tag_keys(*it->at) ? NULL : take_value(*it->at, it->at + 1, it->end, &member.value);
    if (!at) {
        it->left = 0; /* the next member cannot be found */
        return read_damaged();
    }
    *out = member;
    it->at = at;
    it->left--;
    return LARDER_OK;
}

LARDER_API int larder_value_number(const struct larder_value *value, char *text) {
    uint8_t encoded[NUM_BYTES_MAX];
    size_t bytes;
    if (ERR_IS_NULL(value) || ERR_IS_NULL(text))
        return LARDER_E_INVAL;
    if (value->type != LARDER_N)
        return err_set(LARDER_E_INVAL, "the value is of type %s; N is needed", item_type_name(value->type));
    if (value->count == ITEM_N_IS_ENCODED && ERR_IS_NULL(value->data))
        return LARDER_E_INVAL;
    if (value->count == ITEM_N_IS_ENCODED) {
        if (num_decode(value->data, value->bytes, text) > 0)
            return LARDER_OK;
        return err_set(LARDER_E_INVAL, "the item is damaged: a number of %zu bytes is invalid", value->bytes);
    }
    int result = num_encode(value->data, value->bytes, encoded, &bytes);
    if (result == LARDER_OK)
        num_decode(encoded, bytes, text);
    return result;
}

LARDER_API int larder_value_int64(const struct larder_value *value, int64_t *out) {
    uint8_t encoded[NUM_BYTES_MAX];
    if (ERR_IS_NULL(value) || ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    const uint8_t *from = value->data;
    size_t bytes = value->bytes;
    if (value->type != LARDER_N)
        return err_set(LARDER_E_INVAL, "the value is of type %s; N is needed", item_type_name(value->type));
    if (ERR_IS_NULL(value->data))
        return LARDER_E_INVAL;
    if (value->count != ITEM_N_IS_ENCODED) {
        int result = num_encode(value->data, value->bytes, encoded, &bytes);
        if (result != LARDER_OK)
            return result;
        from = encoded;
    }
    if (!num_to_int64(from, bytes, out))
        return err_set(LARDER_E_INVAL, "the number is not a 64-bit integer");
    return LARDER_OK;
}
