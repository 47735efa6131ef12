/* index/range.c - see range.h. */
#include "index/range.h"

#include "core/base/err.h"
#include "core/item/item_join.h"

static struct leaf_cut range_before(const uint8_t *key, size_t bytes) {
    return (struct leaf_cut){.key = key, .key_bytes = (uint32_t)bytes};
}

static struct leaf_cut range_after(const uint8_t *key, size_t bytes) {
    return (struct leaf_cut){.key = key, .key_bytes = (uint32_t)bytes, .hash = UINT64_MAX, .kseq = LEAF_KSEQ_END};
}

/* The place after all keys that begin with these bytes: before the smallest larger key that is not
 * longer. */
static struct leaf_cut range_after_prefix(uint8_t *key, size_t bytes) {
    while (bytes && key[bytes - 1] == 0xff)
        bytes--;
    if (!bytes)
        return (struct leaf_cut){.is_end = 1};
    key[bytes - 1]++;
    return range_before(key, bytes);
}

/* What a query says of the sort key: values of its first attributes, which are equal, and a
 * condition on the next one. A key of one attribute has none before it. */
struct range_ask {
    const struct item_key_attr *key, *attr; /* attr: the condition's */
    const struct larder_query_spec *spec;
    uint32_t before;
    int is_last; /* no attribute follows */
};

#define RANGE_INLINE static inline __attribute__((always_inline))

RANGE_INLINE int range_check_op(const struct range_ask *ask) {
    const struct larder_query_spec *spec = ask->spec;
    if ((unsigned)spec->sort_op > LARDER_SORT_BEGINS_WITH)
        return err_set(LARDER_E_INVAL, "sort_op %d is none of enum larder_sort_op", (int)spec->sort_op);
    if (spec->sort_op != LARDER_SORT_ANY && !ask->attr->name)
        return err_set(LARDER_E_INVAL, "sort_op %d: there is no sort key; only LARDER_SORT_ANY is possible",
                       (int)spec->sort_op);
    if (spec->sort_op == LARDER_SORT_BEGINS_WITH && ask->attr->type == LARDER_N)
        return err_set(LARDER_E_INVAL, "LARDER_SORT_BEGINS_WITH on the number \"%.64s\"; S or B is needed",
                       ask->attr->name);
    return LARDER_OK;
}

static int range_check_before(const struct range_ask *ask) {
    uint32_t count = item_key_count(ask->key);
    if (ask->before >= count)
        return err_set(LARDER_E_INVAL,
                       "more->sort_before_count is %u; the sort key has %u attributes, so 0 to %u are "
                       "allowed",
                       ask->before, count, count ? count - 1 : 0);
    return ask->spec->more->sort_before
               ? LARDER_OK
               : err_set(LARDER_E_INVAL, "more->sort_before_count is %u, but more->sort_before is NULL", ask->before);
}

/* Puts the attributes before the condition's into both keys. */
static int range_put_prefix(const struct range_ask *ask, struct range *r, size_t *prefix) {
    const struct larder_value *values[LARDER_KEY_ATTRIBUTES_MAX];
    int result = range_check_before(ask);
    for (uint32_t i = 0; result == LARDER_OK && i < ask->before; i++)
        values[i] = &ask->spec->more->sort_before[i];
    if (result == LARDER_OK)
        result = item_encode_key(ask->key, values, ask->before, 0, "sort key", LEAF_KEY_BYTES_MAX, r->from_key, prefix);
    if (result == LARDER_OK)
        memcpy(r->to_key, r->from_key, *prefix);
    return result;
}

/* Puts the value behind the prefix. Before other attributes it is ended, unless keys are to begin
 * with it. */
static __attribute__((noinline)) int range_put_joined(const struct range_ask *ask, const struct larder_value *value,
                                                      uint8_t *key, size_t *bytes) {
    uint8_t plain[LEAF_KEY_BYTES_MAX];
    struct bytes one = {plain, 0};
    size_t room = LEAF_KEY_BYTES_MAX - *bytes;
    int result = item_encode_key_value(ask->attr, value, "sort key", LEAF_KEY_BYTES_MAX, plain, &one.len);
    if (result != LARDER_OK)
        return result;
    if ((ask->is_last ? one.len : item_join_bytes(one)) > room)
        return err_set(LARDER_E_INVAL,
                       "the attributes of the sort key up to \"%.64s\" are too long together; %u bytes are allowed",
                       ask->attr->name, LEAF_KEY_BYTES_MAX);
    if (ask->is_last) {
        memcpy(key + *bytes, plain, one.len);
        *bytes += one.len;
        return LARDER_OK;
    }
    uint8_t *end = item_join_put(key + *bytes, one);
    *bytes = (size_t)(end - key) - (ask->spec->sort_op == LARDER_SORT_BEGINS_WITH);
    return LARDER_OK;
}

RANGE_INLINE int range_put(const struct range_ask *ask, const struct larder_value *value, uint8_t *key, size_t *bytes) {
    if (ask->is_last && !ask->before)
        return item_encode_key_value(ask->attr, value, "sort key", LEAF_KEY_BYTES_MAX, key, bytes);
    return range_put_joined(ask, value, key, bytes);
}

/* The place after all keys with this value, which may go on with other attributes. */
RANGE_INLINE struct leaf_cut range_behind(const struct range_ask *ask, uint8_t *key, size_t bytes) {
    return ask->is_last ? range_after(key, bytes) : range_after_prefix(key, bytes);
}

/* Where the keys with the prefix begin and end. */
RANGE_INLINE struct leaf_cut range_begin(struct range *r, size_t prefix) {
    return prefix ? range_before(r->from_key, prefix) : (struct leaf_cut){.key = NULL};
}
RANGE_INLINE struct leaf_cut range_end(struct range *r, size_t prefix) {
    return prefix ? range_after_prefix(r->to_key, prefix) : (struct leaf_cut){.is_end = 1};
}

/* The key to is to be the same as from, with this many bytes. */
static uint8_t *range_to_key(struct range *r, size_t bytes) {
    memcpy(r->to_key, r->from_key, bytes);
    return r->to_key;
}

static int range_between(const struct range_ask *ask, size_t prefix, struct range *r) {
    int result = range_put(ask, &ask->spec->sort_value2, r->to_key, &prefix);
    if (result != LARDER_OK)
        return result;
    r->to = range_behind(ask, r->to_key, prefix);
    if (leaf_compare_cuts(&r->from, &r->to) > 0)
        return err_set(LARDER_E_INVAL, "LARDER_SORT_BETWEEN: sort_value is larger than sort_value2");
    return LARDER_OK;
}

/* from_key has prefix and value, to_key the prefix. */
RANGE_INLINE int range_set(const struct range_ask *ask, size_t prefix, size_t bytes, struct range *r) {
    enum larder_sort_op op = ask->spec->sort_op;
    r->from = op == LARDER_SORT_LT || op == LARDER_SORT_LE ? range_begin(r, prefix)
              : op == LARDER_SORT_GT                       ? range_behind(ask, r->from_key, bytes)
                                                           : range_before(r->from_key, bytes);
    switch (op) {
    case LARDER_SORT_LT:
        r->to = range_before(range_to_key(r, bytes), bytes);
        return LARDER_OK;
    case LARDER_SORT_EQ:
    case LARDER_SORT_LE:
        r->to = range_behind(ask, range_to_key(r, bytes), bytes);
        return LARDER_OK;
    case LARDER_SORT_BEGINS_WITH:
        r->to = range_after_prefix(range_to_key(r, bytes), bytes);
        return LARDER_OK;
    case LARDER_SORT_BETWEEN:
        return range_between(ask, prefix, r);
    default:
        r->to = range_end(r, prefix);
        return LARDER_OK;
    }
}

RANGE_INLINE int range_of(const struct range_ask *ask, size_t prefix, struct range *r) {
    r->from_key_bytes = 0;
    int result = range_check_op(ask);
    if (result || ask->spec->sort_op == LARDER_SORT_ANY) {
        r->from = range_begin(r, prefix);
        r->to = range_end(r, prefix);
        return result;
    }
    size_t bytes = prefix;
    result = range_put(ask, &ask->spec->sort_value, r->from_key, &bytes);
    if (result)
        return result;
    r->from_key_bytes = bytes;
    return range_set(ask, prefix, bytes, r);
}

static __attribute__((noinline)) int range_of_joined(const struct item_key_attr *sort,
                                                     const struct larder_query_spec *spec, struct range *r) {
    uint32_t before = spec->more ? spec->more->sort_before_count : 0;
    struct range_ask ask = {.key = sort, .attr = sort, .spec = spec, .before = before};
    size_t prefix = 0;
    int result = before ? range_put_prefix(&ask, r, &prefix) : LARDER_OK;
    if (result != LARDER_OK)
        return result;
    ask.attr = before ? item_key_attr_at(sort, before) : sort;
    ask.is_last = before == sort->more_count;
    return range_of(&ask, prefix, r);
}

int range_of_query(const struct item_key_attr *sort, const struct larder_query_spec *spec, struct range *r) {
    if (__builtin_expect(sort->more_count || spec->more, 0))
        return range_of_joined(sort, spec, r);
    const struct range_ask ask = {.key = sort, .attr = sort, .spec = spec, .is_last = 1};
    return range_of(&ask, 0, r);
}
