/* core/table/sift.c - see sift.h. */
#include "core/table/sift.h"

#include <string.h>

#include "core/base/err.h"
#include "expr/filter.h"

/* API reference, Query, "Select"; the message is that of the live service (dynalite's query.js). */
static int check_select(const struct sift *s) {
    if (s->select != LARDER_SELECT_ITEMS && s->select != LARDER_SELECT_COUNT)
        return err_set(LARDER_E_INVAL, "spec->select is %d; 0 (ITEMS) and 1 (COUNT) are allowed", (int)s->select);
    if (s->select == LARDER_SELECT_COUNT && s->projection)
        return err_set(LARDER_E_INVAL, "Cannot specify the ProjectionExpression when choosing to get only the Count");
    return LARDER_OK;
}

/* The page's memory of its last filter. */
static int make_sieve(struct sift *s, struct larder_page *page) {
    if (!page->sieve.at && page_make(page, &page->sieve, sizeof(struct expr_sieve)) == LARDER_OK)
        memset(page->sieve.at, 0, sizeof(struct expr_sieve));
    s->sieve = page->sieve.at;
    return s->sieve ? LARDER_OK : LARDER_E_NO_MEMORY;
}

static int bind_filter(struct sift *s, const struct larder_item *values, struct larder_page *page) {
    int r = make_sieve(s, page);
    if (r == LARDER_OK)
        r = expression_bind(s->filter, LARDER_EXPR_FILTER, "spec->filter", values, &s->filter_values);
    if (r == LARDER_OK)
        s->bound = expr_sieve_keep(s->sieve, s->filter->compiled, values, s->filter_values.all);
    return r;
}

static __attribute__((noinline)) int bind(struct sift *s, const struct larder_item *values, struct larder_page *page) {
    struct expression_values none;
    int r = check_select(s);
    if (r == LARDER_OK && s->projection) /* it has no values */
        r = expression_bind(s->projection, LARDER_EXPR_PROJECTION, "spec->projection", NULL, &none);
    if (r == LARDER_OK && s->filter)
        r = bind_filter(s, values, page);
    return r;
}

int sift_begin(struct sift *s, const struct larder_item *values, struct larder_page *page) {
    s->filter_values.all = NULL;
    s->sieve = page->sieve.at;
    if (!s->filter || s->projection || s->select != LARDER_SELECT_ITEMS || !s->sieve ||
        !expr_sieve_has(s->sieve, s->filter->compiled, values))
        return bind(s, values, page);
    s->bound = s->sieve->bound; /* as in the call before */
    return LARDER_OK;
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

static int sift_filter(const struct sift *s, struct larder_page *page) {
    int r = page->count ? page_reserve(page, EXPR_FILTER_BEHIND) : LARDER_OK;
    return r ? r : expr_filter(s->filter->compiled, s->bound, page->bytes, page->at, &page->count, s->sieve);
}

static __attribute__((noinline)) int end(struct sift *s, struct larder_page *page, int r) {
    int sifted = LARDER_OK;
    if (r >= 0 && s->filter)
        sifted = sift_filter(s, page);
    if (r >= 0 && s->projection && sifted == LARDER_OK)
        sifted = sift_project(s->projection, page);
    if (r >= 0 && s->select == LARDER_SELECT_COUNT) {
        page->dropped = page->count;
        page->count = 0;
    }
    expression_unbind(s->filter, &s->filter_values);
    return sifted ? page_fail(page, sifted) : r;
}

int sift_end(struct sift *s, struct larder_page *page, int r) {
    if (r < 0 || !s->filter || s->projection || s->select != LARDER_SELECT_ITEMS || s->filter_values.all)
        return end(s, page, r);
    int sifted = sift_filter(s, page);
    return sifted ? page_fail(page, sifted) : r;
}
