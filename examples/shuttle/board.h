/* board.h - what the processes of the demo tell each other, outside the segment under test.
 *
 * Job      One shared mapping (a memfd that children inherit): the phase of the run, the history of
 *          every live item, and the counts of each process. It outlives a SIGKILL of any of them,
 *          so no count is lost.
 * Rules    B1 History: the writer stores `begun` = r before it puts revision r, and `acked` = r
 *             once the put has returned OK. So a read returns a revision between `acked` before the
 *             read and `begun` after it.
 *          B2 begun is acked or acked + 1: a killed writer leaves at most one put in doubt.
 *          B3 A result slot is written by one process in its life; a process that replaces another
 *             takes a new slot.
 * Orders   begun, acked, wave_start and phase are sequentially consistent; the counts are relaxed
 *          (hist.h).
 */
#ifndef SHUTTLE_BOARD_H
#define SHUTTLE_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hist.h"

#define BOARD_PATTERNS_MAX 32
#define BOARD_SLOTS_MAX 16
#define BOARD_NOTE_BYTES 1024

enum board_phase {
    BOARD_LIVE,  /* workers ask, the writer writes */
    BOARD_DRAIN, /* the writer ends; workers go on */
    BOARD_REST   /* nothing changes any more: workers ask everything once and end */
};
enum board_state { BOARD_EMPTY, BOARD_STARTING, BOARD_RUNNING, BOARD_ENDED };

struct board_tally {
    _Atomic uint64_t compared_live, compared_rest, items, wrong; /* items: returned and compared */
    struct hist hist;                                            /* calls of the live phase */
};

struct board_slot {
    _Atomic uint32_t state;
    _Atomic uint32_t in_call;  /* 0, or 1 + the pattern whose call into the engine is under way */
    _Atomic uint32_t repaired; /* puts in doubt that a new writer found and settled */
    _Atomic uint32_t has_note;
    char note[BOARD_NOTE_BYTES]; /* the first wrong answer; written before has_note */
    struct board_tally tally[BOARD_PATTERNS_MAX];
};

struct board_mark {
    _Atomic uint32_t begun, acked;
};

struct board {
    uint64_t bytes;
    uint32_t live_count;
    _Atomic uint32_t phase;
    /* expiry.h: the current wave, once it is all stored; 0 before the first */
    _Atomic int64_t wave_start;
    struct board_slot slot[BOARD_SLOTS_MAX];
    struct board_mark mark[]; /* live_count */
};

/** Makes a board; *fd is its descriptor, inherited by children. NULL if the system refuses. */
struct board *board_new(uint32_t live_count, int *fd);
/** Maps the board of an inherited descriptor. NULL if it is no board for this many live items. */
struct board *board_map(int fd, uint32_t live_count);

/** Counts one more; called by the slot's own process only. */
void board_count(_Atomic uint64_t *word, uint64_t by);
/** Keeps the first note of a slot. */
void board_note(struct board_slot *slot, const char *text);

#endif
