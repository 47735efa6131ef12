/* tests/api/evict_marks_test.c - the marks of what was read, published and damaged.
 *
 * Goal     What a process read is marked by its expirer. Marks are hints: any bytes are good ones,
 *          and repair makes lost ones again.
 * Method   Marks are damaged in the bytes of the segment.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/mman.h>

#include "core/segment/layout.h"
#include "larder.h"
#include "tests/api/evict_kit.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(evict_marks, .timeout = 100 * SLOW_FACTOR);

#define HOT 1000u

/* A process that only reads: its expirer publishes. */
Test(evict_marks, an_expirer_publishes_reads) {
    struct fixture f;
    begin(&f);
    for (unsigned n = 0; n < 20000; n++)
        cr_assert_eq(put(&f, f.cache, n, 200), LARDER_OK);
    struct larder *reader = testseg_attach(f.db, 0);
    struct larder_table *table;
    struct larder_page *page;
    cr_assert_eq(larder_table_open(reader, "Cache", &table), LARDER_OK);
    cr_assert_eq(larder_page_new(reader, &page), LARDER_OK);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned n = 0; n < HOT; n++) {
            char text[16];
            snprintf(text, sizeof text, "k%u", n);
            cr_assert_eq(larder_get(table, &(struct larder_key){.partition = larder_str(text)}, page), LARDER_OK);
        }
        cr_assert_eq(larder_expire(reader, 0, NULL), LARDER_OK);
        for (unsigned n = 0; n < 6000; n++)
            cr_assert_eq(put(&f, f.cache, 1000000 + round * 6000 + n, 200), LARDER_OK);
    }
    larder_close(reader);
    end(&f);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

static void fill_cache(struct fixture *f, unsigned from) {
    for (unsigned n = from; n < from + 40000; n++)
        cr_assert_eq(put(f, f->cache, n, 200), LARDER_OK, "%s", larder_error());
}

/* A word of the cache's catalog entry that a test damages, and what a repair makes of it. */
static void damage_and_repair(void (*damage)(struct fixture *f, struct table_shm *entry, unsigned char *bytes)) {
    struct fixture f;
    struct larder_check_report report;
    struct larder_repair_report repair;
    uint64_t items, after;
    begin(&f);
    fill_cache(&f, 0);
    entries_of(f.cache, &items);
    unsigned char *bytes = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, larder_memfd(f.db), 0);
    cr_assert(bytes != MAP_FAILED);
    struct table_shm *entry = (struct table_shm *)(bytes + ((struct seg_shm *)bytes)->catalog_off);
    damage(&f, entry, bytes);
    cr_assert_geq(larder_repair(f.db, NULL, &repair), 0, "%s", larder_error());
    cr_expect_eq(larder_check(f.db, NULL, &report), LARDER_OK, "%s", report.first_error);
    cr_expect_eq(report.leaked_blocks, 0);
    entries_of(f.cache, &after);
    cr_expect_eq(after, items);
    fill_cache(&f, 100000);
    munmap(bytes, SEGMENT_BYTES);
    end(&f);
}

static void lose_marks(struct fixture *f, struct table_shm *entry, unsigned char *bytes) {
    struct larder_check_report report;
    (void)bytes;
    entry->marks_off = 0;
    cr_assert_geq(larder_check(f->db, NULL, &report), 0);
    cr_expect_eq(report.leaked_blocks, 1);
}

static void misplace_marks(struct fixture *f, struct table_shm *entry, unsigned char *bytes) {
    struct larder_check_report report;
    (void)bytes;
    entry->marks_off = SEGMENT_BYTES - 64;
    cr_expect_neq(larder_check(f->db, NULL, &report), LARDER_OK);
}

static void break_magic(struct fixture *f, struct table_shm *entry, unsigned char *bytes) {
    (void)f;
    bytes[entry->marks_off] ^= 1;
}

/* Marks and hands are hints. */
static void scramble_marks(struct fixture *f, struct table_shm *entry, unsigned char *bytes) {
    struct larder_check_report report;
    for (unsigned i = 64; i < SEGMENT_BYTES / 512; i++)
        bytes[entry->marks_off + i] = (unsigned char)(i * 37);
    cr_expect_eq(larder_check(f->db, NULL, &report), LARDER_OK);
    fill_cache(f, 50000);
    fill_cache(f, 0);
}

Test(evict_marks, lost_marks_are_made_again) {
    damage_and_repair(lose_marks);
}
Test(evict_marks, misplaced_marks_are_made_again) {
    damage_and_repair(misplace_marks);
}
Test(evict_marks, marks_without_their_sign_are_made_again) {
    damage_and_repair(break_magic);
}

Test(evict_marks, any_marks_are_good) {
    struct fixture f;
    begin(&f);
    fill_cache(&f, 0);
    unsigned char *bytes = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, larder_memfd(f.db), 0);
    cr_assert(bytes != MAP_FAILED);
    scramble_marks(&f, (struct table_shm *)(bytes + ((struct seg_shm *)bytes)->catalog_off), bytes);
    munmap(bytes, SEGMENT_BYTES);
    end(&f);
}
