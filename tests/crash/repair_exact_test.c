/* tests/crash/repair_exact_test.c - damage to a single field, with an exact result.
 *
 * Goal     larder_repair() mends or refuses each of these, tells what it found, and loses no more
 *          items than it must.
 * Method   A table of fields; each is set wrong in a copy of its own.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/item/item_records.h"
#include "core/segment/seg_layout.h"
#include "core/table/db.h"
#include "larder.h"
#include "tests/crash/repair_harm.h"
#include "tests/crash/repair_kit.h"
#include "tests/support/same_item.h"
#include "tests/support/slow.h"

/* Long runs die at every store. A hang happens in a child, and children have a deadline of their
 * own. */
TestSuite(repair_exact, .timeout = 900 * SLOW_FACTOR);

/* ---- 2. Single fields, exact results --------------------------------------------------------- */

static const struct exact exacts[] = {
    {"two slots, one block", harm_duplicate, 1, 0, 0, 0, 0},
    {"slot emptied", harm_slot_emptied, 1, 0, 0, 0, 0},
    {"slot to nowhere", harm_slot_nowhere, 1, 0, 0, 0, 0},
    {"image", harm_image, 1, 0, 0, 0, 0},
    {"key name", harm_key_name, 1, 0, 0, 0, 0},
    {"array forgotten", harm_array, -1, 0, 0, 0, 0},
    {"all links", harm_all_links, 0, 0, 0, 0, 0},
    {"expiry", harm_expiry, 0, 1, 0, 0, 0},
    {"expiry and timer", harm_timed, 0, 1, 0, 0, 0},
    {"expiry and timer never", harm_timed_never, 0, 1, 0, 0, 0},
    {"a byte after the timer", harm_timed_zero, 0, 1, 0, 0, 0},
    {"TTL generation", harm_generation, 0, 0, 0, -1, 0},
    {"hash", harm_hash, 0, 1, 0, 0, 0},
    {"version", harm_version, 0, 1, 0, 0, 0},
    {"write numbers", harm_writes, 0, 0, 0, 0, 0},
    {"write numbers, too high", harm_writes_high, 0, 0, 0, 0, 0},
    {"key sequences", harm_kseqs, 0, 10, 0, 0, 0},
    {"class of a span", harm_span_class, 0, 0, 0, 0, 0},
    {"all caches", harm_all_caches, 0, 0, 0, -1, 0},
    {"locks", harm_locks, 0, 0, 0, -1, 0},
    {"slots", harm_slots, 0, 0, 0, 0, -1},
    {"journals", harm_journals, 0, 0, 0, 0, -1},
    {"life", harm_life, 0, 0, 0, 0, 0},
    {"definition", harm_definition, ITEMS, 0, 1, 0, 0},
    {"claimed, too little", harm_claimed_low, 0, 0, 0, 0, 0},
    {"claimed, too much", harm_claimed_high, 0, 0, 0, 0, 0},
};

static void try_exact(int fd, const struct exact *e) {
    struct copy c = copy_of(fd, ITEMS);
    struct larder_repair_report *report =
        mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(report != MAP_FAILED);
    e->harm(&c);
    struct trial trial = {.copy = &c,
                          .lost_max = e->lost < 0 ? STRIPE_ITEMS : e->lost,
                          .may_lose_tables = e->tables_lost,
                          .is_told = 1,
                          .report = report};
    judge(&trial, e->name, 0);
    int is_table_lost = e->tables_lost != 0;
    cr_assert(report->errors_found > 0 && report->errors_left == 0, "%s", e->name);
    cr_assert_eq(report->tables_lost, (uint64_t)e->tables_lost, "%s: %lu", e->name, report->tables_lost);
    cr_assert_eq(report->tables_kept, (uint64_t)(2 - e->tables_lost), "%s", e->name);
    if (e->lost >= 0)
        cr_assert_eq(report->items_kept, (uint64_t)(ITEMS + PLAIN - e->lost), "%s: %lu kept", e->name,
                     report->items_kept);
    if (e->mended >= 0)
        cr_assert_eq(report->items_mended, (uint64_t)e->mended, "%s: %lu mended", e->name, report->items_mended);
    if (!is_table_lost && e->lost == 0)
        cr_assert_eq(report->timers, ITEMS / 5, "%s: %lu timers", e->name, report->timers);
    cr_assert(e->locks_cleared < 0 ? report->locks_cleared > 0 : report->locks_cleared == 0, "%s: %lu locks", e->name,
              report->locks_cleared);
    cr_assert(e->slots_cleared < 0 ? report->slots_cleared > 0 : report->slots_cleared == 0, "%s: %lu slots", e->name,
              report->slots_cleared);
    munmap(report, sizeof *report);
    drop_copy(&c);
}

Test(repair_exact, exact_results) {
    int fd = make_segment(ITEMS);
    for (size_t i = 0; i < sizeof exacts / sizeof *exacts; i++)
        try_exact(fd, &exacts[i]);
    close(fd);
}

/* ---- An expiry without a place --------------------------------------------------------------- */

static int seen_at(struct larder *db, int n, int64_t now_s) {
    struct larder_table *t;
    struct larder_page *page;
    char pk[16], sk[32];
    snprintf(pk, sizeof pk, "P%d", n % PARTITIONS);
    snprintf(sk, sizeof sk, "SHARED#PREFIX#%05d", n);
    const struct larder_key key = {larder_str(pk), larder_str(sk)};
    clock_s = now_s;
    cr_assert_eq(larder_table_open(db, "rich", &t), LARDER_OK);
    cr_assert_eq(larder_page_new(db, &page), LARDER_OK);
    int r = larder_get(t, &key, page), many = larder_get_many(t, &key, 1, page);
    cr_assert_eq(many, LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_page_item(page, 0) != NULL, r == LARDER_OK);
    larder_page_free(page);
    return r;
}

/* The item has no place for the expiry that its attribute says. The expirer makes one; the item
 * expires in any case. */
Test(repair_exact, an_expiry_without_a_place) {
    int fd = make_segment(ITEMS);
    struct copy c = copy_of(fd, ITEMS);
    struct larder_repair_report report = {0};
    struct larder_check_report check;
    struct larder_table_stats stats;
    struct larder_table *t;
    struct larder *db;
    uint64_t removed;
    close(fd);
    struct item_head *h = timed_item_of(&c, 1);
    int n = number_of((const struct larder_item *)h);
    item_make_timed(h, 0);
    cr_assert_eq(repair_here(&c, &report), LARDER_OK, "%s", larder_error());
    cr_assert_eq(report.items_kept, ITEMS + PLAIN);
    cr_assert_eq(report.items_mended, 1, "%lu", report.items_mended);
    cr_assert_eq(report.timers, ITEMS / 5 - 1, "%lu", report.timers);
    cr_assert_eq(attach(&c, 0, &db), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_check(db, NULL, &check), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(db, "rich", &t), LARDER_OK);
    cr_assert_eq(seen_at(db, n, 5000 + n), LARDER_NOT_FOUND);
    cr_assert_eq(seen_at(db, n, 4999), LARDER_OK);
    /* and restamps */
    cr_assert_eq(larder_expire(db, 0, &removed), LARDER_OK, "%s", larder_error());
    cr_assert((h = timed_item_of(&c, 0)) && number_of((const struct larder_item *)h) % 5 != 0);
    cr_assert_eq(removed, 0);
    cr_assert_eq(larder_table_stats(t, &stats), LARDER_OK);
    cr_assert(stats.wheel_entries == ITEMS / 5 && stats.item_count == ITEMS);
    cr_assert_eq(larder_check(db, NULL, &check), LARDER_OK, "%s", larder_error());
    clock_s = 5000 + ITEMS;
    cr_assert_eq(larder_expire(db, 0, &removed), LARDER_OK);
    cr_assert_eq(removed, ITEMS / 5);
    larder_close(db);
    drop_copy(&c);
}

/* ---- Blocks on loan (heap rule P3) ----------------------------------------------------------- */

/* A segment whose head cannot be read is refused with a message, and nothing is changed. */
Test(repair_exact, a_head_that_makes_no_sense_is_refused) {
    int fd = make_segment(ITEMS_SMALL);
    const size_t fields[] = {offsetof(struct seg_shm, magic),        offsetof(struct seg_shm, format_version),
                             offsetof(struct seg_shm, fingerprint),  offsetof(struct seg_shm, size_bytes),
                             offsetof(struct seg_shm, stripe_count), offsetof(struct seg_shm, slot_count),
                             offsetof(struct seg_shm, spans_off),    offsetof(struct seg_shm, data_off)};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct copy c = copy_of(fd, ITEMS_SMALL);
        struct larder_repair_report report;
        c.base[fields[i]] ^= 0x21;
        unsigned char *before = bytes_of(&c);
        cr_assert_eq(repair_here(&c, &report), LARDER_E_FORMAT, "field at %zu", fields[i]);
        cr_assert(strlen(larder_error()) > 10);
        cr_assert(memcmp(c.base, before, SEGMENT_BYTES) == 0, "field at %zu", fields[i]);
        free(before);
        drop_copy(&c);
    }
    close(fd);
}

/* Without its seed no item can be found. They all look damaged, and are not. */
Test(repair_exact, a_wrong_hash_seed_is_refused) {
    int fd = make_segment(ITEMS_SMALL);
    struct copy c = copy_of(fd, ITEMS_SMALL);
    struct larder_repair_report report = {0};
    c.head->hash_seed ^= 1;
    cr_assert_eq(repair_here(&c, &report), LARDER_E_FORMAT, "its sum says so");
    c.head->sum = seg_layout_sum(c.head);
    unsigned char *before = bytes_of(&c);
    cr_assert_eq(repair_here(&c, &report), LARDER_E_CORRUPT, "and so do the items, if the sum does not");
    cr_assert(strstr(larder_error(), "seed"), "%s", larder_error());
    must_be_equal(&c, before);
    c.head->hash_seed ^= 1;
    c.head->sum = seg_layout_sum(c.head);
    cr_assert_eq(repair_here(&c, &report), LARDER_OK, "%s", larder_error());
    cr_assert_eq(report.errors_found, 0);
    free(before);
    drop_copy(&c);
    close(fd);
}

Test(repair_exact, a_state_that_is_none_is_mended) {
    int fd = make_segment(ITEMS);
    struct copy c = copy_of(fd, ITEMS);
    struct larder *db;
    c.head->state = 77;
    cr_assert_eq(attach(&c, 0, &db), LARDER_E_FORMAT);
    judge(&(struct trial){.copy = &c}, "state", 0);
    drop_copy(&c);
    close(fd);
}
