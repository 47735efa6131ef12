/* tests/unit/table/windows_test.c - plans of runs of spans, against their rules.
 *
 * Goal     A plan has a row for each run, as long as it, and no two share a span. A row that is
 *          called free is; the others have no pinned span, and no run as long as they are. If all
 *          runs fit into what is free, nothing is to be emptied.
 * Method   Random states in the descriptors of a segment with all of its memory claimed, and random
 *          lists of runs. The descriptors are put back at the end.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/memory/heap_span.h"
#include "core/table/db.h"
#include "core/table/windows.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(windows, .timeout = 60 * SLOW_FACTOR);

#define TRIALS (400 / SLOW_FACTOR)

struct fixture {
    struct larder *db;
    struct writer *w;
    struct rng rng;
    uint32_t spans;
    struct span_shm *before;
};

static void begin(struct fixture *f) {
    *f = (struct fixture){.db = testseg_open(8u << 20, 2)};
    cr_assert_eq(writer_borrow(f->db, &f->w), LARDER_OK);
    while (heap_claim(f->w, SPAN_BYTES) == LARDER_OK)
        ;
    rng_seed(&f->rng, rng_test_seed("windows"));
    f->spans = span_claimed_count(f->w->seg);
    cr_assert_gt(f->spans, 0);
    f->before = malloc(f->spans * sizeof *f->before);
    cr_assert(f->before);
    memcpy(f->before, seg_span(f->w->seg, 0), f->spans * sizeof *f->before);
}

static void end(struct fixture *f) {
    memcpy(seg_span(f->w->seg, 0), f->before, f->spans * sizeof *f->before);
    free(f->before);
    writer_return(f->w);
    larder_close(f->db);
}

static struct span_shm *span(const struct fixture *f, uint32_t i) {
    return seg_span(f->w->seg, i);
}

/* `free_of_8` of 8 places are free, the others have small blocks, or a run. */
static void scatter(struct fixture *f, uint32_t free_of_8) {
    for (uint32_t i = 0, count; i < f->spans; i += count) {
        uint32_t kind = rng_below(&f->rng, 8), run = rng_below(&f->rng, 4);
        count = kind >= free_of_8 && run == 0 ? 2 + rng_below(&f->rng, 5) : 1;
        if (count > f->spans - i)
            count = 1;
        for (uint32_t k = 0; k < count; k++) {
            span(f, i + k)->state = (uint8_t)(kind < free_of_8 ? SPAN_FREE : count == 1 ? SPAN_SMALL : SPAN_TAIL);
            span(f, i + k)->class_index = 0;
            span(f, i + k)->used = (uint16_t)rng_below(&f->rng, 300);
        }
        if (count > 1) {
            span(f, i)->state = SPAN_RUN;
            span(f, i)->next = count;
        }
    }
}

static int compare(const void *a, const void *b) {
    return *(const int *)b - *(const int *)a;
}

static void judge(const struct fixture *f, const struct runs *runs, const struct pinned *pinned,
                  const struct windows *plan, int result) {
    int lengths[SPAN_RANGES_MAX], to_empty = 0;
    cr_assert_eq(plan->rows.count, runs->count);
    for (uint32_t i = 0; i < plan->rows.count; i++) {
        const struct span_range *row = &plan->rows.at[i];
        uint32_t end = i + 1 < plan->rows.count ? plan->rows.at[i + 1].from : f->spans;
        cr_assert(row->from + row->count <= end, "rows share a span");
        lengths[i] = (int)row->count;
        to_empty += !plan->is_free[i];
        for (uint32_t k = 0; k < row->count; k++) {
            const struct span_shm *s = span(f, row->from + k);
            cr_assert(!plan->is_free[i] || s->state == SPAN_FREE, "span %u is not free", row->from + k);
            cr_assert(s->state != SPAN_RUN || s->next < row->count, "a run as long as the window");
            for (uint32_t p = 0; p < pinned->count && !plan->is_free[i]; p++)
                cr_assert_neq(row->from + k, pinned->at[p]);
        }
    }
    cr_assert_eq(to_empty, result);
    qsort(lengths, plan->rows.count, sizeof *lengths, compare);
    for (uint32_t i = 0; i < runs->count; i++)
        cr_assert_eq((uint32_t)lengths[i], runs->length[i]);
}

Test(windows, plans_keep_their_rules) {
    struct fixture f;
    int planned = 0, impossible = 0, free_already = 0;
    begin(&f);
    for (int trial = 0; trial < TRIALS; trial++) {
        struct runs runs = {0};
        struct pinned pinned = {0};
        struct windows plan;
        scatter(&f, 1 + rng_below(&f.rng, 7));
        uint32_t count = 1 + rng_below(&f.rng, 40), longest = 2 + rng_below(&f.rng, 25);
        for (uint32_t i = 0; i < count; i++)
            runs_add(&runs, (uint64_t)(1 + rng_below(&f.rng, longest)) * SPAN_BYTES);
        for (pinned.count = 0; pinned.count < rng_below(&f.rng, WINDOWS_TRIED); pinned.count++)
            pinned.at[pinned.count] = rng_below(&f.rng, f.spans);
        int result = windows_plan(f.w->seg, &runs, &pinned, &plan);
        if (result >= 0)
            judge(&f, &runs, &pinned, &plan, result);
        planned += result > 0;
        impossible += result < 0;
        free_already += result == 0;
    }
    cr_expect(planned > 0 && impossible > 0 && free_already > 0, "%d planned, %d not, %d free", planned, impossible,
              free_already);
    end(&f);
}

Test(windows, what_is_needed_is_counted_in_spans) {
    struct runs runs = {0};
    for (int i = 0; i < 4; i++)
        runs_add(&runs, 8192);
    cr_assert(runs.count == 0 && runs.total == 2);
    runs_add(&runs, 40000);
    runs_add(&runs, 400000);
    runs_add(&runs, 40000);
    cr_assert(runs.count == 3 && runs.total == 2 + 25 + 3 + 3);
    cr_assert(runs.length[0] == 25 && runs.length[1] == 3 && runs.length[2] == 3);
    cr_assert(runs_ask_again(&runs, 30000));
    cr_assert(runs.count == 4 && runs.length[3] == 2 && runs.total == 35);
    runs_clear(&runs);
    cr_assert(runs.count == 1 && runs.total == 2);
    while (runs_ask_again(&runs, 400000))
        ;
    runs_clear(&runs);
    for (int i = 0; i < LARDER_TRANSACT_ACTIONS_MAX + 1; i++)
        runs_add(&runs, 400000);
    cr_assert_eq(runs.count, LARDER_TRANSACT_ACTIONS_MAX + 1 + RUNS_EXTRA_MAX);
}
