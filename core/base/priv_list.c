/* core/base/priv_list.c - private memory on the process's own malloc: see core/base/priv_form.h.
 *
 * Picture  A block: struct list_block | the caller's bytes.
 *          The heads link all blocks of a handle into a ring, so larder_close() finds them.
 * Rules    B1 A block is in the ring before its address is handed out, and until the caller gives
 *             it back.
 *          B2 A block counts with the bytes asked for and its head. malloc's rounding is not known:
 *             a host's malloc need not have malloc_usable_size().
 * Locks    `lock` guards the ring. Only resize calls malloc while it holds it, so that a fork finds
 *          no block between two places. It is a leaf: malloc calls nothing of ours.
 * Fork     The fork takes `lock` first; the C library then takes malloc's. A block that another
 *          thread has got but not yet linked is lost to the child, like any other thread's malloc.
 * Note     In sanitizer builds resize always moves, so a pointer kept across a growth is found.
 * Tests    tests/unit/base/priv_test.c
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/priv_form.h"

struct list_block {
    _Alignas(max_align_t) struct list_block *next;
    struct list_block *previous;
    size_t bytes; /* with this head */
};

struct list {
    struct priv priv;
    pthread_mutex_t lock;
    struct list_block blocks;
};

static struct list *list_of(struct priv *p) {
    return (struct list *)p;
}

static void link_locked(struct list *l, struct list_block *b) {
    b->previous = &l->blocks;
    b->next = l->blocks.next;
    b->next->previous = b;
    l->blocks.next = b;
}

static void unlink_locked(const struct list_block *b) {
    b->next->previous = b->previous;
    b->previous->next = b->next;
}

/* 0: too large. */
static size_t with_head(size_t bytes) {
    return bytes <= PTRDIFF_MAX - sizeof(struct list_block) ? bytes + sizeof(struct list_block) : 0;
}

static void *list_alloc(struct priv *p, size_t bytes, int is_zeroed) {
    struct list *l = list_of(p);
    size_t whole = with_head(bytes);
    struct list_block *b = !whole ? NULL : is_zeroed ? calloc(1, whole) : malloc(whole);
    if (!b)
        return NULL;
    b->bytes = whole;
    priv_count(p, whole, 0);
    pthread_mutex_lock(&l->lock);
    link_locked(l, b);
    pthread_mutex_unlock(&l->lock);
    return b + 1;
}

static void list_free(struct priv *p, void *block) {
    struct list *l = list_of(p);
    struct list_block *b = (struct list_block *)block - 1;
    pthread_mutex_lock(&l->lock);
    unlink_locked(b);
    pthread_mutex_unlock(&l->lock);
    priv_count(p, 0, b->bytes);
    free(b);
}

#if LARDER_JEMALLOC

static void *list_resize(struct priv *p, void *block, size_t bytes) {
    struct list *l = list_of(p);
    struct list_block *b = (struct list_block *)block - 1;
    size_t whole = with_head(bytes), before = b->bytes;
    pthread_mutex_lock(&l->lock);
    struct list_block *moved = whole ? realloc(b, whole) : NULL;
    if (moved) /* its neighbours still point to the old place */
        moved->next->previous = moved->previous->next = moved;
    pthread_mutex_unlock(&l->lock);
    if (!moved)
        return NULL;
    moved->bytes = whole;
    priv_count(p, whole, before);
    return moved + 1;
}

#else

static void *list_resize(struct priv *p, void *block, size_t bytes) {
    void *moved = list_alloc(p, bytes, 0);
    if (!moved)
        return NULL;
    size_t kept = ((struct list_block *)block)[-1].bytes - sizeof(struct list_block);
    memcpy(moved, block, kept < bytes ? kept : bytes);
    list_free(p, block);
    return moved;
}

#endif

static void list_destroy(struct priv *p) {
    struct list *l = list_of(p);
    for (struct list_block *b = l->blocks.next; b != &l->blocks;) {
        struct list_block *next = b->next;
        free(b);
        b = next;
    }
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void list_fork_prepare(struct priv *p) {
    pthread_mutex_lock(&list_of(p)->lock);
}

static void list_fork_done(struct priv *p) {
    pthread_mutex_unlock(&list_of(p)->lock);
}

static const struct priv_form list_form = {.destroy = list_destroy,
                                           .alloc = list_alloc,
                                           .resize = list_resize,
                                           .free = list_free,
                                           .fork_prepare = list_fork_prepare,
                                           .fork_done = list_fork_done};

struct priv *priv_list_new(void) {
    struct list *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->priv.form = &list_form;
    pthread_mutex_init(&l->lock, NULL);
    l->blocks.next = l->blocks.previous = &l->blocks;
    priv_count(&l->priv, sizeof *l, 0);
    return &l->priv;
}
