/* dynamodb/scan_index.c - Scan of an index.
 *
 * Idea     The engine scans tables. So the table is scanned, page by page, and items that are not
 *          in the index are left out, until a page of the index is full. What is counted and
 *          charged is what the index has of an item. The order is the table's, which is as good as
 *          any: the service promises none.
 * Tests    tests/dynamodb/dynamodb_scan_test.c
 */
#include "dynamodb/index_item.h"
#include "dynamodb/reading.h"

/* The table's part of a start key of the index. */
static int table_key_of(struct larder_dynamodb *d, const struct reading *r, const struct larder_item *start,
                        struct larder_item **out) {
    const struct reading of_table = {.table = r->table};
    const struct larder_item *key = reading_key(d, &of_table, start);
    return key ? larder_item_copy(d->db, key, out) : LARDER_E_NO_MEMORY;
}

/* An item of the table. A local index that lacks what is asked for has it fetched. */
static int take_item(struct larder_dynamodb *d, struct reading *r, const struct larder_item *item,
                     struct document_writer *w) {
    const struct larder_table_def *def = r->table->def;
    const struct larder_item *projected;
    if (!index_item_is_in(r->index, item))
        return LARDER_OK;
    int result = index_item_project(def, r->index, item, d->builder, &projected);
    if (result)
        return context_fail(d, result);
    r->count++;
    r->bytes += larder_item_size(projected);
    if (r->is_fetched)
        r->fetched_halves +=
            capacity_of_read(larder_item_size(item), d->request.booleans[BOOLEAN_CONSISTENT_READ] == 1);
    return reading_show(d, r, r->is_fetched ? item : projected, w);
}

/* Takes items of the page until the index's page is full. *last: the item that filled it. */
static int take_page(struct larder_dynamodb *d, struct reading *r, const struct larder_item **last,
                     struct document_writer *w) {
    const struct request *q = &d->request;
    int result = LARDER_OK;
    for (uint32_t i = 0; i < larder_page_count(d->page) && result == LARDER_OK && !*last; i++) {
        const struct larder_item *item = larder_page_item(d->page, i);
        uint32_t before = r->count;
        result = take_item(d, r, item, w);
        int is_full = (request_has_integer(q, INTEGER_LIMIT) && r->count >= q->integers[INTEGER_LIMIT]) ||
                      r->bytes >= READING_PAGE_BYTES;
        if (is_full && r->count > before)
            *last = item;
    }
    return result;
}

int reading_scan_index(struct larder_dynamodb *d, struct reading *r, struct larder_scan_spec *spec,
                       struct document_writer *w) {
    const struct larder_item *last = NULL;
    struct larder_item *start = NULL;
    int page, result = reading_begin_items(d, r, w);
    if (result)
        return result;
    if (spec->start_key && (result = table_key_of(d, r, spec->start_key, &start)))
        return context_fail(d, result);
    spec->start_key = start;
    spec->limit = 0;
    do {
        page = larder_scan(r->table->handle, spec, d->page);
        result = page < 0 ? page : take_page(d, r, &last, w);
        spec->start_key = page == LARDER_MORE ? larder_page_resume(d->page) : NULL;
    } while (result == LARDER_OK && page == LARDER_MORE && !last);
    if (result == LARDER_OK)
        reading_finish(d, r, last ? reading_key(d, r, last) : NULL, w);
    larder_item_free(start);
    return result;
}
