/* core/segment/seg.h - the mapping of a segment, and the only way from an offset to memory.
 *
 * Job      Creates, maps, recognises and destroys segments. Turns offsets into pointers after
 *          checking bounds.
 * Rules    G1 A creator holds the file's creation lock (an open-file-description lock that dies
 *             with it) until state is READY; whoever gets that lock and finds another state makes
 *             the segment anew.
 *          G2 All of the metadata, and every span below claimed_bytes, is backed by memory: no
 *             store can raise SIGBUS. But of the span descriptors only those of spans below
 *             claimed_bytes, and what else is on their pages: a segment that is made larger than it
 *             will be costs nothing. Nobody but a repair looks at others. Somebody who truncates
 *             the file under its users breaks this, as with any mapped file; a memfd is sealed
 *             against it.
 *          G3 READY never becomes INITIALISING again, and the head's identity and geometry never
 *             change after READY.
 *          G4 A file of another user is never made a segment, and only read unless the caller asks
 *             for more.
 * Files    seg.c opens, attaches and closes; seg_file.c names, descriptors and the look at a head;
 *          seg_lock.c the lock file; seg_layout.c the geometry; seg_create.c makes; seg_destroy.c
 *          removes.
 * Tests    tests/unit/segment/seg_test.c, tests/unit/segment/seg_birth_test.c,
 *          tests/api/open_test.c
 */
#ifndef LARDER_SEGMENT_SEG_H
#define LARDER_SEGMENT_SEG_H

#include "core/segment/layout.h"

#define SEG_BUSY_TIMEOUT_MS 2000u /* default of options.busy_timeout_ms */
#define SEG_NO_WAIT_MS 100u       /* to open with LARDER_NO_WAIT: more than SEG_ORPHAN_LOOKS take */

struct seg {
    unsigned char *base;
    uint64_t bytes;
    struct seg_shm *shm; /* == base */
    /* O_CLOEXEC; the mapping's own description, carries no locks */
    int fd;
    uint64_t file_device, file_inode; /* of fd when it was opened: see seg_fd_is_ours */
    int is_read_only, is_memfd;
    /* a memfd that the kernel made: no directory, so never a lock file, whatever its head says */
    int has_no_name;
    /* locks are on a file of their own (core/segment/seg_lock.h), else on fd's */
    int has_lock_file;
    int lock_fd;                      /* of that file, if there is one; -1: not for this user */
    uint64_t lock_device, lock_inode; /* of lock_fd */
    /* LARDER_HUGE_PAGES, and not on hugetlbfs, which has nothing else */
    int wants_huge_pages;
    uint64_t lock_page_bytes; /* smallest mapping of this file (huge pages) */
    /* Geometry, copied and checked at attach, so that later damage of the head cannot mislead this
     * process. */
    uint64_t slots_off, catalog_off, bins_off, shards_off, spans_off, data_off, hash_seed;
    uint32_t slot_count, span_count, arena_count, shard_count, stripe_count;
};

/* As larder_open(). On failure *s holds nothing. options may be NULL. */
int seg_open(struct seg *s, const struct larder_options *options);
void seg_close(struct seg *s);
/* As larder_destroy(). */
int seg_destroy(const char *name, uint32_t flags);

/* 0: the program closed our descriptor, and another file may have its number now. Every system call
 * on fd asks first; a message is set. Mapping and liveness locks are not touched by that. */
int seg_fd_is_ours(const struct seg *s);
/* The same for the descriptor of the file that has the locks. */
int seg_lock_fd_is_ours(const struct seg *s);
/* 1: the file has no name any more, so nobody can attach to it again. A memfd never had one. 0 also
 * if it cannot be told. */
int seg_is_removed(const struct seg *s);

/* `bytes` bytes at `off`, or NULL if they are not wholly inside the heap's claimed spans, or off is not 8-aligned. A reader may
 * come here with garbage: beyond what is claimed, even a look would take memory, or raise SIGBUS
 * where there is none. */
static inline void *seg_at(const struct seg *s, uint64_t off, uint64_t bytes) {
    uint64_t end = SHM_LOAD_RELAXED(&s->shm->claimed_bytes);
    if (__builtin_expect(end > s->bytes, 0))
        end = s->bytes; /* a damaged word */
    if (__builtin_expect(off < s->data_off || (off & 7) != 0 || off > end || bytes > end - off, 0))
        return NULL;
    return s->base + off;
}
/* For offsets that this process computed or holds the lock for; still checked in debug builds. */
static inline uint64_t seg_off(const struct seg *s, const void *at) {
    return (uint64_t)((const unsigned char *)at - s->base);
}
static inline struct slot_shm *seg_slot(const struct seg *s, uint32_t i) {
    return (struct slot_shm *)(s->base + s->slots_off) + i;
}
static inline struct table_shm *seg_table(const struct seg *s, uint32_t i) {
    return (struct table_shm *)(s->base + s->catalog_off) + i;
}
static inline struct bin_shm *seg_bin(const struct seg *s, uint32_t i) {
    return (struct bin_shm *)(s->base + s->bins_off) + i;
}
static inline struct span_shm *seg_span(const struct seg *s, uint32_t i) {
    return (struct span_shm *)(s->base + s->spans_off) + i;
}
/* Where the descriptors end that are backed by memory when so much is claimed (G2). */
static inline uint64_t seg_descriptors_end(const struct seg *s, uint64_t claimed) {
    uint64_t spans = claimed > s->data_off ? (claimed - s->data_off) / SPAN_BYTES : 0, page = s->lock_page_bytes;
    uint64_t end = (s->spans_off + spans * sizeof(struct span_shm) + page - 1) / page * page;
    return end < s->data_off ? end : s->data_off;
}
/* A lock word anywhere in the segment, metadata included; NULL if out of bounds or misaligned. */
static inline void *seg_word(const struct seg *s, uint64_t off) {
    return off < sizeof(uint64_t) || (off & 3) != 0 || off > s->bytes - 8 ? NULL : s->base + off;
}
/* A word that a step of the journal publishes, or its sequence: in the catalog, a timer shard or a
 * block. NULL if it is none. */
static inline shm_word *seg_step_word(const struct seg *s, uint64_t off) {
    uint64_t catalog_end = s->catalog_off + LARDER_TABLES_MAX * sizeof(struct table_shm);
    int is_metadata = (off >= s->catalog_off && off < catalog_end) || (off >= s->shards_off && off < s->spans_off);
    if (is_metadata && (off & 7) == 0)
        return (shm_word *)(s->base + off);
    return (shm_word *)seg_at(s, off, sizeof(shm_word));
}

#endif
