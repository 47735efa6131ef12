/* tests/unit/memory/heap_test.c - the allocator against a model.
 *
 * Goal     Blocks never overlap, are aligned and large enough; every span comes back and serves any class; a full segment
 *          says so and stays as it was; lists, counts and hint can be lost (P2); a death at any store leaks nothing (P1).
 * Method   Random takes and gives with a bit per 16 bytes of segment as the model. A block that a test keeps leaves the hand as
 *          if a step had linked it, and is put back in hand to be given. larder_check() and heap_totals() look at the end.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/memory/free_runs.h"
#include "core/memory/heap_span.h"
#include "core/memory/recover.h"
#include "core/table/db.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(heap, .timeout = 60 * SLOW_FACTOR);

#define MIB (UINT64_C(1) << 20)
#define UNIT 16u /* all classes are multiples of it */
#define BLOCKS_MAX 200000u
#define CLASS_BYTES_MAX 8192u

struct block {
    uint64_t off, bytes, stamp;
};

struct fixture {
    struct larder *db;
    struct writer *w;
    struct rng rng;
    struct heap_totals before;
    struct block *blocks;
    uint8_t *taken; /* a byte per UNIT of segment */
    uint32_t count;
};

static void begin(struct fixture *f, uint64_t bytes) {
    *f = (struct fixture){.db = testseg_open(bytes, 2)};
    cr_assert_eq(writer_borrow(f->db, &f->w), LARDER_OK, "%s", larder_error());
    rng_seed(&f->rng, rng_test_seed("heap"));
    heap_totals(f->w->seg, &f->before);
    f->blocks = calloc(BLOCKS_MAX, sizeof *f->blocks);
    f->taken = calloc(bytes / UNIT + 1, 1);
    cr_assert(f->blocks && f->taken);
}

static void expect_clean(struct larder *db) {
    struct larder_check_report report;
    int r = larder_check(db, NULL, &report);
    cr_assert_eq(r, LARDER_OK, "%s: %s", larder_result_name(r), report.first_error);
}

static unsigned hand_of(const struct writer *w, uint64_t off) {
    for (unsigned i = 0; i < SLOT_HAND; i++)
        if ((SHM_LOAD(&w->slot->hand[i]) & ~(uint64_t)HAND_BITS) == off)
            return i;
    return SLOT_HAND;
}

/* Takes the block out of the hand, as a step does that has linked it. */
static void let_go(struct writer *w, uint64_t off) {
    unsigned i = hand_of(w, off);
    if (i == SLOT_HAND)
        abort();
    SHM_STORE(&w->slot->hand[i], 0);
}

static int take_claiming(struct writer *w, uint64_t bytes, unsigned flags, uint64_t *off) {
    int r;
    while ((r = heap_take(w, bytes, HAND_STEP1, flags, off)) == OBSTACLE_CLAIM)
        if ((r = writer_claim(w)))
            return r;
    if (r == LARDER_OK)
        let_go(w, *off);
    return r;
}

static int give_back(struct writer *w, uint64_t off) {
    unsigned i = hand_of(w, 0); /* a free place */
    SHM_STORE(&w->slot->hand[i], off | HAND_STEP1);
    return heap_give(w, i);
}

static shm_word *word_of(const struct writer *w, uint64_t off, uint64_t bytes, int is_last) {
    return (shm_word *)(w->seg->base + off + (is_last ? bytes - sizeof(shm_word) : 0));
}

/* ---- The model ------------------------------------------------------------------------------------------------------ */

static void mark(struct fixture *f, const struct block *b, uint8_t from, uint8_t to) {
    for (uint64_t unit = b->off / UNIT; unit < (b->off + b->bytes) / UNIT; unit++) {
        cr_assert_eq(f->taken[unit], from, "block %lu of %lu bytes overlaps", b->off, b->bytes);
        f->taken[unit] = to;
    }
}

static int model_take(struct fixture *f, uint64_t bytes, unsigned flags) {
    struct block *b = &f->blocks[f->count];
    cr_assert_lt(f->count, BLOCKS_MAX);
    int r = take_claiming(f->w, bytes, flags, &b->off);
    if (r)
        return r;
    b->bytes = heap_block_bytes(f->w->seg, b->off);
    b->stamp = rng_next(&f->rng);
    cr_assert(b->bytes >= heap_round(bytes, flags) && b->bytes <= heap_round_most(bytes, flags),
              "%lu bytes asked, %lu at %lu", bytes, b->bytes, b->off);
    cr_assert_geq(b->bytes, bytes);
    cr_assert(b->off % UNIT == 0 && (!(flags & HEAP_LINE) || b->off % 64 == 0), "block %lu, flags %u", b->off, flags);
    cr_assert_not_null(seg_at(f->w->seg, b->off, b->bytes));
    cr_assert_leq(b->off + b->bytes, SHM_LOAD(&f->w->seg->shm->claimed_bytes), "not backed by memory");
    mark(f, b, 0, 1);
    SHM_STORE(word_of(f->w, b->off, b->bytes, 0), b->stamp);
    SHM_STORE(word_of(f->w, b->off, b->bytes, 1), b->stamp);
    f->count++;
    return LARDER_OK;
}

static void model_give(struct fixture *f, uint32_t i) {
    struct block b = f->blocks[i];
    cr_assert_eq(SHM_LOAD(word_of(f->w, b.off, b.bytes, 0)), b.stamp, "somebody wrote into block %lu", b.off);
    cr_assert_eq(SHM_LOAD(word_of(f->w, b.off, b.bytes, 1)), b.stamp, "somebody wrote into block %lu", b.off);
    mark(f, &b, 1, 0);
    cr_assert_eq(give_back(f->w, b.off), LARDER_OK, "%s", larder_error());
    cr_assert_eq(heap_block_bytes(f->w->seg, b.off), 0, "given back");
    f->blocks[i] = f->blocks[--f->count];
}

static void model_give_all(struct fixture *f) {
    while (f->count)
        model_give(f, (uint32_t)rng_below(&f->rng, f->count));
}

static uint64_t model_bytes(const struct fixture *f) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < f->count; i++)
        sum += f->blocks[i].bytes;
    return sum;
}

/* heap_totals() says what the model says. */
static void expect_totals(const struct fixture *f) {
    const struct seg *s = f->w->seg;
    struct heap_totals t;
    heap_totals(s, &t);
    cr_assert_eq(t.used_bytes, f->before.used_bytes + model_bytes(f));
    cr_assert_eq(t.used_bytes + t.free_bytes, (uint64_t)span_claimed_count(s) * SPAN_BYTES);
    for (uint32_t c = 0; c <= CLASS_COUNT; c++) {
        uint64_t of_class = 0;
        for (uint32_t i = 0; i < f->count; i++)
            of_class +=
                c < CLASS_COUNT ? f->blocks[i].bytes == heap_class_bytes(c) : f->blocks[i].bytes > CLASS_BYTES_MAX;
        cr_assert_eq(t.classes[c].blocks_used, f->before.classes[c].blocks_used + of_class, "class %u", c);
    }
}

static void end(struct fixture *f) {
    model_give_all(f);
    expect_totals(f);
    for (unsigned i = 0; i < SLOT_HAND; i++)
        cr_assert_eq(SHM_LOAD(&f->w->slot->hand[i]), 0);
    writer_return(f->w);
    expect_clean(f->db);
    larder_close(f->db);
    free(f->blocks);
    free(f->taken);
}

/* Sizes as an engine asks for them: mostly small, some near a class's end, some runs. */
static uint64_t random_bytes(struct rng *r) {
    switch (rng_below(r, 8)) {
    case 0:
        return 1 + rng_below(r, 400 * 1024);
    case 1:
        return heap_class_bytes((uint32_t)rng_below(r, CLASS_COUNT)) + rng_below(r, 3) - 1;
    case 2:
        return 1 + rng_below(r, CLASS_BYTES_MAX);
    default:
        return 1 + rng_below(r, 600);
    }
}

/* Takes and gives so many times, with more of the one or the other in turn. */
static void churn(struct fixture *f, uint32_t rounds) {
    for (uint32_t i = 0; i < rounds; i++) {
        int is_growing = i / 1000 % 2 == 0;
        if (f->count == 0 || rng_below(&f->rng, 4) < (is_growing ? 3u : 1u)) {
            int r = model_take(f, random_bytes(&f->rng), rng_is_one_in(&f->rng, 4) ? HEAP_LINE : 0);
            cr_assert(r == LARDER_OK || r == LARDER_E_FULL, "%s", larder_error());
            if (r == LARDER_E_FULL)
                model_give(f, (uint32_t)rng_below(&f->rng, f->count));
        } else
            model_give(f, (uint32_t)rng_below(&f->rng, f->count));
    }
}

/* ---- Sizes ---------------------------------------------------------------------------------------------------------- */

Test(heap, classes_rise_and_waste_little) {
    uint64_t last = 0;
    for (uint64_t bytes = 1; bytes <= CLASS_BYTES_MAX; bytes++) {
        uint64_t plain = heap_round(bytes, 0), line = heap_round(bytes, HEAP_LINE);
        cr_assert(plain >= bytes && plain >= last && plain % UNIT == 0);
        cr_assert(line >= plain && line % 64 == 0, "%lu bytes", bytes);
        cr_assert(heap_round_most(bytes, 0) >= plain && heap_round_most(bytes, HEAP_LINE) == line, "%lu bytes", bytes);
        cr_assert(heap_round_most(bytes, 0) == plain || heap_round_most(bytes, 0) * 2 <= bytes * 3, "%lu bytes", bytes);
        cr_assert(bytes < 48 || plain * 3 <= bytes * 4 + 3 * 16 || bytes > 5440, "%lu become %lu", bytes, plain);
        last = plain;
    }
    cr_assert_eq(heap_round(CLASS_BYTES_MAX + 1, 0), SPAN_BYTES);
    cr_assert_eq(heap_round(SPAN_BYTES, HEAP_LINE), SPAN_BYTES);
    cr_assert_eq(heap_round(SPAN_BYTES + 1, 0), 2 * SPAN_BYTES);
}

Test(heap, every_class_fills_its_spans) {
    struct fixture f;
    begin(&f, 8 * MIB);
    for (uint32_t c = 0; c < CLASS_COUNT; c++) {
        uint32_t blocks = SPAN_BYTES / heap_class_bytes(c), first = f.count;
        for (uint32_t i = 0; i <= blocks; i++)
            cr_assert_eq(model_take(&f, heap_class_bytes(c), 0), LARDER_OK, "%s", larder_error());
        uint32_t span = span_index(f.w->seg, f.blocks[first].off);
        for (uint32_t i = 0; i < blocks; i++)
            cr_assert_eq(span_index(f.w->seg, f.blocks[first + i].off), span, "class %u, block %u of %u", c, i, blocks);
        cr_assert_neq(span_index(f.w->seg, f.blocks[first + blocks].off), span);
    }
    expect_totals(&f);
    end(&f);
}

/* P3. 384 bytes in many spans, of which some are given back; 352 and less then need no span. */
Test(heap, plenty_is_lent_to_smaller_sizes) {
    struct fixture f;
    uint32_t blocks = SPAN_BYTES / 384;
    begin(&f, 8 * MIB);
    for (uint32_t i = 0; i < 4 * blocks; i++)
        cr_assert_eq(model_take(&f, 384, 0), LARDER_OK);
    model_give(&f, 0);
    cr_assert_eq(model_take(&f, 352, 0), LARDER_OK);
    cr_assert_eq(f.blocks[f.count - 1].bytes, 352, "one span with free blocks is none too many");
    model_give(&f, f.count - 1);
    while (f.count > 2 * blocks) /* the later half comes from the front by and by: all spans have free blocks */
        model_give(&f, (uint32_t)rng_below(&f.rng, f.count));
    cr_assert_eq(model_take(&f, 320, 0), LARDER_OK);
    cr_assert_eq(f.blocks[f.count - 1].bytes, 384, "lent");
    cr_assert_eq(model_take(&f, 250, 0), LARDER_OK);
    cr_assert_eq(f.blocks[f.count - 1].bytes, 256, "less than two thirds is not lent");
    cr_assert_eq(model_take(&f, 320, HEAP_LINE), LARDER_OK);
    cr_assert_eq(f.blocks[f.count - 1].bytes, 320, "arrays have their size");
    expect_totals(&f);
    end(&f);
}

Test(heap, only_starts_of_blocks_are_blocks) {
    struct fixture f;
    begin(&f, 4 * MIB);
    const struct seg *s = f.w->seg;
    cr_assert_eq(model_take(&f, 3 * SPAN_BYTES, 0), LARDER_OK);
    cr_assert_eq(model_take(&f, 100, 0), LARDER_OK);
    cr_assert_eq(heap_block_bytes(s, f.blocks[0].off), 3 * SPAN_BYTES);
    cr_assert_eq(heap_block_bytes(s, f.blocks[0].off + SPAN_BYTES), 0, "a tail");
    cr_assert_eq(heap_block_bytes(s, f.blocks[0].off + UNIT), 0);
    cr_assert_eq(heap_block_bytes(s, f.blocks[1].off + UNIT), 0);
    cr_assert_eq(heap_block_bytes(s, f.blocks[1].off + f.blocks[1].bytes), 0, "a free block");
    cr_assert_eq(heap_block_bytes(s, 0), 0);
    cr_assert_eq(heap_block_bytes(s, s->data_off - UNIT), 0);
    cr_assert_eq(heap_block_bytes(s, s->bytes), 0);
    cr_assert_eq(heap_block_bytes(s, UINT64_MAX - 7), 0);
    cr_assert_eq(give_back(f.w, f.blocks[1].off + f.blocks[1].bytes), LARDER_E_CORRUPT, "not handed out");
    SHM_STORE(&f.w->slot->hand[0], 0);
    end(&f);
}

Test(heap, hand_names_the_block_while_it_is_ours) {
    struct fixture f;
    uint64_t small, run;
    begin(&f, 4 * MIB);
    cr_assert_eq(heap_take(f.w, 100, HAND_STEP0 | HAND_NEW, 0, &small), LARDER_OK);
    cr_assert_eq(heap_take(f.w, 2 * SPAN_BYTES, HAND_STEP1 | HAND_OLD, 0, &run), LARDER_OK);
    cr_assert_eq(SHM_LOAD(&f.w->slot->hand[0]), small | HAND_STEP0 | HAND_NEW);
    cr_assert_eq(SHM_LOAD(&f.w->slot->hand[1]), run | HAND_STEP1 | HAND_OLD);
    cr_assert_eq(heap_give(f.w, 0), LARDER_OK);
    cr_assert_eq(SHM_LOAD(&f.w->slot->hand[0]), 0);
    cr_assert_eq(heap_give(f.w, 1), LARDER_OK);
    cr_assert_eq(SHM_LOAD(&f.w->slot->hand[1]), 0);
    end(&f);
}

/* ---- Random runs ---------------------------------------------------------------------------------------------------- */

Test(heap, random_takes_and_gives_never_overlap) {
    struct fixture f;
    begin(&f, 16 * MIB);
    churn(&f, getenv("LARDER_TEST_LONG") ? 1000000 : 30000);
    expect_totals(&f);
    end(&f);
}

/* All that two spans a class cannot hold comes back, whatever used it before. */
Test(heap, spans_return_to_any_class) {
    static const uint64_t sizes[] = {48, 8192, 100 * 1024, 320, 5440, SPAN_BYTES, 64, 4096};
    struct fixture f;
    uint32_t spans = 0;
    begin(&f, 6 * MIB);
    for (unsigned round = 0; round < sizeof sizes / sizeof *sizes; round++) {
        uint64_t bytes = sizes[round], used;
        int r;
        while ((r = model_take(&f, bytes, 0)) == LARDER_OK)
            ;
        cr_assert_eq(r, LARDER_E_FULL);
        used = bytes > CLASS_BYTES_MAX ? model_bytes(&f)
                                       : (f.count + SPAN_BYTES / bytes - 1) / (SPAN_BYTES / bytes) * SPAN_BYTES;
        if (round == 0)
            spans = (uint32_t)(used / SPAN_BYTES);
        /* Each class that had its turn keeps one empty span, and runs of seven leave gaps between those. */
        uint32_t kept = round + (bytes == 100 * 1024 ? 7 * (round + 1) : 0);
        cr_assert_geq(used / SPAN_BYTES + kept, spans, "round %u of %lu bytes: %lu spans of %u", round, bytes,
                      used / SPAN_BYTES, spans);
        model_give_all(&f);
    }
    end(&f);
}

/* ---- Blocks of other arenas, spans that bins keep ------------------------------------------------------------------------ */

/* Takes what is left, but for the spans that are for arrays alone. */
static void fill_up(struct fixture *f) {
    for (uint64_t bytes = 4 * MIB; bytes >= SPAN_BYTES; bytes /= 4)
        while (model_take(f, bytes, 0) == LARDER_OK)
            ;
}

static uint32_t arena_of(const struct writer *w, uint64_t off) {
    return SHM_LOAD(&seg_span(w->seg, span_index(w->seg, off))->arena);
}

/* A full segment with four arenas: two spans of 384 bytes, all taken, in that of f->w; and a writer of another one. */
static void begin_full(struct fixture *f, struct writer **other) {
    begin(f, 256 * MIB);
    for (uint32_t i = 0; i < 2 * (SPAN_BYTES / 384); i++)
        cr_assert_eq(model_take(f, 384, 0), LARDER_OK);
    fill_up(f);
    cr_assert_eq(writer_borrow(f->db, other), LARDER_OK);
    cr_assert_neq((*other)->id % f->w->seg->arena_count, f->w->id % f->w->seg->arena_count);
}

Test(heap, full_only_if_no_arena_has_a_block) {
    struct fixture f;
    struct writer *other;
    uint64_t off, loan;
    begin_full(&f, &other);
    cr_assert_eq(take_claiming(other, 384, 0, &off), LARDER_E_FULL);
    model_give(&f, 0);
    cr_assert_eq(take_claiming(other, 384, 0, &off), LARDER_OK, "%s", larder_error());
    cr_assert_eq(arena_of(other, off), f.w->id % f.w->seg->arena_count);
    cr_assert_eq(take_claiming(other, 384, 0, &loan), LARDER_E_FULL);
    cr_assert_not_null(strstr(larder_error(), "384 bytes asked"), "%s", larder_error());
    model_give(&f, 1);
    cr_assert_eq(take_claiming(other, 250, 0, &loan), LARDER_E_FULL, "a loan is at most half more");
    cr_assert_eq(take_claiming(other, 300, 0, &loan), LARDER_OK, "%s", larder_error());
    cr_assert_eq(heap_block_bytes(f.w->seg, loan), 384);
    cr_assert_eq(give_back(other, loan), LARDER_OK);
    cr_assert_eq(take_claiming(other, 320, HEAP_LINE, &loan), LARDER_OK, "the last spans are for arrays");
    cr_assert_eq(heap_block_bytes(f.w->seg, loan), 320, "which get no loans, remembered or not");
    cr_assert_eq(give_back(other, loan), LARDER_OK);
    cr_assert_eq(give_back(other, off), LARDER_OK);
    writer_return(other);
    end(&f);
}

/* Who holds the bin may stand still: another one's blocks are taken then; if it is the last that has some it is waited for. */
Test(heap, locked_bins_are_passed_by) {
    struct fixture f;
    struct writer *other;
    uint64_t off;
    begin_full(&f, &other);
    struct bin_shm *bin =
        seg_bin(f.w->seg, arena_of(f.w, f.blocks[0].off) * CLASS_COUNT +
                              SHM_LOAD(&seg_span(f.w->seg, span_index(f.w->seg, f.blocks[0].off))->class_index));
    model_give(&f, 0);
    cr_assert_eq(lock_take(f.w, &bin->lock, LOCK_BIN), LARDER_OK);
    other->busy_timeout_ms = 20;
    cr_assert_eq(take_claiming(other, 384, 0, &off), LARDER_E_BUSY, "not full: who has it does not answer");
    lock_drop(f.w, &bin->lock, LOCK_BIN);
    cr_assert_eq(take_claiming(other, 384, 0, &off), LARDER_OK, "%s", larder_error());
    cr_assert_eq(give_back(other, off), LARDER_OK);
    writer_return(other);
    end(&f);
}

/* An empty span that a bin keeps serves a class of another arena, and joins a run, before anybody is told that it is full. */
Test(heap, kept_spans_are_given_back_before_full) {
    struct fixture f;
    struct writer *other;
    uint64_t off;
    begin(&f, 256 * MIB);
    for (uint64_t bytes = 48; bytes <= 8192; bytes *= 2) { /* side by side: a run, once they are given back */
        cr_assert_eq(model_take(&f, bytes, 0), LARDER_OK);
        model_give(&f, f.count - 1);
    }
    fill_up(&f);
    cr_assert_eq(take_claiming(f.w, 8 * SPAN_BYTES, HEAP_LINE, &off), LARDER_OK, "%s", larder_error());
    cr_assert_eq(give_back(f.w, off), LARDER_OK);
    model_give_all(&f);
    cr_assert_eq(heap_trim(f.w), 0, "all were given back");
    cr_assert_eq(model_take(&f, SPAN_BYTES, 0), LARDER_OK);
    fill_up(&f);
    model_give(&f, 0);
    cr_assert_eq(model_take(&f, 100, 0), LARDER_OK);
    model_give(&f, f.count - 1);
    cr_assert_eq(writer_borrow(f.db, &other), LARDER_OK);
    cr_assert_eq(take_claiming(other, 2000, 0, &off), LARDER_OK, "%s", larder_error());
    cr_assert_eq(give_back(other, off), LARDER_OK);
    writer_return(other);
    end(&f);
}

/* ---- Full ----------------------------------------------------------------------------------------------------------- */

/* Rule G2 of core/segment/seg.h: the file has all that is claimed, descriptors of claimed spans included, and no others'. */
static void expect_backed(const struct seg *s) {
    struct stat st;
    uint64_t claimed = SHM_LOAD(&s->shm->claimed_bytes), end = seg_descriptors_end(s, claimed);
    cr_assert_geq(end, s->spans_off + span_claimed_count(s) * sizeof(struct span_shm));
    cr_assert(end < s->data_off, "a segment with spans to claim");
    cr_assert_eq(fstat(s->fd, &st), 0);
    cr_assert_eq((uint64_t)st.st_blocks * 512, claimed - (s->data_off - end));
}

Test(heap, memory_is_claimed_before_it_is_used) {
    struct fixture f;
    uint64_t off, claimed;
    begin(&f, 8 * MIB);
    claimed = SHM_LOAD(&f.w->seg->shm->claimed_bytes);
    cr_assert_eq(heap_take(f.w, 3 * MIB, 0, 0, &off), OBSTACLE_CLAIM, "more than is claimed");
    cr_assert_eq(f.w->need_bytes, 3 * MIB);
    cr_assert_eq(SHM_LOAD(&f.w->seg->shm->claimed_bytes), claimed);
    cr_assert_eq(SHM_LOAD(&f.w->slot->hand[0]), 0);
    cr_assert_eq(writer_claim(f.w), LARDER_OK, "%s", larder_error());
    cr_assert_geq(SHM_LOAD(&f.w->seg->shm->claimed_bytes), claimed + 3 * MIB);
    expect_backed(f.w->seg);
    cr_assert_eq(heap_take(f.w, 3 * MIB, 0, 0, &off), LARDER_OK);
    cr_assert_eq(heap_give(f.w, 0), LARDER_OK);
    heap_claim_ahead(f.w, 100 * MIB); /* cannot be: no harm */
    end(&f);
}

Test(heap, full_segment_says_why_and_stays_as_it_is) {
    static const uint64_t sizes[] = {48, 1000, 8192, 20000, 400 * 1024};
    struct fixture f;
    struct heap_totals full, later;
    uint64_t off;
    begin(&f, 4 * MIB);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
        while (model_take(&f, sizes[sizeof sizes / sizeof *sizes - 1 - i], 0) == LARDER_OK)
            ;
    heap_totals(f.w->seg, &full);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cr_assert_eq(take_claiming(f.w, sizes[i], 0, &off), LARDER_E_FULL);
        cr_assert(strstr(larder_error(), "full") && strstr(larder_error(), "bytes asked") &&
                      strstr(larder_error(), "in use") && strstr(larder_error(), "free"),
                  "%s", larder_error());
        cr_assert_eq(hand_of(f.w, 0), 0, "nothing in hand");
    }
    heap_totals(f.w->seg, &later);
    cr_assert(full.used_bytes == later.used_bytes && full.free_bytes == later.free_bytes);
    for (uint32_t c = 0; c <= CLASS_COUNT; c++)
        cr_assert(full.classes[c].spans == later.classes[c].spans &&
                  full.classes[c].blocks_used == later.classes[c].blocks_used);
    uint64_t bytes = f.blocks[f.count - 1].bytes;
    model_give(&f, f.count - 1);
    cr_assert_eq(model_take(&f, bytes, 0), LARDER_OK, "what was given back can be had again");
    end(&f);
}

/* A live process that stands still inside the span lock must not cost anybody a span. */
Test(heap, empty_span_stays_when_it_cannot_be_given_back) {
    struct fixture f;
    struct writer *other;
    begin(&f, 4 * MIB);
    uint32_t blocks = SPAN_BYTES / 1024;
    for (uint32_t i = 0; i < 2 * blocks; i++)
        cr_assert_eq(model_take(&f, 1024, 0), LARDER_OK);
    cr_assert_eq(writer_borrow(f.db, &other), LARDER_OK);
    cr_assert_eq(lock_take(other, &other->seg->shm->span_lock, LOCK_SPAN), LARDER_OK);
    f.w->busy_timeout_ms = 20;
    for (uint32_t i = 0; i < 2 * blocks; i++) {
        struct block b = f.blocks[--f.count];
        mark(&f, &b, 1, 0);
        int r = give_back(f.w, b.off);
        cr_assert_eq(r == LARDER_OK ? 0 : b.off | HAND_STEP1, SHM_LOAD(&f.w->slot->hand[0]), "given back, or in hand");
        SHM_STORE(&f.w->slot->hand[0], 0);
        cr_assert_eq(r, LARDER_OK, "block %u: %s", i, larder_error());
    }
    lock_drop(other, &other->seg->shm->span_lock, LOCK_SPAN);
    writer_return(other);
    expect_totals(&f);
    expect_clean(f.db);
    end(&f);
}

/* ---- P2: caches can be lost ----------------------------------------------------------------------------------------- */

/* Damages everything about a class's spans that is no truth. */
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

Test(heap, bin_is_rebuilt_from_its_bitmaps) {
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
    end(&f);
}

Test(heap, runs_and_hint_are_rebuilt_from_their_heads) {
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
    end(&f);
}

Test(heap, rebuild_forgets_what_is_in_hand_but_not_taken) {
    struct fixture f;
    uint64_t taken, given;
    begin(&f, 4 * MIB);
    cr_assert_eq(heap_take(f.w, 200, HAND_STEP1, 0, &taken), LARDER_OK);
    cr_assert_eq(take_claiming(f.w, 200, 0, &given), LARDER_OK);
    cr_assert_eq(give_back(f.w, given), LARDER_OK);
    SHM_STORE(&f.w->slot->hand[5], given | HAND_STEP0); /* as it is between "hand = block" and "bit = 1" */
    struct span_shm *span = seg_span(f.w->seg, span_index(f.w->seg, taken));
    struct bin_shm *bin = seg_bin(f.w->seg, SHM_LOAD(&span->class_index));
    cr_assert_eq(lock_take(f.w, &bin->lock, LOCK_BIN), LARDER_OK);
    cr_assert_eq(heap_recover_lock(f.w, &bin->lock), LARDER_OK);
    cr_assert_eq(SHM_LOAD(&f.w->slot->hand[5]), 0);
    cr_assert_eq(SHM_LOAD(&f.w->slot->hand[0]), taken | HAND_STEP1);
    cr_assert_eq(heap_give(f.w, 0), LARDER_OK);
    end(&f);
}

/* ---- P1: deaths ----------------------------------------------------------------------------------------------------- */

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

Test(heap, death_at_any_store_leaks_nothing) {
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
    end(&f);
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

Test(heap, death_in_another_arena_leaks_nothing) {
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
    end(&f);
}

/* ---- Several at once ------------------------------------------------------------------------------------------------ */

#define MINE_MAX 64u

/* Takes and gives with a stamp of its own in every block. The number of blocks in which somebody else's was found. */
static int churn_alone(struct larder *db, uint64_t stamp, uint32_t rounds) {
    struct block mine[MINE_MAX] = {{0}};
    struct rng rng;
    struct writer *w;
    int foreign = 0;
    rng_seed(&rng, stamp);
    if (writer_borrow(db, &w))
        return -1;
    for (uint32_t i = 0; i < rounds + MINE_MAX; i++) {
        struct block *b = &mine[i < rounds ? rng_below(&rng, MINE_MAX) : i - rounds];
        if (b->off) {
            foreign += SHM_LOAD(word_of(w, b->off, b->bytes, 0)) != stamp;
            foreign += SHM_LOAD(word_of(w, b->off, b->bytes, 1)) != stamp;
            foreign += give_back(w, b->off) != LARDER_OK;
            b->off = 0;
        } else if (i < rounds) {
            b->bytes = heap_round(random_bytes(&rng), 0);
            if (take_claiming(w, b->bytes, 0, &b->off))
                return -1;
            SHM_STORE(word_of(w, b->off, b->bytes, 0), stamp);
            SHM_STORE(word_of(w, b->off, b->bytes, 1), stamp);
        }
    }
    writer_return(w);
    return foreign;
}

#define ROUNDS 20000u

static int churn_in_process(void *arg) {
    int foreign = churn_alone(arg, (uint64_t)getpid(), ROUNDS);
    larder_close(arg);
    return foreign != 0;
}

Test(heap, two_processes_share_it) {
    struct fixture f;
    pid_t pids[2];
    begin(&f, 64 * MIB);
    for (unsigned i = 0; i < 2; i++)
        pids[i] = proc_fork(churn_in_process, f.db);
    for (unsigned i = 0; i < 2; i++) {
        struct proc_result r = proc_wait(pids[i], 40000);
        cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    }
    end(&f);
}

struct churner {
    struct larder *db;
    uint64_t stamp;
    int foreign;
};

static void *churn_in_thread(void *arg) {
    struct churner *c = arg;
    c->foreign = churn_alone(c->db, c->stamp, ROUNDS / SLOW_FACTOR);
    return NULL;
}

/* 256 MiB: several arenas, and threads that give back into each other's. */
Test(heap, threads_share_it) {
    struct fixture f;
    pthread_t threads[4];
    struct churner churners[4];
    begin(&f, 256 * MIB);
    cr_assert_gt(f.w->seg->arena_count, 1);
    for (unsigned i = 0; i < 4; i++) {
        churners[i] = (struct churner){f.db, 1000 + i, 0};
        cr_assert_eq(pthread_create(&threads[i], NULL, churn_in_thread, &churners[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(churners[i].foreign, 0);
    }
    end(&f);
}
