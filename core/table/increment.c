/* core/table/increment.c - larder_increment(): a number of an item, counted up by one call.
 *
 * Idea     Mostly the number is there. Then the item is changed where it is found, under its stripe's lock (write_increment): nobody
 *          comes between, so nothing is tried again. What that leaves out is done as a caller would do it, with a builder and
 *          larder_put_if(): an item that has to be made, an attribute to be added, another expiry, an image that has to be laid out anew (it
 *          needs a directory now, or none, or is too large), an image that was made under another definition of the table.
 * Locks    None across the two ways. Each of them is one write.
 * Tests    tests/api/increment_test.c, tests/crash/scenarios.c (increment ..)
 */
#include <string.h>

#include "core/base/err.h"
#include "core/item/item.h"
#include "core/table/db.h"
#include "core/table/write.h"

/* Tools of the long way. */
struct increment_kit {
    struct larder_builder *builder;
    struct larder_page *page;
};

/* The key of an item that is not there yet becomes its first attributes. */
static int add_key(struct larder_table *t, const struct larder_key *key, struct larder_builder *b) {
    const struct table_view *v;
    struct epoch_use *use = views_visit(t->db);
    if (!use)
        return LARDER_E_NO_MEMORY;
    int r = table_view(t, &v);
    if (r == LARDER_OK)
        r = larder_builder_add(b, v->shape.partition.name, &key->partition);
    if (r == LARDER_OK && v->shape.sort.name)
        r = larder_builder_add(b, v->shape.sort.name, &key->sort);
    views_depart(t->db, use);
    return r;
}

/* The item that is to be there, and *sum. old: what is there, or NULL. */
static int make_item(struct larder_table *t, struct write_increment *increment, const struct larder_item *old,
                     struct larder_builder *b, const struct larder_item **made) {
    const char *name = (const char *)increment->name.at;
    struct larder_value value;
    int r = old ? larder_item_get(old, name, &value) : LARDER_NOT_FOUND;
    if (r == LARDER_OK)
        r = item_sum(increment->name, &value, increment->by, &increment->sum);
    else if (r == LARDER_NOT_FOUND) {
        increment->sum = increment->by;
        r = LARDER_OK;
    }
    if (r)
        return r;
    larder_builder_reset(b);
    r = old ? larder_builder_add_all(b, old, &name, 1) : add_key(t, increment->key, b);
    if (r == LARDER_OK)
        r = larder_builder_add_int(b, name, increment->sum);
    return r ? r : larder_builder_finish(b, made);
}

/* Ends, as every other write that comes between got on. */
static int increment_anew(struct larder_table *t, struct write_increment *increment, const struct increment_kit *kit) {
    int r = larder_get(t, increment->key, kit->page);
    while (r >= 0) {
        const struct larder_item *old = larder_page_item(kit->page, 0), *made;
        r = make_item(t, increment, old, kit->builder, &made);
        if (r == LARDER_OK)
            r = larder_put_if(t, made, old, kit->page);
        if (r != LARDER_CHANGED)
            break;
    }
    return r;
}

static int increment_the_long_way(struct larder_table *t, struct write_increment *increment) {
    struct increment_kit kit = {NULL, NULL};
    int r = larder_builder_new(t->db, &kit.builder);
    if (r == LARDER_OK)
        r = larder_page_new(t->db, &kit.page);
    if (r == LARDER_OK)
        r = increment_anew(t, increment, &kit);
    larder_page_free(kit.page);
    larder_builder_free(kit.builder);
    return r;
}

LARDER_API int larder_increment(struct larder_table *t, const struct larder_key *key, const char *name, int64_t by,
                                int64_t *value) {
    if (ERR_IS_NULL(t) || ERR_IS_NULL(key) || ERR_IS_NULL(name))
        return LARDER_E_INVAL;
    struct write_increment increment = {.key = key, .name = {(const uint8_t *)name, strlen(name)}, .by = by};
    int r = write_increment(t, &increment);
    if (r == LARDER_NOT_FOUND)
        r = increment_the_long_way(t, &increment);
    if (r == LARDER_OK && value)
        *value = increment.sum;
    return r;
}
