/* tests/crash/repair_keeps_test.c - what a repair leaves alone, and what it does without room.
 *
 * Goal     A clean segment stays as it is, byte for byte. Blocks that a class has lent stay (heap
 *          rule P3). A full segment loses nothing, or no more than what finds no room. Without
 *          private memory nothing is changed.
 * Method   Compares bytes, items and blocks before and after.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/table/db.h"
#include "index/skl.h"
#include "larder.h"
#include "tests/crash/repair_harm.h"
#include "tests/crash/repair_kit.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"

/* Long runs die at every store. A hang happens in a child, and children have a deadline of their
 * own. */
TestSuite(repair_keeps, .timeout = 900 * SLOW_FACTOR);

/* ---- Nothing is done ------------------------------------------------------------------------- */

Test(repair_keeps, a_clean_segment_stays_as_it_is) {
    int fd = make_segment(ITEMS);
    struct copy c = copy_of(fd, ITEMS);
    struct larder_repair_report report = {0};
    unsigned char *before = bytes_of(&c);
    cr_assert_eq(repair_here(&c, &report), LARDER_OK, "%s", larder_error());
    cr_assert_eq(report.errors_found, 0);
    cr_assert_eq(report.items_kept, 0);
    must_be_equal(&c, before);
    free(before);
    drop_copy(&c);
    close(fd);
}

/* ---- Blocks on loan (heap rule P3) ----------------------------------------------------------- */

#define LOANS 600
#define LOAN_FIRST 1000 /* numbers of items of "plain" */

static int put_filled(struct larder_table *t, struct larder_builder *b, int n, size_t bytes) {
    static const char fill[400];
    const struct larder_item *item;
    larder_builder_reset(b);
    larder_builder_add_int(b, "id", n);
    larder_builder_add_b(b, "fill", fill, bytes);
    int r = larder_builder_finish(b, &item);
    return r ? r : larder_put(t, item, NULL);
}

static struct larder_key plain_key(int n, char digits[16]) {
    snprintf(digits, 16, "%d", n);
    return (struct larder_key){.partition = larder_num(digits)};
}

/* Large items, of which two thirds are deleted, and smaller ones, which get some of their
 * blocks. */
static void put_loans(struct larder *db) {
    struct larder_table *t;
    struct larder_builder *b;
    char digits[16];
    cr_assert_eq(larder_table_open(db, "plain", &t), LARDER_OK);
    cr_assert_eq(larder_builder_new(db, &b), LARDER_OK);
    for (int n = 0; n < LOANS; n++)
        cr_assert_eq(put_filled(t, b, LOAN_FIRST + n, 390), LARDER_OK, "%s", larder_error());
    for (int n = 0; n < LOANS; n++) {
        const struct larder_key key = plain_key(LOAN_FIRST + n, digits);
        if (n % 3)
            cr_assert_eq(larder_delete(t, &key, NULL), LARDER_OK, "%s", larder_error());
    }
    for (int n = 0; n < LOANS; n++)
        if (n % 3 == 1)
            cr_assert_eq(put_filled(t, b, LOAN_FIRST + n, 340), LARDER_OK, "%s", larder_error());
    larder_builder_free(b);
}

static int count_loans(const struct copy *c, const struct seg *s) {
    const struct stripe_shm *stripes = at(c, table_shm(c, 1)->items_off);
    int loans = 0;
    for (uint32_t i = 0; i < STRIPES; i++) {
        struct bucket_shm *array = at(c, WORD_OFF(stripes[i].array));
        for (uint32_t k = 0; k < lines_of(&stripes[i]) * BUCKET_SLOTS; k++) {
            uint64_t off = WORD_OFF(array[k / BUCKET_SLOTS].slot[k % BUCKET_SLOTS]);
            loans += off && heap_block_bytes(s, off) > heap_round(((struct item_head *)at(c, off))->bytes, 0);
        }
    }
    return loans;
}

/* Descriptors that are wrong: the class of a span is what its blocks have in common, not the class
 * that its first block's item would ask for. */
Test(repair_keeps, blocks_on_loan_are_kept) {
    int fd = make_segment(ITEMS_SMALL);
    struct copy c = copy_of(fd, ITEMS_SMALL);
    struct larder_repair_report report = {0};
    struct larder *db;
    char digits[16];
    cr_assert_eq(attach(&c, 0, &db), LARDER_OK, "%s", larder_error());
    put_loans(db);
    cr_assert_gt(count_loans(&c, &db->seg), 50);
    larder_close(db);
    for (uint32_t i = 0; i < claimed_spans(&c); i++)
        if (spans_of(&c)[i].state == SPAN_SMALL)
            spans_of(&c)[i].class_index = CLASS_COUNT;
    cr_assert_eq(repair_here(&c, &report), LARDER_OK, "%s", larder_error());
    cr_assert_eq(report.items_lost, 0);
    cr_assert_eq(report.items_kept, ITEMS_SMALL + PLAIN + 2 * LOANS / 3);
    cr_assert_eq(attach(&c, 0, &db), LARDER_OK, "%s", larder_error());
    struct larder_table *t;
    struct larder_page *page;
    cr_assert_eq(larder_table_open(db, "plain", &t), LARDER_OK);
    cr_assert_eq(larder_page_new(db, &page), LARDER_OK);
    for (int n = 0; n < LOANS; n++) {
        const struct larder_key key = plain_key(LOAN_FIRST + n, digits);
        cr_assert_eq(larder_get(t, &key, page), n % 3 == 2 ? LARDER_NOT_FOUND : LARDER_OK);
    }
    larder_page_free(page);
    must_be_clean(db);
    larder_close(db);
    drop_copy(&c);
    close(fd);
}

Test(repair_keeps, arguments) {
    int fd = make_segment(ITEMS_SMALL);
    struct copy c = copy_of(fd, ITEMS_SMALL);
    struct larder_repair_report report = {0};
    struct larder *db;
    cr_assert_eq(attach(&c, LARDER_REPAIR | LARDER_READ_ONLY, &db), LARDER_E_INVAL);
    cr_assert_eq(attach(&c, LARDER_READ_ONLY, &db), LARDER_OK);
    cr_assert_eq(larder_repair(db, NULL, &report), LARDER_E_READ_ONLY);
    larder_close(db);
    cr_assert_eq(attach(&c, 0, &db), LARDER_OK);
    cr_assert_eq(larder_repair(db, NULL, NULL), LARDER_E_INVAL);
    larder_close(db);
    drop_copy(&c);
    close(fd);
}

/* ---- A full segment -------------------------------------------------------------------------- */

/* No byte is free, and all lists are broken. */
static int fill_and_repair(void *arg) {
    const struct trial *trial = arg;
    struct larder *db;
    struct larder_repair_report report = {0};
    struct larder_check_report check;
    int n = ITEMS_SMALL, r;
    PROC_CHECK(attach(trial->copy, 0, &db) == LARDER_OK);
    while ((r = put_item(db, n)) == LARDER_OK)
        n++;
    PROC_CHECK(r == LARDER_E_FULL && n > 500);
    larder_close(db);
    memset((void *)stripes_of(trial->copy, 1), 0xff, STRIPES * sizeof(struct stripe_shm));
    if (trial->leaf_capacity)
        leaf_capacity = trial->leaf_capacity;
    PROC_CHECK(attach(trial->copy, LARDER_REPAIR, &db) == LARDER_OK);
    r = larder_repair(db, &(struct larder_repair_options){.note = show_note}, &report);
    if (r || report.items_lost > (uint64_t)trial->lost_max)
        fprintf(stderr, "full: %s, %lu of %d items lost\n", larder_result_name(r), report.items_lost, n);
    PROC_CHECK(r == LARDER_OK && report.items_lost <= (uint64_t)trial->lost_max);
    PROC_CHECK(report.items_kept + report.items_lost == (uint64_t)n + PLAIN);
    PROC_CHECK(larder_check(db, NULL, &check) == LARDER_OK && check.items == report.items_kept);
    larder_close(db);
    return 0;
}

static void test_full(struct trial trial) {
    int fd = make_segment(ITEMS_SMALL);
    struct copy c = copy_of(fd, ITEMS_SMALL);
    trial.copy = &c;
    struct proc_result r = proc_run(fill_and_repair, &trial, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    drop_copy(&c);
    close(fd);
}

Test(repair_keeps, a_full_segment_loses_nothing) {
    test_full((struct trial){.lost_max = 0});
}

/* Lists of leaves of two entries need far more than there is: some items are lost, and all lists
 * are whole. */
Test(repair_keeps, items_go_if_their_lists_find_no_room) {
    test_full((struct trial){.lost_max = 6000, .leaf_capacity = 2});
}

extern _Atomic int64_t heap_test_takes_left;

/* Memory is refused from the k-th block on. Nothing is dropped for that, the segment stays marked,
 * and the next repair is whole. */
static int repair_without_memory(void *arg) {
    const struct trial *trial = arg;
    struct larder_repair_report report = {.items_lost = 1};
    struct larder *db;
    heap_test_takes_left = trial->lost_max;
    int r = repair_here(trial->copy, &report);
    heap_test_takes_left = -1;
    PROC_CHECK(r == LARDER_E_FULL && trial->copy->head->state == SEG_STATE_REPAIRING);
    PROC_CHECK(report.items_lost == 1); /* a repair that fails writes no report */
    PROC_CHECK(attach(trial->copy, 0, &db) == LARDER_E_CORRUPT);
    return 0;
}

Test(repair_keeps, no_memory) {
    int fd = make_segment(ITEMS_SMALL);
    for (int k = 0; k < 100; k += is_long() ? 1 : 9) {
        struct copy c = copy_of(fd, ITEMS_SMALL);
        memset((void *)stripes_of(&c, 1), 0xff, STRIPES * sizeof(struct stripe_shm));
        harm_all_links(&c);
        struct proc_result r = proc_run(repair_without_memory, &(struct trial){.copy = &c, .lost_max = k}, DEADLINE_MS);
        cr_assert(proc_is_exit(r, 0), "take %d: %s", k, proc_text(r));
        judge(&(struct trial){.copy = &c}, "no memory", (uint64_t)k);
        drop_copy(&c);
    }
    close(fd);
}
