/* tests/api/check_test.c - larder_check() of a sound segment, and of any bytes at all.
 *
 * Goal     An undamaged segment is clean, and its numbers are right. A check neither crashes nor
 *          hangs, whatever the bytes are. Single damages: check_damage_test.c.
 * Method   The segment of check_kit.h. Random bytes, many times: there only the promise not to
 *          crash or hang holds, for reads and writes as well.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/item/item.h"
#include "core/segment/layout.h"
#include "index/skl.h"
#include "larder.h"
#include "tests/api/check_kit.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"

TestSuite(check, .timeout = 100 * SLOW_FACTOR);

/* ---- No damage ------------------------------------------------------------------------------- */

static void expect_clean(struct larder *db) {
    struct larder_check_report report;
    struct notes notes = {.word = ""};
    EXPECT(larder_check(db, &(struct larder_check_options){.note = take_note, .arg = &notes}, &report), LARDER_OK);
    cr_assert(report.errors == 0 && notes.lines == 0 && report.first_error[0] == 0);
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0 && report.dead_slots == 0);
    cr_assert_eq(report.items, ITEMS);
    cr_assert_eq(report.index_entries, 2 * ITEMS, "table order and one index");
    struct larder_class_stats classes[64];
    uint64_t blocks = 0;
    uint32_t count;
    EXPECT(larder_class_stats(db, classes, 64, &count), LARDER_OK);
    for (uint32_t i = 0; i < count; i++)
        blocks += classes[i].blocks_used;
    cr_assert_eq(report.blocks, blocks);
}

Test(check, undamaged_segment_is_clean) {
    struct world w;
    int fd = make_segment();
    copy_segment(fd, &w);
    struct larder *db = attach(&w, 0), *reader = attach(&w, LARDER_READ_ONLY);
    for (int i = 0; i < 3; i++) {
        expect_clean(db);
        expect_clean(reader);
    }
    larder_close(reader);
    larder_close(db);
    drop_copy(&w);
    close(fd);
}

/* ---- Any damage ------------------------------------------------------------------------------ */

struct trial {
    int fd;
    uint64_t seed;
};

/* Bytes of the metadata, of spans' descriptors or of blocks change: flipped bits, or a small
 * number, or an offset. */
static void damage_at_random(struct world *w, struct rng *rng) {
    uint64_t claimed = w->head->claimed_bytes, from = w->head->slots_off;
    for (uint64_t n = 1 + rng_below(rng, 4); n > 0; n--) {
        uint64_t low = rng_is_one_in(rng, 2) ? w->head->data_off : rng_is_one_in(rng, 2) ? w->head->spans_off : from;
        uint64_t off = low + rng_below(rng, (claimed - low) / 8) * 8;
        uint64_t *word = (uint64_t *)(void *)(w->base + off);
        switch (rng_below(rng, 4)) {
        case 0:
            *word ^= UINT64_C(1) << rng_below(rng, 64);
            break;
        case 1:
            *word = rng_below(rng, 300);
            break;
        case 2:
            *word = w->head->data_off + rng_below(rng, claimed / 16) * 16;
            break;
        default:
            *word = rng_next(rng);
        }
    }
}

/* Everything a process does with a segment. Any result is right, as long as the call returns. */
static void use(struct larder *db) {
    struct larder_check_report report;
    struct larder_table *t;
    struct larder_page *page;
    struct larder_table_stats stats;
    struct larder_segment_stats segment;
    (void)larder_check(db, NULL, &report);
    (void)larder_segment_stats(db, &segment);
    if (larder_page_new(db, &page) || larder_table_open(db, "table", &t))
        return;
    (void)larder_scan(t, &(struct larder_scan_spec){.limit = 1000}, page);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        for (int down = 0; down < 2; down++) {
            const char *const names[] = {"P0", "P1", "P2"};
            (void)larder_query(t, &(struct larder_query_spec){.partition = larder_str(names[p]), .is_descending = down},
                               page);
        }
    (void)larder_query(t, &(struct larder_query_spec){.index = "byKind", .partition = larder_str("even")}, page);
    (void)larder_table_stats(t, &stats);
}

static int survive(void *arg) {
    const struct trial *trial = arg;
    struct world w;
    struct rng rng;
    struct larder *db;
    rng_seed(&rng, trial->seed);
    PROC_CHECK(try_copy_segment(trial->fd, &w));
    damage_at_random(&w, &rng);
    const struct larder_options o = {
        .flags = LARDER_MEMFD | (trial->seed % 2 ? LARDER_READ_ONLY : 0), .memfd = w.fd, .busy_timeout_ms = 20};
    if (larder_open(&o, &db) == LARDER_OK) {
        use(db);
        larder_close(db);
    }
    drop_copy(&w);
    return 0;
}

Test(check, no_damage_crashes_or_hangs) {
    uint64_t seed = rng_test_seed("check");
    unsigned trials = getenv("LARDER_TEST_LONG") ? 20000 : 600 / (SLOW_FACTOR > 1 ? 3 : 1);
    int fd = make_segment();
    for (unsigned i = 0; i < trials; i++) {
        struct trial trial = {fd, seed + i};
        struct proc_result r = proc_run(survive, &trial, 10000);
        cr_assert(proc_is_exit(r, 0), "LARDER_SEED=%#lx: %s", trial.seed, proc_text(r));
    }
    close(fd);
}
