/* tests/torture/shared.h - keys that many processes write at once: which of their writes may a read
 * show?
 *
 * Job      Each key is a register. A writer takes the key's next serial and notes the write as
 *          begun, then calls, then notes the result: all in memory outside the segment, with ticks
 *          of one clock. A read that took from tick a to tick b is judged by these notes.
 *          (support/history.h is simpler and sharper, for keys with one writer each.)
 * A write  takes effect, if it does, between `begun` and `upper`. `upper` is the earliest tick by
 *          which it is over: acknowledged, its process found dead, or its item seen by any process.
 *          `certain`: it did take effect (acknowledged or seen). `void`: refused; it never takes
 *          effect.
 * Judged   J1 What is seen was begun before the read ended, and is not void.
 *          J2 No certain write that was over before the read began was begun after the seen write
 *             was over. (Atomic registers: with J1 and "seen is certain" this also forbids that a
 *             later read goes back to an older write.)
 *          J3 Nothing is seen: some write that J1 and J2 allow left nothing, or left something that
 *             had expired or is under another key of the index.
 *          J4 No two writes say that they replaced the same write: none was lost.
 *          Dropping a table is a delete of all its keys at once.
 * Deaths   A dead process publishes nothing, and recovery never publishes for it
 *          (core/table/write.h). So its write is over when its process has been reaped.
 *          shared_bury() notes that.
 * Places   A key remembers its last SHARED_PLACES writes, and of the others how long they may have
 *          lasted. A read so long that what it needs was forgotten is accepted, and counted
 *          (unjudged).
 * Killed   Any process may die between any two stores here, too. A place is taken by one
 *          compare-and-swap that says "being noted"; the author's `pending` names it before.
 */
#ifndef LARDER_TESTS_TORTURE_SHARED_H
#define LARDER_TESTS_TORTURE_SHARED_H

#include <stdatomic.h>
#include <stdint.h>

#define SHARED_TABLES 4u
#define SHARED_KEYS 160u
#define SHARED_EVENTS 3u /* registers of the table as a whole, after its keys */
#define SHARED_PLACES 64u
#define SHARED_AUTHORS 64u
#define SHARED_EPOCH_S INT64_C(1700000000)
#define SHARED_EXPIRY_SPAN 64

/* Registers of a table as a whole. */
#define SHARED_DROP SHARED_KEYS         /* all keys are deleted */
#define SHARED_INDEX (SHARED_KEYS + 1u) /* an index was added; a drop ends it */
#define SHARED_TTL (SHARED_KEYS + 2u)   /* the TTL attribute was set; value 0: none, 1: "exp" */
#define SHARED_REGISTERS (SHARED_KEYS + SHARED_EVENTS)

struct shared_write {
    _Atomic uint64_t state; /* see shared.c */
    _Atomic uint64_t begun;
    _Atomic uint32_t serial;
    _Atomic int64_t value; /* second of expiry, 0 never; or what an event of the table means */
};

struct shared_key {
    _Atomic uint32_t serials;         /* taken so far */
    _Atomic uint64_t forgotten_upper; /* of the writes that lost their places */
    struct shared_write write[SHARED_PLACES];
};

struct shared_counts {
    _Atomic uint64_t writes, refused_full, refused_busy, reads, judged, unjudged, drops, creates, index_adds, ttl_sets,
        checks, expires, scans, queries, transfers, sums;
};

/* In memory of all processes of a run. */
struct shared {
    uint64_t seed;
    _Atomic uint64_t tick;
    _Atomic int64_t now_s; /* the clock of all handles */
    struct {
        /* 0, or table, register and serial of the write that is under way */
        _Atomic uint64_t pending;
    } author[SHARED_AUTHORS];
    struct shared_counts counts;
    struct shared_key key[SHARED_TABLES][SHARED_REGISTERS];
};

uint64_t shared_tick(struct shared *h);

/* ---- Writing --------------------------------------------------------------------------------- */
struct shared_note {
    struct shared *h;
    struct shared_key *key;
    struct shared_write *place;
    uint32_t author, serial;
    uint64_t begun;
};
/* Takes a serial. What is to be written follows from it. */
void shared_take(struct shared *h, uint32_t author, uint32_t table, uint32_t reg, struct shared_note *note);
/* From here it may take effect. */
void shared_begin(struct shared_note *note, int64_t value);
void shared_acked(struct shared_note *note);
/* NULL, or what is wrong: a process has seen it. */
const char *shared_refused(struct shared_note *note);
/* The author's process is dead, and was reaped. */
void shared_bury(struct shared *h, uint32_t author);

/* ---- Judging --------------------------------------------------------------------------------- */
struct shared_read {
    uint64_t from, to;
    int64_t from_s, to_s; /* the clock at both ends */
};
void shared_read_begin(struct shared *h, struct shared_read *r);
void shared_read_end(struct shared *h, struct shared_read *r);

/* Whether a write with this serial and value (of expiry) may be the reason that a key was not
 * seen. */
typedef int shared_hides(void *arg, uint32_t serial, int64_t value);

/* Write `serial` was seen, with this expiry (-1: it was not shown). */
const char *shared_judge_seen(struct shared *h, const struct shared_read *r, uint32_t table, uint32_t key,
                              uint32_t serial, int64_t expiry);
/* No item was seen. `but`: the serial of the read's own write, which does not count; 0: none. */
const char *shared_judge_unseen(struct shared *h, const struct shared_read *r, uint32_t table, uint32_t key,
                                uint32_t but, shared_hides *hides, void *arg);
/* J4. */
const char *shared_judge_replaced(struct shared *h, uint32_t table, uint32_t key, uint32_t serial);

/* Whether an event register, which began as `initial`, had this value at every moment of the
 * read. */
int shared_was_always(struct shared *h, const struct shared_read *r, uint32_t table, uint32_t reg, int64_t initial,
                      int64_t value);
/* Whether the table may have been dropped after tick `since` and before the read's end. */
int shared_may_be_dropped(struct shared *h, const struct shared_read *r, uint32_t table, uint64_t since);
/* Whether the table certainly had its added index all the while. */
int shared_has_index(struct shared *h, const struct shared_read *r, uint32_t table);

#endif
