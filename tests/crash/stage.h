/* tests/crash/stage.h - one segment that is put back to a known state again and again.
 *
 * Job      A state is the private copy of a segment as a death, or an operation, left it. The stage
 *          is a memfd that is made to hold a state. States are told apart by a hash: thousands of
 *          deaths leave the same bytes, which need only be judged once.
 * Rules    S1 Putting a state on the stage stores only the pages that differ: a death costs
 *             microseconds of copying.
 *          S2 The hash covers all of the metadata and every block that is handed out. Left out is
 *             what differs between two runs of the same program (process ids, times, generations of
 *             slots, counters for people) and memory that nothing refers to (free spans and
 *             blocks).
 *          S3 A copy carries no file locks: every slot that is taken in a state is a dead one, as
 *             it was at the death.
 */
#ifndef LARDER_TESTS_CRASH_STAGE_H
#define LARDER_TESTS_CRASH_STAGE_H

#include <stdint.h>

struct stage {
    int memfd;
    unsigned char *bytes; /* the whole segment, mapped */
    uint64_t size;
};

struct state {
    unsigned char *bytes;
    /* up to the last span in use, and some free ones, where an operation takes its memory */
    uint64_t count;
};

/* Takes the descriptor over. */
void stage_open(struct stage *s, int memfd);
void stage_close(struct stage *s);
/* What the stage holds now. */
struct state stage_take(const struct stage *s);
void stage_set(struct stage *s, const struct state *state);
void state_free(struct state *state);
/* Fills all memory that is not handed out with rubbish. */
void stage_scrub(struct stage *s);

/* Rule S2. `bytes` is a mapped segment or a state. */
uint64_t state_hash(const unsigned char *bytes);

/* A set of hashes. */
struct seen {
    uint64_t *hash;
    uint64_t count, capacity;
};
/* 1 if it is new. */
int seen_add(struct seen *seen, uint64_t hash);
int seen_has(const struct seen *seen, uint64_t hash);
void seen_free(struct seen *seen);

#endif
