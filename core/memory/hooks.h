/* core/memory/hooks.h - what core/ calls in the layers above it, without knowing them.
 *
 * Job      index/ and ttl/ provide the functions, and core/table/ one for core/memory/. liblarder.c
 *          puts them into one constant table. core/ never includes their headers.
 * Locks    All are called with the item's stripe locked, unless they say otherwise, by a writer
 *          that may be a recovery.
 * Tests    tests/crash/enum_test.c
 */
#ifndef LARDER_MEMORY_HOOKS_H
#define LARDER_MEMORY_HOOKS_H

#include "core/segment/layout.h"

struct check_state;
struct htab;
struct item_head;
struct item_peek;
struct larder;
struct larder_index_stats;
struct seg;
struct table_view;
struct writer;

struct core_hooks {
    /* Recovery's upper half, in core/table/finish.h. */
    int (*finish_operation)(struct writer *dead);
    /* Below, `hash` is that of the item's key, which item and but_not share. Waits for the
     * partitions that index_add or index_remove with these arguments will lock, one after the other
     * (lock_pass). */
    int (*index_pass)(struct writer *w, const struct table_view *v, uint64_t hash, const struct item_head *item,
                      const struct item_head *but_not);
    /* Adds the entries that `item` has and `but_not` (may be NULL) has not: those whose kseq
     * differs. Insert-if-missing. After a failure the caller calls index_remove(item, but_not).
     * LARDER_OK, LARDER_E_FULL, OBSTACLE_CLAIM, LARDER_E_BUSY, LARDER_E_CORRUPT. */
    int (*index_add)(struct writer *w, const struct table_view *v, uint64_t hash, const struct item_head *item,
                     const struct item_head *but_not);
    /* Removes the entries that `item` has and `but_not` (may be NULL) has not. Remove-if-present;
     * needs no memory. LARDER_OK, LARDER_E_BUSY, LARDER_E_CORRUPT. */
    int (*index_remove)(struct writer *w, const struct table_view *v, uint64_t hash, const struct item_head *item,
                        const struct item_head *but_not);
    /* Drops the lists of a partition stripe of a table that is being dropped; *budget, the most
     * blocks to give back, counts down. No stripe is locked. LARDER_OK: the stripe is empty;
     * LARDER_MORE; LARDER_E_BUSY; LARDER_E_CORRUPT. */
    int (*index_clear_stripe)(struct writer *w, const struct table_view *v, uint32_t stripe, uint32_t *budget);
    /* Moves the leaf or node at off to another block. The partition stripe is locked, too.
     * LARDER_NOT_FOUND: no list of these partitions refers to it; else as index_add. After a
     * failure step 1 may be open, or blocks of it in hand. */
    int (*index_move)(struct writer *w, const struct htab *partitions, uint64_t off);
    /* Memory is short: leaves of a partition stripe, which is locked, lose their dead entries, and
     * small neighbours become one. Adds to *trimmed how many. LARDER_OK; else the writer is
     * stuck. */
    int (*index_trim)(struct writer *w, const struct htab *partitions, struct stripe_shm *stripe, uint32_t *trimmed);
    /* Recovery of a slot that died adding an index (OP_INDEX_ADD), in its name. It holds the
     * catalog lock. */
    int (*index_recover_add)(struct writer *w, uint32_t table_ordinal, uint32_t index_ordinal);
    /* Recovery of a partition stripe whose lock a dead slot holds. Step 1 is settled already.
     * Corrects the stripe's caches. */
    int (*index_recover_stripe)(struct writer *w, struct stripe_shm *stripe);
    /* Adds a timer: at second at_s the expirer calls upkeep_expire(hash, at_s). A timer too many
     * does no harm. Results as those of index_add. */
    int (*timer_add)(struct writer *w, const struct table_view *v, uint64_t hash, uint32_t at_s);
    /* Recovery of a wheel shard whose lock a dead slot holds. Step 1 is settled already. */
    int (*timer_recover_shard)(struct writer *w, lock_word *lock);
    /* A write found no room: removes some of what has expired by now_s, a bounded number, wherever
     * it is. The caller holds no lock of a rank above LOCK_GATE. LARDER_OK: something was removed;
     * LARDER_NOT_FOUND: nothing; LARDER_E_BUSY: live processes have locked what is due, or the
     * writer is stuck. */
    int (*timer_make_room)(struct writer *w, int64_t now_s);
    /* The same when nothing has expired: drops timers that no item needs, and of dropped tables, a
     * bounded number. Needs no memory. LARDER_OK: memory came back; LARDER_MORE: none did, and
     * another call looks further; LARDER_NOT_FOUND: none did, or it was looked for a moment ago;
     * LARDER_E_BUSY: the writer is stuck. */
    int (*timer_purge)(struct writer *w, int64_t now_s);
    /* Repair (core/audit/repair.h), while no other process is at work. Empties the wheel: every
     * list of every shard is forgotten. */
    void (*timer_forget_all)(const struct seg *s);
    /* Puts all entries of these items (offsets of their blocks) into empty lists. is_dense: the
     * lists take as little memory as they can; else blocks of any size, which finds room in more
     * places. Claims memory itself. *entries counts up. LARDER_OK; LARDER_E_FULL; LARDER_E_BUSY or
     * LARDER_E_CORRUPT: it cannot go on. */
    int (*index_refill)(struct writer *w, const struct table_view *v, const uint64_t *item, size_t count, int is_dense,
                        uint64_t *entries);
    /* Adds the entries of an index (0: table order) to the counts of their items' stripes, as far
     * as they can be read. LARDER_OK; LARDER_NOT_FOUND: no reader may use this index, or there is
     * none; LARDER_E_CORRUPT: some could not be read. */
    int (*index_count_items)(const struct table_view *v, uint32_t number, uint32_t *counts);
    /* larder_check(), see core/audit/check.h. Results are those of its parts. Outside locks: checks
     * the lists of a partition stripe; with is_judging only the entries of groups whose sum is not
     * 0. */
    int (*index_check_stripe)(struct check_state *c, uint32_t table, uint32_t stripe, int is_judging);
    /* Under the item's stripe: index_sum_item adds the fingerprints of the entries that the item
     * must have; index_judge_item looks for those entries. */
    void (*index_sum_item)(struct check_state *c, const struct table_view *v, uint64_t hash,
                           const struct item_peek *item);
    void (*index_judge_item)(struct check_state *c, const struct table_view *v, uint64_t hash,
                             const struct item_peek *item);
    /* Whether a list of these partitions refers to the leaf or node at off. */
    int (*index_refers)(const struct htab *partitions, uint64_t off);
    /* The stripe of the list that a leaf or node says it belongs to; NULL: it is neither. */
    struct stripe_shm *(*index_stripe_of)(const struct htab *partitions, uint64_t off);
    /* timer_check walks the wheel and notes its timers. Then timer_check_item says, under each
     * item's stripe, whether its timer was there. Then timer_judge looks again at the items for
     * which it was not. */
    int (*timer_check)(struct check_state *c);
    void (*timer_check_item)(struct check_state *c, const struct table_view *v, uint64_t hash,
                             const struct item_peek *item);
    int (*timer_judge)(struct check_state *c);
    /* check_count_ref() for every chunk of the wheel. */
    int (*timer_refs)(struct check_state *c);
    /* Statistics. */
    int (*index_stats)(const struct table_view *v, struct larder_index_stats *out, uint32_t count);
    int (*timer_stats)(struct larder *db, uint32_t table_ordinal, uint64_t *entries);
};

/* Defined in liblarder.c, the one file that knows all layers. */
extern const struct core_hooks *const core_hooks;

#endif
