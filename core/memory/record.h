/* core/memory/record.h - the record of a transaction: which of two items counts, for every process.
 *
 * Job      A transaction changes items of several stripes and tables by one store. While it does,
 *          old and new items stand side by side in the hash table. Every stripe that it changes is
 *          marked, and leads to the transaction's record. The record's state says which side
 *          counts. The store of COMMITTED is the commit.
 * Picture  slot.record_off -----------> struct record_shm {state, entries: stripe, table,
 *                                        ^                 old_word, new_word}
 *          stripe.seq with SEQ_MARK      |
 *          stripe.record_off ------------'
 * Rules    X1 PENDING: the new words of the record do not count. COMMITTED: the old ones do not.
 *             Such a word is hidden. Every other word of the stripe counts. So what a reader skips
 *             is all that a transaction adds to a read.
 *          X2 A word is in the record before it is in a bucket. A stripe is marked before the first
 *             new word is in it, and until its last hidden word has gone. All old words are in the
 *             record before the commit.
 *          X3 Setting the mark, clearing it, and each removal of a word move the sequence. The
 *             record's block is given back after the last mark. So while the sequence stands, the
 *             record is the same one.
 *          X4 The stripes of all entries are in the record before the first of their locks is
 *             taken: it is their note (rule K1 of core/memory/lock.h). Entries are in the order of
 *             their stripes' addresses, which is the order of the locks.
 * Readers  record_look(), read without hidden words, record_stands(). If it stands, what was read
 *          counted when the state was loaded last. So after the commit every read that begins gives
 *          the new items, of all stripes, whether the committer goes on, stands still or is dead.
 * Crash    core/table/commit.h
 * Tests    tests/api/transact_test.c, tests/crash/scenarios.c (transact ..)
 */
#ifndef LARDER_MEMORY_RECORD_H
#define LARDER_MEMORY_RECORD_H

#include "core/segment/seg.h"

#define RECORD_MAGIC UINT64_C(0x0000000774786e00) /* no item is so small, so none begins like this */
#define RECORD_PENDING UINT64_C(0x70656e64)
#define RECORD_COMMITTED UINT64_C(0x646f6e65)
#define RECORD_ENTRIES_MAX 128u

struct record_entry_shm {
    shm_word stripe_off;
    shm_word table;              /* its place in the catalog */
    shm_word old_word, new_word; /* 0: none */
};

struct record_shm {
    shm_word magic, state, count, zero;
    struct record_entry_shm entry[];
};

static inline uint64_t record_bytes(uint32_t entries) {
    return sizeof(struct record_shm) + entries * sizeof(struct record_entry_shm);
}

/* A look at a stripe. */
struct record_view {
    const struct stripe_shm *stripe;
    uint64_t seq;                    /* with its mark */
    const struct record_shm *record; /* NULL: no transaction */
    uint64_t state;
    uint32_t count;
};

/* The record at an offset, with its number of entries. NULL: there is none that makes sense. */
struct record_shm *record_at(const struct seg *s, uint64_t off, uint32_t *count);

/* The rest of record_look(). */
int record_look_closer(struct record_view *view, const struct seg *s);
/* Begins a read of a stripe. LARDER_OK; LARDER_CHANGED: look again; LARDER_E_CORRUPT: the stripe is
 * marked, and leads to no record. */
static inline int record_look(struct record_view *view, const struct seg *s, const struct stripe_shm *stripe) {
    view->stripe = stripe;
    view->record = NULL;
    view->seq = SHM_LOAD(&stripe->seq);
    return __builtin_expect(!(view->seq & SEQ_MARK), 1) ? LARDER_OK : record_look_closer(view, s);
}
/* Whether all that was read since record_look() was linked, and what was not hidden counted. */
static inline int record_stands(const struct record_view *view) {
    if (__builtin_expect(view->record != NULL, 0) && SHM_LOAD(&view->record->state) != view->state)
        return 0;
    return SHM_LOAD_RELAXED(&view->stripe->seq) == view->seq;
}
int record_has_hidden(const struct record_view *view, uint64_t word);
/* Whether a word that was loaded from a bucket of the stripe is hidden (X1). */
static inline int record_hides(const struct record_view *view, uint64_t word) {
    return __builtin_expect(view->record != NULL, 0) && record_has_hidden(view, word);
}

/* Whether the slot's record notes the stripe whose lock is at off. */
int record_notes_lock(const struct seg *s, const struct slot_shm *slot, uint64_t off);

#endif
