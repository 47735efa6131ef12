/* tests/unit/memory/journal_test.c - one-word publication, by hand and cut off everywhere.
 *
 * Goal     From every state of a step, step_settle() leads to the old side or to the new one,
 *          wholly: the word, the sequence, which blocks are handed out, an empty hand, a closed
 *          step. Repeating it changes nothing. Steps 0 and 1 do not touch each other's blocks.
 * Method   A block of the heap holds the word and its sequence. First each state is made by calls.
 *          Then a child dies at every store of a whole swap, and its recovery dies at every store
 *          of its own, until one gets through.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "core/base/crash.h"
#include "core/memory/heap_span.h"
#include "core/memory/recover.h"
#include "core/table/db.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(journal, .timeout = 60 * SLOW_FACTOR);

#define SIDES 2 /* blocks on each side of a step */
#define SIZE_OLD 100u
#define SIZE_NEW 3000u

/* A word that links SIDES blocks: the first by its offset; the test knows the others. */
struct place {
    shm_word *word, *seq;
    uint64_t home, old[SIDES], new[SIDES];
};

struct fixture {
    struct larder *db;
    struct writer *w;
    uint64_t used_bytes;
};

static uint64_t used_bytes(const struct fixture *f) {
    struct heap_totals t;
    heap_totals(f->w->seg, &t);
    return t.used_bytes;
}

static void begin(struct fixture *f) {
    f->db = testseg_open(4u << 20, 2);
    cr_assert_eq(writer_borrow(f->db, &f->w), LARDER_OK, "%s", larder_error());
    f->used_bytes = used_bytes(f);
}

static unsigned in_hand(const struct writer *w, uint64_t off) {
    unsigned count = 0;
    for (unsigned i = 0; i < SLOT_HAND; i++) {
        uint64_t hand = SHM_LOAD(&w->slot->hand[i]);
        count += off ? (hand & ~(uint64_t)HAND_BITS) == off : hand != 0;
    }
    return count;
}

/* Takes what is in hand as linked, without a step. */
static void keep_all(struct writer *w) {
    for (unsigned i = 0; i < SLOT_HAND; i++)
        SHM_STORE(&w->slot->hand[i], 0);
}

static void give(struct writer *w, uint64_t off) {
    SHM_STORE(&w->slot->hand[SLOT_HAND - 1], off | HAND_STEP1);
    cr_assert_eq(heap_give(w, SLOT_HAND - 1), LARDER_OK, "%s", larder_error());
}

/* The word links the old blocks. */
static void make_place(struct writer *w, struct place *p) {
    cr_assert_eq(heap_take(w, 64, HAND_STEP1, HEAP_LINE, &p->home), LARDER_OK);
    for (unsigned i = 0; i < SIDES; i++)
        cr_assert_eq(heap_take(w, SIZE_OLD, HAND_STEP1, 0, &p->old[i]), LARDER_OK);
    keep_all(w);
    p->word = seg_at(w->seg, p->home, 64);
    p->seq = p->word + 1;
    SHM_STORE(p->word, WORD_MAKE(7, p->old[0]));
    SHM_STORE(p->seq, 41);
    memset(p->new, 0, sizeof p->new);
}

static void end_place(struct writer *w, const struct place *p, int is_new) {
    for (unsigned i = 0; i < SIDES; i++)
        give(w, is_new ? p->new[i] : p->old[i]);
    give(w, p->home);
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    cr_assert_eq(used_bytes(f), f->used_bytes);
    writer_return(f->w);
    cr_assert_eq(larder_check(f->db, NULL, &report), LARDER_OK, "%s", report.first_error);
    larder_close(f->db);
}

/* The word is on one side. The blocks of that side are handed out, and those of the other are
 * not. */
static void expect_side(struct writer *w, const struct place *p, unsigned n, int is_new, const char *when) {
    const struct seg *s = w->seg;
    cr_assert_eq(SHM_LOAD(p->word), is_new ? WORD_MAKE(9, p->new[0]) : WORD_MAKE(7, p->old[0]), "%s", when);
    for (unsigned i = 0; i < SIDES; i++) {
        cr_assert_eq(heap_block_bytes(s, p->old[i]) != 0, !is_new, "%s: old block %u", when, i);
        if (p->new[i]) {
            cr_assert_eq(heap_block_bytes(s, p->new[i]) != 0, is_new, "%s: new block %u", when, i);
            cr_assert_eq(in_hand(w, p->new[i]), 0, "%s", when);
        }
        cr_assert_eq(in_hand(w, p->old[i]), 0, "%s", when);
    }
    cr_assert_eq(step_is_open(w, n), 0, "%s", when);
    /* Before a block is given back, also repeatedly, readers are told. */
    cr_assert(is_new ? SHM_LOAD(p->seq) > 41 : SHM_LOAD(p->seq) == 41, "%s: sequence %lu", when, SHM_LOAD(p->seq));
}

/* ---- By hand --------------------------------------------------------------------------------- */

enum state { TAKEN_ONE, TAKEN, OPEN, RETIRED_ONE, RETIRED, PUBLISHED, CLOSED, STATES };
static const char *const state_names[] = {"one taken", "taken",     "open",  "one retired",
                                          "retired",   "published", "closed"};

static int bring_to(struct writer *w, struct place *p, unsigned n, enum state state) {
    for (unsigned i = 0; i < (state == TAKEN_ONE ? 1 : SIDES); i++)
        if (heap_take(w, SIZE_NEW, n | HAND_NEW, 0, &p->new[i]))
            return 0;
    if (state >= OPEN)
        step_open(w, n, p->word, WORD_MAKE(7, p->old[0]), WORD_MAKE(9, p->new[0]), p->seq);
    if (state >= RETIRED_ONE)
        step_retire(w, n, p->old[0]);
    if (state >= RETIRED)
        step_retire(w, n, p->old[1]);
    if (state >= PUBLISHED)
        step_publish(w, n);
    return state < CLOSED || step_close(w, n) == LARDER_OK;
}

static void settle_from(struct fixture *f, unsigned n, enum state state) {
    struct place p;
    int is_new = state >= PUBLISHED;
    make_place(f->w, &p);
    cr_assert(bring_to(f->w, &p, n, state), "%s", larder_error());
    cr_assert_eq(step_is_open(f->w, n), state >= OPEN && state < CLOSED);
    if (state >= OPEN && state < CLOSED)
        cr_assert_eq(step_is_published(f->w, n), is_new);
    for (unsigned times = 0; times < 3; times++) {
        cr_assert_eq(step_settle(f->w, n), LARDER_OK, "%s: %s", state_names[state], larder_error());
        expect_side(f->w, &p, n, is_new, state_names[state]);
        cr_assert_eq(in_hand(f->w, 0), 0);
        if (is_new)
            cr_assert_eq(SHM_LOAD(p.seq), 42, "once");
    }
    end_place(f->w, &p, is_new);
}

Test(journal, settles_from_every_state) {
    struct fixture f;
    begin(&f);
    for (unsigned n = 0; n < SLOT_STEPS; n++)
        for (enum state state = 0; state < STATES; state++)
            settle_from(&f, n, state);
    end(&f);
}

Test(journal, close_publishes_the_sequence_before_it_gives_back) {
    struct fixture f;
    struct place p;
    begin(&f);
    make_place(f.w, &p);
    cr_assert(bring_to(f.w, &p, 1, PUBLISHED));
    cr_assert_eq(SHM_LOAD(p.seq), 41);
    cr_assert_neq(heap_block_bytes(f.w->seg, p.old[0]), 0, "still there for readers");
    cr_assert_eq(step_close(f.w, 1), LARDER_OK);
    expect_side(f.w, &p, 1, 1, "closed");
    end_place(f.w, &p, 1);
    end(&f);
}

Test(journal, step_without_readers_has_no_sequence) {
    struct fixture f;
    struct place p;
    begin(&f);
    make_place(f.w, &p);
    for (unsigned i = 0; i < SIDES; i++)
        cr_assert_eq(heap_take(f.w, SIZE_NEW, HAND_STEP1 | HAND_NEW, 0, &p.new[i]), LARDER_OK);
    const uint64_t retired[] = {0, p.old[0], 0, p.old[1]};
    cr_assert_eq(step_swap(f.w, 1, p.word, WORD_MAKE(7, p.old[0]), WORD_MAKE(9, p.new[0]), NULL, retired, 4),
                 LARDER_OK);
    cr_assert_eq(SHM_LOAD(p.seq), 41);
    SHM_STORE(p.seq, 42);
    expect_side(f.w, &p, 1, 1, "swapped");
    end_place(f.w, &p, 1);
    end(&f);
}

Test(journal, abandon_gives_back_its_own_step_only) {
    struct fixture f;
    uint64_t item, leaf;
    begin(&f);
    cr_assert_eq(heap_take(f.w, SIZE_NEW, HAND_STEP0 | HAND_NEW, 0, &item), LARDER_OK);
    cr_assert_eq(heap_take(f.w, SIZE_NEW, HAND_STEP1 | HAND_NEW, 0, &leaf), LARDER_OK);
    cr_assert_eq(step_abandon(f.w, 1), LARDER_OK);
    cr_assert(heap_block_bytes(f.w->seg, leaf) == 0 && in_hand(f.w, leaf) == 0);
    cr_assert(heap_block_bytes(f.w->seg, item) != 0 && in_hand(f.w, item) == 1);
    cr_assert_eq(step_abandon(f.w, 0), LARDER_OK);
    cr_assert_eq(heap_block_bytes(f.w->seg, item), 0);
    cr_assert_eq(in_hand(f.w, 0), 0);
    end(&f);
}

/* Step 1 opens and closes while step 0 stays open, as in a put that adds index entries. */
Test(journal, inner_step_leaves_the_outer_alone) {
    for (enum state outer = OPEN; outer < CLOSED; outer++)
        for (enum state inner = TAKEN_ONE; inner < STATES; inner++) {
            struct fixture f;
            struct place item, leaf;
            begin(&f);
            make_place(f.w, &item);
            make_place(f.w, &leaf);
            cr_assert(bring_to(f.w, &item, 0, outer));
            cr_assert(bring_to(f.w, &leaf, 1, inner));
            cr_assert_eq(step_settle(f.w, 1), LARDER_OK);
            expect_side(f.w, &leaf, 1, inner >= PUBLISHED, state_names[inner]);
            cr_assert_eq(step_is_open(f.w, 0), 1);
            for (unsigned i = 0; i < SIDES; i++) {
                cr_assert_eq(in_hand(f.w, item.new[i]), 1);
                cr_assert_neq(heap_block_bytes(f.w->seg, item.old[i]), 0);
            }
            cr_assert_eq(step_settle(f.w, 0), LARDER_OK);
            expect_side(f.w, &item, 0, outer >= PUBLISHED, state_names[outer]);
            end_place(f.w, &leaf, inner >= PUBLISHED);
            end_place(f.w, &item, outer >= PUBLISHED);
            end(&f);
        }
}

/* A step is input, too: the segment may be damaged. */
Test(journal, damaged_step_is_an_error) {
    const uint64_t bad[] = {4, 6, 1, UINT64_MAX, UINT64_C(1) << 40, 0};
    struct fixture f;
    struct place p;
    begin(&f);
    make_place(f.w, &p);
    for (unsigned i = 0; bad[i]; i++) {
        struct step_shm *step = &f.w->slot->step[1];
        SHM_STORE(&step->word_off, bad[i]);
        cr_assert_eq(step_settle(f.w, 1), LARDER_E_CORRUPT, "word at %lx", bad[i]);
        cr_assert(strstr(larder_error(), "outside the segment"), "%s", larder_error());
        cr_assert_eq(step_is_published(f.w, 1), 0);
        SHM_STORE(&step->word_off, p.home);
        SHM_STORE(&step->new_word, SHM_LOAD(p.word)); /* "published" */
        SHM_STORE(&step->seq_off, bad[i]);
        cr_assert_eq(step_settle(f.w, 1), LARDER_E_CORRUPT, "sequence at %lx", bad[i]);
        SHM_STORE(&step->word_off, 0);
    }
    end_place(f.w, &p, 0);
    end(&f);
}

/* A block that cannot be given back at the moment keeps the step open; settling it later gives it
 * back. */
Test(journal, close_that_cannot_give_back_is_settled_later) {
    struct fixture f;
    struct place p;
    struct writer *other;
    begin(&f);
    make_place(f.w, &p);
    cr_assert(bring_to(f.w, &p, 1, PUBLISHED));
    struct span_shm *span = seg_span(f.w->seg, span_index(f.w->seg, p.old[0]));
    struct bin_shm *bin = seg_bin(f.w->seg, SHM_LOAD(&span->class_index));
    cr_assert_eq(writer_borrow(f.db, &other), LARDER_OK);
    cr_assert_eq(lock_take(other, &bin->lock, LOCK_BIN), LARDER_OK);
    f.w->busy_timeout_ms = 20;
    cr_assert_eq(step_close(f.w, 1), LARDER_E_BUSY);
    cr_assert(step_is_open(f.w, 1) && step_is_published(f.w, 1));
    cr_assert_eq(in_hand(f.w, p.old[0]), 1);
    lock_drop(other, &bin->lock, LOCK_BIN);
    writer_return(other);
    cr_assert_eq(step_settle(f.w, 1), LARDER_OK);
    expect_side(f.w, &p, 1, 1, "settled later");
    end_place(f.w, &p, 1);
    end(&f);
}

/* ---- Cut off everywhere ---------------------------------------------------------------------- */

struct cut {
    struct fixture *f;
    struct place *p;
    unsigned n;
    uint64_t k;
};

/* A whole swap, under the lock that guards the word in the engine. The sizes tell the new blocks
 * apart. */
static int swap_and_die(void *arg) {
    struct cut *c = arg;
    struct writer *w;
    PROC_CHECK(writer_borrow(c->f->db, &w) == LARDER_OK);
    shm_crash_arm(c->k);
    PROC_CHECK(bring_to(w, c->p, c->n, CLOSED));
    shm_crash_arm(0);
    return 0;
}

static int recover_and_die(void *arg) {
    struct cut *c = arg;
    struct writer *w;
    uint32_t count;
    PROC_CHECK(writer_borrow(c->f->db, &w) == LARDER_OK);
    shm_crash_arm(c->k);
    PROC_CHECK(recover_all(w, &count) == LARDER_OK);
    shm_crash_arm(0);
    writer_return(w);
    larder_close(c->f->db);
    return 0;
}

/* All dead slots are settled. New blocks of a place whose word is old are given back, so bytes in
 * use tell the side. */
static void expect_settled(struct fixture *f, struct place *p, uint64_t used_old, uint64_t k) {
    uint64_t used_new = used_old + SIDES * (heap_round(SIZE_NEW, 0) - heap_round(SIZE_OLD, 0));
    int is_new = SHM_LOAD(p->word) != WORD_MAKE(7, p->old[0]);
    cr_assert_eq(used_bytes(f), is_new ? used_new : used_old, "store %lu, %s", k, is_new ? "new" : "old");
    for (uint32_t i = 0; i < f->w->seg->slot_count; i++) {
        struct writer any = {.seg = f->w->seg, .slot = seg_slot(f->w->seg, i)};
        cr_assert(!step_is_open(&any, 0) && !step_is_open(&any, 1) && in_hand(&any, 0) == 0, "store %lu", k);
    }
    if (is_new) /* the second new block was taken last, so it has the next place in its span */
        for (unsigned i = 0; i < SIDES; i++)
            p->new[i] = WORD_OFF(SHM_LOAD(p->word)) + i *heap_round(SIZE_NEW, 0);
}

static int die_at(struct fixture *f, unsigned n, uint64_t k, int is_recovery_cut) {
    struct place p;
    uint32_t count;
    make_place(f->w, &p);
    uint64_t used_old = used_bytes(f);
    struct cut c = {f, &p, n, k};
    struct proc_result died = proc_run(swap_and_die, &c, 20000), r = died;
    cr_assert(proc_is_exit(died, 0) || proc_is_signal(died, SIGKILL), "store %lu: %s", k, proc_text(died));
    for (c.k = 1; is_recovery_cut && !proc_is_exit(r, 0) && c.k < 1000; c.k++) {
        r = proc_run(recover_and_die, &c, 20000);
        cr_assert(proc_is_exit(r, 0) || proc_is_signal(r, SIGKILL), "%lu, %lu: %s", k, c.k, proc_text(r));
    }
    cr_assert_eq(recover_all(f->w, &count), LARDER_OK, "store %lu: %s", k, larder_error());
    expect_settled(f, &p, used_old, k);
    end_place(f->w, &p, SHM_LOAD(p.word) != WORD_MAKE(7, p.old[0]));
    cr_assert_eq(used_bytes(f), f->used_bytes, "store %lu", k);
    return proc_is_exit(died, 0);
}

static void die_everywhere(int is_recovery_cut) {
    struct fixture f;
    begin(&f);
    for (unsigned n = 0; n < SLOT_STEPS; n++) {
        uint64_t k = 1;
        while (!die_at(&f, n, k, is_recovery_cut) && k < 1000)
            k++;
        cr_assert(k > 20 && k < 1000, "%lu stores", k);
    }
    end(&f);
}

Test(journal, death_at_any_store_is_settled) {
    die_everywhere(0);
}

Test(journal, death_of_the_recovery_is_settled, .timeout = 100 * SLOW_FACTOR) {
    die_everywhere(1);
}
