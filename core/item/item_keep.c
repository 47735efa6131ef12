/* core/item/item_keep.c - larder_item_copy(): an item that outlives its page or builder.
 *
 * Picture  A block of private memory: struct kept_item, then the image. The caller has a pointer to
 *          the image.
 * Tests    tests/api/item_copy_test.c
 */
#include <string.h>

#include "core/base/priv.h"
#include "core/item/item.h"

struct kept_item {
    struct priv *priv; /* whose block it is */
    uint64_t zero;
};
_Static_assert(sizeof(struct kept_item) % 8 == 0, "the image is 8-aligned");

struct larder_item *item_keep(struct priv *priv, const struct larder_item *item) {
    size_t bytes = item_head(item)->bytes;
    struct kept_item *kept = priv_alloc(priv, sizeof *kept + bytes);
    if (!kept)
        return NULL;
    kept->priv = priv;
    memcpy(kept + 1, item, bytes);
    return (struct larder_item *)(void *)(kept + 1);
}

LARDER_API void larder_item_free(struct larder_item *copy) {
    if (!copy)
        return;
    struct kept_item *kept = (struct kept_item *)(void *)copy - 1;
    priv_free(kept->priv, kept);
}
