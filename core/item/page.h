/* core/item/page.h - where reads put items: a growing private buffer of validated copies.
 *
 * Job      Holds images, their order, and the key to resume after.
 * Rules    A read appends (page_reserve, copy, validate, page_commit) or rolls back
 *          (page_truncate). Memory grows only outside segment locks.
 * Tests    tests/api/query_resume_test.c, tests/api/readonly_test.c
 */
#ifndef LARDER_ITEM_PAGE_H
#define LARDER_ITEM_PAGE_H

#include "core/base/epoch.h"
#include "core/base/priv.h"
#include "core/item/item.h"

/* Private memory of a page, kept from call to call: page_make(). */
struct page_memory {
    void *at;
    size_t bytes;
};

struct larder_page {
    struct priv *priv;     /* where the page and all its buffers are allocated */
    struct epochs *epochs; /* of the handle that it was made for */
    struct epoch_use use;  /* of the read that fills it */
    uint8_t *bytes;        /* images, each 8-aligned */
    size_t used, capacity;
    size_t *at; /* start of item i in bytes; PAGE_HOLE: item not found */
    uint32_t count, at_capacity;
    uint64_t scanned;
    uint32_t dropped; /* items that were counted, and not kept: LARDER_SELECT_COUNT */
    /* how much of an image to prefetch before its size is known: about the size of the last ones */
    uint32_t ahead_bytes;
    uint8_t *keys;   /* larder_get_many: encoded keys of a round */
    uint8_t *resume; /* image of the key to continue after, or NULL */
    size_t resume_capacity;
    int has_resume;
    int is_snapshot; /* all items were there at one moment */
    /* scratch of the call that fills the page: too much for a caller's stack */
    struct page_memory work;
    struct page_memory seen;  /* index/query.h: entries that were read */
    struct page_memory sieve; /* core/table/sift.h: what the last filter found */
};
/* size limit of a page if the caller gives none; DynamoDB's */
#define PAGE_BYTES_DEFAULT (1u << 20)
#define PAGE_HOLE ((size_t)-1)
#define PAGE_AHEAD_BYTES 512u      /* of the first image */
#define PAGE_AHEAD_BYTES_MAX 2048u /* beyond this the processor prefetches by itself */

/* LARDER_OK and an empty page, or LARDER_E_NO_MEMORY. */
int page_new(struct priv *priv, struct epochs *epochs, struct larder_page **out);
void page_reset(struct larder_page *p);
/* Ends a read that failed: empties the page (which may be NULL). Returns `result`. */
int page_fail(struct larder_page *p, int result);
/* Room for `bytes` more at p->bytes + p->used. LARDER_OK or LARDER_E_NO_MEMORY. May move the
 * buffer. */
int page_grow(struct larder_page *p, size_t bytes);
static inline int page_reserve(struct larder_page *p, size_t bytes) {
    return __builtin_expect(p->capacity - p->used >= bytes, 1) ? LARDER_OK : page_grow(p, bytes);
}
/* Makes room for the places of `more` items, without touching the images. LARDER_OK or
 * LARDER_E_NO_MEMORY. */
int page_grow_places(struct larder_page *p, uint32_t more);
static inline int page_make_places(struct larder_page *p, uint32_t more) {
    return __builtin_expect(p->at_capacity - p->count >= more, 1) ? LARDER_OK : page_grow_places(p, more);
}
int page_add_hole(struct larder_page *p);
/* Grows `memory` to at least so many bytes and keeps its contents. LARDER_OK or
 * LARDER_E_NO_MEMORY. */
int page_make(struct larder_page *p, struct page_memory *memory, size_t bytes);
/* Allocates p->keys; every call asks for the same number of bytes. LARDER_OK or
 * LARDER_E_NO_MEMORY. */
int page_make_keys(struct larder_page *p, size_t bytes);
/* Makes the image in *bytes the only item of an empty page, by exchanging its memory with the
 * page's. */
void page_take_over(struct larder_page *p, void **bytes, size_t *capacity);
/* Forgets items from number `count` on. */
void page_truncate(struct larder_page *p, uint32_t count);
/* Replaces the last item by a projection of it. LARDER_OK, LARDER_E_NO_MEMORY, LARDER_E_CORRUPT. */
int page_project_last(struct larder_page *p, const struct bytes *names, uint32_t name_count);
/* The same for all items of a page without holes. */
int page_project_all(struct larder_page *p, const struct bytes *names, uint32_t name_count);
/* Builds the resume key from `count` attributes of the page's last item: keys of its table, then of
 * an index; some may repeat. known: NULL, or the values as far as the caller has them (else NULL
 * and 0). LARDER_OK, LARDER_E_NO_MEMORY; LARDER_E_CORRUPT: the item lacks
 * one. */
int page_set_resume(struct larder_page *p, const struct item_key_attr *const *attrs, const struct bytes *known,
                    uint32_t count);

/* The item that was committed last. */
static inline const struct item_head *page_last(const struct larder_page *p) {
    return (const struct item_head *)(p->bytes + p->at[p->count - 1]);
}

/* Grows at once and shrinks slowly: a line too few costs a whole miss, a line too many only
 * bandwidth. */
static inline void page_learn_bytes(struct larder_page *p, size_t image_bytes) {
    uint32_t bytes = image_bytes < PAGE_AHEAD_BYTES_MAX ? (uint32_t)image_bytes : PAGE_AHEAD_BYTES_MAX;
    if (bytes != p->ahead_bytes)
        p->ahead_bytes = bytes > p->ahead_bytes ? bytes : p->ahead_bytes - (p->ahead_bytes - bytes) / 16;
}

/* Makes the image at p->bytes + p->used the next item, for which there is a place. */
static inline void page_put(struct larder_page *p, size_t image_bytes) {
    p->at[p->count++] = p->used;
    p->used += image_bytes;
}

/* The same, and makes the place. */
static inline int page_commit(struct larder_page *p, size_t image_bytes) {
    int r = page_make_places(p, 1);
    if (r == LARDER_OK)
        page_put(p, image_bytes);
    page_learn_bytes(p, image_bytes);
    return r;
}

#endif
