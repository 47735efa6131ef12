/* tests/unit/memory/heap_kit.c - see heap_kit.h. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/memory/heap_span.h"
#include "core/table/db.h"
#include "tests/support/rng.h"
#include "tests/support/testseg.h"
#include "tests/unit/memory/heap_kit.h"

void begin(struct fixture *f, uint64_t bytes) {
    *f = (struct fixture){.db = testseg_open(bytes, 2)};
    cr_assert_eq(writer_borrow(f->db, &f->w), LARDER_OK, "%s", larder_error());
    rng_seed(&f->rng, rng_test_seed("heap"));
    heap_totals(f->w->seg, &f->before);
    f->blocks = calloc(BLOCKS_MAX, sizeof *f->blocks);
    f->taken = calloc(bytes / UNIT + 1, 1);
    cr_assert(f->blocks && f->taken);
}

void expect_clean(struct larder *db) {
    struct larder_check_report report;
    int r = larder_check(db, NULL, &report);
    cr_assert_eq(r, LARDER_OK, "%s: %s", larder_result_name(r), report.first_error);
}

unsigned hand_of(const struct writer *w, uint64_t off) {
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

int take_claiming(struct writer *w, uint64_t bytes, unsigned flags, uint64_t *off) {
    int r;
    while ((r = heap_take(w, bytes, HAND_STEP1, flags, off)) == OBSTACLE_CLAIM)
        if ((r = writer_claim(w)))
            return r;
    if (r == LARDER_OK)
        let_go(w, *off);
    return r;
}

int give_back(struct writer *w, uint64_t off) {
    unsigned i = hand_of(w, 0); /* a free place */
    SHM_STORE(&w->slot->hand[i], off | HAND_STEP1);
    return heap_give(w, i);
}

shm_word *word_of(const struct writer *w, uint64_t off, uint64_t bytes, int is_last) {
    return (shm_word *)(w->seg->base + off + (is_last ? bytes - sizeof(shm_word) : 0));
}

void mark(struct fixture *f, const struct block *b, uint8_t from, uint8_t to) {
    for (uint64_t unit = b->off / UNIT; unit < (b->off + b->bytes) / UNIT; unit++) {
        cr_assert_eq(f->taken[unit], from, "block %lu of %lu bytes overlaps", b->off, b->bytes);
        f->taken[unit] = to;
    }
}

int model_take(struct fixture *f, uint64_t bytes, unsigned flags) {
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

void model_give(struct fixture *f, uint32_t i) {
    struct block b = f->blocks[i];
    cr_assert_eq(SHM_LOAD(word_of(f->w, b.off, b.bytes, 0)), b.stamp, "block %lu was overwritten", b.off);
    cr_assert_eq(SHM_LOAD(word_of(f->w, b.off, b.bytes, 1)), b.stamp, "block %lu was overwritten", b.off);
    mark(f, &b, 1, 0);
    cr_assert_eq(give_back(f->w, b.off), LARDER_OK, "%s", larder_error());
    cr_assert_eq(heap_block_bytes(f->w->seg, b.off), 0, "given back");
    f->blocks[i] = f->blocks[--f->count];
}

void model_give_all(struct fixture *f) {
    while (f->count)
        model_give(f, (uint32_t)rng_below(&f->rng, f->count));
}

uint64_t model_bytes(const struct fixture *f) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < f->count; i++)
        sum += f->blocks[i].bytes;
    return sum;
}

void expect_totals(const struct fixture *f) {
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

void finish(struct fixture *f) {
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

uint64_t random_bytes(struct rng *r) {
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

void churn(struct fixture *f, uint32_t rounds) {
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

void fill_up(struct fixture *f) {
    for (uint64_t bytes = 4 * MIB; bytes >= SPAN_BYTES; bytes /= 4)
        while (model_take(f, bytes, 0) == LARDER_OK)
            ;
}

void begin_full(struct fixture *f, struct writer **other) {
    begin(f, 256 * MIB);
    for (uint32_t i = 0; i < 2 * (SPAN_BYTES / 384); i++)
        cr_assert_eq(model_take(f, 384, 0), LARDER_OK);
    fill_up(f);
    cr_assert_eq(writer_borrow(f->db, other), LARDER_OK);
    cr_assert_neq((*other)->id % f->w->seg->arena_count, f->w->id % f->w->seg->arena_count);
}
