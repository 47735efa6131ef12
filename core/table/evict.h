/* core/table/evict.h - items of evicting tables go, so that a call finds memory.
 *
 * Job      SIEVE (Zhang et al., NSDI 2024), in each part of a stripe: items in the order in which
 *          their keys were first put, and a hand that goes from older to newer ones, and round. An
 *          item that was used since the hand passed last stays, and loses its mark; another goes.
 * Idea     The order costs no memory: an item's key sequence is the stripe's write number when its
 *          key came, and an overwrite keeps it. Keys are spread over stripes and buckets by their
 *          hash, so a row of buckets is a fair sample of the table. Each gives the same share of
 *          its items when it is visited, and all are visited in turn.
 * Rejected Marks in items or buckets: older libraries would see damage. Lists in the order of use:
 *          16 bytes an item, and a lock for each read. One hand for a stripe of several parts:
 *          items are passed twice in a round; 10 points of hit ratio on a scan over a hot set.
 * Rules    E1 Only items of tables that evict now, each by the write protocol of write.h as any
 *             delete.
 *          E2 Bounded: a visit looks at a part of a stripe, a few hundred items, and a call makes
 *             at most EVICT_VISITS_MAX visits. Usually a dozen give enough for a hundred puts.
 *          E3 What another thread has locked is passed over. If that is all, the caller is told:
 *             the segment is not full of items that must stay.
 *          E4 A hand is a hint (A1 of marks.h): the key sequence that it has passed.
 * Locks    Called without any. Takes one item stripe at a time.
 * Crash    Each item as in a delete [evict in ARCHITECTURE.md].
 * Tests    tests/api/evict_test.c, tests/crash/scenarios.c (evict, ..); script/bench --only
 *          eviction measures it
 */
#ifndef LARDER_TABLE_EVICT_H
#define LARDER_TABLE_EVICT_H

#include "core/memory/writer.h"

#define EVICT_VISITS 64u /* without enough, but with some */
#define EVICT_VISITS_MAX 1024u

/* Makes room for a block of so many bytes, and some more. Returns how many items went or lost
 * their mark; 0: no table evicts, or all is locked. *is_blocked: the latter. May leave the writer
 * stuck. */
uint64_t table_evict(struct writer *w, uint64_t bytes, int *is_blocked);
/* Bytes of claimed memory that no block has. In a large segment an estimate. */
uint64_t table_free_bytes(const struct seg *s);
/* For a process that has time (ttl/expirer.c, larder_expire()): if no memory is left to claim and
 * little is free, evicts some, so that calls need not. Returns what table_evict() does. */
uint64_t table_evict_ahead(struct writer *w);

#endif
