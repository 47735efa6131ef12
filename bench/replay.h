/* bench/replay.h - runs the traces of many cores beside each other, in a model of time.
 *
 * Job      Takes what each core did in calls that ran one after the other, and lets the cores do it
 *          at the same time: instructions take time, a line that moves takes time, and a lock that
 *          is held is waited for. Says how many calls a second that makes, and what bounds them.
 * Rules    R1 The core whose clock is behind does the next thing. A locked word is taken by one
 *             core, until that core unlocks it.
 *          R2 A line serves one move after the other; a load of a line that nobody has modified
 *             waits for the line and does not hold it up.
 *          R3 It is a ceiling. A core that waits for a lock waits without touching it; a reader
 *             never has to read again; the kernel takes no time; a core's own misses of memory cost
 *             nothing, as if all were prefetched.
 *          R4 The first call of each core warms the caches and is not counted. The end is when the
 *             first core has done all its calls, so every core worked until then.
 * Tests    tests/unit/bench/coherence_test.c
 */
#ifndef LARDER_BENCH_REPLAY_H
#define LARDER_BENCH_REPLAY_H

#include "bench/coherence.h"
#include <stddef.h>

#define REPLAY_TRANSFER_NS 100.0   /* a line moves from core to core */
#define REPLAY_INSTRUCTION_NS 0.15 /* 3.3 GHz, two instructions a cycle */

enum replay_kind { REPLAY_LOAD, REPLAY_STORE, REPLAY_LOCK, REPLAY_UNLOCK, REPLAY_CALL_ENDS };

struct replay_event {
    uint32_t line, instructions; /* since the event before */
    uint16_t words, tag;
    uint32_t kind;
};

/* What a core did, call after call. */
struct replay_stream {
    struct replay_event *event;
    size_t count, room;
};
void replay_add(struct replay_stream *s, const struct replay_event *e);
void replay_free(struct replay_stream *s);

struct replay_result {
    double calls, ns;               /* of all cores together */
    uint64_t kind[COHERENCE_KINDS]; /* accesses */
    double waited_ns, instructions; /* all cores: for locks; executed */
    /* what one line, or one lock, was busy at most: the share of the time is its load */
    double line_ns, lock_ns;
    uint32_t line, lock_line;
    /* by tag; the caller frees them with replay_result_free() */
    struct replay_tag {
        uint64_t kind[COHERENCE_KINDS], is_false;
    } * tag;
};
void replay_run(const struct replay_stream *streams, unsigned cores, uint32_t lines, uint32_t tags,
                struct replay_result *out);
void replay_result_free(struct replay_result *r);

static inline uint64_t replay_moves(const uint64_t kind[COHERENCE_KINDS]) {
    uint64_t moves = 0;
    for (unsigned k = COHERENCE_AGAIN; k < COHERENCE_KINDS; k++)
        moves += kind[k];
    return moves;
}

#endif
