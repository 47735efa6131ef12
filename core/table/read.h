/* core/table/read.h - reading items without locks: copy, then check.
 *
 * Job      Finds an item by key or by (hash, key sequence) and copies it into a page. Returns it
 *          only if nothing that it was copied from was given back meanwhile.
 * Why      A writer unlinks, bumps the stripe's sequence, and only then gives memory back. So if
 *          the sequence is the same before and after a copy, every byte of it was linked all along.
 *          There is no odd state, so nothing to wait for. A copy so long that the sequence keeps
 *          moving is checked against its own slot word and version instead (read.c, "Long copies").
 * Damage   An item in a page has the key that was looked for, or the key sequence and as much of
 *          the hash as an item has. Its head makes sense: sizes, key area, index slots and
 *          directory lie inside the image. Records are checked when they are read
 *          (core/item/item_read.c); that those of the key have its names and types, never.
 * Tests    tests/api/items_test.c, tests/api/threads_test.c
 */
#ifndef LARDER_TABLE_READ_H
#define LARDER_TABLE_READ_H

#include "core/item/page.h"
#include "core/memory/htab_spot.h"
#include "core/memory/record.h"
#include "core/table/db.h"

/* Where an item was when it was read, to see later whether it is still there (page snapshots). */
struct read_place {
    struct htab_spot spot; /* slot NULL: nothing was found */
    uint64_t version;
};

/* Begins a read of t into a page, before its view is looked for (core/table/views.h). Returns what
 * read_end() needs; NULL: LARDER_E_NO_MEMORY, and nothing has begun. */
static inline struct epoch_use *read_begin(struct larder_table *t, struct larder_page *page) {
    /* the page was made with another handle: its use is in no list of this one */
    if (__builtin_expect(page->epochs != &t->db->views.epochs, 0))
        return views_visit(t->db);
    epoch_enter(&t->db->views.epochs, &page->use);
    return &page->use;
}
static inline void read_end(struct larder_table *t, struct larder_page *page, struct epoch_use *use) {
    if (__builtin_expect(use == &page->use, 1))
        epoch_leave(use);
    else
        views_depart(t->db, use);
}

/* One whole read into a page: looks for the view, reads, judges the result (table_judge). A read
 * that fails leaves the page empty. Inline, so that `read` is part of the public call. */
typedef int read_into(const struct table_view *v, const void *arg, struct larder_page *page);
static inline __attribute__((always_inline)) int read_page(struct larder_table *t, struct larder_page *page,
                                                           read_into *read, const void *arg) {
    const struct table_view *v;
    struct epoch_use *use = read_begin(t, page);
    if (!use)
        return page_fail(page, LARDER_E_NO_MEMORY);
    int r = table_view(t, &v);
    if (r == LARDER_OK)
        r = table_judge(t, v, read(v, arg, page));
    read_end(t, page, use);
    return r < 0 ? page_fail(page, r) : r;
}

/* Whether an image has expired at now_s: by its expiry; by the TTL attribute, if the table's has
 * changed since the image was made. */
int read_is_expired(const struct table_view *v, const struct item_head *image, int64_t now_s);

/* Items that are fetched while one is copied: as many lines as a core keeps in flight. */
#define READ_AHEAD_ITEMS 6u

/* Copies the item with this key to the end of the page. LARDER_OK; LARDER_NOT_FOUND: absent or
 * expired; failures. `hash` is the key's. */
int read_by_key(const struct table_view *v, const struct item_key *key, uint64_t hash, int64_t now_s,
                struct larder_page *page);

/* The same, not committed, with *image and the place; on LARDER_NOT_FOUND the place's slot is NULL
 * unless it has expired. *counts: the look at the stripe; while it stands, what was missing is. */
int read_by_key_at(const struct table_view *v, const struct item_key *key, uint64_t hash, int64_t now_s,
                   struct larder_page *page, struct read_place *place, struct record_view *counts,
                   const struct item_head **image);

/* Copies the item that the entry (hash, kseq) of index `ordinal` (-1: table order) stands for to
 * the end of the page, not committed. LARDER_OK and *image. LARDER_NOT_FOUND: the entry stands for
 * no item now: it is stale, not yet published, or expired (then *is_expired is 1). place may be
 * NULL; on LARDER_NOT_FOUND its slot is NULL unless expired. */
int read_by_entry(const struct table_view *v, int ordinal, uint32_t kseq, uint64_t hash, int64_t now_s,
                  struct larder_page *page, struct read_place *place, const struct item_head **image, int *is_expired);
/* Whether the item at place is still the one that was read: P2 of core/memory/htab_spot.h, or
 * (read_is_pinned) its bucket array, slot word and version, and no transaction hides it. */
int read_is_pinned(const struct seg *s, const struct read_place *place);
static inline int read_is_still_there(const struct seg *s, const struct read_place *place) {
    return __builtin_expect(htab_spot_holds(&place->spot), 1) || read_is_pinned(s, place);
}

/* The hash of an encoded key; the same by its parts, which lie together. Only bits of
 * HTAB_HASH_MASK are set. */
uint64_t read_hash(const struct table_view *v, const struct item_key *key);
uint64_t read_hash_of(const struct table_view *v, const uint8_t *area, size_t partition_bytes, size_t sort_bytes);
/* The same without a view: all tables of a segment hash alike. */
uint64_t read_hash_in(const struct seg *s, const uint8_t *area, size_t partition_bytes, size_t sort_bytes);
/* The hash of an item's key, computed again: an item holds only a part of it. */
uint64_t read_hash_of_item(const struct table_view *v, const struct item_peek *item);

/* The armed_s of the image in a slot; 0: it has none, or makes no sense. */
uint32_t read_armed_s(const struct table_view *v, uint64_t word, const struct item_head *image);

#endif
