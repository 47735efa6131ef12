/* tests/support/same_item.h - whether two items have the same attributes, through larder.h
 * alone. */
#ifndef LARDER_TESTS_SUPPORT_SAME_ITEM_H
#define LARDER_TESTS_SUPPORT_SAME_ITEM_H

#include <string.h>

#include "larder.h"

static inline int is_same_value(const struct larder_value *a, const struct larder_value *b) {
    return a->type == b->type && a->bytes == b->bytes && a->is_true == b->is_true && a->count == b->count &&
           (a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0);
}

static inline int is_same_item(const struct larder_item *a, const struct larder_item *b) {
    struct larder_iter x, y;
    struct larder_member m, n;
    larder_iter_item(a, &x);
    larder_iter_item(b, &y);
    for (;;) {
        int r = larder_iter_next(&x, &m), s = larder_iter_next(&y, &n);
        if (r != s)
            return 0;
        if (r != LARDER_OK)
            return larder_item_size(a) == larder_item_size(b);
        if (m.name_bytes != n.name_bytes || memcmp(m.name, n.name, m.name_bytes) != 0 ||
            !is_same_value(&m.value, &n.value))
            return 0;
    }
}

#endif
