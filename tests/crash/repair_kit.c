/* tests/crash/repair_kit.c - see repair_kit.h. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/item/item_records.h"
#include "core/segment/seg_layout.h"
#include "core/table/db.h"
#include "index/skl.h"
#include "larder.h"
#include "tests/crash/repair_kit.h"
#include "tests/support/proc.h"
#include "tests/support/same_item.h"

int64_t clock_s = 1000;

static int64_t test_clock(void *arg) {
    (void)arg;
    return clock_s;
}

int is_long(void) {
    return getenv("LARDER_TEST_LONG") != NULL;
}

static size_t fill_of(int n) {
    return n % 97 == 5 ? 20000 + (size_t)n : (size_t)(n * 37 % 400);
}

static int has_g1(int n) {
    return n % 3 != 0;
}

static int has_g2(int n) {
    return n % 2 == 0;
}

static int expires(int n) {
    return n % 5 == 0;
}

static const struct larder_item *make_item(struct larder_builder *b, int n) {
    static char fill[32000];
    const struct larder_item *item = NULL;
    char text[64];
    memset(fill, 'a' + n % 26, sizeof fill);
    larder_builder_reset(b);
    snprintf(text, sizeof text, "P%d", n % PARTITIONS);
    larder_builder_add_s(b, "PK", text);
    snprintf(text, sizeof text, "SHARED#PREFIX#%05d", n);
    larder_builder_add_s(b, "SK", text);
    if (has_g1(n)) {
        larder_builder_add_s(b, "G1P", n % 2 ? "odd" : "even");
        snprintf(text, sizeof text, "G#%d", n % 10); /* many equal sort keys */
        larder_builder_add_s(b, "G1S", text);
    }
    if (has_g2(n)) {
        snprintf(text, sizeof text, "Q%d", n); /* partitions of one item */
        larder_builder_add_s(b, "G2P", text);
        larder_builder_add_int(b, "G2S", 5000 - n);
    }
    larder_builder_add_int(b, "L1S", n * 7 % 1000);
    if (expires(n))
        larder_builder_add_int(b, "exp", 5000 + n);
    larder_builder_begin(b, "list", LARDER_L);
    larder_builder_add_int(b, NULL, n);
    larder_builder_add_bool(b, NULL, n % 2);
    larder_builder_end(b);
    larder_builder_add_b(b, "fill", fill, fill_of(n));
    return larder_builder_finish(b, &item) == LARDER_OK ? item : NULL;
}

int put_item(struct larder *db, int n) {
    struct larder_table *t;
    struct larder_builder *b;
    int r = larder_table_open(db, "rich", &t);
    if (r == LARDER_OK)
        r = larder_builder_new(db, &b);
    if (r)
        return r;
    const struct larder_item *item = make_item(b, n);
    r = item ? larder_put(t, item, NULL) : LARDER_E_INVAL;
    larder_builder_free(b);
    return r;
}

static int create_tables(struct larder *db) {
    const struct larder_index_def indexes[] = {
        {.name = "G1x", .partition = {"G1P", LARDER_S}, .sort = {"G1S", LARDER_S}},
        {.name = "G2x", .partition = {"G2P", LARDER_S}, .sort = {"G2S", LARDER_N}},
        {.name = "L1x", .is_local = 1, .partition = {"PK", LARDER_S}, .sort = {"L1S", LARDER_N}}};
    const struct larder_table_def rich = {.name = "rich",
                                          .partition = {"PK", LARDER_S},
                                          .sort = {"SK", LARDER_S},
                                          .indexes = indexes,
                                          .index_count = 3,
                                          .ttl_attribute = "exp"};
    const struct larder_table_def plain = {.name = "plain", .partition = {"id", LARDER_N}};
    int r = larder_table_create(db, &rich);
    return r ? r : larder_table_create(db, &plain);
}

static int put_plain(struct larder *db, int n) {
    struct larder_table *t;
    struct larder_builder *b;
    const struct larder_item *item;
    int r = larder_table_open(db, "plain", &t);
    if (r == LARDER_OK)
        r = larder_builder_new(db, &b);
    if (r)
        return r;
    larder_builder_add_int(b, "id", n);
    r = larder_builder_finish(b, &item);
    if (r == LARDER_OK)
        r = larder_put(t, item, NULL);
    larder_builder_free(b);
    return r;
}

int make_segment(int items) {
    const struct larder_options o = {
        .flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .size_bytes = SEGMENT_BYTES, .stripe_count = STRIPES};
    struct larder *db;
    cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
    int fd = dup(larder_memfd(db));
    larder_close(db);
    /* The same hashes in every run, so that a seed repeats it. */
    struct seg_shm *head = mmap(NULL, sizeof *head, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert(head != MAP_FAILED);
    head->hash_seed = 42;
    head->sum = seg_layout_sum(head);
    munmap(head, sizeof *head);
    const struct larder_options again = {.flags = LARDER_MEMFD, .memfd = fd};
    cr_assert_eq(larder_open(&again, &db), LARDER_OK, "%s", larder_error());
    larder_set_clock(db, test_clock, NULL);
    cr_assert_eq(create_tables(db), LARDER_OK, "%s", larder_error());
    for (int i = 0; i < items; i++)
        cr_assert_eq(put_item(db, i * 7 % items), LARDER_OK, "%s", larder_error());
    for (int n = 0; n < items; n += 4)
        cr_assert_eq(put_item(db, n), LARDER_OK, "%s", larder_error());
    for (int n = 0; n < PLAIN; n++)
        cr_assert_eq(put_plain(db, n), LARDER_OK, "%s", larder_error());
    larder_close(db);
    return fd;
}

static int try_copy(int from, struct copy *c) {
    c->fd = memfd_create("repair", MFD_CLOEXEC);
    const struct seg_shm *original = mmap(NULL, SEGMENT_BYTES, PROT_READ, MAP_SHARED, from, 0);
    if (c->fd < 0 || original == MAP_FAILED || ftruncate(c->fd, SEGMENT_BYTES) != 0)
        return 0;
    c->base = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
    if (c->base == MAP_FAILED)
        return 0;
    memcpy(c->base, original, original->claimed_bytes);
    munmap((void *)original, SEGMENT_BYTES);
    c->head = (struct seg_shm *)c->base;
    return 1;
}

struct copy copy_of(int from, int items) {
    struct copy c = {.items = items};
    cr_assert(try_copy(from, &c));
    return c;
}

void drop_copy(struct copy *c) {
    munmap(c->base, SEGMENT_BYTES);
    close(c->fd);
}

int attach(const struct copy *c, uint32_t flags, struct larder **db) {
    const struct larder_options o = {.flags = LARDER_MEMFD | flags, .memfd = c->fd, .busy_timeout_ms = 200};
    int r = larder_open(&o, db);
    if (r == LARDER_OK)
        larder_set_clock(*db, test_clock, NULL);
    return r;
}

void *at(const struct copy *c, uint64_t off) {
    return c->base + off;
}

struct table_shm *table_shm(const struct copy *c, uint32_t i) {
    return (struct table_shm *)at(c, c->head->catalog_off) + i;
}

struct stripe_shm *stripes_of(const struct copy *c, int is_partitions) {
    return at(c, is_partitions ? table_shm(c, 0)->partitions_off : table_shm(c, 0)->items_off);
}

uint32_t lines_of(const struct stripe_shm *stripe) {
    uint32_t buckets = WORD_TAG(stripe->array);
    return stripe->array ? buckets + buckets / 8 + 1 : 0;
}

shm_word *slot_of(const struct copy *c, int is_partitions, uint32_t nth) {
    for (uint32_t s = 0; s < STRIPES; s++) {
        const struct stripe_shm *stripe = &stripes_of(c, is_partitions)[s];
        struct bucket_shm *array = at(c, WORD_OFF(stripe->array));
        for (uint32_t i = 0; i < lines_of(stripe) * BUCKET_SLOTS; i++) {
            shm_word *slot = &array[i / BUCKET_SLOTS].slot[i % BUCKET_SLOTS];
            if (*slot && nth-- == 0)
                return slot;
        }
    }
    return NULL;
}

struct item_head *item_of(const struct copy *c, uint32_t nth) {
    return at(c, WORD_OFF(*slot_of(c, 0, nth)));
}

struct span_shm *spans_of(const struct copy *c) {
    return at(c, c->head->spans_off);
}

uint32_t claimed_spans(const struct copy *c) {
    return (uint32_t)((c->head->claimed_bytes - c->head->data_off) / SPAN_BYTES);
}

struct seen {
    int is_there[ITEMS], count, g1, g2, expiring, different;
};

int number_of(const struct larder_item *item) {
    struct larder_value sk;
    char text[32] = "";
    if (larder_item_get(item, "SK", &sk) != LARDER_OK || sk.type != LARDER_S || sk.bytes >= sizeof text)
        return -1;
    memcpy(text, sk.data, sk.bytes);
    return strncmp(text, "SHARED#PREFIX#", 14) == 0 ? atoi(text + 14) : -1;
}

/* Items by get; with what is in them. */
static void look_by_get(struct larder *db, struct larder_table *t, struct seen *seen) {
    struct larder_page *page;
    struct larder_builder *b;
    PROC_CHECK(larder_page_new(db, &page) == LARDER_OK && larder_builder_new(db, &b) == LARDER_OK);
    for (int n = 0; n < ITEMS; n++) {
        char pk[16], sk[32];
        snprintf(pk, sizeof pk, "P%d", n % PARTITIONS);
        snprintf(sk, sizeof sk, "SHARED#PREFIX#%05d", n);
        const struct larder_key key = {larder_str(pk), larder_str(sk)};
        int r = larder_get(t, &key, page);
        PROC_CHECK(r == LARDER_OK || r == LARDER_NOT_FOUND);
        if (r != LARDER_OK)
            continue;
        seen->is_there[n] = 1;
        seen->count++;
        seen->g1 += has_g1(n);
        seen->g2 += has_g2(n);
        seen->expiring += expires(n);
        seen->different += !is_same_item(larder_page_item(page, 0), make_item(b, n));
    }
    larder_page_free(page);
    larder_builder_free(b);
}

/* The number of items of a query of a whole partition, each of which must be one that get found. */
static int look_by_query(struct larder_table *t, const char *index, const char *partition, int is_descending,
                         struct larder_page *page, const struct seen *seen) {
    struct larder_query_spec spec = {
        .index = index, .partition = larder_str(partition), .is_descending = is_descending, .bytes_max = UINT32_MAX};
    int r = larder_query(t, &spec, page);
    PROC_CHECK(r == LARDER_OK);
    for (uint32_t i = 0; i < larder_page_count(page); i++) {
        int n = number_of(larder_page_item(page, i));
        PROC_CHECK(n >= 0 && n < ITEMS && seen->is_there[n]);
    }
    return (int)larder_page_count(page);
}

static void look_by_all_paths(struct larder *db, struct larder_table *t, const struct seen *seen) {
    struct larder_page *page;
    char text[16];
    PROC_CHECK(larder_page_new(db, &page) == LARDER_OK);
    const struct larder_scan_spec scan = {.bytes_max = UINT32_MAX};
    PROC_CHECK(larder_scan(t, &scan, page) == LARDER_OK && (int)larder_page_count(page) == seen->count);
    for (int down = 0; down < 2; down++) {
        int table = 0, local = 0, g2 = 0;
        for (int p = 0; p < PARTITIONS; p++) {
            snprintf(text, sizeof text, "P%d", p);
            table += look_by_query(t, NULL, text, down, page, seen);
            local += look_by_query(t, "L1x", text, down, page, seen);
        }
        int g1 = look_by_query(t, "G1x", "odd", down, page, seen) + look_by_query(t, "G1x", "even", down, page, seen);
        for (int n = 0; n < ITEMS; n += 2) {
            snprintf(text, sizeof text, "Q%d", n);
            g2 += look_by_query(t, "G2x", text, down, page, seen);
        }
        PROC_CHECK(table == seen->count);
        if (!seen->different) /* else an index key may have changed */
            PROC_CHECK(local == seen->count && g1 == seen->g1 && g2 == seen->g2);
    }
    larder_page_free(page);
}

void must_be_clean(struct larder *db) {
    struct larder_check_report report;
    int r = larder_check(db, NULL, &report);
    if (r != LARDER_OK)
        fprintf(stderr, "check: %s: %s\n", larder_result_name(r), larder_error());
    PROC_CHECK(r == LARDER_OK && report.leaked_blocks == 0);
}

/* Old items are replaced and deleted, new ones put, and what has expired goes. */
static void must_be_usable(struct larder *db, struct larder_table *t, const struct seen *seen) {
    uint64_t removed = 0;
    clock_s = 1000000;
    PROC_CHECK(larder_expire(db, 0, &removed) == LARDER_OK);
    if (!seen->different)
        PROC_CHECK((int)removed == seen->expiring);
    clock_s = 1000;
    must_be_clean(db);
    for (int n = 0; n < ITEMS; n += 9) {
        char pk[16], sk[32];
        snprintf(pk, sizeof pk, "P%d", n % PARTITIONS);
        snprintf(sk, sizeof sk, "SHARED#PREFIX#%05d", n);
        const struct larder_key key = {larder_str(pk), larder_str(sk)};
        int r = n % 2 ? larder_delete(t, &key, NULL) : put_item(db, n);
        PROC_CHECK(r == LARDER_OK || r == LARDER_NOT_FOUND || r == LARDER_E_FULL);
    }
    for (int n = 0; n < ITEMS; n += 10)
        PROC_CHECK(put_item(db, n) == LARDER_OK);
    must_be_clean(db);
}

static void look_at_plain(struct larder *db) {
    struct larder_table *t;
    struct larder_page *page;
    PROC_CHECK(larder_table_open(db, "plain", &t) == LARDER_OK && larder_page_new(db, &page) == LARDER_OK);
    for (int n = 0; n < PLAIN; n++) {
        char digits[16];
        snprintf(digits, sizeof digits, "%d", n);
        const struct larder_key key = {.partition = larder_num(digits)};
        PROC_CHECK(larder_get(t, &key, page) == LARDER_OK);
    }
    larder_page_free(page);
}

void show_note(void *arg, const char *line) {
    (void)arg;
    if (getenv("REPAIR_TEST_NOTES"))
        fprintf(stderr, "  %s\n", line);
}

static int repair_and_judge(void *arg) {
    const struct trial *trial = arg;
    struct larder *db;
    struct larder_table *t;
    struct larder_repair_report report = {0};
    struct seen seen = {0};
    int r = attach(trial->copy, LARDER_REPAIR, &db);
    if (r == LARDER_E_FORMAT && trial->may_refuse)
        return 0;
    PROC_CHECK(r == LARDER_OK);
    r = larder_repair(db, &(struct larder_repair_options){.note = show_note}, &report);
    if (trial->report)
        *trial->report = report;
    if (r == LARDER_E_CORRUPT && trial->may_refuse)
        return 0;
    if (r != LARDER_OK)
        fprintf(stderr, "repair: %s: %s (%lu found, %lu left)\n", larder_result_name(r), larder_error(),
                report.errors_found, report.errors_left);
    PROC_CHECK(r == LARDER_OK);
    must_be_clean(db);
    r = larder_table_open(db, "rich", &t);
    PROC_CHECK(r == LARDER_OK || (r == LARDER_E_NO_TABLE && trial->may_lose_tables));
    PROC_CHECK(r != LARDER_OK || !trial->is_dropped);
    if (!trial->may_lose_tables)
        look_at_plain(db);
    if (r == LARDER_OK) {
        look_by_get(db, t, &seen);
        if (trial->copy->items - seen.count > trial->lost_max)
            fprintf(stderr, "%d items are lost, %d may be; reported: %lu\n", trial->copy->items - seen.count,
                    trial->lost_max, report.items_lost);
        PROC_CHECK(trial->copy->items - seen.count <= trial->lost_max);
        if (trial->is_told && report.items_lost != (uint64_t)(trial->copy->items - seen.count))
            fprintf(stderr, "%d items are lost, reported: %lu\n", trial->copy->items - seen.count, report.items_lost);
        PROC_CHECK(!trial->is_told || report.items_lost == (uint64_t)(trial->copy->items - seen.count));
        PROC_CHECK(trial->may_change_content || seen.different == 0);
        PROC_CHECK(trial->may_lose_tables || (int)report.items_kept == seen.count + PLAIN || report.errors_found == 0 ||
                   seen.different);
        look_by_all_paths(db, t, &seen);
        must_be_usable(db, t, &seen);
    }
    larder_close(db);
    return 0;
}

void judge(const struct trial *trial, const char *what, uint64_t seed) {
    struct proc_result r = proc_run(repair_and_judge, (void *)trial, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s, LARDER_SEED=%#lx: %s", what, (unsigned long)seed, proc_text(r));
}

int repair_here(const struct copy *c, struct larder_repair_report *report) {
    struct larder *db;
    int r = attach(c, LARDER_REPAIR, &db);
    if (r)
        return r;
    r = larder_repair(db, &(struct larder_repair_options){.note = show_note}, report);
    larder_close(db);
    return r;
}

void must_be_equal(const struct copy *c, const unsigned char *before) {
    uint64_t from = c->head->slots_off, to = c->head->catalog_off;
    cr_assert(memcmp(c->base, before, from) == 0, "the head has changed");
    for (uint64_t i = to; i < SEGMENT_BYTES; i++)
        cr_assert_eq(c->base[i], before[i], "byte %lu has changed", (unsigned long)i);
}

unsigned char *bytes_of(const struct copy *c) {
    unsigned char *bytes = malloc(SEGMENT_BYTES);
    cr_assert(bytes);
    memcpy(bytes, c->base, SEGMENT_BYTES);
    return bytes;
}
