/* tests/unit/memory/heap_death_test.c - what a heap loses by a death: nothing.
 *
 * Goal     Lists, counts and hint can be lost (P2). A death at any store leaks nothing (P1).
 * Method   Caches are ruined and rebuilt. A child dies at its k-th store, for every k, in its own
 *          arena and in another.
 */
#include <criterion/criterion.h>

#include "core/base/crash.h"
#include "core/memory/free_runs.h"
#include "core/memory/heap_span.h"
#include "core/memory/recover.h"
#include "core/table/db.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/unit/memory/heap_kit.h"

TestSuite(heap_death, .timeout = 60 * SLOW_FACTOR);

/* ---- P2: caches can be lost ------------------------------------------------------------------ */

/* Damages everything about a class's spans that can be rebuilt. */
static void ruin_bin(struct fixture *f, struct bin_shm *bin, uint32_t class_index) {
    const struct seg *s = f->w->seg;
    for (uint32_t i = 0; i < span_claimed_count(s); i++) {
        struct span_shm *span = seg_span(s, i);
        if (SHM_LOAD(&span->state) != SPAN_SMALL || SHM_LOAD(&span->class_index) != class_index)
            continue;
        SHM_STORE(&span->used, (uint16_t)rng_next(&f->rng));
        SHM_STORE(&span->next, (uint32_t)rng_next(&f->rng));
        SHM_STORE(&span->prev, (uint32_t)rng_next(&f->rng));
        SHM_STORE(&span->is_listed, (uint8_t)rng_below(&f->rng, 2));
    }
    SHM_STORE(&bin->head, rng_is_one_in(&f->rng, 2) ? 0 : (uint32_t)rng_next(&f->rng));
}

Test(heap_death, bin_is_rebuilt_from_its_bitmaps) {
    struct fixture f;
    begin(&f, 16 * MIB);
    for (unsigned round = 0; round < 20; round++) {
        churn(&f, 1500);
        for (uint32_t c = 0; c < CLASS_COUNT; c++) {
            struct bin_shm *bin = seg_bin(f.w->seg, c); /* the segment is small: one arena */
            cr_assert_eq(lock_take(f.w, &bin->lock, LOCK_BIN), LARDER_OK);
            ruin_bin(&f, bin, c);
            cr_assert_eq(heap_recover_lock(f.w, &bin->lock), LARDER_OK);
            cr_assert_eq(SHM_LOAD(&bin->lock), 0, "and its lock is free");
        }
        expect_totals(&f);
    }
    finish(&f);
}

Test(heap_death, runs_and_hint_are_rebuilt_from_their_heads) {
    struct fixture f;
    begin(&f, 16 * MIB);
    for (unsigned round = 0; round < 20; round++) {
        const struct seg *s = f.w->seg;
        churn(&f, 500);
        cr_assert_eq(lock_take(f.w, &s->shm->span_lock, LOCK_SPAN), LARDER_OK);
        for (uint32_t i = 0; i < span_claimed_count(s); i++) {
            uint32_t state = SHM_LOAD(&seg_span(s, i)->state);
            if ((state == SPAN_TAIL || state == SPAN_FREE) && rng_is_one_in(&f.rng, 3))
                SHM_STORE(&seg_span(s, i)->state, state == SPAN_TAIL ? SPAN_FREE : SPAN_TAIL);
        }
        SHM_STORE(&s->shm->span_hint, span_claimed_count(s));
        cr_assert_eq(heap_recover_lock(f.w, &s->shm->span_lock), LARDER_OK);
        expect_totals(&f);
    }
    finish(&f);
}

Test(heap_death, rebuild_forgets_what_is_in_hand_but_not_taken) {
    struct fixture f;
    uint64_t taken, given;
    begin(&f, 4 * MIB);
    cr_assert_eq(heap_take(f.w, 200, HAND_STEP1, 0, &taken), LARDER_OK);
    cr_assert_eq(take_claiming(f.w, 200, 0, &given), LARDER_OK);
    cr_assert_eq(give_back(f.w, given), LARDER_OK);
    /* as it is between "hand = block" and "bit = 1" */
    SHM_STORE(&f.w->slot->hand[5], given | HAND_STEP0);
    struct span_shm *span = seg_span(f.w->seg, span_index(f.w->seg, taken));
    struct bin_shm *bin = seg_bin(f.w->seg, SHM_LOAD(&span->class_index));
    cr_assert_eq(lock_take(f.w, &bin->lock, LOCK_BIN), LARDER_OK);
    cr_assert_eq(heap_recover_lock(f.w, &bin->lock), LARDER_OK);
    cr_assert_eq(SHM_LOAD(&f.w->slot->hand[5]), 0);
    cr_assert_eq(SHM_LOAD(&f.w->slot->hand[0]), taken | HAND_STEP1);
    cr_assert_eq(heap_give(f.w, 0), LARDER_OK);
    finish(&f);
}

/* ---- P1: deaths ------------------------------------------------------------------------------ */

struct death {
    uint64_t k;
    struct larder *db;
};

/* A new span for a class, a full one, a run; everything back again. Dies at store k of it. */
static int take_and_give(void *arg) {
    const struct death *death = arg;
    struct writer *w;
    uint64_t off[7];
    PROC_CHECK(writer_borrow(death->db, &w) == LARDER_OK);
    shm_crash_arm(death->k);
    for (unsigned i = 0; i < 5; i++)
        PROC_CHECK(heap_take(w, 4096, HAND_STEP1 | HAND_NEW, 0, &off[i]) == LARDER_OK);
    PROC_CHECK(heap_take(w, 3 * SPAN_BYTES, HAND_STEP0 | HAND_NEW, 0, &off[5]) == LARDER_OK);
    PROC_CHECK(heap_take(w, SPAN_BYTES, HAND_STEP0 | HAND_NEW, 0, &off[6]) == LARDER_OK);
    for (unsigned i = 0; i < 7; i++)
        PROC_CHECK(heap_give(w, hand_of(w, off[i])) == LARDER_OK);
    shm_crash_arm(0);
    return 0;
}

Test(heap_death, death_at_any_store_leaks_nothing) {
    struct fixture f;
    struct heap_totals later;
    struct death child = {.k = 1};
    uint32_t recovered;
    begin(&f, 4 * MIB);
    child.db = f.db;
    for (struct proc_result r; child.k < 2000; child.k++) {
        r = proc_run(take_and_give, &child, 20000);
        cr_assert(proc_is_exit(r, 0) || proc_is_signal(r, 9), "store %lu: %s", child.k, proc_text(r));
        cr_assert_eq(recover_all(f.w, &recovered), LARDER_OK, "store %lu: %s", child.k, larder_error());
        cr_assert_eq(recovered, 1);
        heap_totals(f.w->seg, &later);
        cr_assert_eq(later.used_bytes, f.before.used_bytes, "store %lu", child.k);
        expect_clean(f.db);
        if (proc_is_exit(r, 0))
            break;
    }
    cr_assert_gt(child.k, 60, "so many stores there are at least");
    finish(&f);
}

/* A block of another arena, given back; and what bins keep. Dies at store k of it. */
static int take_elsewhere_and_trim(void *arg) {
    const struct death *death = arg;
    struct writer *w;
    uint64_t off;
    PROC_CHECK(writer_borrow(death->db, &w) == LARDER_OK);
    shm_crash_arm(death->k);
    PROC_CHECK(heap_take(w, 384, HAND_STEP1 | HAND_NEW, 0, &off) == LARDER_OK);
    PROC_CHECK(heap_give(w, hand_of(w, off)) == LARDER_OK);
    heap_trim(w);
    shm_crash_arm(0);
    return 0;
}

Test(heap_death, death_in_another_arena_leaks_nothing) {
    struct fixture f;
    struct heap_totals before, later;
    struct death child = {.k = 1};
    struct writer *other;
    uint32_t recovered;
    begin_full(&f, &other);
    writer_abandon(other); /* its slot, and so its arena, is the child's */
    cr_assert_eq(recover_all(f.w, &recovered), LARDER_OK);
    for (uint32_t i = f.count; i > 0 && f.blocks[i - 1].bytes >= SPAN_BYTES; i--)
        if (f.blocks[i - 1].bytes == SPAN_BYTES) { /* a span for a bin to keep */
            model_give(&f, i - 1);
            break;
        }
    model_give(&f, 0);
    heap_totals(f.w->seg, &before);
    child.db = f.db;
    for (struct proc_result r; child.k < 500; child.k++) {
        uint64_t kept;
        cr_assert_eq(take_claiming(f.w, 2000, 0, &kept), LARDER_OK, "%s", larder_error());
        cr_assert_eq(give_back(f.w, kept), LARDER_OK);
        r = proc_run(take_elsewhere_and_trim, &child, 20000);
        cr_assert(proc_is_exit(r, 0) || proc_is_signal(r, 9), "store %lu: %s", child.k, proc_text(r));
        cr_assert_eq(recover_all(f.w, &recovered), LARDER_OK, "store %lu: %s", child.k, larder_error());
        cr_assert_eq(recovered, 1);
        heap_totals(f.w->seg, &later);
        cr_assert(later.used_bytes == before.used_bytes && later.free_bytes == before.free_bytes, "store %lu", child.k);
        uint32_t span;
        cr_assert_null(free_runs_check(f.w->seg, &span), "store %lu", child.k);
        if (proc_is_exit(r, 0))
            break;
    }
    cr_assert(child.k > 25 && child.k < 500, "%lu stores", child.k);
    finish(&f);
}
