/* tests/crash/repair_test.c - a damaged segment becomes whole again, and a repair may die anywhere.
 *
 * Goal     After larder_repair() the segment is clean, every item that was not damaged is there and is found by all paths, timers
 *          fire, and new writes work; whatever was damaged, and wherever a repair before it died. It never crashes or hangs.
 * Method   A segment with 1,000 items, four lists each, timers and runs of spans is written once; damage goes into copies of it
 *          through a mapping of its own. (1) By area: each structure of core/layout.h and its like gets random damage, many
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

#include "core/crash.h"
#include "core/db.h"
#include "core/heap_span.h"
#include "index/skl.h"
#include "larder.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"
#include "ttl/wheel.h"

TestSuite(repair, .timeout = 170 * SLOW_FACTOR);

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
    larder_add_s(b, "PK", text);
    snprintf(text, sizeof text, "SHARED#PREFIX#%05d", n);
    larder_add_s(b, "SK", text);
    if (has_g1(n)) {
        larder_add_s(b, "G1P", n % 2 ? "odd" : "even");
        snprintf(text, sizeof text, "G#%d", n % 10); /* many equal sort keys */
        larder_add_s(b, "G1S", text);
    }
    if (has_g2(n)) {
        snprintf(text, sizeof text, "Q%d", n); /* partitions of one item */
        larder_add_s(b, "G2P", text);
        larder_add_int(b, "G2S", 5000 - n);
    }
    larder_add_int(b, "L1S", n * 7 % 1000);
    if (expires(n))
        larder_add_int(b, "exp", 5000 + n);
    larder_begin(b, "list", LARDER_L);
    larder_add_int(b, NULL, n);
    larder_add_bool(b, NULL, n % 2);
    larder_end(b);
    larder_add_b(b, "fill", fill, fill_of(n));
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
    larder_add_int(b, "id", n);
    r = larder_builder_finish(b, &item);
    if (r == LARDER_OK)
        r = larder_put(t, item, NULL);
    larder_builder_free(b);
    return r;
}

#define PLAIN 30

/* The segment. Returns its descriptor. Items are written out of order and some twice, so that arrays and lists have grown. */
static int make_segment(int items) {
    const struct larder_options o = {.flags = LARDER_CREATE | LARDER_MEMFD,
                                     .memfd = -1,
                                     .size_bytes = SEGMENT_BYTES,
                                     .stripe_count = STRIPES};
    struct larder *db;
    cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
    int fd = dup(larder_memfd(db));
    larder_close(db);
    /* The same hashes in every run, so that a seed repeats it. */
    struct seg_shm *head = mmap(NULL, sizeof *head, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert(head != MAP_FAILED);
    head->hash_seed = 42;
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

static int is_same_value(const struct larder_value *a, const struct larder_value *b) {
    return a->type == b->type && a->bytes == b->bytes && a->is_true == b->is_true && a->count == b->count &&
           (a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0);
}

static int is_same_item(const struct larder_item *a, const struct larder_item *b) {
    struct larder_iter x, y;
    struct larder_member m, n;
    larder_iter_item(a, &x);
    larder_iter_item(b, &y);
    for (;;) {
        int r = larder_iter_next(&x, &m), s = larder_iter_next(&y, &n);
        if (r != s)
            return 0;
        if (r != LARDER_OK)
            return 1;
        if (m.name_bytes != n.name_bytes || memcmp(m.name, n.name, m.name_bytes) != 0 ||
            !is_same_value(&m.value, &n.value))
            return 0;
    }
}

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
    struct larder_query_spec spec = {.index = index,
                                     .partition = larder_str(partition),
                                     .is_descending = is_descending,
                                     .bytes_max = UINT32_MAX};
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
        PROC_CHECK(table == seen->count && local == seen->count);
        if (!seen->different)
            PROC_CHECK(g1 == seen->g1 && g2 == seen->g2);
    }
    larder_page_free(page);
}

static void must_be_clean(struct larder *db) {
    struct larder_check_report report;
    int r = larder_check(db, NULL, NULL, &report);
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
        PROC_CHECK(r == LARDER_OK || r == LARDER_NOT_FOUND || r == LARDER_FULL);
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
    int lost_max;           /* items of "rich" that may be missing */
    int may_refuse;         /* LARDER_E_CORRUPT is a result */
    int may_lose_tables;    /* even "plain" */
    int may_change_content; /* attributes were hit */
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
    struct larder_repair_report report;
    struct seen seen = {0};
    int r = attach(trial->copy, LARDER_REPAIR, &db);
    if (r == LARDER_E_FORMAT && trial->may_refuse)
        return 0;
    PROC_CHECK(r == LARDER_OK);
    r = larder_repair(db, show_note, NULL, &report);
    if (trial->report)
        *trial->report = report;
    if (r == LARDER_E_CORRUPT && trial->may_refuse && report.errors_left == 0)
        return 0;
    if (r != LARDER_OK)
        fprintf(stderr, "repair: %s: %s (%lu found, %lu left)\n", larder_result_name(r), larder_error(),
                report.errors_found, report.errors_left);
    PROC_CHECK(r == LARDER_OK);
    must_be_clean(db);
    r = larder_table_open(db, "rich", &t);
    PROC_CHECK(r == LARDER_OK || (r == LARDER_E_NO_TABLE && trial->may_lose_tables));
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
    return rng_is_one_in(rng, 2) ? (struct range){stripe, offsetof(struct stripe_shm, array)}
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
    const struct range words[] = {{&h->version, 16}, {(void *)&h->armed_s, 8}};
    return words[rng_below(rng, 2)];
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
                                     : (struct range){leaf, sizeof *leaf + leaf->block.count * sizeof *leaf->entry};
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
            fprintf(stderr, "  byte %zu at %zu: %02x -> %02x\n", i, (size_t)((uint8_t *)range.at - c->base) + i, before[i],
                    ((uint8_t *)range.at)[i]);
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
    int fd = make_segment(ITEMS), rounds = is_long() ? 300 : SLOW_FACTOR > 1 ? 4 : 10;
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
    int fd = make_segment(ITEMS), rounds = is_long() ? 5000 : SLOW_FACTOR > 1 ? 60 : 250;
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
