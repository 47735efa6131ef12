/* core/audit/check.h - the audit of a segment that is in use: what larder_check() runs.
 *
 * Job      Walks catalog, stripes, items, lists, timers and heap. Verifies the numbered rules of
 *          their headers. Finds blocks that are handed out and have no reference (leaks), and
 *          blocks with two references.
 * Idea     Two steps. A look goes over a piece of one structure under that structure's lock, for
 *          about a millisecond (check_look.c). What one lock shows is judged at once. What needs
 *          two structures is only noted: an entry and its item, an item and its timer, a block and
 *          its reference. A note may have been caused by a write in between. So each note is looked
 *          at again under the lock that makes it exact (rule C3).
 * Rules    C1 Everything read is untrusted input: bounds first, hops bounded.
 *          C2 No hold of a lock is longer than CHECK_HOLD_NS and one unit: a bucket chain, a leaf,
 *             a chunk, the count of a stripe. Between two holds of one lock its waiters come first.
 *          C3 An error is reported only if it was seen under a lock that keeps writers out, or,
 *             where there is no lock, if several looks saw the same. Read-only attachments lock
 *             nothing: there every look is of the second kind.
 *          C4 Nothing is allocated, and no user code runs, while a lock is held. Errors and notes
 *             go to memory reserved before.
 * Entries  Each item knows the entries it must have. A group of some items has one number: the sum
 *          of the fingerprints of those entries, minus the fingerprints of the entries in the
 *          lists. Items and lists are walked once each, in memory order, without looking anything
 *          up. Where the number ends as 0, entries and items agree (but for one chance in 2^64). In
 *          the other groups there are errors, or writes came between: their items and entries are
 *          looked up.
 * Files    check.c the call; check_look.c pieces, errors, marks; check_slots.c locks and slots;
 *          check_table.c catalog and tables; check_items.c a stripe; check_stripe.c what it shares
 *          with lists; check_heap.c spans and bins; check_refs.c leaks and double references;
 *          index/index_check.c lists; ttl/ttl_check.c timers.
 * Locks    One of LOCK_STRIPE, LOCK_PARTITION, LOCK_SHARD, LOCK_BIN, LOCK_SPAN at a time. Of
 *          the catalog lock a look only reads the owner.
 * Crash    Stores only lock words and the slot's notes of them.
 * Tests    tests/api/check_test.c, tests/api/check_damage_test.c, tests/crash/check_live_test.c
 */
#ifndef LARDER_AUDIT_CHECK_H
#define LARDER_AUDIT_CHECK_H

#include "core/base/notes.h"
#include "core/table/table.h"

#define CHECK_HOLD_NS 1000000u /* a look that has lasted this long ends at the next unit */
#define CHECK_UNITS 40u        /* with crash points: a check's stores must not depend on time */
#define CHECK_CANCELLED (-104) /* internal result: the caller's progress function cancelled */
#define CHECK_RESERVE 65536u   /* notes that one look may make */
#define CHECK_BAD_LOCKS 16u

/* A growing array in private memory. Grown outside locks only. */
struct check_list {
    void *at;
    size_t count, capacity;
};

/* A block that seemed to have no reference, or more than one. */
struct check_candidate {
    uint64_t off, head[4]; /* head: its first bytes when it was first judged */
    uint16_t refs;
    uint8_t is_twice, stays; /* stays: how often it was judged the same */
};

struct check_state {
    struct larder *db;
    struct seg *seg;
    struct writer *w; /* NULL: attached read-only, nothing is locked */
    struct larder_check_report *report;
    const struct larder_check_options *options;
    struct kept_notes notes;
    int64_t now_s;
    uint64_t done, total; /* for the progress function */

    /* The present look (check_look.c). */
    int is_looking; /* errors are kept in `lines` until the look is over */
    int is_again;   /* read-only: the same piece was looked at before; only errors count */
    int is_mute;    /* a table that is being dropped: blocks are marked, no errors reported */
    uint64_t began_ns;
    uint32_t units; /* how often the look has asked whether it should end */
    char *lines;    /* of this look; each 0-terminated */
    uint32_t lines_used, lines_lost;
    char *kept; /* read-only: the lines that all looks so far had in common */
    uint32_t kept_used;
    uint8_t *saved;                     /* read-only: where the piece begins */
    int ignores_gate;                   /* its lock is damaged */
    uint64_t bad_lock[CHECK_BAD_LOCKS]; /* reported once, and never waited for again */
    uint32_t bad_locks;

    /* two bits per 16 bytes of segment: block starts reached so far, and by this look. Private */
    uint64_t *reached;
    struct check_list marked;     /* uint64_t: blocks this look has reached */
    struct check_list candidates; /* struct check_candidate */
    uint64_t candidates_lost;
    uint64_t activity; /* read-only: check_activity() at the start */

    uint8_t *image;  /* ITEM_IMAGE_BYTES_MAX: the item being looked at */
    uint64_t *words; /* HTAB_CHAIN_MAX: slots of a chain */
    struct item_peek *peeks;

    /* of the present table: see Entries. Indexed by the first sums_bits bits of a hash */
    uint64_t *sums;
    uint32_t sums_bits;
    struct check_list suspects; /* index/: entries to be looked at again; bytes */

    struct check_list timers;  /* ttl/: fingerprints of all timers */
    struct check_list unarmed; /* ttl/: items without a timer among them */
    uint64_t *timer_set;
    uint64_t timer_set_mask;
};

/* ---- check_look.c ---------------------------------------------------------------------------- */

/* Counts an error, keeps the first, and calls the caller's note. During a look: only after it, if
 * the error counts. */
void check_error(struct check_state *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For a reference to a block: the block must be handed out, of at least min_bytes, and not reached
 * before. Returns its memory, or NULL after check_error. `what` names the referrer's kind ("item",
 * "leaf"). */
void *check_block(struct check_state *c, uint64_t off, uint64_t min_bytes, const char *what);

/* Looks at a piece, from *at on, and leaves in *at where to go on. LARDER_OK: all was seen;
 * LARDER_MORE: call it again; or a failure. */
typedef int check_looker(struct check_state *c, void *at);
#define CHECK_AT_BYTES_MAX 4096u /* of *at */
/* Calls `look` piece by piece, each time under the lock (NULL: there is none), until its result is
 * not LARDER_MORE. */
int check_look(struct check_state *c, lock_word *lock, enum lock_rank rank, check_looker *look, void *at,
               size_t at_bytes);
/* True if the look should end at the next unit, with LARDER_MORE. */
int check_is_due(struct check_state *c);
/* Grows a list for `more` elements of element_bytes. Outside locks. LARDER_OK or
 * LARDER_E_NO_MEMORY. */
int check_reserve(struct check_state *c, struct check_list *list, size_t more, size_t element_bytes);
/* `more` units are done. LARDER_OK, CHECK_CANCELLED, LARDER_E_DESTROYED. Outside locks. */
int check_progress(struct check_state *c, uint64_t more);
/* Counts parts that cannot be judged beside writers. */
void check_unjudged(struct check_state *c, uint64_t count);

/* larder_check(), except that the report is written whatever the result is. */
int check_segment(struct larder *db, const struct larder_check_options *options, struct larder_check_report *report);

/* ---- The parts. LARDER_OK however many errors they found; else it could not be looked at ----- */

/* check_slots.c. Rule K1 of core/memory/lock.h. Returns 0 after an error: do not wait for it. */
int check_lock(struct check_state *c, const lock_word *lock);
void check_slots(struct check_state *c);
uint64_t check_activity(const struct check_state *c);
/* check_table.c. Whether a stripe is empty: nothing is left to look at. Checks its lock. */
int check_is_empty(struct check_state *c, const struct stripe_shm *stripe);
int check_tables(struct check_state *c);
/* Whether a process holds the catalog lock, without which no definition changes. */
int check_is_catalog_held(const struct check_state *c);
uint64_t check_tables_work(const struct check_state *c);
/* The present view of a table that exists or is being dropped. LARDER_OK; LARDER_E_NO_TABLE: there
 * is none now; LARDER_E_CORRUPT after an error; ... */
int check_view(struct check_state *c, uint32_t ordinal, const struct table_view **v);
/* After a look that may have met another definition than its view's (*r is OBSTACLE_VIEW): whether
 * to look again. If definitions change each time, it is unjudged, and *r becomes LARDER_OK. */
int check_retry(struct check_state *c, int *r, unsigned *tries);
/* check_stripe.c. Checks a stripe's array block, H2, H3 and H5. kind and blocks: the words for it
 * ("stripe") and for its contents ("items"). */
void check_stripe_head(struct check_state *c, const struct htab *tab, uint32_t number, const char *kind,
                       const char *blocks);
/* A walk over the buckets of a stripe, beginning with that of a hash, until a look returns
 * something other than LARDER_OK. */
struct check_walk {
    const struct htab *tab;
    uint32_t stripe, ahead_bytes; /* ahead_bytes: of each block, prefetched; 0: none */
    uint64_t from;
    /* next: first hash of the next bucket; 0: this is the last one. */
    int (*look)(struct check_state *c, void *at, uint32_t buckets, uint32_t bucket, uint64_t next);
};
int check_buckets(struct check_state *c, const struct check_walk *walk, void *at);
/* check_items.c. A stripe of a table; is_judging: only the items of groups whose sum is not 0. */
int check_item_stripe(struct check_state *c, uint32_t ordinal, uint32_t stripe, int is_judging);
/* check_heap.c. */
int check_heap(struct check_state *c);
uint64_t check_heap_work(const struct check_state *c);
/* check_refs.c. Notes a block for check_refs(), if memory was reserved. */
void check_suspect_block(struct check_state *c, uint64_t off, int is_twice);
int check_refs(struct check_state *c);
/* While check_refs() counts: a reference to a block was found. */
void check_count_ref(struct check_state *c, uint64_t off);

/* Prefetches the mark of a block start: two bits for each 16 bytes. */
static inline void check_prefetch(const struct check_state *c, uint64_t off) {
    SHM_PREFETCH(&c->reached[(off - c->seg->data_off) / 16 / 32]);
}

/* The group of a hash. */
static inline uint64_t *check_sum(const struct check_state *c, uint64_t hash) {
    return &c->sums[hash >> (64 - c->sums_bits)];
}

#endif
