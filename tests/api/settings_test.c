/* tests/api/settings_test.c - larder_settings_set(): bytes that are kept with a table.
 *
 * Goal     They come back as they are, in every attachment, through every other change, and go with
 *          the table. Of two that change what they read, one is told. A repair that finds them
 *          damaged keeps the table. (tests/crash/scenarios.c dies at each store.)
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(settings, .timeout = 60 * SLOW_FACTOR);

static const struct larder_table_def *described(struct larder *db, const char *name) {
    struct larder_table *t;
    const struct larder_table_def *def;
    EXPECT(larder_table_open(db, name, &t), LARDER_OK);
    EXPECT(larder_table_describe(t, &def), LARDER_OK);
    return def;
}

static void expect_settings(struct larder *db, const void *settings, size_t bytes) {
    const struct larder_table_def *def = described(db, "table");
    cr_assert_eq(def->settings_bytes, bytes);
    cr_assert(bytes ? memcmp(def->settings, settings, bytes) == 0 : def->settings == NULL);
}

static void end(struct larder *db) {
    struct larder_check_report report;
    EXPECT(larder_check(db, NULL, &report), LARDER_OK);
    cr_assert_eq(report.leaked_blocks, 0);
    larder_close(db);
}

static struct larder_table *table_with(struct larder *db, const void *settings, size_t bytes) {
    const struct larder_table_def def = {
        .name = "table", .partition = {"id", LARDER_S}, .settings = settings, .settings_bytes = bytes};
    struct larder_table *t;
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    EXPECT(larder_table_open(db, "table", &t), LARDER_OK);
    return t;
}

Test(settings, come_back) {
    struct larder *db = testseg_open(16u << 20, 4), *other = testseg_attach(db, 0);
    struct larder_table *t = table_with(db, "one\0two", 8);
    static char large[LARDER_SETTINGS_BYTES_MAX];
    expect_settings(db, "one\0two", 8);
    expect_settings(other, "one\0two", 8);
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)(i * 7);
    for (size_t bytes = 0; bytes < 300; bytes++) {
        EXPECT(larder_settings_set(t, NULL, bytes ? large : NULL, bytes), LARDER_OK);
        expect_settings(other, large, bytes);
    }
    EXPECT(larder_settings_set(t, NULL, large, sizeof large), LARDER_OK);
    expect_settings(other, large, sizeof large);
    larder_close(other);
    end(db);
}

Test(settings, stay_through_other_changes) {
    struct larder *db = testseg_open(16u << 20, 4);
    struct larder_table *t = table_with(db, "kept", 4);
    const struct larder_index_def index = {.name = "index", .partition = {"k", LARDER_S}};
    EXPECT(larder_index_add(t, &index), LARDER_OK);
    EXPECT(larder_ttl_set(t, "expires"), LARDER_OK);
    EXPECT(larder_removal_set(t, LARDER_REMOVAL_RETAIN), LARDER_OK);
    EXPECT(larder_eviction_set(t, LARDER_EVICTION_SIEVE), LARDER_OK);
    EXPECT(larder_index_drop(t, "index"), LARDER_OK);
    expect_settings(db, "kept", 4);
    EXPECT(larder_settings_set(t, NULL, "other", 5), LARDER_OK);
    const struct larder_table_def *def = described(db, "table");
    cr_assert(def->index_count == 0 && def->removal == LARDER_REMOVAL_RETAIN && def->eviction == LARDER_EVICTION_SIEVE);
    cr_assert_str_eq(def->ttl_attribute, "expires");
    EXPECT(larder_table_drop(db, "table"), LARDER_OK);
    table_with(db, NULL, 0);
    expect_settings(db, NULL, 0);
    end(db);
}

Test(settings, a_change_in_between_is_told) {
    struct larder *db = testseg_open(16u << 20, 4), *other = testseg_attach(db, 0);
    struct larder_table *t = table_with(db, NULL, 0), *theirs;
    EXPECT(larder_table_open(other, "table", &theirs), LARDER_OK);
    const struct larder_table_def *seen = described(db, "table");
    EXPECT(larder_settings_set(theirs, NULL, "theirs", 6), LARDER_OK);
    EXPECT(larder_settings_set(t, seen, "mine", 4), LARDER_CHANGED);
    expect_settings(db, "theirs", 6);
    EXPECT(larder_settings_set(t, described(db, "table"), "mine", 4), LARDER_OK);
    expect_settings(other, "mine", 4);
    EXPECT(larder_settings_set(t, described(db, "table"), NULL, 0), LARDER_OK);
    expect_settings(other, NULL, 0);
    larder_close(other);
    end(db);
}

Test(settings, what_is_not_allowed) {
    struct larder *db = testseg_open(16u << 20, 4);
    struct larder_table *t = table_with(db, NULL, 0);
    static char large[LARDER_SETTINGS_BYTES_MAX + 1];
    struct larder_table_def def = {
        .name = "more", .partition = {"id", LARDER_S}, .settings = large, .settings_bytes = sizeof large};
    EXPECT(larder_settings_set(t, NULL, large, sizeof large), LARDER_E_INVAL);
    cr_assert_str_eq(larder_error(), "the settings have 98305 bytes; 98304 are allowed");
    EXPECT(larder_settings_set(t, NULL, NULL, 1), LARDER_E_INVAL);
    EXPECT(larder_settings_set(NULL, NULL, "x", 1), LARDER_E_INVAL);
    EXPECT(larder_table_create(db, &def), LARDER_E_INVAL);
    def.settings = NULL;
    def.settings_bytes = 3;
    EXPECT(larder_table_create(db, &def), LARDER_E_INVAL);
    EXPECT(larder_table_drop(db, "table"), LARDER_OK);
    EXPECT(larder_settings_set(t, NULL, "x", 1), LARDER_E_NO_TABLE);
    end(db);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

#define PATTERN "settings that can be found"

/* Changes a byte of each copy in the segment; freed ones do not matter. */
static void damage(struct larder *db) {
    struct stat st;
    int fd = larder_memfd(db), found = 0;
    cr_assert(fd >= 0 && fstat(fd, &st) == 0);
    char *base = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert(base != MAP_FAILED);
    for (char *at = base; (at = memmem(at, (size_t)(base + st.st_size - at), PATTERN, strlen(PATTERN))); at++, found++)
        at[3] ^= 1;
    munmap(base, (size_t)st.st_size);
    cr_assert(found);
}

Test(settings, a_repair_keeps_the_table) {
    struct larder *db = testseg_open(16u << 20, 4), *other;
    struct larder_builder *b;
    const struct larder_item *item;
    struct larder_table *t = table_with(db, PATTERN, strlen(PATTERN));
    EXPECT(larder_builder_new(db, &b), LARDER_OK);
    larder_builder_add_s(b, "id", "a");
    EXPECT(larder_builder_finish(b, &item), LARDER_OK);
    EXPECT(larder_put(t, item, NULL), LARDER_OK);
    damage(db);
    other = testseg_attach(db, 0);
    EXPECT(larder_table_open(other, "table", &t), LARDER_E_CORRUPT);
    cr_assert_str_eq(larder_error(), "the settings of table \"table\" do not have their checksum");
    struct larder_check_report check;
    EXPECT(larder_check(other, NULL, &check), LARDER_DAMAGED);
    struct larder_repair_report report;
    EXPECT(larder_repair(other, NULL, &report), LARDER_OK);
    cr_assert(report.tables_kept == 1 && report.items_kept == 1 && report.items_lost == 0);
    expect_settings(other, NULL, 0);
    EXPECT(larder_table_open(other, "table", &t), LARDER_OK);
    EXPECT(larder_settings_set(t, NULL, "again", 5), LARDER_OK);
    expect_settings(other, "again", 5);
    larder_close(other);
    end(db);
}
