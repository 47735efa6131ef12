/* core/table/db_alloc.c - objects of a handle in private memory: pages, builders and copies of
 * items.
 *
 * Tests    tests/unit/table/keep_test.c, tests/api/item_copy_test.c
 */
#include "core/base/err.h"
#include "core/item/page.h"
#include "core/table/db.h"

int larder_page_new(struct larder *db, struct larder_page **out) {
    if (ERR_IS_NULL(db) || ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    return page_new(db->priv, &db->views.epochs, out);
}

static int new_builder(struct larder *db, size_t bytes_max, struct larder_builder **out) {
    struct larder_builder *b = item_builder_new(db->priv, bytes_max);
    if (!b)
        return LARDER_E_NO_MEMORY;
    *out = b;
    return LARDER_OK;
}

int larder_builder_new(struct larder *db, struct larder_builder **out) {
    if (ERR_IS_NULL(db) || ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    return new_builder(db, LARDER_ITEM_BYTES_MAX, out);
}

int larder_builder_new_values(struct larder *db, struct larder_builder **out) {
    if (ERR_IS_NULL(db) || ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    return new_builder(db, LARDER_VALUES_BYTES_MAX, out);
}

int larder_item_copy(struct larder *db, const struct larder_item *item, struct larder_item **out) {
    if (ERR_IS_NULL(db) || ERR_IS_NULL(item) || ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    struct larder_item *copy = item_keep(db->priv, item);
    if (!copy)
        return LARDER_E_NO_MEMORY;
    *out = copy;
    return LARDER_OK;
}
