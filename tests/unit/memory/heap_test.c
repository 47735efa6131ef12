/* tests/unit/memory/heap_test.c - the allocator against a model.
 *
 * Goal     Blocks never overlap, are aligned and large enough. Every span comes back and serves any
 *          class. A full segment says so and stays as it was.
 * Method   Random takes and gives (heap_kit.h), by one process, by two, by threads.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory/heap_span.h"
#include "core/table/db.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/unit/memory/heap_kit.h"

TestSuite(heap, .timeout = 60 * SLOW_FACTOR);

/* ---- Sizes ----------------------------------------------------------------------------------- */

Test(heap, classes_rise_and_waste_little) {
    uint64_t last = 0;
    for (uint64_t bytes = 1; bytes <= CLASS_BYTES_MAX; bytes++) {
        uint64_t plain = heap_round(bytes, 0), line = heap_round(bytes, HEAP_LINE);
        cr_assert(plain >= bytes && plain >= last && plain % UNIT == 0);
        cr_assert(line >= plain && line % 64 == 0, "%lu bytes", bytes);
        cr_assert_eq(heap_round_most(bytes, HEAP_LINE), line, "%lu bytes", bytes);
        cr_assert_eq(heap_round_most(bytes, 0), CLASS_BYTES_MAX, "%lu bytes: any larger block is the last resort",
                     bytes);
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
    finish(&f);
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
    /* the later half comes from the front, one by one: all spans have free blocks */
    while (f.count > 2 * blocks)
        model_give(&f, (uint32_t)rng_below(&f.rng, f.count));
    cr_assert_eq(model_take(&f, 320, 0), LARDER_OK);
    cr_assert_eq(f.blocks[f.count - 1].bytes, 384, "lent");
    cr_assert_eq(model_take(&f, 250, 0), LARDER_OK);
    cr_assert_eq(f.blocks[f.count - 1].bytes, 256, "less than two thirds is not lent");
    cr_assert_eq(model_take(&f, 320, HEAP_LINE), LARDER_OK);
    cr_assert_eq(f.blocks[f.count - 1].bytes, 320, "arrays have their size");
    expect_totals(&f);
    finish(&f);
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
    finish(&f);
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
    finish(&f);
}

/* ---- Random runs ----------------------------------------------------------------------------- */

Test(heap, random_takes_and_gives_never_overlap) {
    struct fixture f;
    begin(&f, 16 * MIB);
    churn(&f, getenv("LARDER_TEST_LONG") ? 1000000 : 30000);
    expect_totals(&f);
    finish(&f);
}

/* Everything beyond two spans a class comes back, whatever used it before. */
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
        /* Each class that had its turn keeps one empty span, and runs of seven leave gaps between
         * those. */
        uint32_t kept = round + (bytes == 100 * 1024 ? 7 * (round + 1) : 0);
        cr_assert_geq(used / SPAN_BYTES + kept, spans, "round %u of %lu bytes: %lu spans of %u", round, bytes,
                      used / SPAN_BYTES, spans);
        model_give_all(&f);
    }
    finish(&f);
}

/* ---- Full ------------------------------------------------------------------------------------ */

/* Rule G2 of core/segment/seg.h: the file backs all that is claimed, including the descriptors of
 * claimed spans, and no others. */
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
    heap_claim_ahead(f.w, 100 * MIB); /* more than there is: no harm */
    finish(&f);
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
    finish(&f);
}

/* What the message of the last refusal says is free; *is_old: it says that others may have changed
 * it since. */
static unsigned long long free_in_message(int *is_old) {
    unsigned long long bytes = 0;
    const char *numbers = strstr(larder_error(), " in use and ");
    cr_assert(numbers && sscanf(numbers, " in use and %llu free", &bytes) == 1, "%s", larder_error());
    *is_old = strstr(larder_error(), " ms ago") != NULL;
    return bytes;
}

/* Counting everything for each of many refusals would be too much; a number that is not true now
 * says so. */
Test(heap, refusals_say_what_is_free_now_or_how_old_their_number_is) {
    struct fixture f;
    struct heap_totals now;
    uint64_t off;
    unsigned old = 0;
    begin(&f, 4 * MIB);
    while (model_take(&f, 1000, 0) == LARDER_OK)
        ;
    for (unsigned i = 0; i < 200; i++) {
        int is_old = 0;
        model_give(&f, f.count - 1);
        cr_assert_eq(take_claiming(f.w, 400 * 1024, 0, &off), LARDER_E_FULL);
        unsigned long long said = free_in_message(&is_old);
        heap_totals(f.w->seg, &now);
        cr_assert(is_old || said == now.free_bytes, "round %u: %s; %lu are free", i, larder_error(),
                  (unsigned long)now.free_bytes);
        old += is_old != 0;
    }
    cr_log_info("%u of 200 refusals had an old number", old);
    finish(&f);
}

/* A live process that stands still with the span lock must not cost any other a span. */
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
    finish(&f);
}

/* ---- Several at once ------------------------------------------------------------------------- */

#define MINE_MAX 64u

/* Takes and gives with a stamp of its own in every block. Returns the number of blocks with another
 * process's stamp. */
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
    finish(&f);
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
    finish(&f);
}
