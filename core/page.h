/* core/page.h - where reads put items: a growing private buffer of validated copies.
 *
 * Job      Holds images, their order, and the key to resume after.
 * Rules    A read appends (page_reserve, copy, validate, page_commit) or rolls back (page_truncate). Memory grows only outside locks.
 */
#ifndef LARDER_CORE_PAGE_H
#define LARDER_CORE_PAGE_H

#include "core/item.h"

struct larder_page {
    struct larder *db;
    uint8_t *bytes; /* images, each 8-aligned */
    size_t used, capacity;
    size_t *at; /* start of item i in bytes; PAGE_HOLE: not found */
    uint32_t count, at_capacity;
    uint64_t scanned;
    uint8_t *resume; /* image of the key to continue after, or NULL */
    size_t resume_capacity;
    int has_resume;
};
#define PAGE_BYTES_DEFAULT (1u << 20) /* where a page ends whose caller names no size, as DynamoDB's */
#define PAGE_HOLE ((size_t)-1)

void page_reset(struct larder_page *p);
/* The end of a read that failed: the page (which may be NULL) is left empty. Returns `result`. */
int page_fail(struct larder_page *p, int result);
/* Room for `bytes` more at p->bytes + p->used. LARDER_OK or LARDER_E_NO_MEMORY. May move the buffer. */
int page_reserve(struct larder_page *p, size_t bytes);
/* The image at p->bytes + p->used, of head.bytes, is item number count. PAGE_HOLE places: page_add_hole. */
int page_commit(struct larder_page *p, size_t image_bytes);
int page_add_hole(struct larder_page *p);
/* Room to note one item, without touching the images. LARDER_OK or LARDER_E_NO_MEMORY. */
int page_make_places(struct larder_page *p);
/* The empty page becomes one of the image in *bytes, whose memory it takes; the page's own goes there in exchange. */
void page_take_over(struct larder_page *p, void **bytes, size_t *capacity);
/* Forgets items from number `count` on. */
void page_truncate(struct larder_page *p, uint32_t count);
/* Replaces item i, which must be the last, by a projection of it. */
int page_project_last(struct larder_page *p, const struct bytes *names, uint32_t name_count);
/* Builds the resume key: the named attributes of the image (a stored image in this page or elsewhere). */
int page_set_resume(struct larder_page *p, const struct item_head *image, const struct bytes *names,
                    uint32_t name_count);

#endif
