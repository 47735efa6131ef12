/* tests/crash/death.h - a process that dies at its k-th store on the stage.
 *
 * Job      A child attaches to the stage, does something, detaches, and dies by SIGKILL before its
 *          k-th store to the segment. What it acknowledged is noted outside the segment. The same
 *          run without a death tells how many stores there are, and which state a death at each of
 *          them would leave.
 * Rules    D1 What a child stores depends on the stage and on the slots that live processes hold.
 *             So the survivor attaches before the run that counts, as it does before each death.
 */
#ifndef LARDER_TESTS_CRASH_DEATH_H
#define LARDER_TESTS_CRASH_DEATH_H

#include "tests/crash/scenarios.h"
#include "tests/crash/stage.h"

#define DEATH_STORES_MAX 40000u

/* What a child does: an operation of a scenario, or a recovery. */
struct doing {
    void (*act)(struct larder *db, int step);
    int first_step, steps;
};

struct doing doing_of(const struct scenario *s, int first_step);

/* Runs it until it dies at store k. Returns the number of steps that were acknowledged. Fails the
 * test if it ends otherwise. */
int die_at(const struct stage *stage, const struct doing *doing, uint64_t k, const char *label);
/* Runs it without a death. Returns the number of stores. hashes: NULL, or gets for each store, from
 * place 1, the hash of the state that a death at it leaves; with room for DEATH_STORES_MAX. */
uint64_t live_through(const struct stage *stage, const struct doing *doing, uint64_t *hashes, const char *label);

/* ---- Ways to recover ------------------------------------------------------------------------- */
enum recoverer {
    RECOVER_BY_CHECK,  /* larder_check(): all that is dead, entirely */
    RECOVER_BY_EXPIRY, /* larder_expire(): the same, as the expirer */
    RECOVER_BY_WAITER, /* takes every item stripe in turn: recovers the slot that holds it */
    /* puts an item with all its entries: may hold a stripe and need only some stages */
    RECOVER_BY_WRITER,
    RECOVER_COUNT
};
struct doing doing_recovery(enum recoverer by);
const char *recoverer_name(enum recoverer by);

#endif
