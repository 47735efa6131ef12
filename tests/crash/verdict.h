/* tests/crash/verdict.h - what the survivor of a death does, and what must hold.
 *
 * Job      A story is what is seen before an operation and after each of its steps, in an
 *          undisturbed run. A verdict is given by a process that was attached all the while: it
 *          goes on at once, and compares.
 * Verdict  V1 At once: every read path shows the state after the last acknowledged step, or the one
 *             after the step that was under way. No path shows anything else.
 *          V2 No process waits: reads, writes into the same stripes and lists, larder_check() and
 *             larder_expire() end within VERDICT_DEED_MS, in whatever order they come.
 *          V3 What was seen stays: recovery does not take a published change back, nor publish one
 *             that was not.
 *          V4 larder_check() is clean: no leaked block, no stale entry, every count right.
 *          V5 There are as many items, index entries and partitions as in the undisturbed run,
 *             hidden indexes included, and in as many bytes as before or after the step.
 *          V6 When time has passed, the same items have expired: no timer was lost.
 *          V7 When all tables have been dropped and all timers purged, what is handed out is the
 *             stripe arrays, to the byte. When the survivor has left, no slot is taken.
 */
#ifndef LARDER_TESTS_CRASH_VERDICT_H
#define LARDER_TESTS_CRASH_VERDICT_H

#include "tests/crash/scenarios.h"
#include "tests/crash/stage.h"

#define VERDICT_DEED_MS 4000

struct moment {
    char *text;
    /* of all tables; entries and partitions of hidden indexes, too */
    uint64_t items, entries, partitions;
    uint64_t item_bytes; /* of the table World; 0 without it */
    uint64_t items_left; /* when everything that can expire has */
};
struct story {
    struct moment at[SCENARIO_STEPS_MAX + 1];
    int steps;
};

/* Does the scenario's steps on the stage, which is put back after that. */
void story_tell(struct story *story, const struct scenario *s, struct stage *stage, int first_step);
void story_free(struct story *story);

/* What the survivor does first; the rest follows in the order of this list. */
enum deed { DEED_READ, DEED_WRITE, DEED_CHECK, DEED_EXPIRE, DEED_COUNT };

/* The verdict of `db`, which was attached before the death. `acked` steps were acknowledged. Closes
 * db; the stage is used up. `label`, k and j say in messages where the death was. Fails the
 * test. */
void verdict(struct larder *db, const struct stage *stage, const struct story *story, int acked, enum deed first,
             const char *label, uint64_t k, uint64_t j);

#endif
