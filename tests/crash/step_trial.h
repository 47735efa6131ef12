/* tests/crash/step_trial.h - one call, killed or held after any number of its instructions, and
 * judged.
 *
 * Job      Knows what a segment looks like before and after the call, runs the call through the
 *          step driver up to an instruction on a copy of the segment, and judges what a process
 *          sees that was attached all the while.
 * Verdict  (1) At once, the text of all read paths (world.h) is the one before or the one after.
 *          (2) Writes into the same stripes and partitions go through promptly. (3) larder_check()
 *          is clean, and no dead slot is left. (4) The text is the same again. (5) As much is in
 *          use as without a death. The call is the same every time, so one instruction publishes:
 *          none before it shows the change, none after it misses it, least of all a call that has
 *          returned.
 * Rules    Everything here fails the test at the first verdict that does not hold, and says after
 *          how many instructions.
 */
#ifndef LARDER_TESTS_CRASH_STEP_TRIAL_H
#define LARDER_TESTS_CRASH_STEP_TRIAL_H

#include "larder.h"
#include "tests/crash/step_driver.h"

enum step_how {
    STEP_ATTACHED, /* has a slot, and has acknowledged a write of another item */
    STEP_COLD,     /* has a slot */
    /* inherited the handle of a process that has written: takes its slot in the call */
    STEP_FORKED,
    STEP_ATTACHING /* the call is larder_open() */
};

struct step_operation {
    const char *name;
    enum step_how how;
    void (*prepare)(struct larder *db);
    void (*act)(struct larder *db); /* NULL: nothing but attach */
    const void *function;           /* which it calls once */
};

/* What is seen of a segment, and what is in use once a survivor has written and checked. */
struct step_state {
    char *text;
    uint64_t used_bytes;
};

struct step_trial {
    const struct step_operation *op;
    int base; /* the segment before the call */
    struct step_state before, after;
    int is_visible; /* before and after differ */
    struct step_target target;
    struct step_driver *driver;
    const struct step_trace *trace;
    uint32_t count;               /* instructions of the call */
    uint32_t old_until, new_from; /* after how many it was not published, and was */
    uint32_t kills, strayed;
    uint64_t slowest_ms; /* of the survivor's reads and writes */
};

/* The segment that op->prepare() makes. */
int step_prepare(const struct step_operation *op);
/* Records the call. Skips the test where a process cannot be stepped. The trial closes base. */
void step_begin(struct step_trial *t, const struct step_operation *op, int base);
void step_end(struct step_trial *t);

/* The process dies after n instructions of the call. */
void step_kill(struct step_trial *t, uint32_t n);
/* It stands still there, readers do not notice, and then it ends its call. */
void step_hold(struct step_trial *t, uint32_t n);
/* Kills until it is known which instruction publishes: number new_from. */
void step_find_publication(struct step_trial *t);
/* The segment in which a process died after n instructions, not judged. */
int step_wreck(struct step_trial *t, uint32_t n);

#endif
