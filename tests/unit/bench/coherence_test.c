/* tests/unit/bench/coherence_test.c - the simulator of bench/cores.c: bench/coherence.h and
 * bench/replay.h.
 *
 * Goal     What it counts is what MESI does, and its time is what R1 to R4 say.
 * Method   Traces made by hand, whose counts follow from the rules with paper and pencil.
 */
#include <criterion/criterion.h>

#include "bench/replay.h"
#include "tests/support/slow.h"

TestSuite(coherence, .timeout = 30 * SLOW_FACTOR);

#define TRANSFER REPLAY_TRANSFER_NS

/* ---- Caches ---------------------------------------------------------------------------------- */

struct move {
    unsigned core;
    char what; /* 'L' or 'S' */
    unsigned word;
    enum coherence_kind expected;
};

/* Returns how many of the moves of line 0 were false sharing. */
static uint64_t play(const struct move *moves, size_t count) {
    struct coherence *c = coherence_new(4, 1, 1);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(coherence_access(c, moves[i].core, 0, (uint16_t)(1u << moves[i].word), moves[i].what == 'S', 0),
                     moves[i].expected, "access %zu", i);
    uint64_t is_false = coherence_false(c, 0);
    coherence_free(c);
    return is_false;
}
#define PLAY(...)                                                                                                      \
    play((const struct move[]){__VA_ARGS__}, sizeof(const struct move[]){__VA_ARGS__} / sizeof(struct move))

Test(coherence, a_core_alone_moves_nothing) {
    cr_assert_eq(PLAY({0, 'L', 0, COHERENCE_MEMORY}, {0, 'S', 1, COHERENCE_HIT}, {0, 'L', 2, COHERENCE_HIT}), 0);
}

Test(coherence, readers_share) {
    cr_assert_eq(PLAY({0, 'L', 0, COHERENCE_MEMORY}, {1, 'L', 0, COHERENCE_SHARE}, {0, 'L', 0, COHERENCE_HIT},
                      {2, 'L', 5, COHERENCE_SHARE}),
                 0);
}

/* A store takes the line from all. The first reader after it fetches it, others find it clean. */
Test(coherence, a_store_takes_the_line_from_readers) {
    cr_assert_eq(PLAY({0, 'L', 0, COHERENCE_MEMORY}, {1, 'L', 0, COHERENCE_SHARE}, {2, 'L', 0, COHERENCE_SHARE},
                      {0, 'S', 0, COHERENCE_UPGRADE}, {0, 'S', 0, COHERENCE_HIT}, {1, 'L', 0, COHERENCE_FETCH},
                      {2, 'L', 0, COHERENCE_AGAIN}, {3, 'L', 0, COHERENCE_SHARE}, {0, 'L', 0, COHERENCE_HIT}),
                 0);
}

Test(coherence, writers_take_and_steal) {
    cr_assert_eq(PLAY({0, 'S', 0, COHERENCE_MEMORY}, {1, 'S', 0, COHERENCE_STEAL}, {0, 'L', 0, COHERENCE_FETCH},
                      {2, 'S', 0, COHERENCE_TAKE}, {2, 'L', 0, COHERENCE_HIT}, {1, 'S', 0, COHERENCE_STEAL}),
                 0);
}

/* Two cores write words of their own in one line. */
Test(coherence, words_of_their_own_are_false_sharing) {
    cr_assert_eq(PLAY({0, 'S', 0, COHERENCE_MEMORY}, {1, 'S', 8, COHERENCE_STEAL}, {0, 'S', 0, COHERENCE_STEAL},
                      {1, 'S', 8, COHERENCE_STEAL}, {0, 'L', 0, COHERENCE_FETCH}),
                 4);
}

/* The access that moves the line meets nobody's words, but one after it does. */
Test(coherence, sharing_is_judged_until_the_line_is_lost) {
    cr_assert_eq(PLAY({0, 'S', 0, COHERENCE_MEMORY}, {1, 'L', 8, COHERENCE_FETCH}, {1, 'L', 0, COHERENCE_HIT}), 0);
    cr_assert_eq(PLAY({0, 'S', 0, COHERENCE_MEMORY}, {1, 'L', 8, COHERENCE_FETCH}, {0, 'S', 0, COHERENCE_UPGRADE},
                      {1, 'L', 0, COHERENCE_FETCH}),
                 2);
    cr_assert_eq(PLAY({0, 'L', 0, COHERENCE_MEMORY}, {1, 'S', 8, COHERENCE_TAKE}, {1, 'S', 0, COHERENCE_HIT}), 0);
}

/* A reader of a word beside one that is written: the clock beside the counter. */
Test(coherence, a_reader_beside_a_writer_is_false_sharing) {
    cr_assert_eq(PLAY({0, 'L', 8, COHERENCE_MEMORY}, {1, 'S', 0, COHERENCE_TAKE}, {0, 'L', 8, COHERENCE_FETCH},
                      {1, 'S', 0, COHERENCE_UPGRADE}, {0, 'L', 8, COHERENCE_FETCH}),
                 4);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void add(struct replay_stream *s, enum replay_kind kind, uint32_t line, uint32_t instructions) {
    replay_add(s, &(struct replay_event){.line = line, .words = 1, .kind = kind, .instructions = instructions});
}

static void end_call(struct replay_stream *s, uint32_t instructions) {
    add(s, REPLAY_CALL_ENDS, 0, instructions);
}

static struct replay_result run(struct replay_stream *streams, unsigned cores) {
    struct replay_result r;
    replay_run(streams, cores, 4, 1, &r);
    for (unsigned i = 0; i < cores; i++)
        replay_free(&streams[i]);
    replay_result_free(&r);
    return r;
}

/* Each core reads a line that all read: ten calls of 1,000 instructions a core, side by side. */
Test(coherence, calls_that_share_nothing_do_not_wait) {
    struct replay_stream s[4] = {0};
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 11; k++) {
            add(&s[i], REPLAY_LOAD, 0, 400);
            end_call(&s[i], 600);
        }
    struct replay_result r = run(s, 4);
    cr_assert_eq(r.calls, 40);
    cr_assert_float_eq(r.ns, 10 * 1000 * REPLAY_INSTRUCTION_NS, 0.01);
    cr_assert_eq(replay_moves(r.kind), 0);
    cr_assert_eq(r.line_ns, 0);
}

/* A counter without a lock: one line, which each store has to fetch, one core after the other. */
Test(coherence, one_line_bounds_all_cores) {
    struct replay_stream s[4] = {0};
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 11; k++) {
            add(&s[i], REPLAY_STORE, 0, 0);
            end_call(&s[i], 0);
        }
    struct replay_result r = run(s, 4);
    cr_assert_float_eq(r.line_ns / r.calls, TRANSFER, 0.1 * TRANSFER, "%g ns a call", r.line_ns / r.calls);
    cr_assert_float_eq(r.ns / r.calls, TRANSFER, 0.1 * TRANSFER, "%g ns a call", r.ns / r.calls);
    cr_assert_eq(r.kind[COHERENCE_STEAL], replay_moves(r.kind));
}

/* 1,000 instructions under one lock. Its line moves once a call; the others' wait is the rest. */
Test(coherence, a_lock_lets_one_core_in) {
    struct replay_stream s[4] = {0};
    double held_ns = 1000 * REPLAY_INSTRUCTION_NS;
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 21; k++) {
            add(&s[i], REPLAY_LOCK, 1, 0);
            add(&s[i], REPLAY_STORE, 2, 0);
            add(&s[i], REPLAY_UNLOCK, 1, 1000);
            end_call(&s[i], 0);
        }
    struct replay_result r = run(s, 4);
    double call_ns = 2 * TRANSFER + held_ns; /* the lock's line, the other line */
    cr_assert_float_eq(r.ns / r.calls, call_ns, 0.1 * call_ns, "%g ns a call", r.ns / r.calls);
    cr_assert_float_eq(r.lock_ns / r.calls, call_ns, 0.1 * call_ns, "%g ns a call", r.lock_ns / r.calls);
    cr_assert_eq(r.lock_line, 1);
    cr_assert_gt(r.waited_ns, 2 * r.ns, "three of four cores wait");
}

/* Two locks in one line are two locks. */
Test(coherence, a_lock_is_a_word) {
    struct replay_stream s[2] = {0};
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < 11; k++) {
            struct replay_event e = {.line = 0, .words = (uint16_t)(1u << i), .kind = REPLAY_LOCK};
            replay_add(&s[i], &e);
            e.kind = REPLAY_UNLOCK;
            e.instructions = 10000;
            replay_add(&s[i], &e);
            end_call(&s[i], 0);
        }
    struct replay_result r = run(s, 2);
    cr_assert_eq(r.waited_ns, 0);
    cr_assert_gt(replay_moves(r.kind), 0, "but the line moves");
}
