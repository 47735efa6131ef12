/* core/item/page.h - where reads put items: a growing private buffer of validated copies.
 *
 * Job      Holds images, their order, and the key to resume after.
 * Rules    A read appends (page_reserve, copy, validate, page_commit) or rolls back
 *          (page_truncate). Memory grows only outside locks.
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
    struct priv *priv;     /* its memory, and that of all it holds */
    struct epochs *epochs; /* of the handle that it was made for */
    struct epoch_use use;  /* of the read that fills it */
    uint8_t *bytes;        /* images, each 8-aligned */
    size_t used, capacity;
    size_t *at; /* start of item i in bytes; PAGE_HOLE: not found */
    uint32_t count, at_capacity;
    uint64_t scanned;
    /* to prefetch of an image, before its size is known: about what the last ones had */
    uint32_t ahead_bytes;
    uint8_t *keys;   /* larder_get_many: encoded keys of a round */
    uint8_t *resume; /* image of the key to continue after, or NULL */
    size_t resume_capacity;
    int has_resume;
    int is_snapshot; /* all of it was there at one moment */
    /* of the call that fills it: what would be too much of a caller's stack */
    struct page_memory work;
    struct page_memory seen; /* index/query.h: entries that were looked at */
};
#define PAGE_BYTES_DEFAULT (1u << 20) /* where a page ends whose caller names no size, as DynamoDB's */
#define PAGE_HOLE ((size_t)-1)
#define PAGE_AHEAD_BYTES 512u      /* of the first image */
#define PAGE_AHEAD_BYTES_MAX 2048u /* the processor sees by itself that more is wanted */

/* LARDER_OK and an empty page, or LARDER_E_NO_MEMORY. */
int page_new(struct priv *priv, struct epochs *epochs, struct larder_page **out);
void page_reset(struct larder_page *p);
/* The end of a read that failed: the page (which may be NULL) is left empty. Returns `result`. */
int page_fail(struct larder_page *p, int result);
/* Room for `bytes` more at p->bytes + p->used. LARDER_OK or LARDER_E_NO_MEMORY. May move the
 * buffer. */
int page_grow(struct larder_page *p, size_t bytes);
static inline int page_reserve(struct larder_page *p, size_t bytes) {
    return __builtin_expect(p->capacity - p->used >= bytes, 1) ? LARDER_OK : page_grow(p, bytes);
}
/* Room to note one item, without touching the images. LARDER_OK or LARDER_E_NO_MEMORY. */
int page_make_places(struct larder_page *p);
int page_add_hole(struct larder_page *p);
/* At least so many bytes, the first of which stay what they were. LARDER_OK or
 * LARDER_E_NO_MEMORY. */
int page_make(struct larder_page *p, struct page_memory *memory, size_t bytes);
/* Memory for encoded keys: always the same number of bytes. LARDER_OK or LARDER_E_NO_MEMORY. */
int page_make_keys(struct larder_page *p, size_t bytes);
/* The empty page becomes one of the image in *bytes, whose memory it takes; the page's own goes
 * there in exchange. */
void page_take_over(struct larder_page *p, void **bytes, size_t *capacity);
/* Forgets items from number `count` on. */
void page_truncate(struct larder_page *p, uint32_t count);
/* Replaces the last item by a projection of it. LARDER_OK, LARDER_E_NO_MEMORY, LARDER_E_CORRUPT. */
int page_project_last(struct larder_page *p, const struct bytes *names, uint32_t name_count);
/* Builds the resume key: the page's last item with these attributes only, keys of its table and
 * then of an index; count of them, some maybe twice. LARDER_OK, LARDER_E_NO_MEMORY;
 * LARDER_E_CORRUPT: the item does not have them. */
int page_set_resume(struct larder_page *p, const struct item_key_attr *const *attrs, uint32_t count);

/* The item that was committed last. */
static inline const struct item_head *page_last(const struct larder_page *p) {
    return (const struct item_head *)(p->bytes + p->at[p->count - 1]);
}

static inline int page_add_place(struct larder_page *p, size_t at) {
    int r = p->count < p->at_capacity ? LARDER_OK : page_make_places(p);
    if (r == LARDER_OK)
        p->at[p->count++] = at;
    return r;
}

/* The image at p->bytes + p->used, of head.bytes, is item number count. */
static inline int page_commit(struct larder_page *p, size_t image_bytes) {
    int r = page_add_place(p, p->used);
    if (r == LARDER_OK)
        p->used += image_bytes;
    /* Grows at once and shrinks slowly: a line too few costs a whole miss, one too many only its
     * bandwidth. */
    uint32_t bytes = image_bytes < PAGE_AHEAD_BYTES_MAX ? (uint32_t)image_bytes : PAGE_AHEAD_BYTES_MAX;
    p->ahead_bytes = bytes > p->ahead_bytes ? bytes : p->ahead_bytes - (p->ahead_bytes - bytes) / 16;
    return r;
}

#endif
