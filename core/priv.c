/* core/priv.c - this process's private memory: one jemalloc arena per handle.
 *
 * Job      Hands out private blocks, and gives all of them back at once. With LARDER_JEMALLOC=0 (sanitizer builds,
 *          whose own allocator must see every block) the same on malloc, with the blocks in a list.
 * Rules    P1 bytes_used equals the usable sizes of the blocks handed out and of struct priv.
 *          P2 struct priv lies in its own arena and goes with it.
 * Locks    jemalloc's own; the list of the malloc form has a mutex. No thread cache is used: a block cached by a
 *          thread would outlive the arena that priv_destroy() takes away.
 * Tests    tests/unit/priv_test.c
 */
#include "core/priv.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "larder.h"

static int priv_no_memory(size_t bytes) {
    return err_set(LARDER_E_NO_MEMORY, "out of private memory: %zu bytes were asked for", bytes);
}

#if LARDER_CRASH_POINTS
_Atomic int64_t priv_test_takes_left = -1; /* tests: when it reaches 0, there is no memory; -1: no limit */
static int test_says_none(void) {
    if (atomic_load(&priv_test_takes_left) < 0)
        return 0;
    return atomic_load(&priv_test_takes_left) == 0 || atomic_fetch_sub(&priv_test_takes_left, 1) == 0;
}
#else
static int test_says_none(void) {
    return 0;
}
#endif

#if LARDER_JEMALLOC

#include <jemalloc/jemalloc.h>

struct priv {
    unsigned arena;
    int flags;
    _Atomic uint64_t bytes_used; /* relaxed: a figure, nothing is ordered by it */
};

static void priv_count(struct priv *p, uint64_t added, uint64_t removed) {
    atomic_fetch_add_explicit(&p->bytes_used, added - removed, memory_order_relaxed);
}

static void priv_destroy_arena(unsigned arena) {
    char name[40];
    snprintf(name, sizeof name, "arena.%u.destroy", arena);
    mallctl(name, NULL, NULL, NULL, 0);
}

struct priv *priv_new(void) {
    unsigned arena = 0;
    size_t bytes = sizeof arena;
    if (test_says_none() || mallctl("arenas.create", &arena, &bytes, NULL, 0) != 0) {
        priv_no_memory(sizeof(struct priv));
        return NULL;
    }
    int flags = MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE;
    struct priv *p = mallocx(sizeof *p, flags | MALLOCX_ZERO);
    if (!p) {
        priv_destroy_arena(arena);
        priv_no_memory(sizeof *p);
        return NULL;
    }
    p->arena = arena;
    p->flags = flags;
    priv_count(p, sallocx(p, flags), 0);
    return p;
}

void priv_destroy(struct priv *p) {
    if (p)
        priv_destroy_arena(p->arena);
}

void *priv_alloc(struct priv *p, size_t bytes) {
    void *block = test_says_none() ? NULL : mallocx(bytes ? bytes : 1, p->flags | MALLOCX_ZERO);
    if (!block) {
        priv_no_memory(bytes);
        return NULL;
    }
    priv_count(p, sallocx(block, p->flags), 0);
    return block;
}

void *priv_realloc(struct priv *p, void *block, size_t bytes) {
    if (!bytes)
        bytes = 1;
    uint64_t before = block ? sallocx(block, p->flags) : 0;
    void *grown = NULL;
    if (!test_says_none())
        grown = block ? rallocx(block, bytes, p->flags) : mallocx(bytes, p->flags);
    if (!grown) {
        priv_no_memory(bytes);
        return NULL;
    }
    priv_count(p, sallocx(grown, p->flags), before);
    return grown;
}

void priv_free(struct priv *p, void *block) {
    if (!block)
        return;
    priv_count(p, 0, sallocx(block, p->flags));
    dallocx(block, p->flags);
}

/* jemalloc has fork handlers of its own. */
void priv_fork_prepare(struct priv *p) {
    (void)p;
}

void priv_fork_done(struct priv *p) {
    (void)p;
}

uint64_t priv_bytes(const struct priv *p) {
    return atomic_load_explicit(&p->bytes_used, memory_order_relaxed);
}

#else

#include <malloc.h>
#include <pthread.h>

/* In front of each block; the blocks of a priv are a ring through its `blocks`. */
struct priv_block {
    _Alignas(max_align_t) struct priv_block *next;
    struct priv_block *previous;
    size_t bytes;
};

struct priv {
    pthread_mutex_t lock; /* guards the ring and bytes_used */
    struct priv_block blocks;
    uint64_t bytes_used;
};

static void priv_link_locked(struct priv *p, struct priv_block *b) {
    b->previous = &p->blocks;
    b->next = p->blocks.next;
    b->next->previous = b;
    p->blocks.next = b;
    p->bytes_used += b->bytes;
}

static void priv_unlink_locked(struct priv *p, struct priv_block *b) {
    b->next->previous = b->previous;
    b->previous->next = b->next;
    p->bytes_used -= b->bytes;
}

struct priv *priv_new(void) {
    struct priv *p = test_says_none() ? NULL : calloc(1, sizeof *p);
    if (!p) {
        priv_no_memory(sizeof *p);
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    p->blocks.next = p->blocks.previous = &p->blocks;
    p->bytes_used = sizeof *p;
    return p;
}

void priv_destroy(struct priv *p) {
    if (!p)
        return;
    for (struct priv_block *b = p->blocks.next; b != &p->blocks;) {
        struct priv_block *next = b->next;
        free(b);
        b = next;
    }
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void *priv_alloc(struct priv *p, size_t bytes) {
    void *block = priv_realloc(p, NULL, bytes);
    if (block)
        memset(block, 0, bytes);
    return block;
}

/* Always to a new address, so that a pointer kept across a growth is found by the sanitizer. */
void *priv_realloc(struct priv *p, void *block, size_t bytes) {
    struct priv_block *b = bytes <= SIZE_MAX - sizeof(struct priv_block) && !test_says_none()
                               ? malloc(sizeof(struct priv_block) + bytes)
                               : NULL;
    if (!b) {
        priv_no_memory(bytes);
        return NULL;
    }
    b->bytes = bytes;
    if (block) {
        size_t kept = ((struct priv_block *)block)[-1].bytes;
        memcpy(b + 1, block, kept < bytes ? kept : bytes);
    }
    pthread_mutex_lock(&p->lock);
    priv_link_locked(p, b);
    pthread_mutex_unlock(&p->lock);
    priv_free(p, block);
    return b + 1;
}

void priv_free(struct priv *p, void *block) {
    if (!block)
        return;
    struct priv_block *b = (struct priv_block *)block - 1;
    pthread_mutex_lock(&p->lock);
    priv_unlink_locked(p, b);
    pthread_mutex_unlock(&p->lock);
    free(b);
}

void priv_fork_prepare(struct priv *p) {
    pthread_mutex_lock(&p->lock);
}

void priv_fork_done(struct priv *p) {
    pthread_mutex_unlock(&p->lock);
}

uint64_t priv_bytes(const struct priv *p) {
    struct priv *mutable = (struct priv *)p;
    pthread_mutex_lock(&mutable->lock);
    uint64_t bytes = p->bytes_used;
    pthread_mutex_unlock(&mutable->lock);
    return bytes;
}

#endif
