/* tests/unit/memory/free_runs_test.c - free spans by length, against brute force.
 *
 * Goal     A take finds the shortest run that is long enough whenever there is one. Spans that are
 *          given back join their neighbours. The last spans stay for arrays. Lists that are lost or
 *          wrong are built again without a span lost or handed out twice.
 * Method   Random takes and gives on the descriptors of a segment with all of its memory claimed.
 *          The model is a byte per span. No other writer; free_runs_check() after every few steps.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/memory/free_runs.h"
#include "core/memory/heap_span.h"
#include "core/table/db.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(free_runs, .timeout = 60 * SLOW_FACTOR);

#define MIB (UINT64_C(1) << 20)

struct fixture {
    struct larder *db;
    struct writer *w;
    const struct seg *s;
    struct rng rng;
    uint32_t claimed;
    uint8_t *taken;   /* by span */
    uint32_t *length; /* by first span of what was taken */
};

static void begin(struct fixture *f, uint64_t bytes) {
    *f = (struct fixture){.db = testseg_open(bytes, 2)};
    cr_assert_eq(writer_borrow(f->db, &f->w), LARDER_OK, "%s", larder_error());
    f->s = f->w->seg;
    rng_seed(&f->rng, rng_test_seed("free_runs"));
    while (heap_claim(f->w, SPAN_BYTES) == LARDER_OK)
        ;
    f->claimed = span_claimed_count(f->s);
    cr_assert_eq(f->claimed, f->s->span_count);
    f->taken = calloc(f->claimed, 1);
    f->length = calloc(f->claimed, sizeof *f->length);
    cr_assert(f->taken && f->length);
    for (uint32_t i = 0; i < f->claimed; i++)
        f->taken[i] = SHM_LOAD(&seg_span(f->s, i)->state) != SPAN_FREE;
    cr_assert_eq(lock_take(f->w, &f->s->shm->span_lock, LOCK_SPAN), LARDER_OK);
}

static void end(struct fixture *f) {
    lock_drop(f->w, &f->w->seg->shm->span_lock, LOCK_SPAN);
    writer_return(f->w);
    larder_close(f->db);
    free(f->taken);
    free(f->length);
}

/* The shortest free run of at least `count`; 0: none. */
static uint32_t shortest(const struct fixture *f, uint32_t count) {
    uint32_t best = 0;
    for (uint32_t i = 0, run; i < f->claimed; i += run + 1) {
        for (run = 0; i + run < f->claimed && !f->taken[i + run];)
            run++;
        if (run >= count && (best == 0 || run < best))
            best = run;
    }
    return best;
}

static uint32_t run_around(const struct fixture *f, uint32_t first) {
    uint32_t from = first, to = first;
    while (from > 0 && !f->taken[from - 1])
        from--;
    while (to < f->claimed && !f->taken[to])
        to++;
    return to - from;
}

static uint32_t count_free(const struct fixture *f) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < f->claimed; i++)
        count += !f->taken[i];
    return count;
}

static int take(struct fixture *f, uint32_t count, uint32_t kept) {
    uint32_t best = shortest(f, count);
    int64_t first = free_runs_take(f->s, count, kept);
    if (best == 0 || count_free(f) < count + kept) {
        cr_assert_eq(first, -1, "%u spans, %u kept", count, kept);
        return 0;
    }
    cr_assert(first >= 0 && first + count <= f->claimed, "%u spans: there is a run of %u", count, best);
    cr_assert_eq(run_around(f, (uint32_t)first), best, "%u spans at %ld", count, (long)first);
    f->length[first] = count;
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(f->taken[first + i], 0, "span %ld is handed out twice", (long)first + i);
        f->taken[first + i] = 1;
        SHM_STORE(&seg_span(f->s, (uint32_t)first + i)->state, SPAN_TAIL);
        for (unsigned k = 0; k < SPAN_BITMAP_WORDS; k++) /* what a user of the span leaves there */
            SHM_STORE(&seg_span(f->s, (uint32_t)first + i)->bitmap[k], rng_below(&f->rng, 2 * f->claimed));
    }
    return 1;
}

static void give_some(struct fixture *f) {
    uint32_t first = (uint32_t)rng_below(&f->rng, f->claimed);
    for (uint32_t i = 0; i < f->claimed && f->length[first] == 0; i++)
        first = (first + 1) % f->claimed;
    uint32_t count = f->length[first];
    if (count == 0)
        return;
    f->length[first] = 0;
    for (uint32_t i = 0; i < count; i++) {
        f->taken[first + i] = 0;
        SHM_STORE(&seg_span(f->s, first + i)->state, SPAN_FREE);
    }
    free_runs_give(f->s, first, count);
}

static void expect_right(const struct fixture *f) {
    uint32_t span;
    const char *wrong = free_runs_check(f->s, &span);
    cr_assert_null(wrong, "span %u %s", span, wrong);
    cr_assert_eq(free_runs_count(f->s), count_free(f));
}

static uint32_t random_count(struct rng *r) {
    return rng_is_one_in(r, 20) ? 1 + (uint32_t)rng_below(r, 200)
                                : 1 + (uint32_t)rng_below(r, rng_is_one_in(r, 2) ? 3 : 26);
}

static void churn(struct fixture *f, uint32_t rounds) {
    for (uint32_t i = 0; i < rounds; i++) {
        int is_growing = i / 200 % 2 == 0;
        if (rng_below(&f->rng, 4) < (is_growing ? 3u : 1u))
            take(f, random_count(&f->rng), rng_is_one_in(&f->rng, 4) ? 50 : 0);
        else
            give_some(f);
        if (i % 16 == 0)
            expect_right(f);
    }
}

Test(free_runs, shortest_run_that_is_long_enough) {
    struct fixture f;
    begin(&f, 16 * MIB);
    churn(&f, getenv("LARDER_TEST_LONG") ? 200000 : 6000);
    expect_right(&f);
    for (uint32_t i = 0; i < f.claimed; i++)
        give_some(&f);
    while (take(&f, 1, 0)) /* to the last one */
        ;
    cr_assert_eq(count_free(&f), 0);
    cr_assert_eq(free_runs_count(f.s), 0);
    end(&f);
}

/* 0 in a segment of an older library: nothing is known. Anything else: damage, or such a library
 * was at work since. */
Test(free_runs, lists_that_are_lost_or_wrong_are_made_again) {
    struct fixture f;
    begin(&f, 8 * MIB);
    for (unsigned round = 0; round < 200; round++) {
        struct seg_shm *shm = f.w->seg->shm;
        churn(&f, 60);
        switch (round % 4) {
        case 0: /* an older segment */
            SHM_STORE(&shm->free_listed, 0);
            SHM_STORE(&shm->free_spans, 0);
            for (unsigned k = 0; k < FREE_LISTS; k++)
                SHM_STORE(&shm->free_list[k], 0);
            break;
        case 1: /* an older library took some and left its own words in their descriptors */
            for (uint32_t i = 0; i < f.claimed; i++)
                if (!f.taken[i] && rng_is_one_in(&f.rng, 10)) {
                    f.taken[i] = 1;
                    f.length[i] = 1;
                    SHM_STORE(&seg_span(f.s, i)->state, SPAN_SMALL);
                    SHM_STORE(&seg_span(f.s, i)->bitmap[2], UINT64_C(0x5555));
                }
            break;
        case 2:
            for (unsigned k = 0; k < FREE_LISTS; k++)
                SHM_STORE(&shm->free_list[k], (uint32_t)rng_below(&f.rng, 2 * f.claimed));
            break;
        default:
            for (uint32_t i = 0; i < f.claimed; i++)
                if (!f.taken[i] && rng_is_one_in(&f.rng, 4)) {
                    SHM_STORE(&seg_span(f.s, i)->bitmap[rng_below(&f.rng, 4)], rng_below(&f.rng, f.claimed + 2));
                    SHM_STORE(&seg_span(f.s, i)->next, (uint32_t)rng_below(&f.rng, f.claimed + 2));
                }
        }
        uint64_t used = 0;
        for (uint32_t i = 0; i < f.claimed; i++)
            used +=
                SHM_LOAD(&seg_span(f.s, i)->state) == SPAN_SMALL && SHM_LOAD(&seg_span(f.s, i)->bitmap[2]) != 0x5555;
        for (unsigned i = 0; i < 20; i++) {
            int64_t first = free_runs_take(f.s, 1 + (uint32_t)rng_below(&f.rng, 4), 0);
            if (first < 0)
                continue;
            cr_assert_eq(f.taken[first], 0, "round %u: a span in use", round);
            free_runs_rebuild(f.s);
        }
        for (uint32_t i = 0; i < f.claimed; i++)
            used -=
                SHM_LOAD(&seg_span(f.s, i)->state) == SPAN_SMALL && SHM_LOAD(&seg_span(f.s, i)->bitmap[2]) != 0x5555;
        cr_assert_eq(used, 0, "round %u: a bitmap in use was stored to", round);
        free_runs_rebuild(f.s);
        expect_right(&f);
    }
    end(&f);
}
