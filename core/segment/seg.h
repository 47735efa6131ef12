/* core/segment/seg.h - the mapping of a segment, and the only way from an offset to memory.
 *
 * Job      Creates, maps, recognises and destroys segments. Turns offsets into pointers after
 *          checking bounds.
 * Rules    G1 A creator holds the file's creation lock, which dies with it, until the state is
 *             READY. A process that gets this lock and finds a half-made segment makes it again.
 *          G2 All metadata and every span below claimed_bytes are backed by memory: no store can
 *             raise SIGBUS. Of the span descriptors, only the pages with those of spans below
 *             claimed_bytes are backed, so a generous size costs nothing. Only a repair looks at
 *             other descriptors. A process that truncates the file under its users breaks this, as
 *             with any mapped file; a memfd is sealed against it.
 *          G3 READY never becomes INITIALISING again. The head's identity and geometry never change
 *             after READY.
 *          G4 A file of another user is never made a segment, and is opened for writing only if the
 *             caller asks for it.
 * Files    core/segment/README.md has the list; core/table/seg_destroy.c removes a segment.
 * Tests    tests/unit/segment/seg_test.c, tests/unit/segment/seg_birth_test.c,
 *          tests/api/open_test.c
 */
#ifndef LARDER_SEGMENT_SEG_H
#define LARDER_SEGMENT_SEG_H

#include "core/segment/layout.h"

#define SEG_BUSY_TIMEOUT_MS 2000u /* options.busy_timeout_ms if it is 0 */
#define SEG_NO_WAIT_MS 100u       /* for LARDER_NO_WAIT: longer than SEG_ORPHAN_LOOKS */

struct seg {
    unsigned char *base;
    uint64_t bytes;
    struct seg_shm *shm; /* == base */
    /* O_CLOEXEC; the description of the mapping, without locks */
    int fd;
    uint64_t file_device, file_inode; /* of fd when it was opened (seg_fd_is_ours) */
    int is_read_only, is_memfd;
    /* a memfd: no directory, so never a lock file, whatever its head says */
    int has_no_name;
    /* locks are on a lock file (core/segment/seg_lock.h), else on fd's file */
    int has_lock_file;
    int lock_fd;                      /* the lock file, if there is one; -1: not for this user */
    uint64_t lock_device, lock_inode; /* of lock_fd */
    /* LARDER_HUGE_PAGES, and not on hugetlbfs, where all pages are huge */
    int wants_huge_pages;
    uint64_t lock_page_bytes; /* smallest mapping of this file (huge pages) */
    /* The geometry, copied and checked at attach: later damage of the head cannot mislead us. */
    uint64_t slots_off, catalog_off, bins_off, shards_off, spans_off, data_off, hash_seed;
    uint32_t slot_count, span_count, arena_count, shard_count, stripe_count;
};

/* As larder_open(). On failure *s holds nothing. options may be NULL. */
int seg_open(struct seg *s, const struct larder_options *options);
void seg_close(struct seg *s);
/* As larder_destroy(). */
int seg_destroy(const char *name, uint32_t flags);

/* 0, with a message: the program closed our descriptor, and its number may belong to another file
 * now. To ask before each system call on fd. Mapping and liveness locks survive such a close. */
int seg_fd_is_ours(const struct seg *s);
/* The same for the descriptor of the file that carries the locks. */
int seg_lock_fd_is_ours(const struct seg *s);
/* 1: the file has lost its name, so no process can attach to it again. 0 also if it cannot be told,
 * and for a memfd, which has no name. */
int seg_is_removed(const struct seg *s);

/* How many bytes of claimed memory seg_at() gives at an offset; 0: none. */
static inline uint64_t seg_bytes_at(const struct seg *s, uint64_t off) {
    uint64_t end = SHM_LOAD_RELAXED(&s->shm->claimed_bytes);
    if (__builtin_expect(end > s->bytes, 0))
        end = s->bytes; /* a damaged word */
    return __builtin_expect(off < s->data_off || (off & 7) != 0 || off > end, 0) ? 0 : end - off;
}
/* The address of `bytes` bytes at `off`. NULL if they are not wholly inside the heap's claimed
 * spans, or off is not 8-aligned. Readers may pass garbage: beyond the claimed memory even a load
 * would take memory, or raise SIGBUS if there is none. */
static inline void *seg_at(const struct seg *s, uint64_t off, uint64_t bytes) {
    uint64_t room = seg_bytes_at(s, off);
    return room != 0 && bytes <= room ? s->base + off : NULL;
}
/* Where offsets may lead, loaded once for a call that follows many: claimed memory only grows. */
struct seg_reach {
    unsigned char *first, *end; /* the claimed spans */
    uint64_t first_off;
    uint64_t places; /* 8-aligned places with a line (64 bytes) of claimed memory behind them */
};
static inline struct seg_reach seg_reach(const struct seg *s) {
    uint64_t end = SHM_LOAD_RELAXED(&s->shm->claimed_bytes);
    if (__builtin_expect(end > s->bytes, 0))
        end = s->bytes; /* a damaged word */
    uint64_t bytes = end > s->data_off ? end - s->data_off : 0;
    return (struct seg_reach){.first = s->base + s->data_off,
                              .end = s->base + s->data_off + bytes,
                              .first_off = s->data_off,
                              .places = bytes >= 64 ? (bytes - 64) / 8 + 1 : 0};
}
/* As seg_at() with 64 bytes: also NULL for a shorter block at the very end. */
static inline void *seg_reach_line(const struct seg_reach *r, uint64_t off) {
    uint64_t at = off - r->first_off;
    /* rotated: an offset before the first, or not 8-aligned, becomes a huge number */
    uint64_t place = at >> 3 | at << 61;
    return __builtin_expect(place < r->places, 1) ? r->first + at : NULL;
}
/* The bytes from such a line to the end. */
static inline uint64_t seg_reach_bytes(const struct seg_reach *r, const void *at) {
    return (uint64_t)(r->end - (const unsigned char *)at);
}
/* The offset of an address inside the segment. */
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
/* Where the memory of span descriptors ends when so much is claimed (G2). */
static inline uint64_t seg_descriptors_end(const struct seg *s, uint64_t claimed) {
    uint64_t spans = claimed > s->data_off ? (claimed - s->data_off) / SPAN_BYTES : 0, page = s->lock_page_bytes;
    uint64_t end = (s->spans_off + spans * sizeof(struct span_shm) + page - 1) / page * page;
    return end < s->data_off ? end : s->data_off;
}
/* The word at `off` anywhere in the segment, metadata included; NULL if out of bounds or
 * misaligned. */
static inline void *seg_word(const struct seg *s, uint64_t off) {
    return off < sizeof(uint64_t) || (off & 3) != 0 || off > s->bytes - 8 ? NULL : s->base + off;
}
/* The word at `off` if a step of the journal may publish it or bump it: in the catalog, a timer
 * shard or a block. Else NULL. */
static inline shm_word *seg_step_word(const struct seg *s, uint64_t off) {
    uint64_t catalog_end = s->catalog_off + LARDER_TABLES_MAX * sizeof(struct table_shm);
    int is_metadata = (off >= s->catalog_off && off < catalog_end) || (off >= s->shards_off && off < s->spans_off);
    if (is_metadata && (off & 7) == 0)
        return (shm_word *)(s->base + off);
    return (shm_word *)seg_at(s, off, sizeof(shm_word));
}

#endif
