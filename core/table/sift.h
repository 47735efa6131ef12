/* core/table/sift.h - a filter and a projection over the items of a page that a read has filled.
 *
 * Idea     The page is private memory, so this needs no lock and no second look. Limit, size and
 *          resume key of the page were decided before: as DynamoDB does it.
 * Rules    F1 A page without holes: larder_query()'s or larder_scan()'s.
 * Tests    tests/api/filter_test.c
 */
#ifndef LARDER_TABLE_SIFT_H
#define LARDER_TABLE_SIFT_H

#include "core/item/page.h"
#include "core/table/expression.h"

struct sift {
    const struct larder_expr *filter, *projection; /* NULL: none */
    enum larder_select select;
    struct expression_values filter_values;
    const struct larder_value *bound; /* they, or the same from the call before: expr/filter.h */
    struct expr_sieve *sieve;         /* the page's */
};

/* Sets what the caller asks for. False: all items as they are. */
static inline int sift_is_wanted(struct sift *s, const struct larder_expr *filter, const struct larder_expr *projection,
                                 enum larder_select select) {
    s->filter = filter;
    s->projection = projection;
    s->select = select;
    return __builtin_expect(filter != NULL || projection != NULL || select != LARDER_SELECT_ITEMS, 0);
}
/* Finds the values. LARDER_OK, to be ended with sift_end(); LARDER_E_INVAL, LARDER_E_CORRUPT,
 * LARDER_E_NO_MEMORY. */
int sift_begin(struct sift *s, const struct larder_item *values, struct larder_page *page);
/* For a read that ended with r: sifts its page unless it failed, and returns r or the failure. */
int sift_end(struct sift *s, struct larder_page *page, int r);
/* Replaces an item of a page, or each, by a projection; there may be holes. LARDER_OK or a
 * failure. */
int sift_project_item(const struct larder_expr *projection, struct larder_page *page, uint32_t i);
int sift_project(const struct larder_expr *projection, struct larder_page *page);

#endif
