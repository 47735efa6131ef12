/* core/read.h - reading items without locks: copy, then check.
 *
 * Job      Finds an item by key or by (hash, key sequence), copies it into a page, and returns it only if nothing it was copied
 *          from was given back meanwhile.
 * Why      A writer unlinks, bumps the stripe's sequence, and only then gives memory back. So if the sequence is the same before and
 *          after a copy, every byte of it was linked all along. There is no odd state: nothing to wait for. A copy so long
 *          that the sequence keeps moving is checked against its own slot word and version instead (read.c, "long copies").
 */
#ifndef LARDER_CORE_READ_H
#define LARDER_CORE_READ_H

#include "core/page.h"
#include "core/table.h"

/* Where an item was when it was read: to see later whether it still is (page snapshots). */
struct read_place {
    const struct stripe_shm *stripe;
    const shm_word *slot;       /* NULL: nothing was found */
    uint64_t array, word;       /* of the stripe's bucket array and of the slot */
    const shm_word *version_at; /* in the block */
    uint64_t version;
};

/* True if an image is expired at now_s: by its expiry, or if the table's TTL attribute changed since, by the attribute. */
int read_is_expired(const struct table_view *v, const struct item_head *image, int64_t now_s);

/* Copies the item with this key to the end of the page. LARDER_OK, LARDER_NOT_FOUND (absent, expired), failures. */
int read_by_key(const struct table_view *v, const struct item_key *key, uint64_t hash, int64_t now_s,
                struct larder_page *page);

/* Copies the item that an index entry (hash, kseq) of index `ordinal` stands for (-1: table order) to the end of the page.
 * LARDER_OK; LARDER_NOT_FOUND: the entry stands for nothing now (stale, not yet published, or expired: *is_expired_out then 1).
 * place may be NULL. On LARDER_NOT_FOUND place->slot is NULL unless expired. */
int read_by_entry(const struct table_view *v, int ordinal, uint64_t hash, uint32_t kseq, int64_t now_s,
                  struct larder_page *page, struct read_place *place, int *is_expired);
/* Whether the item at place is still the one that was read. */
int read_is_still_there(const struct read_place *place);
/* Prefetches, one dependent step each: the bucket, then the item of an entry. */
void read_prefetch_bucket(const struct table_view *v, uint64_t hash);
void read_prefetch_item(const struct table_view *v, uint64_t hash);

uint64_t read_hash(const struct table_view *v, const struct item_key *key);

#endif
