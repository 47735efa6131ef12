/* core/table/workspace.c - see workspace.h. */
#include "core/table/workspace.h"

#include "core/table/db.h"

struct workspace *workspace_take(struct larder *db, size_t bytes) {
    struct workspace *w = atomic_exchange_explicit(&db->workspace, NULL, memory_order_acquire);
    if (__builtin_expect(w && w->bytes >= bytes, 1))
        return w;
    priv_free(db_priv(db), w);
    w = priv_realloc(db_priv(db), NULL, sizeof *w + bytes);
    if (w)
        w->bytes = bytes;
    return w;
}

void workspace_give(struct larder *db, struct workspace *w) {
    struct workspace *none = NULL;
    /* Release; pairs with the exchange above: the next call may write there. */
    if (w && w->bytes <= WORKSPACE_KEPT &&
        atomic_compare_exchange_strong_explicit(&db->workspace, &none, w, memory_order_release, memory_order_relaxed))
        return;
    priv_free(db_priv(db), w);
}
