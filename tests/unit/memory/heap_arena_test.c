/* tests/unit/memory/heap_arena_test.c - memory of other arenas, and spans that bins keep.
 *
 * Goal     FULL only if no arena has a block. A locked bin is passed by. Kept spans go back before
 *          FULL.
 * Method   A segment that is filled to the last span (heap_kit.h).
 */
#include <criterion/criterion.h>
#include <string.h>

#include "core/memory/heap_span.h"
#include "core/table/db.h"
#include "tests/support/slow.h"
#include "tests/unit/memory/heap_kit.h"

TestSuite(heap_arena, .timeout = 60 * SLOW_FACTOR);

static uint32_t arena_of(const struct writer *w, uint64_t off) {
    return SHM_LOAD(&seg_span(w->seg, span_index(w->seg, off))->arena);
}

Test(heap_arena, full_only_if_no_arena_has_a_block) {
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
    finish(&f);
}

/* P3: a call that found no room takes the smallest block of any larger class; no call does before
 * that, and no array does. */
Test(heap_arena, any_larger_block_is_the_last_resort) {
    struct fixture f;
    struct writer *other;
    uint64_t off, array;
    begin_full(&f, &other);
    model_give(&f, 0);
    cr_assert_eq(take_claiming(other, 36, 0, &off), LARDER_E_FULL, "first room is made");
    other->is_short = 1;
    cr_assert_eq(take_claiming(other, 36, 0, &off), LARDER_OK, "%s", larder_error());
    cr_assert_eq(heap_block_bytes(f.w->seg, off), 384);
    cr_assert_eq(give_back(other, off), LARDER_OK);
    cr_assert_eq(take_claiming(other, 64, HEAP_LINE, &array), LARDER_OK);
    cr_assert_eq(heap_block_bytes(f.w->seg, array), 64, "an array has its size");
    cr_assert_eq(give_back(other, array), LARDER_OK);
    other->is_short = 0;
    writer_return(other);
    finish(&f);
}

/* P5: what lies in a block that is much too large for it must not pin its span. It may go to
 * another such block, but to none that is larger still. */
Test(heap_arena, a_move_may_stay_in_blocks_as_large) {
    struct fixture f;
    struct writer *other;
    uint64_t off, loan;
    begin_full(&f, &other);
    model_give(&f, 0);
    cr_assert_eq(take_claiming(other, 384, 0, &off), LARDER_OK, "%s", larder_error());
    uint32_t span = span_index(other->seg, off);
    cr_assert_eq(give_back(other, off), LARDER_OK);
    writer_avoid(other, span + 1, 1, 0);
    other->moves_from_bytes = 384;
    cr_assert_eq(heap_take(other, 36, 0, 0, &loan), LARDER_OK, "%s", larder_error());
    cr_assert_eq(loan, off);
    cr_assert_eq(give_back(other, loan), LARDER_OK);
    cr_assert_neq(heap_take(other, 64, 0, HEAP_LINE, &loan), LARDER_OK, "an array gets no loan");
    other->moves_from_bytes = 320;
    cr_assert_neq(heap_take(other, 36, 0, 0, &loan), LARDER_OK, "a larger block than before");
    writer_avoid(other, span, 1, 0);
    other->moves_from_bytes = 384;
    cr_assert_neq(heap_take(other, 36, 0, 0, &loan), LARDER_OK, "in the span that is emptied");
    other->avoid_count = 0;
    writer_return(other);
    finish(&f);
}

/* A call that can do with less gets the largest block that is left, but none much larger than it
 * wants. */
Test(heap_arena, a_part_is_taken_where_the_whole_is_not_to_be_had) {
    struct fixture f;
    struct writer *other;
    uint64_t off;
    begin_full(&f, &other);
    model_give(&f, 0);
    cr_assert_eq(heap_take_part(other, 400, 1024, HAND_STEP1, &off), OBSTACLE_CLAIM, "384 bytes are too few");
    cr_assert_eq(heap_take_part(other, 32, 1024, HAND_STEP1, &off), LARDER_OK, "%s", larder_error());
    cr_assert_eq(heap_block_bytes(f.w->seg, off), 384);
    cr_assert_eq(heap_give(other, hand_of(other, off)), LARDER_OK);
    cr_assert_eq(heap_take_part(other, 32, 80, HAND_STEP1, &off), OBSTACLE_CLAIM, "384 bytes are too many");
    other->is_short = 1;
    cr_assert_eq(heap_take_part(other, 32, 80, HAND_STEP1, &off), LARDER_OK, "%s", larder_error());
    cr_assert_eq(heap_give(other, hand_of(other, off)), LARDER_OK);
    other->is_short = 0;
    writer_return(other);
    finish(&f);
}

/* The holder of the bin may stand still: then another bin's blocks are taken. Only the last bin
 * that has some is waited for. */
Test(heap_arena, locked_bins_are_passed_by) {
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
    cr_assert_eq(take_claiming(other, 384, 0, &off), LARDER_E_BUSY, "not full: the holder does not answer");
    lock_drop(f.w, &bin->lock, LOCK_BIN);
    cr_assert_eq(take_claiming(other, 384, 0, &off), LARDER_OK, "%s", larder_error());
    cr_assert_eq(give_back(other, off), LARDER_OK);
    writer_return(other);
    finish(&f);
}

/* An empty span that a bin keeps serves a class of another arena, and joins a run, before any call
 * returns FULL. */
Test(heap_arena, kept_spans_are_given_back_before_full) {
    struct fixture f;
    struct writer *other;
    uint64_t off;
    begin(&f, 256 * MIB);
    /* side by side: a run, once they are given back */
    for (uint64_t bytes = 48; bytes <= 8192; bytes *= 2) {
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
    finish(&f);
}
