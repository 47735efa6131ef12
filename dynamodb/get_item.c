/* dynamodb/get_item.c - GetItem.
 *
 * Tests    tests/dynamodb/dynamodb_item_test.c
 */
#include "dynamodb/capacity.h"
#include "dynamodb/operations.h"
#include "dynamodb/prepared.h"

/* Charged before the projection (api reference, "ProjectionExpression"). */
static void write_capacity(struct larder_dynamodb *d, const struct known_table *t, const struct larder_item *item,
                           struct document_writer *w) {
    struct capacity c = {.table = capacity_of_read(item ? larder_item_size(item) : 0,
                                                   d->request.booleans[BOOLEAN_CONSISTENT_READ] == 1)};
    capacity_write(d, t->def, &c, w);
}

/* An item of which nothing is projected is {}, not missing. */
static int write_item(struct larder_dynamodb *d, const struct larder_item *item, struct document_writer *w) {
    const struct larder_item *shown = item;
    if (d->expressions.projection) {
        int r = prepared_project(d, d->expressions.projection, item, &shown);
        if (r)
            return r;
    }
    document_put_name(w, TEXT("Item"));
    document_put_item(w, shown ? shown : d->no_values);
    return LARDER_OK;
}

int operation_get_item(struct larder_dynamodb *d, struct document_writer *w) {
    const struct known_table *t;
    struct larder_key key;
    int r = table_take(d, &t);
    if (r || (r = table_key(d, t->def, d->request.maps[MAP_KEY].item, &key)))
        return r;
    if (d->expressions.projection && (r = table_check_expression(d, t->def, d->expressions.projection->checked)))
        return r;
    r = larder_get(t->handle, &key, d->page);
    if (r < 0)
        return context_fail(d, r);
    const struct larder_item *item = r == LARDER_OK ? larder_page_item(d->page, 0) : NULL;
    if (item && (r = write_item(d, item, w)) < 0)
        return r;
    write_capacity(d, t, item, w);
    return LARDER_OK;
}
