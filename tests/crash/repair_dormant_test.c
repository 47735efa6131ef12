/* tests/crash/repair_dormant_test.c - damage in unused memory: stripes that a dropped table left,
 * spans that were never claimed.
 *
 * Goal     larder_check() finds it, larder_repair() mends it, and until then no table is made on
 *          such stripes and no span is handed out because of its descriptor. Whatever is done
 *          afterwards, the segment stays clean.
 * Method   A segment with a table, and a catalog entry that had one. Through a mapping of its own
 *          the test stores to one word of these stripes, or to a descriptor; then come the calls.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/segment/layout.h"
#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(repair_dormant, .timeout = 100 * SLOW_FACTOR);

#define SEGMENT_BYTES (4u << 20)
#define STRIPES 4u

struct fixture {
    struct larder *db;
    unsigned char *base;
    struct seg_shm *head;
    int fd;
};

static int create(struct larder *db, const char *name) {
    const struct larder_index_def index = {.name = "byKind", .partition = {"kind", LARDER_S}};
    const struct larder_table_def def = {
        .name = name, .partition = {"pk", LARDER_S}, .sort = {"sk", LARDER_S}, .indexes = &index, .index_count = 1};
    return larder_table_create(db, &def);
}

/* LARDER_OK, or the result of a put. */
static int fill(struct larder *db, const char *name, int items, size_t bytes) {
    static const char zeros[2000];
    struct larder_table *t;
    struct larder_builder *b;
    const struct larder_item *item;
    int r = LARDER_OK;
    EXPECT(larder_table_open(db, name, &t), LARDER_OK);
    EXPECT(larder_builder_new(db, &b), LARDER_OK);
    for (int i = 0; i < items && r == LARDER_OK; i++) {
        char sk[16], kind[16];
        snprintf(sk, sizeof sk, "%d", i);
        snprintf(kind, sizeof kind, "kind%d", i % 20);
        larder_builder_reset(b);
        larder_builder_add_s(b, "pk", "partition");
        larder_builder_add_s(b, "sk", sk);
        larder_builder_add_s(b, "kind", kind);
        larder_builder_add_b(b, "fill", zeros, bytes);
        EXPECT(larder_builder_finish(b, &item), LARDER_OK);
        r = larder_put(t, item, NULL);
    }
    larder_builder_free(b);
    return r;
}

static void begin(struct fixture *f) {
    f->db = testseg_open(SEGMENT_BYTES, STRIPES);
    f->fd = dup(larder_memfd(f->db));
    f->base = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
    cr_assert(f->base != MAP_FAILED);
    f->head = (struct seg_shm *)f->base;
    EXPECT(create(f->db, "kept"), LARDER_OK);
    EXPECT(fill(f->db, "kept", 50, 10), LARDER_OK);
    EXPECT(create(f->db, "gone"), LARDER_OK);
    EXPECT(fill(f->db, "gone", 200, 10), LARDER_OK);
    EXPECT(larder_table_drop(f->db, "gone"), LARDER_OK);
    EXPECT(larder_expire(f->db, 0, NULL), LARDER_OK);
}

static void end(struct fixture *f) {
    larder_close(f->db);
    munmap(f->base, SEGMENT_BYTES);
    close(f->fd);
}

static struct stripe_shm *stripes_of(const struct fixture *f, uint32_t ordinal, int are_items) {
    const struct table_shm *t = (const struct table_shm *)(f->base + f->head->catalog_off) + ordinal;
    cr_assert_eq(t->life & 0xff, ordinal ? TABLE_FREE : TABLE_READY);
    return (struct stripe_shm *)(f->base + (are_items ? t->items_off : t->partitions_off));
}

static int check(struct larder *db, struct larder_check_report *report) {
    return larder_check(db, NULL, report);
}

static void must_be_clean(struct fixture *f, const char *what) {
    struct larder_check_report report;
    cr_assert_eq(check(f->db, &report), LARDER_OK, "%s: %s", what, larder_error());
}

/* ---- Stripes --------------------------------------------------------------------------------- */

static void harm_array(struct stripe_shm *s) {
    s->array = 0x1234567;
}
/* filled in: that of the first table's stripe */
static void harm_array_of_others(struct stripe_shm *s) {
    s->array = s->array;
}
static void harm_count(struct stripe_shm *s) {
    s->count = 7;
}
static void harm_spares(struct stripe_shm *s) {
    s->spares_used = 1u << 31;
}
static void harm_writes(struct stripe_shm *s) {
    s->writes = UINT64_MAX - 5;
}
static void harm_writes_little(struct stripe_shm *s) { /* still less than the check once allowed */
    s->writes ^= UINT64_C(1) << 53 | UINT64_C(1) << 52;
    s->writes |= UINT64_C(1) << 57;
}
static void harm_lock(struct stripe_shm *s) {
    s->lock = 0x7fff;
}

static const struct stripe_row {
    const char *name;
    void (*harm)(struct stripe_shm *s);
    int is_of_items_only; /* lists count no writes */
    int is_refused;       /* no table is made of it. A lock is looked at when it is waited for */
} rows[] = {
    {"array", harm_array, 0, 1},   {"another's array", harm_array_of_others, 1, 1},
    {"count", harm_count, 0, 1},   {"spares", harm_spares, 0, 1},
    {"writes", harm_writes, 1, 1}, {"writes, a bit", harm_writes_little, 1, 1},
    {"lock", harm_lock, 0, 0},
};

static void try_stripe(const struct stripe_row *row, uint32_t number, int are_items) {
    struct fixture f;
    struct larder_check_report found;
    struct larder_repair_report report;
    begin(&f);
    struct stripe_shm *stripe = &stripes_of(&f, 1, are_items)[number], *first = &stripes_of(&f, 0, 1)[0];
    uint64_t writes = stripe->writes;
    must_be_clean(&f, "before");
    row->harm(stripe);
    if (row->harm == harm_array_of_others)
        stripe->array = stripes_of(&f, 0, 1)[0].array ? first->array : stripes_of(&f, 0, 0)[0].array;
    struct larder *reader = testseg_attach(f.db, LARDER_READ_ONLY);
    cr_assert_eq(check(reader, &found), LARDER_DAMAGED, "%s, read-only: %s", row->name, larder_error());
    cr_assert_eq(check(f.db, &found), LARDER_DAMAGED, "%s: %s", row->name, larder_error());
    larder_close(reader);
    if (row->is_refused) {
        cr_assert_eq(create(f.db, "next"), LARDER_E_CORRUPT, "%s", row->name);
        cr_assert(strstr(larder_error(), "stripe"), "%s", larder_error());
        /* still free, with its stripes */
        cr_assert_eq(stripes_of(&f, 1, are_items), stripe - number);
    }
    cr_assert_eq(larder_repair(f.db, NULL, &report), LARDER_OK, "%s: %s", row->name, larder_error());
    cr_assert(report.errors_found > 0 && report.items_lost == 0 && report.items_kept == 50, "%s", row->name);
    cr_assert(!are_items || (stripe->writes >= writes && stripe->writes >> 54 == 1), "%s: no version comes twice",
              row->name);
    must_be_clean(&f, row->name);
    cr_assert_eq(create(f.db, "next"), LARDER_OK, "%s: %s", row->name, larder_error());
    cr_assert_eq(fill(f.db, "next", 300, 10), LARDER_OK, "%s: %s", row->name, larder_error());
    must_be_clean(&f, row->name);
    end(&f);
}

Test(repair_dormant, stripes) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int are_items = rows[i].is_of_items_only; are_items < 2; are_items++)
            for (uint32_t number = 0; number < STRIPES; number += 3)
                try_stripe(&rows[i], number, are_items);
}

/* An array of stripes in a wrong place: another's block, or not a block at all. */
Test(repair_dormant, where_the_stripes_are) {
    for (int i = 0; i < 3; i++) {
        struct fixture f;
        struct larder_repair_report report;
        begin(&f);
        struct table_shm *gone = (struct table_shm *)(f.base + f.head->catalog_off) + 1;
        uint64_t wrong[] = {gone->items_off + 8, f.head->claimed_bytes, gone->items_off ^ UINT64_C(1) << 40};
        gone->items_off = wrong[i];
        cr_assert_eq(create(f.db, "next"), LARDER_E_CORRUPT, "%d", i);
        EXPECT(larder_repair(f.db, NULL, &report), LARDER_OK);
        cr_assert(report.errors_found > 0 && report.items_kept == 50 && report.tables_kept == 1);
        EXPECT(create(f.db, "next"), LARDER_OK);
        EXPECT(fill(f.db, "next", 300, 10), LARDER_OK);
        must_be_clean(&f, "after");
        end(&f);
    }
}

/* ---- Spans ----------------------------------------------------------------------------------- */

static struct span_shm *spans_of(const struct fixture *f) {
    return (struct span_shm *)(f->base + f->head->spans_off);
}
static uint32_t claimed(const struct fixture *f) {
    return (uint32_t)((f->head->claimed_bytes - f->head->data_off) / SPAN_BYTES);
}

/* Everything that fits is put, and the segment is clean. */
static void fill_up(struct fixture *f, const char *what) {
    int r = fill(f->db, "kept", 100000, 1500);
    cr_assert_eq(r, LARDER_E_FULL, "%s: %s", what, larder_error());
    must_be_clean(f, what);
}

static const uint8_t states[] = {1, 2, 3, 4, 0xa5, 0xff};

/* Claimed without a check: what is claimed is put right. */
Test(repair_dormant, spans_are_claimed) {
    for (size_t i = 0; i < sizeof states; i++) {
        struct fixture f;
        begin(&f);
        for (uint32_t k = claimed(&f); k < f.head->span_count; k++)
            if (k % 3 != 0)
                spans_of(&f)[k].state = states[i];
        fill_up(&f, "state");
        end(&f);
    }
    struct fixture f;
    begin(&f);
    for (uint32_t k = claimed(&f); k < f.head->span_count; k++) { /* all of a descriptor */
        memset((void *)&spans_of(&f)[k], 0xa5, sizeof(struct span_shm));
    }
    fill_up(&f, "all bytes");
    end(&f);
}

/* Found by a check, and mended: as far as there is memory behind the descriptors. */
Test(repair_dormant, spans_are_found) {
    for (size_t i = 0; i < sizeof states; i++) {
        struct fixture f;
        struct larder_check_report found;
        struct larder_repair_report report;
        begin(&f);
        spans_of(&f)[claimed(&f)].state = states[i];
        cr_assert_eq(check(f.db, &found), LARDER_DAMAGED, "%u", states[i]);
        cr_assert(strstr(found.first_error, "not claimed"), "%s", found.first_error);
        EXPECT(larder_repair(f.db, NULL, &report), LARDER_OK);
        cr_assert_eq(report.items_kept, 50);
        cr_assert_eq(spans_of(&f)[claimed(&f)].state, SPAN_FREE);
        fill_up(&f, "repaired");
        end(&f);
    }
}

/* Memory that is in use, but counts as not claimed: no process gets it by claiming it again. */
Test(repair_dormant, spans_in_use_stay) {
    struct fixture f;
    begin(&f);
    EXPECT(fill(f.db, "kept", 400, 1500), LARDER_OK);
    struct larder_repair_report report;
    uint8_t before[4096];
    uint32_t end_span = claimed(&f), used = 0;
    cr_assert_lt(end_span, sizeof before);
    for (uint32_t k = 0; k < end_span; k++)
        before[k] = spans_of(&f)[k].state;
    f.head->claimed_bytes = f.head->data_off + 16 * SPAN_BYTES;
    (void)fill(f.db, "kept", 400, 1500); /* whatever the result: it claims memory */
    for (uint32_t k = 16; k < end_span; k++) {
        used += before[k] == SPAN_SMALL;
        cr_assert(before[k] != SPAN_SMALL || spans_of(&f)[k].state == SPAN_SMALL, "span %u is in state %u", k,
                  spans_of(&f)[k].state);
    }
    cr_assert_gt(used, 0);
    int r = larder_repair(f.db, NULL, &report);
    cr_assert_eq(r, LARDER_OK, "%s", larder_error());
    must_be_clean(&f, "after");
    end(&f);
}
