/* core/base/priv_form.h - the two ways to keep private memory, for core/base/priv.c alone.
 *
 * Job      A form allocates, resizes and frees the blocks of one handle, counts their bytes, and
 *          gives all of them back at once. priv_jemalloc.c does it with an arena, priv_list.c with
 *          malloc and a ring of blocks.
 * Rules    F1 A handle's form is decided when the handle is opened, and never changes.
 * Tests    tests/unit/base/priv_test.c
 */
#ifndef LARDER_BASE_PRIV_FORM_H
#define LARDER_BASE_PRIV_FORM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/priv.h"

struct priv_form {
    /* Frees every block, and p. */
    void (*destroy)(struct priv *p);
    /* bytes > 0. NULL: out of memory. */
    void *(*alloc)(struct priv *p, size_t bytes, int is_zeroed);
    /* bytes > 0, block not NULL. NULL: out of memory, and the block stays. */
    void *(*resize)(struct priv *p, void *block, size_t bytes);
    void (*free)(struct priv *p, void *block);
    void (*fork_prepare)(struct priv *p);
    void (*fork_done)(struct priv *p);
};

/* Both forms begin with this. */
struct priv {
    const struct priv_form *form;
    _Atomic uint64_t bytes_used; /* relaxed: only a figure */
};

static inline void priv_count(struct priv *p, uint64_t added, uint64_t removed) {
    atomic_fetch_add_explicit(&p->bytes_used, added - removed, memory_order_relaxed);
}

/* NULL: jemalloc is not in this process, or it has no memory or no arena left. */
struct priv *priv_jemalloc_new(void);
/* NULL: out of memory. */
struct priv *priv_list_new(void);

#endif
