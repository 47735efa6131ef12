/* core/priv.h - this process's private memory: one jemalloc arena per handle.
 *
 * Job      Everything a handle allocates outside the segment comes from its own arena, so that larder_close() gives it
 *          all back at once and its use can be reported. Sanitizer builds use malloc, which they watch.
 * Locks    None of ours; any thread may call at any time, but never under a segment lock.
 */
#ifndef LARDER_CORE_PRIV_H
#define LARDER_CORE_PRIV_H

#include <stddef.h>
#include <stdint.h>

struct priv; /* an arena */

/* NULL if out of memory. */
struct priv *priv_new(void);
/* Frees every block of the arena and the arena. */
void priv_destroy(struct priv *p);
/* Zeroed memory, or NULL with larder_error() set. */
void *priv_alloc(struct priv *p, size_t bytes);
/* Grows (or makes, from NULL) a block, keeping its bytes; new bytes are not zeroed. NULL: out of memory, the old block
 * stays. */
void *priv_realloc(struct priv *p, void *block, size_t bytes);
void priv_free(struct priv *p, void *block);
/* Around a fork: in between, the arena is whole, and so is the child's copy of it. */
void priv_fork_prepare(struct priv *p);
void priv_fork_done(struct priv *p);
/* Bytes in use, rounding included. */
uint64_t priv_bytes(const struct priv *p);

#endif
