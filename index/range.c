/* index/range.c - see range.h. */
#include "index/range.h"

#include "core/base/err.h"

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

static int range_check_op(const struct item_key_attr *sort, const struct larder_query_spec *spec) {
    if ((unsigned)spec->sort_op > LARDER_SORT_BEGINS_WITH)
        return err_set(LARDER_E_INVAL, "sort_op %d is none of enum larder_sort_op", (int)spec->sort_op);
    if (spec->sort_op != LARDER_SORT_ANY && !sort->name)
        return err_set(LARDER_E_INVAL, "sort_op %d: there is no sort key; only LARDER_SORT_ANY is possible",
                       (int)spec->sort_op);
    if (spec->sort_op == LARDER_SORT_BEGINS_WITH && sort->type == LARDER_N)
        return err_set(LARDER_E_INVAL, "LARDER_SORT_BEGINS_WITH on the number \"%.64s\"; S or B is needed", sort->name);
    return LARDER_OK;
}

static int range_encode(const struct item_key_attr *sort, const struct larder_value *value, uint8_t *to,
                        size_t *bytes) {
    return item_encode_key_value(sort, value, "sort key", LEAF_KEY_BYTES_MAX, to, bytes);
}

int range_of_query(const struct item_key_attr *sort, const struct larder_query_spec *spec, struct range *r) {
    size_t bytes, to_bytes;
    r->from = (struct leaf_cut){.key = NULL};
    r->to = (struct leaf_cut){.is_end = 1};
    r->from_key_bytes = 0;
    int result = range_check_op(sort, spec);
    if (result || spec->sort_op == LARDER_SORT_ANY)
        return result;
    result = range_encode(sort, &spec->sort_value, r->from_key, &bytes);
    if (result)
        return result;
    r->from_key_bytes = bytes;
    memcpy(r->to_key, r->from_key, bytes);
    if (spec->sort_op == LARDER_SORT_GT)
        r->from = range_after(r->from_key, bytes);
    else if (spec->sort_op != LARDER_SORT_LT && spec->sort_op != LARDER_SORT_LE)
        r->from = range_before(r->from_key, bytes);
    switch (spec->sort_op) {
    case LARDER_SORT_LT:
        r->to = range_before(r->to_key, bytes);
        break;
    case LARDER_SORT_EQ:
    case LARDER_SORT_LE:
        r->to = range_after(r->to_key, bytes);
        break;
    case LARDER_SORT_BEGINS_WITH:
        r->to = range_after_prefix(r->to_key, bytes);
        break;
    case LARDER_SORT_BETWEEN:
        result = range_encode(sort, &spec->sort_value2, r->to_key, &to_bytes);
        if (result)
            return result;
        r->to = range_after(r->to_key, to_bytes);
        if (leaf_compare_cuts(&r->from, &r->to) > 0)
            return err_set(LARDER_E_INVAL, "LARDER_SORT_BETWEEN: sort_value is larger than sort_value2");
        break;
    default:
        break;
    }
    return LARDER_OK;
}
