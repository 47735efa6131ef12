/* tests/crash/scenarios.h - the operations that are killed at every store.
 *
 * Job      For each operation: a world to do it in, what is done, and how to see that it was what
 *          the name says.
 * Method   An operation such as "splits a leaf" cannot be placed in advance. With search_max the
 *          same act is done for step 0, 1, .. until happened() says that the last one was it; the
 *          world just before that one becomes the base. So every scenario is one short operation,
 *          and a change of the engine that moves the event fails instead of testing nothing.
 */
#ifndef LARDER_TESTS_CRASH_SCENARIOS_H
#define LARDER_TESTS_CRASH_SCENARIOS_H

#include "larder.h"
#include "tests/crash/facts.h"
#include "tests/crash/stage.h"

#define SCENARIO_STEPS_MAX 16

struct scenario {
    const char *name;
    void (*prepare)(struct larder *db); /* NULL: an empty table */
    void (*act)(struct larder *db, int step);
    int (*happened)(const struct facts *before, const struct facts *after);
    int steps;      /* calls of act, with step 0, 1, ..; 0 means one */
    int search_max; /* see above */
    int is_unseen;  /* what is read is the same before and after */
    int clock_s;    /* how much later it is for every process once the world is prepared */
};

/* X(name): all of them. */
#define SCENARIOS(X)                                                                                                   \
    X(attach_detach)                                                                                                   \
    X(recover_a_slot)                                                                                                  \
    X(give_back_slot)                                                                                                  \
    X(put_into_empty)                                                                                                  \
    X(put_new)                                                                                                         \
    X(put_without_index)                                                                                               \
    X(overwrite_same)                                                                                                  \
    X(overwrite_larger)                                                                                                \
    X(overwrite_smaller)                                                                                               \
    X(change_no_key)                                                                                                   \
    X(change_1_key)                                                                                                    \
    X(change_2_keys)                                                                                                   \
    X(change_3_keys)                                                                                                   \
    X(change_4_keys)                                                                                                   \
    X(change_partition)                                                                                                \
    X(leave_indexes)                                                                                                   \
    X(join_indexes)                                                                                                    \
    X(put_if)                                                                                                          \
    X(put_if_refused)                                                                                                  \
    X(increment)                                                                                                       \
    X(increment_key)                                                                                                   \
    X(increment_new)                                                                                                   \
    X(update)                                                                                                          \
    X(update_new)                                                                                                      \
    X(update_refused)                                                                                                  \
    X(transact)                                                                                                        \
    X(transact_refused)                                                                                                \
    X(transact_new)                                                                                                    \
    X(transact_deletes)                                                                                                \
    X(delete_one)                                                                                                      \
    X(delete_last)                                                                                                     \
    X(several_writes)                                                                                                  \
    X(grow_items)                                                                                                      \
    X(grow_partitions)                                                                                                 \
    X(open_partition)                                                                                                  \
    X(close_partition)                                                                                                 \
    X(first_split)                                                                                                     \
    X(split_leaf)                                                                                                      \
    X(make_tall_node)                                                                                                  \
    X(unlink_node)                                                                                                     \
    X(unlink_tall_node)                                                                                                \
    X(drop_head)                                                                                                       \
    X(merge_leaves)                                                                                                    \
    X(merge_tall_node)                                                                                                 \
    X(merge_back)                                                                                                      \
    X(merge_last)                                                                                                      \
    X(merge_empty_head)                                                                                                \
    X(trim_leaves)                                                                                                     \
    X(take_span)                                                                                                       \
    X(return_span)                                                                                                     \
    X(take_run)                                                                                                        \
    X(return_run)                                                                                                      \
    X(join_runs)                                                                                                       \
    X(trim_spans)                                                                                                      \
    X(trim_arrays)                                                                                                     \
    X(trim_empty_arrays)                                                                                               \
    X(move_blocks)                                                                                                     \
    X(move_run)                                                                                                        \
    X(empty_span)                                                                                                      \
    X(clear_array)                                                                                                     \
    X(cut_chain)                                                                                                       \
    X(claim_memory)                                                                                                    \
    X(arm_timer)                                                                                                       \
    X(add_chunk)                                                                                                       \
    X(rearm_timer)                                                                                                     \
    X(expire)                                                                                                          \
    X(fire_moved_timer)                                                                                                \
    X(turn_wheel)                                                                                                      \
    X(purge)                                                                                                           \
    X(purge_full)                                                                                                      \
    X(make_room)                                                                                                       \
    X(make_room_here)                                                                                                  \
    X(make_room_purge)                                                                                                 \
    X(expirer_thread)                                                                                                  \
    X(create_table)                                                                                                    \
    X(create_table_again)                                                                                              \
    X(create_beside_drop)                                                                                              \
    X(create_after_drop)                                                                                               \
    X(drop_table)                                                                                                      \
    X(empty_table)                                                                                                     \
    X(resume_drop)                                                                                                     \
    X(add_index)                                                                                                       \
    X(joined_put)                                                                                                      \
    X(joined_move)                                                                                                     \
    X(joined_update)                                                                                                   \
    X(joined_leave)                                                                                                    \
    X(joined_delete)                                                                                                   \
    X(joined_transact)                                                                                                 \
    X(joined_add_index)                                                                                                \
    X(joined_drop_index)                                                                                               \
    X(drop_index)                                                                                                      \
    X(set_settings)                                                                                                    \
    X(change_ttl)                                                                                                      \
    X(restamp)                                                                                                         \
    X(set_eviction)                                                                                                    \
    X(evict)                                                                                                           \
    X(publish_reads)                                                                                                   \
    X(set_removal)

extern const struct scenario scenarios[];
size_t scenario_count(void);
const struct scenario *scenario_named(const char *name);
int scenario_steps(const struct scenario *s);
/* Prepares the world, moves the clock, puts it on a stage. *first_step: the first step that happens
 * from there. Fails the test if what the name says does not happen. */
void scenario_base(const struct scenario *s, struct stage *stage, int *first_step);

#endif
