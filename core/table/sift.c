/* core/table/sift.c - see sift.h. */
#include "core/table/sift.h"

#include "core/base/err.h"

/* API reference, Query, "Select"; the message is that of the live service (dynalite's query.js). */
static int check_select(const struct sift *s) {
    if (s->select != LARDER_SELECT_ITEMS && s->select != LARDER_SELECT_COUNT)
        return err_set(LARDER_E_INVAL, "spec->select is %d; 0 (ITEMS) and 1 (COUNT) are allowed", (int)s->select);
    if (s->select == LARDER_SELECT_COUNT && s->projection)
        return err_set(LARDER_E_INVAL, "Cannot specify the ProjectionExpression when choosing to get only the Count");
    return LARDER_OK;
}

int sift_begin(struct sift *s, const struct larder_item *values) {
    struct expression_values none;
    s->filter_values.all = NULL;
    int r = check_select(s);
    if (r == LARDER_OK && s->projection) /* it has no values */
        r = expression_bind(s->projection, LARDER_EXPR_PROJECTION, "spec->projection", NULL, &none);
    if (r == LARDER_OK && s->filter)
        r = expression_bind(s->filter, LARDER_EXPR_FILTER, "spec->filter", values, &s->filter_values);
    return r;
}

/* The i-th item of a page without holes. */
static const struct item_head *image_at(const struct larder_page *p, uint32_t i) {
    return (const struct item_head *)(p->bytes + p->at[i]);
}

/* A projection is made behind the images, which lie in any order: a scan sorts them. */
int sift_project_item(const struct larder_expr *projection, struct larder_page *p, uint32_t i) {
    if (p->at[i] == PAGE_HOLE)
        return LARDER_OK;
    int r = item_check_records(image_at(p, i));
    if (r == LARDER_OK)
        r = page_reserve(p, expr_project_bytes_max(image_at(p, i)));
    if (r)
        return r;
    size_t bytes = expr_project(projection->compiled, image_at(p, i), p->bytes + p->used);
    p->at[i] = p->used;
    p->used += bytes;
    return LARDER_OK;
}

int sift_project(const struct larder_expr *projection, struct larder_page *p) {
    int r = LARDER_OK;
    for (uint32_t i = 0; i < p->count && r == LARDER_OK; i++)
        r = sift_project_item(projection, p, i);
    return r;
}

int sift_end(struct sift *s, struct larder_page *page, int r) {
    int sifted = LARDER_OK;
    if (r >= 0 && s->filter)
        sifted =
            expr_filter(s->filter->compiled, s->filter_values.all, page->bytes, page->at, &page->count, &page->guess);
    if (r >= 0 && s->projection && sifted == LARDER_OK)
        sifted = sift_project(s->projection, page);
    if (r >= 0 && s->select == LARDER_SELECT_COUNT) {
        page->dropped = page->count;
        page->count = 0;
    }
    expression_unbind(s->filter, &s->filter_values);
    return sifted ? page_fail(page, sifted) : r;
}
