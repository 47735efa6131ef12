/* core/table/sift.c - see sift.h. */
#include "core/table/sift.h"

#include <string.h>

int sift_begin(struct sift *s, const struct larder_expr *filter, const struct larder_expr *projection,
               const struct larder_item *values) {
    struct expression_values none;
    *s = (struct sift){.filter = filter, .projection = projection};
    int r = projection ? expression_bind(projection, 1u << EXPR_PROJECTION, "spec->projection", NULL, &none)
                       : LARDER_OK; /* a projection has no values */
    if (r == LARDER_OK && filter)
        r = expression_bind(filter, 1u << EXPR_CONDITION | 1u << EXPR_FILTER, "spec->filter", values,
                            &s->filter_values);
    return r;
}

/* The i-th item of a page whose images may have been moved towards its beginning. */
static const struct item_head *image_at(const struct larder_page *p, uint32_t i) {
    return (const struct item_head *)(p->bytes + p->at[i]);
}

/* Drops the items for which the filter is not true. LARDER_OK or LARDER_E_CORRUPT. */
static int filter_items(const struct sift *s, struct larder_page *p) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        int truth = expr_truth(s->filter->compiled, s->filter_values.all, image_at(p, i));
        if (truth < 0)
            return truth;
        if (truth)
            p->at[kept++] = p->at[i];
    }
    p->count = kept;
    return LARDER_OK;
}

/* Replaces each item by a projection, one behind the other from the beginning. A projection is made
 * behind the last image first, since it may be larger than its item. */
static int project_items(const struct sift *s, struct larder_page *p) {
    size_t behind = p->used, to = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        int r = item_check_records(image_at(p, i));
        if (r == LARDER_OK)
            r = page_reserve(p, expr_project_bytes_max(image_at(p, i)));
        if (r)
            return r;
        size_t bytes = expr_project(s->projection->compiled, image_at(p, i), p->bytes + behind);
        size_t end = i + 1 < p->count ? p->at[i + 1] : behind;
        if (to + bytes > end) { /* no room before the next item: it stays where it was made */
            p->at[i] = behind;
            behind = p->used = behind + bytes;
            continue;
        }
        memmove(p->bytes + to, p->bytes + behind, bytes);
        p->at[i] = to;
        to += bytes;
    }
    return LARDER_OK;
}

int sift_end(struct sift *s, struct larder_page *page, int r) {
    int sifted = LARDER_OK;
    if (r >= 0 && s->filter)
        sifted = filter_items(s, page);
    if (r >= 0 && s->projection && sifted == LARDER_OK)
        sifted = project_items(s, page);
    expression_unbind(s->filter, &s->filter_values);
    return sifted ? page_fail(page, sifted) : r;
}
