/* expr/find.c - the value at a document path.
 *
 * Rules    E3: bounded. An image may lie in a segment, and its records are checked as they are
 *          passed.
 * Tests    tests/unit/expr/expr_truth_test.c
 */
#include <string.h>

#include "core/item/item_records.h"
#include "expr/expr.h"

static int find_attribute(const struct item_head *image, const struct expr_step *step, struct larder_value *out) {
    struct item_record r;
    uint32_t ordinal, left = image->attr_count;
    const uint8_t *record;
    int result;
    if (__builtin_expect(item_is_walked(image), 1)) {
        result = item_walk_to_name(image, item_first_offset(image), step->name, step->name_key, &left, &record);
        if (result == LARDER_OK)
            r = item_record_at(record);
    } else
        result = item_find_record(image, step->name, &r, &ordinal);
    if (result != LARDER_OK)
        return result;
    /* Without the image a container is not measured: nobody recurses into it. */
    const struct item_head *keys = item_tag_keys(r.tag) ? image : NULL;
    return item_take_record_value(keys, &r, (const uint8_t *)image + image->bytes, out) ? LARDER_OK : LARDER_E_CORRUPT;
}

static int find_member(struct bytes name, const struct larder_value *in, struct larder_value *out) {
    const uint8_t *at = in->data, *end = at + in->bytes;
    struct item_record r;
    for (uint32_t i = 0; i < in->count; i++) {
        if (!at || !item_take_record(at, end, &r))
            return LARDER_E_CORRUPT;
        int order = item_compare_bytes(r.name, name);
        if (order == 0)
            return item_take_record_value(NULL, &r, end, out) ? LARDER_OK : LARDER_E_CORRUPT;
        if (order > 0)
            break;
        at = item_skip_value(r.tag, r.value, end);
    }
    return LARDER_NOT_FOUND;
}

static int find_element(uint32_t index, const struct larder_value *in, struct larder_value *out) {
    const uint8_t *at = in->data, *end = at + in->bytes;
    if (index >= in->count)
        return LARDER_NOT_FOUND;
    for (uint32_t i = 0; i < index; i++) {
        at = at && at < end ? item_skip_value(*at, at + 1, end) : NULL;
        if (!at)
            return LARDER_E_CORRUPT;
    }
    if (at >= end)
        return LARDER_E_CORRUPT;
    struct item_record r = {.tag = *at, .value = at + 1};
    return item_take_record_value(NULL, &r, end, out) ? LARDER_OK : LARDER_E_CORRUPT;
}

int expr_find_step(const struct expr_step *step, const struct larder_value *in, struct larder_value *out) {
    if (step->name.at)
        return in->type == LARDER_M ? find_member(step->name, in, out) : LARDER_NOT_FOUND;
    return in->type == LARDER_L ? find_element(step->index, in, out) : LARDER_NOT_FOUND;
}

int expr_find(const struct expr *e, uint32_t path, const struct item_head *image, struct larder_value *out) {
    const struct expr_step *steps = expr_steps(e, path);
    struct larder_value in;
    int result = image ? find_attribute(image, &steps[0], out) : LARDER_NOT_FOUND;
    for (uint32_t i = 1; i < e->paths[path].count && result == LARDER_OK; i++) {
        in = *out;
        result = expr_find_step(&steps[i], &in, out);
    }
    return result;
}
