/* core/base/swap.h - two steps of the write protocol in the wrong order; for tests of the tests.
 *
 * Job      Where only the order of two steps makes a death or a race harmless, the code says
 *          SHM_IN_ORDER(name, first, second): `first`, then `second`. In the test library the
 *          environment variable LARDER_TEST_SWAP=name swaps the two, and then a suite must fail.
 *          Other builds have none of this.
 * Rules    W1 One swap at a time, chosen when the process starts. An unknown name aborts the
 *             process: a misspelt swap must not look like one that no test noticed.
 *          W2 The code is written in the right order.
 * Tests    tests/crash/swap_test.sh
 */
#ifndef LARDER_BASE_SWAP_H
#define LARDER_BASE_SWAP_H

/* X(name, what it breaks): all of them. */
#define SWAPS(X)                                                                                                       \
    X(publish_before_entries, "a new item is there before the indexes have it")                                        \
    X(publish_before_timer, "an item that expires is there, and no timer will ever take it away")                      \
    X(remove_before_publish, "the indexes lose the old item while it is still the one in the slot")                    \
    X(open_before_words, "a step looks open while it still has the words of the one before")                           \
    X(give_before_sequence, "a reader takes memory that has a new owner already for valid")                            \
    X(close_before_give, "the old block has no owner: neither linked nor in hand")                                     \
    X(bit_before_hand, "a block is handed out, and no slot says to whom")                                              \
    X(hand_before_bit, "a block is given back for the slot, and not for the heap")                                     \
    X(unnote_before_unlock, "a lock is held, and its owner's slot does not say so")                                    \
    X(array_before_fill, "a larger bucket array is there before the items are in it")                                  \
    X(armed_before_timer, "an item says that a timer stands for it, and there is none")                                \
    X(settle_before_entries, "recovery gives the old item back before the indexes have lost it")                       \
    X(free_before_finish, "recovery frees the slot of the dead before what it was doing is finished")                  \
    X(record_after_word, "an item of a transaction is in its bucket, and no record hides it")                          \
    X(forget_before_hand, "the record of a transaction has no owner: neither noted nor in hand")                       \
    X(mark_before_record, "a stripe is marked, and does not say which transaction changes it")                         \
    X(settle_before_commit, "a transaction removes old items before it commits")                                       \
    X(unmark_before_settle, "old items of a transaction are in their buckets, and no mark leads to its record")        \
    X(node_before_towers, "a node of a list is given back while links of higher levels lead to it")                    \
    X(head_before_join, "a list loses its head while it still has two leaves")

#if LARDER_CRASH_POINTS

enum swap {
    SWAP_NONE,
#define SWAP_ENUM(name, breaks) SWAP_##name,
    SWAPS(SWAP_ENUM)
#undef SWAP_ENUM
};

/* Set before main(), constant from then on. Defined in core/base/swap.c. */
extern enum swap swap_chosen;

#define SHM_IN_ORDER(name, first, second)                                                                              \
    do {                                                                                                               \
        if (__builtin_expect(swap_chosen == SWAP_##name, 0)) {                                                         \
            second;                                                                                                    \
            first;                                                                                                     \
        } else {                                                                                                       \
            first;                                                                                                     \
            second;                                                                                                    \
        }                                                                                                              \
    } while (0)

/* For two steps that are not neighbours: the swap does the second step here already, before the
 * first. The second step is one that may be repeated in its own place. */
#define SHM_NOT_YET(name, second)                                                                                      \
    do {                                                                                                               \
        if (__builtin_expect(swap_chosen == SWAP_##name, 0)) {                                                         \
            second;                                                                                                    \
        }                                                                                                              \
    } while (0)

#else

#define SHM_IN_ORDER(name, first, second)                                                                              \
    do {                                                                                                               \
        first;                                                                                                         \
        second;                                                                                                        \
    } while (0)

#define SHM_NOT_YET(name, second)                                                                                      \
    do {                                                                                                               \
    } while (0)

#endif
#endif
