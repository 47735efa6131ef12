/* core/base/priv.h - this process's private memory: what a handle allocates outside the segment.
 *
 * Job      All of it comes from the handle's own arena, so larder_close() gives everything back at
 *          once, and its use can be reported. An arena is one of jemalloc's, or a ring of malloc's
 *          blocks: core/base/priv.c.
 * Locks    No segment lock: any thread may call at any time, but never while it holds one.
 */
#ifndef LARDER_BASE_PRIV_H
#define LARDER_BASE_PRIV_H

#include <stddef.h>
#include <stdint.h>

struct priv; /* an arena */

/* NULL if out of memory. */
struct priv *priv_new(void);
/* Frees every block of the arena and the arena. */
void priv_destroy(struct priv *p);
/* Zeroed memory, or NULL with larder_error() set. */
void *priv_alloc(struct priv *p, size_t bytes);
/* Resizes a block (NULL: makes one) and keeps its bytes; new bytes are not zeroed. NULL: out of
 * memory, and the old block stays. */
void *priv_realloc(struct priv *p, void *block, size_t bytes);
void priv_free(struct priv *p, void *block);
/* Around a fork: between the two calls the arena is consistent, and so is the child's copy. */
void priv_fork_prepare(struct priv *p);
void priv_fork_done(struct priv *p);
/* Bytes in use, with jemalloc's rounding or the list's heads included. */
uint64_t priv_bytes(const struct priv *p);

#endif
