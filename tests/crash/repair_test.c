/* tests/crash/repair_test.c - a damaged segment becomes whole again, and a repair may die anywhere.
 *
 * Goal     After larder_repair() the segment is clean, every item that was not damaged is there and is found by all paths, timers
 *          fire, and new writes work; whatever was damaged, and wherever a repair before it died. It never crashes or hangs.
 * Method   A segment with 1,000 items, four lists each, timers and runs of spans is written once; damage goes into copies of it
 *          through a mapping of its own. (1) By area: each structure of core/segment/layout.h and its like gets random damage, many
 *          times, with a bound for the items that may be lost by it; most areas hold nothing that cannot be made anew, so
 *          their bound is 0. (2) Single fields with an exact result. (3) Anywhere at random. (4) A repair dies at its k-th
 *          store for every k (short run: a stride), and the next one must find the same items. (5) Others are attached:
 *          idle, reading, writing, stopped in a write, holding damaged locks. Every repair runs in a child with a deadline.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/item/item_records.h"
#include "core/memory/heap_span.h"
#include "core/segment/seg_layout.h"
#include "core/table/catalog.h"
#include "core/table/db.h"
#include "index/skl.h"
#include "larder.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/same_item.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"
#include "ttl/wheel.h"

/* Long runs die at every store. What hangs is a child, and those have a deadline of their own. */
TestSuite(repair, .timeout = 900 * SLOW_FACTOR);

#define SEGMENT_BYTES (8u << 20)
#define STRIPES 4u
#define DEADLINE_MS 20000
#define ITEMS 1000
#define PARTITIONS 7
#define ITEMS_SMALL 60 /* of the segments in which repairs die */

static int64_t clock_s = 1000;

static int64_t test_clock(void *arg) {
    (void)arg;
    return clock_s;
}

static int is_long(void) {
    return getenv("LARDER_TEST_LONG") != NULL;
}

/* ---- Items: what item n has is a function of n ------------------------------------------------------------------------- */

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

static int put_item(struct larder *db, int n) {
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

#define PLAIN 30

/* The segment. Returns its descriptor. Items are written out of order and some twice, so that arrays and lists have grown. */
static int make_segment(int items) {
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

/* ---- Copies ------------------------------------------------------------------------------------------------------------- */

/* A copy of the segment, mapped for damaging. */
struct copy {
    int fd, items;
    unsigned char *base;
    struct seg_shm *head;
};

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

static struct copy copy_of(int from, int items) {
    struct copy c = {.items = items};
    cr_assert(try_copy(from, &c));
    return c;
}

static void drop_copy(struct copy *c) {
    munmap(c->base, SEGMENT_BYTES);
    close(c->fd);
}

static int attach(const struct copy *c, uint32_t flags, struct larder **db) {
    const struct larder_options o = {.flags = LARDER_MEMFD | flags, .memfd = c->fd, .busy_timeout_ms = 200};
    int r = larder_open(&o, db);
    if (r == LARDER_OK)
        larder_set_clock(*db, test_clock, NULL);
    return r;
}

/* ---- Where things are ----------------------------------------------------------------------------------------------------- */

static void *at(const struct copy *c, uint64_t off) {
    return c->base + off;
}
static struct table_shm *table_shm(const struct copy *c, uint32_t i) {
    return (struct table_shm *)at(c, c->head->catalog_off) + i;
}
static struct stripe_shm *stripes_of(const struct copy *c, int is_partitions) {
    return at(c, is_partitions ? table_shm(c, 0)->partitions_off : table_shm(c, 0)->items_off);
}
static uint32_t lines_of(const struct stripe_shm *stripe) {
    uint32_t buckets = WORD_TAG(stripe->array);
    return stripe->array ? buckets + buckets / 8 + 1 : 0;
}

/* The nth slot in use, over all stripes. NULL: there are fewer. */
static shm_word *slot_of(const struct copy *c, int is_partitions, uint32_t nth) {
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

static struct item_head *item_of(const struct copy *c, uint32_t nth) {
    return at(c, WORD_OFF(*slot_of(c, 0, nth)));
}

static struct span_shm *spans_of(const struct copy *c) {
    return at(c, c->head->spans_off);
}

static uint32_t claimed_spans(const struct copy *c) {
    return (uint32_t)((c->head->claimed_bytes - c->head->data_off) / SPAN_BYTES);
}

/* ---- Judging a repaired segment: in a child, so PROC_CHECK ------------------------------------------------------------------ */

struct seen {
    int is_there[ITEMS], count, g1, g2, expiring, different;
};

static int number_of(const struct larder_item *item) {
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

/* The number of items of a query of all of a partition, each of which must be one that get found. */
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
        if (!seen->different) /* else an index key may be another now */
            PROC_CHECK(local == seen->count && g1 == seen->g1 && g2 == seen->g2);
    }
    larder_page_free(page);
}

static void must_be_clean(struct larder *db) {
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

/* A repair, and everything that must hold after it. */
struct trial {
    const struct copy *copy;
    uint32_t leaf_capacity;              /* 0: as it is */
    int lost_max;                        /* items of "rich" that may be missing */
    int may_refuse;                      /* LARDER_E_CORRUPT is a result */
    int may_lose_tables;                 /* even "plain" */
    int may_change_content;              /* attributes were hit */
    int is_dropped;                      /* "rich" must not come back */
    struct larder_repair_report *report; /* shared, or NULL */
};

static void show_note(void *arg, const char *line) {
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
        PROC_CHECK(trial->may_change_content || seen.different == 0);
        PROC_CHECK(trial->may_lose_tables || (int)report.items_kept == seen.count + PLAIN || report.errors_found == 0 ||
                   seen.different);
        look_by_all_paths(db, t, &seen);
        must_be_usable(db, t, &seen);
    }
    larder_close(db);
    return 0;
}

static void judge(const struct trial *trial, const char *what, uint64_t seed) {
    struct proc_result r = proc_run(repair_and_judge, (void *)trial, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s, LARDER_SEED=%#lx: %s", what, (unsigned long)seed, proc_text(r));
}

/* ---- 1. Area by area --------------------------------------------------------------------------------------------------------- */

struct range {
    void *at;
    size_t bytes;
};

/* An area picks the range that is damaged next. */
struct area {
    const char *name;
    struct range (*pick)(const struct copy *c, struct rng *rng);
    int lost_per_word; /* items that may be lost by a damaged 8-byte word, besides `lost` */
    int lost;
    int may_lose_tables, may_change_content, may_refuse;
};

static struct range pick_head_words(const struct copy *c, struct rng *rng) {
    struct seg_shm *h = c->head;
    const struct range words[] = {{(void *)&h->claimed_bytes, 8}, {(void *)&h->catalog_lock, 4},
                                  {(void *)&h->expirer_lock, 4},  {(void *)&h->gate_lock, 4},
                                  {(void *)&h->span_lock, 4},     {(void *)&h->span_hint, 4}};
    return words[rng_below(rng, sizeof words / sizeof *words)];
}
static struct range pick_slots(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){at(c, c->head->slots_off), c->head->slot_count * sizeof(struct slot_shm)};
}
static struct range pick_catalog(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){at(c, c->head->catalog_off), LARDER_TABLES_MAX * sizeof(struct table_shm)};
}
static struct range pick_entry(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){table_shm(c, 0), sizeof(struct table_shm)};
}
static struct range pick_unused_entries(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){table_shm(c, 2), (LARDER_TABLES_MAX - 2) * sizeof(struct table_shm)};
}
static struct range pick_definition(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){at(c, table_shm(c, 0)->schema_off), 200};
}
static struct range pick_stripe_caches(const struct copy *c, struct rng *rng) { /* all but the array */
    struct stripe_shm *stripe = &stripes_of(c, 0)[rng_below(rng, STRIPES)];
    return rng_is_one_in(rng, 2)
               ? (struct range){stripe, offsetof(struct stripe_shm, array)}
               : (struct range){(void *)&stripe->writes, sizeof *stripe - offsetof(struct stripe_shm, writes)};
}
static struct range pick_array_size(const struct copy *c, struct rng *rng) { /* the bucket count in the array's word */
    return (struct range){(uint8_t *)&stripes_of(c, 0)[rng_below(rng, STRIPES)].array + 6, 2};
}
static struct range pick_array_word(const struct copy *c, struct rng *rng) {
    return (struct range){(void *)&stripes_of(c, 0)[rng_below(rng, STRIPES)].array, 8};
}
static struct range pick_array(const struct copy *c, struct rng *rng) {
    const struct stripe_shm *stripe = &stripes_of(c, 0)[rng_below(rng, STRIPES)];
    return (struct range){at(c, WORD_OFF(stripe->array)), lines_of(stripe) * sizeof(struct bucket_shm)};
}
static struct range pick_link(const struct copy *c, struct rng *rng) {
    const struct stripe_shm *stripe = &stripes_of(c, 0)[rng_below(rng, STRIPES)];
    struct bucket_shm *array = at(c, WORD_OFF(stripe->array));
    return (struct range){(void *)&array[rng_below(rng, lines_of(stripe))].link, 8};
}
static struct range pick_slot_tag(const struct copy *c, struct rng *rng) {
    return (struct range){(uint8_t *)slot_of(c, 0, (uint32_t)rng_below(rng, ITEMS)) + 6, 2};
}
static struct range pick_item_head(const struct copy *c, struct rng *rng) {
    return (struct range){item_of(c, (uint32_t)rng_below(rng, ITEMS)), sizeof(struct item_head)};
}
static struct range pick_item_stamps(const struct copy *c, struct rng *rng) { /* version, expiry, timer, key sequence */
    struct item_head *h = item_of(c, (uint32_t)rng_below(rng, ITEMS));
    struct item_timed *timed = item_timed_at(h, h);
    const struct range words[] = {{&h->version, 12}, {(uint8_t *)&h->ddb_ttl + 3, 1}, {timed, sizeof *timed}};
    return words[rng_below(rng, timed ? 3 : 2)];
}
static struct range pick_item_kseq(const struct copy *c, struct rng *rng) {
    struct item_head *h = item_of(c, (uint32_t)rng_below(rng, ITEMS));
    return (struct range){&item_index_slots(h)[rng_below(rng, 3)].kseq, 4};
}
static struct range pick_item_key(const struct copy *c, struct rng *rng) {
    struct item_head *h = item_of(c, (uint32_t)rng_below(rng, ITEMS));
    return (struct range){item_key_area(h), item_key_area_bytes(h)};
}
static struct range pick_item(const struct copy *c, struct rng *rng) {
    struct item_head *h = item_of(c, (uint32_t)rng_below(rng, ITEMS));
    return (struct range){h, h->bytes};
}
static struct range pick_partition_stripes(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){stripes_of(c, 1), STRIPES * sizeof(struct stripe_shm)};
}
static struct range pick_partition_array(const struct copy *c, struct rng *rng) {
    const struct stripe_shm *stripe = &stripes_of(c, 1)[rng_below(rng, STRIPES)];
    return (struct range){at(c, WORD_OFF(stripe->array)), lines_of(stripe) * sizeof(struct bucket_shm)};
}
/* A leaf or head node. */
static struct range pick_list(const struct copy *c, struct rng *rng) {
    shm_word *slot;
    do
        slot = slot_of(c, 1, (uint32_t)rng_below(rng, 500));
    while (!slot);
    return (struct range){at(c, WORD_OFF(*slot)), 48};
}
/* A node or leaf of a long list. */
static struct range pick_node(const struct copy *c, struct rng *rng) {
    for (;;) {
        struct node_shm *node = pick_list(c, rng).at;
        if (node->block.kind != BLOCK_NODE)
            continue;
        for (uint64_t hops = rng_below(rng, 5); hops > 0; hops--) {
            const struct leaf_shm *leaf = at(c, node->leaf);
            if (leaf->next)
                node = at(c, leaf->next);
        }
        struct leaf_shm *leaf = at(c, node->leaf);
        return rng_is_one_in(rng, 2) ? (struct range){node, 56}
                                     : (struct range){leaf, sizeof *leaf + leaf->block.count * LEAF_ENTRY_BYTES};
    }
}
static struct range pick_wheel(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){at(c, c->head->shards_off), c->head->shard_count * sizeof(struct wheel_shard_shm)};
}
static struct range pick_wheel_lock(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){at(c, c->head->shards_off), 24};
}
static struct range pick_chunk(const struct copy *c, struct rng *rng) {
    const struct wheel_shard_shm *shard = at(c, c->head->shards_off);
    for (;;) {
        uint64_t off = shard->slot[rng_below(rng, WHEEL_LEVELS)][rng_below(rng, WHEEL_SLOTS)];
        if (off)
            return (struct range){at(c, off), 80};
    }
}
static struct range pick_spans(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){spans_of(c), claimed_spans(c) * sizeof(struct span_shm)};
}
static struct range pick_spans_beyond(const struct copy *c, struct rng *rng) {
    (void)rng;
    uint32_t claimed = claimed_spans(c);
    return (struct range){spans_of(c) + claimed, (c->head->span_count - claimed) * sizeof(struct span_shm)};
}
static struct range pick_bins(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){at(c, c->head->bins_off), c->head->arena_count * CLASS_COUNT * sizeof(struct bin_shm)};
}

/* Items of one of four stripes are about 250; hashes are random. */
#define STRIPE_ITEMS 400

static const struct area areas[] = {
    {"head words", pick_head_words, 0, 0, 0, 0, 0},
    {"slots", pick_slots, 0, 0, 0, 0, 0},
    {"catalog", pick_catalog, 0, ITEMS, 1, 0, 0},
    {"catalog entry", pick_entry, 0, ITEMS, 1, 0, 0},
    {"unused catalog entries", pick_unused_entries, 0, 0, 0, 0, 0},
    {"definition", pick_definition, 0, ITEMS, 1, 0, 0},
    {"stripe caches", pick_stripe_caches, 0, 0, 0, 0, 0},
    {"array size", pick_array_size, 0, 0, 0, 0, 0},
    {"array word", pick_array_word, 0, STRIPE_ITEMS, 0, 0, 0},
    {"array", pick_array, 1, 0, 0, 0, 0},
    {"bucket link", pick_link, 0, 0, 0, 0, 0},
    {"slot tag", pick_slot_tag, 0, 0, 0, 0, 0},
    {"item head", pick_item_head, 0, 1, 0, 0, 0},
    {"item stamps", pick_item_stamps, 0, 0, 0, 0, 0},
    {"item key sequence", pick_item_kseq, 0, 0, 0, 0, 0},
    {"item key", pick_item_key, 0, 1, 0, 0, 0},
    {"item", pick_item, 0, 1, 0, 1, 0},
    {"partition stripes", pick_partition_stripes, 0, 0, 0, 0, 0},
    {"partition array", pick_partition_array, 0, 0, 0, 0, 0},
    {"list", pick_list, 0, 0, 0, 0, 0},
    {"node", pick_node, 0, 0, 0, 0, 0},
    {"wheel", pick_wheel, 0, 0, 0, 0, 0},
    {"wheel lock and time", pick_wheel_lock, 0, 0, 0, 0, 0},
    {"timer chunk", pick_chunk, 0, 0, 0, 0, 0},
    {"spans", pick_spans, 0, 0, 0, 0, 0},
    {"spans beyond", pick_spans_beyond, 0, 0, 0, 0, 0},
    {"bins", pick_bins, 0, 0, 0, 0, 0},
};

/* Damages some bytes of a range; returns the 8-byte words that may have changed. */
static int damage(struct range range, struct rng *rng) {
    uint8_t *to = range.at;
    size_t bytes = (size_t)8 << rng_below(rng, 10), from; /* 8 to 4096 */
    if (rng_is_one_in(rng, 3)) {
        to[rng_below(rng, range.bytes)] ^= (uint8_t)(1u << rng_below(rng, 8));
        return 1;
    }
    if (bytes > range.bytes)
        bytes = range.bytes;
    from = (size_t)rng_below(rng, range.bytes - bytes + 1);
    if (rng_is_one_in(rng, 2))
        rng_bytes(rng, to + from, bytes);
    else
        memset(to + from, rng_is_one_in(rng, 2) ? 0 : 0xff, bytes);
    return (int)(bytes / 8 + 2);
}

/* What a range was, to say what was done to it. */
static void show_damage(const struct copy *c, struct range range, const uint8_t *before) {
    for (size_t i = 0; i < range.bytes && getenv("REPAIR_TEST_NOTES"); i++)
        if (((uint8_t *)range.at)[i] != before[i])
            fprintf(stderr, "  byte %zu at %zu: %02x -> %02x\n", i, (size_t)((uint8_t *)range.at - c->base) + i,
                    before[i], ((uint8_t *)range.at)[i]);
}

static void try_area(int fd, const struct area *area, uint64_t seed) {
    struct copy c = copy_of(fd, ITEMS);
    struct rng rng;
    rng_seed(&rng, seed);
    struct range range = area->pick(&c, &rng);
    uint8_t *before = malloc(range.bytes);
    memcpy(before, range.at, range.bytes);
    int words = damage(range, &rng);
    show_damage(&c, range, before);
    free(before);
    struct trial trial = {.copy = &c,
                          .lost_max = area->lost + words * area->lost_per_word,
                          .may_lose_tables = area->may_lose_tables,
                          .may_change_content = area->may_change_content,
                          .may_refuse = area->may_refuse};
    judge(&trial, area->name, seed);
    drop_copy(&c);
}

Test(repair, every_structure) {
    uint64_t seed = rng_test_seed("repair areas");
    int fd = make_segment(ITEMS), rounds = is_long() ? 100 : SLOW_FACTOR > 1 ? 4 : 10;
    const char *only = getenv("REPAIR_TEST_AREA");
    for (size_t i = 0; i < sizeof areas / sizeof *areas; i++)
        for (int round = 0; round < rounds; round++)
            if (!only || strcmp(only, areas[i].name) == 0)
                try_area(fd, &areas[i], seed + (uint64_t)round);
    close(fd);
}

/* ---- 3. Anywhere ----------------------------------------------------------------------------------------------------------------- */

Test(repair, random_damage) {
    uint64_t seed = rng_test_seed("repair random");
    int fd = make_segment(ITEMS), rounds = is_long() ? 3000 : SLOW_FACTOR > 1 ? 60 : 250;
    for (int round = 0; round < rounds; round++) {
        struct copy c = copy_of(fd, ITEMS);
        struct rng rng;
        rng_seed(&rng, seed + (uint64_t)round);
        for (uint64_t hits = 1 + rng_below(&rng, 12); hits > 0; hits--) /* the geometry is not ours to mend */
            damage((struct range){c.base + sizeof *c.head, c.head->claimed_bytes - sizeof *c.head}, &rng);
        struct trial trial = {
            .copy = &c, .lost_max = ITEMS, .may_lose_tables = 1, .may_change_content = 1, .may_refuse = 0};
        judge(&trial, "random", seed + (uint64_t)round);
        drop_copy(&c);
    }
    close(fd);
}

/* ---- 2. Single fields, exact results -------------------------------------------------------------------------------------------- */

struct exact {
    const char *name;
    void (*harm)(struct copy *c);
    int lost, mended; /* items; -1: any number */
    int tables_lost, locks_cleared, slots_cleared;
};

static void
harm_duplicate(struct copy *c) { /* two slots, one block: one item is lost, as nothing refers to it any more */
    *slot_of(c, 0, 9) = *slot_of(c, 0, 10);
}
static void harm_slot_emptied(struct copy *c) {
    *slot_of(c, 0, 9) = 0;
}
static void harm_slot_nowhere(struct copy *c) {
    *slot_of(c, 0, 9) = WORD_MAKE(WORD_TAG(*slot_of(c, 0, 9)), SEGMENT_BYTES * UINT64_C(4));
}
static void harm_image(struct copy *c) {
    struct item_head *h = item_of(c, 5);
    h->attr_count++;
}
static void harm_key_name(struct copy *c) { /* "SK" becomes "TTL": sorted as before, and no key of this table */
    struct item_head *h = item_of(c, 5);
    uint8_t *bytes = (uint8_t *)h;
    for (uint32_t i = sizeof *h; i + 1 < h->bytes; i++)
        if (bytes[i] == (LARDER_S | ITEM_IN_SORT_KEY) && bytes[i + 1] == item_name_byte("SK", 2)) {
            bytes[i + 1] = item_name_byte("TTL", 3);
            return;
        }
}
static void harm_array(struct copy *c) {
    stripes_of(c, 0)[0].array = 0;
}
static void harm_all_links(struct copy *c) {
    for (uint32_t s = 0; s < STRIPES; s++) {
        struct bucket_shm *array = at(c, WORD_OFF(stripes_of(c, 0)[s].array));
        for (uint32_t i = 0; i < lines_of(&stripes_of(c, 0)[s]); i++)
            array[i].link = 1;
    }
}
static void harm_expiry(struct copy *c) {
    uint32_t nth = 0;
    while (item_expiry_s(item_of(c, nth)) == 0)
        nth++;
    item_timed_at(item_of(c, nth), item_of(c, nth))->expiry_s += 1000;
}
static struct item_head *timed_item_of(const struct copy *c, int is_timed) {
    uint32_t nth = 0;
    while (((item_of(c, nth)->flags & ITEM_TIMED) != 0) != is_timed)
        nth++;
    return item_of(c, nth);
}
static void harm_timed(struct copy *c) {
    struct item_head *h = timed_item_of(c, 1);
    memset(item_timed_at(h, h), 0xff, sizeof(struct item_timed));
}
static void harm_timed_never(struct copy *c) {
    struct item_head *h = timed_item_of(c, 1);
    memset(item_timed_at(h, h), 0, sizeof(struct item_timed));
}
static void harm_timed_zero(struct copy *c) {
    struct item_head *h = timed_item_of(c, 1);
    item_timed_at(h, h)->zero = 7;
}
static void
harm_generation(struct copy *c) { /* the check takes it for one that waits for the expirer: another damage shows */
    item_set_ttl_generation(timed_item_of(c, 0), 4000);
    c->head->span_lock = LOCK_WAITERS | 3;
}
static void harm_hash(struct copy *c) {
    item_of(c, 3)->hash_high ^= 1u << 20;
}
static void harm_version(struct copy *c) {
    item_of(c, 3)->version = 0;
}
static void harm_writes(struct copy *c) { /* the next versions would be given twice */
    for (uint32_t s = 0; s < STRIPES; s++)
        stripes_of(c, 0)[s].writes = 1;
}
static void harm_writes_high(struct copy *c) { /* the next would be 0 */
    for (uint32_t s = 0; s < STRIPES; s++)
        stripes_of(c, 0)[s].writes = UINT64_MAX;
}
static void harm_kseqs(struct copy *c) {
    for (uint32_t i = 0; i < 10; i++)
        item_of(c, i)->kseq = 0;
}
/* The first block of a span may be one of the next class, too; all others say that it is not. */
static void harm_span_class(struct copy *c) {
    uint64_t inside = 1;
    for (uint32_t nth = 0; inside != 0; nth++) {
        uint64_t off = (uint64_t)((const uint8_t *)item_of(c, nth) - c->base) - c->head->data_off;
        inside = off % SPAN_BYTES;
        if (inside == 0)
            spans_of(c)[off / SPAN_BYTES].class_index++;
    }
}
/* Everything that is not the truth, all at once. */
static void harm_all_caches(struct copy *c) {
    memset(spans_of(c), 0, c->head->span_count * sizeof(struct span_shm));
    memset(at(c, c->head->bins_off), 0xff, c->head->arena_count * CLASS_COUNT * sizeof(struct bin_shm));
    memset(at(c, c->head->shards_off), 0xff, c->head->shard_count * sizeof(struct wheel_shard_shm));
    memset(stripes_of(c, 1), 0, STRIPES * sizeof(struct stripe_shm));
    c->head->span_hint = 0x7fffffff;
}
static void harm_locks(struct copy *c) {
    c->head->gate_lock = 0x1234;
    c->head->catalog_lock = c->head->slot_count;
    c->head->expirer_lock = 7;
    c->head->span_lock = LOCK_WAITERS | 3;
    for (uint32_t s = 0; s < STRIPES; s++) {
        stripes_of(c, 0)[s].lock = s + 1;
        stripes_of(c, 1)[s].lock = 0x7fffffff;
    }
}
static void harm_slots(struct copy *c) {
    struct slot_shm *slot = at(c, c->head->slots_off);
    for (uint32_t i = 0; i < c->head->slot_count; i++)
        slot[i].state = 77;
}
static void harm_journals(struct copy *c) {
    struct slot_shm *slot = at(c, c->head->slots_off);
    for (uint32_t i = 0; i < 5; i++) {
        slot[i].state = SLOT_LIVE;
        slot[i].op = OP_ITEM;
        slot[i].op_stripe_off = c->head->data_off + 8 * i;
        slot[i].hand[i] = *slot_of(c, 0, i) & UINT64_C(0xffffffffffff);
        slot[i].step[0].word_off = 1;
    }
}
static void harm_life(struct copy *c) { /* READY becomes FREE */
    table_shm(c, 0)->life &= ~UINT64_C(0xff);
}
static void harm_definition(struct copy *c) {
    ((uint8_t *)at(c, table_shm(c, 0)->schema_off))[60] ^= 1;
}
static void harm_claimed_low(struct copy *c) {
    c->head->claimed_bytes = c->head->data_off + SPAN_BYTES;
}
static void harm_claimed_high(struct copy *c) {
    c->head->claimed_bytes = UINT64_MAX;
}

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
    {"hash", harm_hash, 1, 0, 0, 0, 0},
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

Test(repair, exact_results) {
    int fd = make_segment(ITEMS);
    for (size_t i = 0; i < sizeof exacts / sizeof *exacts; i++)
        try_exact(fd, &exacts[i]);
    close(fd);
}

/* ---- An expiry without a place -------------------------------------------------------------------------------------------------- */

static int repair_here(const struct copy *c, struct larder_repair_report *report);

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

/* An item that does not have the place for the expiry that its attribute says gets it from the expirer; it expires in any case. */
Test(repair, an_expiry_without_a_place) {
    int fd = make_segment(ITEMS);
    struct copy c = copy_of(fd, ITEMS);
    struct larder_repair_report report;
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
    cr_assert_eq(larder_expire(db, 0, &removed), LARDER_OK, "%s", larder_error()); /* and restamps */
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

/* ---- Nothing is done ----------------------------------------------------------------------------------------------------------------- */

/* Repairs in this process. */
static int repair_here(const struct copy *c, struct larder_repair_report *report) {
    struct larder *db;
    int r = attach(c, LARDER_REPAIR, &db);
    if (r)
        return r;
    r = larder_repair(db, &(struct larder_repair_options){.note = show_note}, report);
    larder_close(db);
    return r;
}

/* Equal but for the slots, where counters and process ids are. */
static void must_be_equal(const struct copy *c, const unsigned char *before) {
    uint64_t from = c->head->slots_off, to = c->head->catalog_off;
    cr_assert(memcmp(c->base, before, from) == 0, "the head has changed");
    for (uint64_t i = to; i < SEGMENT_BYTES; i++)
        cr_assert_eq(c->base[i], before[i], "byte %lu has changed", (unsigned long)i);
}

static unsigned char *bytes_of(const struct copy *c) {
    unsigned char *bytes = malloc(SEGMENT_BYTES);
    cr_assert(bytes);
    memcpy(bytes, c->base, SEGMENT_BYTES);
    return bytes;
}

Test(repair, a_clean_segment_stays_as_it_is) {
    int fd = make_segment(ITEMS);
    struct copy c = copy_of(fd, ITEMS);
    struct larder_repair_report report;
    unsigned char *before = bytes_of(&c);
    cr_assert_eq(repair_here(&c, &report), LARDER_OK, "%s", larder_error());
    cr_assert_eq(report.errors_found, 0);
    cr_assert_eq(report.items_kept, 0);
    must_be_equal(&c, before);
    free(before);
    drop_copy(&c);
    close(fd);
}

/* ---- Blocks on loan (heap rule P3) -------------------------------------------------------------------------------------------------------- */

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

/* Large items, of which two thirds go, and smaller ones, which get some of their blocks. */
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

/* Descriptors that say nothing true: the class of a span is what its blocks have in common, not what the first one would ask for. */
Test(repair, blocks_on_loan_are_kept) {
    int fd = make_segment(ITEMS_SMALL);
    struct copy c = copy_of(fd, ITEMS_SMALL);
    struct larder_repair_report report;
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

/* A segment whose head cannot be read is refused with words, and nothing is changed. */
Test(repair, a_head_that_makes_no_sense_is_refused) {
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

/* Without its seed no item can be found; they all look damaged, and are not. */
Test(repair, a_wrong_hash_seed_is_refused) {
    int fd = make_segment(ITEMS_SMALL);
    struct copy c = copy_of(fd, ITEMS_SMALL);
    struct larder_repair_report report;
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

Test(repair, a_state_that_is_none_is_mended) {
    int fd = make_segment(ITEMS);
    struct copy c = copy_of(fd, ITEMS);
    struct larder *db;
    c.head->state = 77;
    cr_assert_eq(attach(&c, 0, &db), LARDER_E_FORMAT);
    judge(&(struct trial){.copy = &c}, "state", 0);
    drop_copy(&c);
    close(fd);
}

Test(repair, arguments) {
    int fd = make_segment(ITEMS_SMALL);
    struct copy c = copy_of(fd, ITEMS_SMALL);
    struct larder_repair_report report;
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

/* ---- A full segment ------------------------------------------------------------------------------------------------------------------- */

/* No byte is free, and all lists are broken. */
static int fill_and_repair(void *arg) {
    const struct trial *trial = arg;
    struct larder *db;
    struct larder_repair_report report;
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

Test(repair, a_full_segment_loses_nothing) {
    test_full((struct trial){.lost_max = 0});
}

/* Lists of leaves of two entries need far more than there is: some items must go, and all lists are whole. */
Test(repair, items_go_if_their_lists_find_no_room) {
    test_full((struct trial){.lost_max = 6000, .leaf_capacity = 2});
}

extern _Atomic int64_t heap_test_takes_left;

/* Memory is refused from the k-th block on: nothing is dropped for that, the segment stays marked, and the next repair is whole. */
static int repair_without_memory(void *arg) {
    const struct trial *trial = arg;
    struct larder_repair_report report = {.items_lost = 1};
    struct larder *db;
    heap_test_takes_left = trial->lost_max;
    int r = repair_here(trial->copy, &report);
    heap_test_takes_left = -1;
    PROC_CHECK(r == LARDER_E_FULL && report.items_lost == 0 && trial->copy->head->state == SEG_STATE_REPAIRING);
    PROC_CHECK(attach(trial->copy, 0, &db) == LARDER_E_CORRUPT);
    return 0;
}

Test(repair, no_memory) {
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

/* ---- 4. A repair dies ------------------------------------------------------------------------------------------------------------------ */

static void harm_lists(struct copy *c) {
    for (uint32_t i = 0; i < 20; i++)
        if (slot_of(c, 1, i))
            memset(at(c, WORD_OFF(*slot_of(c, 1, i))), 0xaa, 24);
    harm_image(c);
}
static void harm_heap(struct copy *c) {
    memset(spans_of(c), 0, claimed_spans(c) * sizeof(struct span_shm));
    *slot_of(c, 0, 3) = *slot_of(c, 0, 4);
}
static void harm_array_sizes(struct copy *c) {
    for (uint32_t s = 0; s < STRIPES; s++)
        stripes_of(c, 0)[s].array += UINT64_C(2) << 48;
}
static void harm_stripes(struct copy *c) { /* of the lists: they are made anew elsewhere */
    table_shm(c, 0)->partitions_off += 24;
    harm_all_links(c);
}
static void harm_locks_and_slots(struct copy *c) {
    harm_locks(c);
    harm_journals(c);
}

static void harm_dropping(struct copy *c) { /* whoever dropped it died, and so did a first repair */
    struct table_shm *rich = table_shm(c, 0);
    rich->life = LIFE_NEXT(rich->life, TABLE_DROPPING);
    c->head->state = SEG_STATE_REPAIRING;
}

static const struct exact deaths[] = {{"lists and an image", harm_lists, 1, 0, 0, 0, 0},
                                      {"heap and a slot", harm_heap, 1, 0, 0, 0, 0},
                                      {"array sizes", harm_array_sizes, 0, 0, 0, 0, 0},
                                      {"stripes of lists, links", harm_stripes, 0, 0, 0, 0, 0},
                                      {"locks and journals", harm_locks_and_slots, 0, 0, 0, 0, 0},
                                      {"a table being dropped", harm_dropping, ITEMS, 0, 1, 0, 0}};

struct death {
    const struct copy *copy;
    uint64_t k; /* 0: lives */
    uint64_t *count;
};

static int repair_and_die(void *arg) {
    const struct death *death = arg;
    struct larder_repair_report report;
    shm_crash_arm(death->k);
    int r = repair_here(death->copy, &report);
    *death->count = shm_crash_count();
    PROC_CHECK(r == LARDER_OK);
    return 0;
}

/* Dies at the k-th store. 1 if it got so far. */
static int die_at(const struct copy *c, uint64_t k, uint64_t *count, const char *what) {
    struct death death = {c, k, count};
    struct proc_result r = proc_run(repair_and_die, &death, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0) || proc_is_signal(r, SIGKILL), "%s, store %lu: %s", what, (unsigned long)k,
              proc_text(r));
    return !proc_is_exit(r, 0);
}

/* A cut off repair is marked, unless it died before it changed anything or after it was done. 1 if it is. */
static unsigned must_be_marked(const struct copy *c, const char *what, uint64_t k) {
    struct larder *db;
    uint32_t state = c->head->state;
    cr_assert(state == SEG_STATE_READY || state == SEG_STATE_REPAIRING, "%s, store %lu: state %u", what,
              (unsigned long)k, state);
    int r = attach(c, 0, &db);
    cr_assert_eq(r, state == SEG_STATE_READY ? LARDER_OK : LARDER_E_CORRUPT, "%s, store %lu: %s: %s", what,
                 (unsigned long)k, larder_result_name(r), larder_error());
    if (r == LARDER_OK)
        larder_close(db);
    return state == SEG_STATE_REPAIRING;
}

static void die_everywhere(int fd, const struct exact *e, struct rng *rng) {
    uint64_t *count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(count != MAP_FAILED);
    struct copy whole = copy_of(fd, ITEMS_SMALL);
    e->harm(&whole);
    cr_assert(!die_at(&whole, 0, count, e->name));
    drop_copy(&whole);
    uint64_t stores = *count, stride = is_long() || stores < 500 ? 1 : stores / (SLOW_FACTOR > 1 ? 25 : 120) + 1;
    fprintf(stderr, "repair, %s: %lu stores, every %lu\n", e->name, (unsigned long)stores, (unsigned long)stride);
    unsigned marked = 0, died = 0;
    for (uint64_t k = 1 + rng_below(rng, stride); k <= stores; k += stride) {
        struct copy c = copy_of(fd, ITEMS_SMALL);
        struct trial trial = {
            .copy = &c, .lost_max = e->lost, .may_lose_tables = e->tables_lost, .is_dropped = e->tables_lost};
        e->harm(&c);
        die_at(&c, k, count, e->name);
        marked += must_be_marked(&c, e->name, k);
        died++;
        if (k % 3 == 0) /* the next one dies, too, somewhere */
            die_at(&c, 1 + rng_below(rng, stores), count, e->name);
        judge(&trial, e->name, k);
        drop_copy(&c);
    }
    cr_assert(marked > died / 4, "%s: %u of %u were marked", e->name, marked, died);
    munmap(count, sizeof *count);
}

static void test_deaths(size_t i) {
    struct rng rng;
    rng_seed(&rng, rng_test_seed(deaths[i].name));
    int fd = make_segment(ITEMS_SMALL);
    die_everywhere(fd, &deaths[i], &rng);
    close(fd);
}

Test(repair, dies_with_lists) {
    test_deaths(0);
}
Test(repair, dies_with_heap) {
    test_deaths(1);
}
Test(repair, dies_with_arrays) {
    test_deaths(2);
}
Test(repair, dies_with_stripes) {
    test_deaths(3);
}
Test(repair, dies_with_locks) {
    test_deaths(4);
}

Test(repair, dies_with_a_table_being_dropped) {
    test_deaths(5);
}

/* ---- 5. Others are attached ------------------------------------------------------------------------------------------------------------- */

/* What the test and its children share. */
struct stage {
    _Atomic uint32_t is_ready, is_over, calls, fine, wrong, acked;
    uint64_t k;
    struct copy copy;
};

static struct stage *stage_new(int fd) {
    struct stage *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(s != MAP_FAILED);
    s->copy = copy_of(fd, ITEMS);
    return s;
}

static void stage_end(struct stage *s) {
    drop_copy(&s->copy);
    munmap(s, sizeof *s);
}

static void note_result(struct stage *s, int r) {
    s->calls++;
    s->fine += r >= 0;
    s->wrong += r < 0 && r != LARDER_E_BUSY && r != LARDER_E_CORRUPT && r != LARDER_E_FULL;
}

/* Attached all the while, with a table handle from before; goes on when the repair is done. */
static int wait_and_work(void *arg) {
    struct stage *s = arg;
    struct larder *db;
    struct larder_table *t;
    struct larder_page *page;
    PROC_CHECK(attach(&s->copy, 0, &db) == LARDER_OK && larder_table_open(db, "rich", &t) == LARDER_OK);
    PROC_CHECK(larder_page_new(db, &page) == LARDER_OK);
    PROC_CHECK(put_item(db, 3) == LARDER_OK);
    s->is_ready = 1;
    PROC_CHECK(UNTIL(s->is_over, DEADLINE_MS));
    const struct larder_key key = {larder_str("P4"), larder_str("SHARED#PREFIX#00004")};
    PROC_CHECK(larder_get(t, &key, page) == LARDER_OK);
    PROC_CHECK(put_item(db, 4) == LARDER_OK && larder_delete(t, &key, NULL) == LARDER_OK);
    PROC_CHECK(larder_get(t, &key, page) == LARDER_NOT_FOUND);
    must_be_clean(db);
    larder_close(db);
    return 0;
}

/* The slot of a child that has one: the only live one besides ours. */
static struct slot_shm *slot_of_pid(const struct copy *c, pid_t pid) {
    struct slot_shm *slot = at(c, c->head->slots_off);
    for (uint32_t i = 0; i < c->head->slot_count; i++)
        if (slot[i].pid == pid && slot[i].state == SLOT_LIVE)
            return &slot[i];
    return NULL;
}

static void wait_for_ready(const struct stage *s) {
    cr_assert(UNTIL(s->is_ready, DEADLINE_MS));
}

static void finish(struct stage *s, pid_t pid) {
    s->is_over = 1;
    struct proc_result r = proc_wait(pid, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
}

/* Locks that name a live process which never noted them are damage; it goes on working after the repair. */
Test(repair, beside_an_idle_process) {
    int fd = make_segment(ITEMS);
    struct stage *s = stage_new(fd);
    struct larder_repair_report report;
    pid_t pid = proc_fork(wait_and_work, s);
    wait_for_ready(s);
    const struct slot_shm *slot = slot_of_pid(&s->copy, pid);
    cr_assert(slot);
    uint32_t owner = (uint32_t)(slot - (struct slot_shm *)at(&s->copy, s->copy.head->slots_off)) + 1;
    s->copy.head->gate_lock = owner;
    s->copy.head->span_lock = owner;
    for (uint32_t i = 0; i < STRIPES; i++)
        stripes_of(&s->copy, (int)i % 2)[i].lock = owner;
    harm_lists(&s->copy);
    cr_assert_eq(repair_here(&s->copy, &report), LARDER_OK, "%s", larder_error());
    cr_assert(report.locks_cleared >= STRIPES && report.items_lost == 1, "%lu locks, %lu items", report.locks_cleared,
              report.items_lost);
    finish(s, pid);
    stage_end(s);
    close(fd);
}

/* The stripes of a table are lost: they cannot move while somebody may come back to the old ones. */
Test(repair, stripes_do_not_move_under_others) {
    int fd = make_segment(ITEMS);
    struct stage *s = stage_new(fd);
    struct larder_repair_report report;
    char name[32];
    pid_t pid = proc_fork(wait_and_work, s);
    wait_for_ready(s);
    uint64_t off = table_shm(&s->copy, 0)->partitions_off;
    table_shm(&s->copy, 0)->partitions_off += 8;
    snprintf(name, sizeof name, "process %d", (int)pid);
    cr_assert_eq(repair_here(&s->copy, &report), LARDER_E_BUSY, "%s", larder_error());
    cr_assert(strstr(larder_error(), name), "%s", larder_error());
    cr_assert_eq(s->copy.head->state, SEG_STATE_READY);
    table_shm(&s->copy, 0)->partitions_off = off;
    finish(s, pid);
    stage_end(s);
    close(fd);
}

/* A process that was stopped at the k-th store of a put. */
static int put_and_stop(void *arg) {
    struct stage *s = arg;
    struct larder *db;
    PROC_CHECK(attach(&s->copy, 0, &db) == LARDER_OK && put_item(db, 5) == LARDER_OK);
    s->is_ready = 1;
    shm_crash_arm_stop(s->k);
    int r = put_item(db, 6);
    shm_crash_arm(0);
    PROC_CHECK(r == LARDER_OK || r == LARDER_E_BUSY || r == LARDER_E_CORRUPT);
    larder_close(db);
    return 0;
}

static int is_stopped(pid_t pid) {
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    int is_read = f && fgets(line, sizeof line, f);
    if (f)
        fclose(f);
    const char *state = is_read ? strrchr(line, ')') : NULL;
    return state && (state[2] == 'T' || state[2] == 'Z');
}

/* It may really be in the middle: it is named, nothing is changed, and when it has gone on the repair succeeds. */
static void try_stopped(int fd, uint64_t k, unsigned *busy) {
    struct stage *s = stage_new(fd);
    struct larder_repair_report report;
    char name[32];
    s->k = k;
    pid_t pid = proc_fork(put_and_stop, s);
    wait_for_ready(s);
    cr_assert(UNTIL(is_stopped(pid), DEADLINE_MS));
    harm_expiry(&s->copy);
    int r = repair_here(&s->copy, &report);
    snprintf(name, sizeof name, "process %d", (int)pid);
    cr_assert(r == LARDER_OK || r == LARDER_E_BUSY, "store %lu: %s: %s", (unsigned long)k, larder_result_name(r),
              larder_error());
    if (r == LARDER_E_BUSY) {
        ++*busy;
        cr_assert(strstr(larder_error(), name), "store %lu: %s", (unsigned long)k, larder_error());
        cr_assert_eq(s->copy.head->state, SEG_STATE_READY, "store %lu", (unsigned long)k);
    }
    proc_resume(pid);
    struct proc_result end = proc_wait(pid, DEADLINE_MS);
    cr_assert(proc_is_exit(end, 0), "store %lu: %s", (unsigned long)k, proc_text(end));
    judge(&(struct trial){.copy = &s->copy}, "stopped", k);
    stage_end(s);
}

Test(repair, beside_a_stopped_process) {
    int fd = make_segment(ITEMS);
    unsigned busy = 0, tried = 0;
    for (uint64_t k = 1; k < 110; k += is_long() ? 1 : 17, tried++)
        try_stopped(fd, k, &busy);
    cr_assert(busy > tried / 2, "%u of %u", busy, tried);
    close(fd);
}

static int read_on(void *arg) {
    struct stage *s = arg;
    struct larder *db;
    struct larder_table *t;
    struct larder_page *page;
    PROC_CHECK(attach(&s->copy, s->k ? LARDER_READ_ONLY : 0, &db) == LARDER_OK);
    PROC_CHECK(larder_table_open(db, "rich", &t) == LARDER_OK && larder_page_new(db, &page) == LARDER_OK);
    for (uint32_t i = 0; !s->is_over; i++) {
        static const struct larder_query_spec query = {.index = "G1x", .limit = 100};
        struct larder_query_spec spec = query;
        char pk[16], sk[32];
        spec.partition = larder_str(i % 2 ? "odd" : "even");
        snprintf(pk, sizeof pk, "P%u", i % ITEMS % PARTITIONS);
        snprintf(sk, sizeof sk, "SHARED#PREFIX#%05u", i % ITEMS);
        const struct larder_key key = {larder_str(pk), larder_str(sk)};
        int r = larder_get(t, &key, page);
        note_result(s, r);
        s->wrong += r == LARDER_NOT_FOUND; /* no item is lost here */
        note_result(s, larder_query(t, &spec, page));
        note_result(s, larder_scan(t, &(struct larder_scan_spec){.limit = 200}, page));
        s->is_ready = 1;
    }
    larder_close(db);
    return 0;
}

static int write_on(void *arg) {
    struct stage *s = arg;
    struct larder *db;
    PROC_CHECK(attach(&s->copy, 0, &db) == LARDER_OK);
    for (uint32_t n = ITEMS; !s->is_over; n++) {
        int r = put_item(db, (int)(ITEMS + n % 500));
        note_result(s, r);
        if (r == LARDER_OK && n < ITEMS + 500)
            s->acked++;
        s->is_ready = 1;
    }
    larder_close(db);
    return 0;
}

/* Lists are damaged and repaired again and again beside it: it may be told to wait or that something is wrong, and nothing else. */
static void beside(int (*run)(void *arg), int is_read_only, const char *what) {
    int fd = make_segment(ITEMS), rounds = is_long() ? 100 : 8;
    struct stage *s = stage_new(fd);
    struct larder_repair_report report;
    s->k = (uint64_t)is_read_only;
    pid_t pid = proc_fork(run, s);
    wait_for_ready(s);
    for (int i = 0; i < rounds; i++) {
        uint32_t fine = s->fine;
        memset(at(&s->copy, WORD_OFF(*slot_of(&s->copy, 1, (uint32_t)i))), 0xaa, 24);
        int r = repair_here(&s->copy, &report);
        cr_assert(r == LARDER_OK && report.errors_found > 0, "%s: %s: %s", what, larder_result_name(r), larder_error());
        cr_assert(UNTIL(s->fine > fine + 10, DEADLINE_MS), "%s", what);
    }
    finish(s, pid);
    cr_assert_eq(s->wrong, 0, "%s: %u wrong of %u", what, s->wrong, s->calls);
    struct larder *db;
    cr_assert_eq(attach(&s->copy, 0, &db), LARDER_OK);
    struct larder_check_report check;
    cr_assert_eq(larder_check(db, NULL, &check), LARDER_OK, "%s: %s", what, larder_error());
    cr_assert(check.items >= ITEMS + PLAIN + s->acked && check.items <= ITEMS + PLAIN + 500, "%s: %lu items, %u acked",
              what, check.items, s->acked);
    larder_close(db);
    stage_end(s);
    close(fd);
}

Test(repair, beside_a_reader) {
    beside(read_on, 0, "reader");
}
Test(repair, beside_a_read_only_reader) {
    beside(read_on, 1, "read-only reader");
}
Test(repair, beside_a_writer) {
    beside(write_on, 0, "writer");
}

/* Of two repairs at once one does it, and the other finds it done. Each may be told to wait for the other: for its repair, or, where
 * stripes must be moved, for its attachment. */
static int repair_too(void *arg) {
    struct stage *s = arg;
    struct larder_repair_report report;
    uint64_t end_ms = until_now_ms() + DEADLINE_MS;
    int r;
    do
        r = repair_here(&s->copy, &report);
    while (r == LARDER_E_BUSY && until_now_ms() < end_ms);
    PROC_CHECK(r == LARDER_OK);
    return 0;
}

Test(repair, two_at_once) {
    int fd = make_segment(ITEMS);
    for (int i = 0; i < (is_long() ? 100 : 10); i++) {
        struct stage *s = stage_new(fd);
        harm_all_caches(&s->copy);
        pid_t one = proc_fork(repair_too, s), other = proc_fork(repair_too, s);
        struct proc_result a = proc_wait(one, DEADLINE_MS), b = proc_wait(other, DEADLINE_MS);
        cr_assert(proc_is_exit(a, 0), "%s", proc_text(a));
        cr_assert(proc_is_exit(b, 0), "%s", proc_text(b));
        judge(&(struct trial){.copy = &s->copy}, "two at once", (uint64_t)i);
        stage_end(s);
    }
    close(fd);
}
