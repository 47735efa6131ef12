/* bench/measure.c - what a get and a 20-item query cost as a table grows, and what an item costs in
 * memory.
 *
 * Job      Loads items of 300 bytes (names and values, as DynamoDB counts them) with 55-byte keys
 *          and four secondary indexes into one segment, and at chosen item counts measures get,
 *          get_many, 20-item queries on the table and on an index, and overwrites. Each figure is
 *          the median of several rounds. One process, one thread.
 * Usage    bench_measure [--items N] [--rounds N] [--indexes 0..4]
 */
#include "larder.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CALLS 100000
#define ITEMS_PER_PARTITION 100
#define ITEM_BYTES 300
#define MANY 100

static struct larder *db;
static struct larder_table *table;
static struct larder_builder *builder;
static struct larder_page *page;
static int index_count = 4, rounds = 5;
static uint64_t seed = 1;

static void must(int result, const char *what) {
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, larder_result_name(result), larder_error());
    exit(1);
}

static double now_s(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static uint64_t next_random(void) { /* splitmix64 */
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* 24 + 31 bytes. */
static void key_texts(uint64_t n, char pk[32], char sk[40]) {
    snprintf(pk, 32, "SHOP#%08u.example.com", (unsigned)(n / ITEMS_PER_PARTITION % 100000000));
    snprintf(sk, 40, "JOB#%027u", (unsigned)(n % ITEMS_PER_PARTITION));
}

static void add_index_keys(uint64_t n, const char *pk) {
    char text[64];
    static const char *const names[4][2] = {
        {"GSI1PK", "GSI1SK"}, {"GSI2PK", "GSI2SK"}, {"GSI3PK", "GSI3SK"}, {"ShopDomain", "Status"}};
    for (int i = 0; i < index_count; i++) {
        larder_builder_add_s(builder, names[i][0], i == 1 ? (n % 4 ? "JOBS#DONE" : "JOBS#QUEUED") : pk);
        snprintf(text, sizeof text, i == 3 ? "S%llu" : "2026-%010llu",
                 (unsigned long long)(i == 3 ? n % 5 : n * UINT64_C(2654435761) % 10000000000u));
        larder_builder_add_s(builder, names[i][1], text);
    }
}

static const struct larder_item *make_item(uint64_t n) {
    static char padding[ITEM_BYTES];
    const struct larder_item *item;
    char pk[32], sk[40];
    memset(padding, 'x', sizeof padding);
    key_texts(n, pk, sk);
    for (size_t fill = 0;;) {
        larder_builder_reset(builder);
        larder_builder_add_s(builder, "PK", pk);
        larder_builder_add_s(builder, "SK", sk);
        larder_builder_add_int(builder, "n", (int64_t)n);
        add_index_keys(n, pk);
        larder_builder_add_sn(builder, "data", padding, fill);
        must(larder_builder_finish(builder, &item), "item");
        size_t bytes = larder_item_size(item);
        if (bytes >= ITEM_BYTES)
            return item;
        fill += ITEM_BYTES - bytes;
    }
}

/* ---- What is measured ------------------------------------------------------------------------ */

static void one_get(uint64_t items) {
    char pk[32], sk[40];
    key_texts(next_random() % items, pk, sk);
    struct larder_key key = {larder_str(pk), larder_str(sk)};
    if (larder_get(table, &key, page) != LARDER_OK)
        must(LARDER_E_CORRUPT, "get");
}

static void many_gets(uint64_t items) {
    static char pk[MANY][32], sk[MANY][40];
    struct larder_key keys[MANY];
    for (int i = 0; i < MANY; i++) {
        key_texts(next_random() % items, pk[i], sk[i]);
        keys[i] = (struct larder_key){larder_str(pk[i]), larder_str(sk[i])};
    }
    must(larder_get_many(table, keys, MANY, page), "get_many");
}

static void query_on(const char *index, uint64_t items) {
    char pk[32], sk[40];
    uint64_t n = next_random() % items;
    key_texts(n - n % ITEMS_PER_PARTITION + n % (ITEMS_PER_PARTITION - 20), pk, sk);
    struct larder_query_spec spec = {.index = index, .partition = larder_str(pk), .limit = 20};
    if (!index) {
        spec.sort_op = LARDER_SORT_GE;
        spec.sort_value = larder_str(sk);
    }
    must(larder_query(table, &spec, page), "query");
    if (larder_page_count(page) != 20)
        must(LARDER_E_CORRUPT, "query");
}

static void query_table(uint64_t items) {
    query_on(NULL, items);
}

static void query_index(uint64_t items) {
    query_on("GSI1", items);
}

/* A partition of a quarter or three quarters of all items. */
static void query_hot(uint64_t items) {
    char from[32];
    snprintf(from, sizeof from, "2026-%010llu", (unsigned long long)(next_random() % 9000000000u));
    struct larder_query_spec spec = {.index = "GSI2",
                                     .partition = larder_str(items % 2 ? "JOBS#DONE" : "JOBS#QUEUED"),
                                     .sort_op = LARDER_SORT_GE,
                                     .sort_value = larder_str(from),
                                     .limit = 20};
    must(larder_query(table, &spec, page), "query");
}

static void overwrite(uint64_t items) {
    must(larder_put(table, make_item(next_random() % items), NULL), "put");
}

static int by_value(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* Microseconds per call, median of the rounds. */
static double measure(void (*call)(uint64_t items), uint64_t items, int calls) {
    double us[64];
    for (int round = 0; round < rounds; round++) {
        double start_s = now_s();
        for (int i = 0; i < calls; i++)
            call(items);
        us[round] = (now_s() - start_s) / calls * 1e6;
    }
    qsort(us, (size_t)rounds, sizeof *us, by_value);
    return us[rounds / 2];
}

static void report(uint64_t items, double load_s, uint64_t loaded) {
    struct larder_segment_stats s;
    must(larder_segment_stats(db, &s), "stats");
    printf("%9llu  %6.3f  %6.3f  ", (unsigned long long)items, measure(one_get, items, CALLS),
           measure(many_gets, items, CALLS / MANY) / MANY);
    printf("%6.2f  ", measure(query_table, items, CALLS / 10));
    if (index_count == 4)
        printf("%6.2f  %6.2f  ", measure(query_index, items, CALLS / 10), measure(query_hot, items, CALLS / 10));
    else
        printf("     -       -  ");
    printf("%6.2f  %6.2f  ", load_s / (double)loaded * 1e6, measure(overwrite, items, CALLS / 10));
    printf("%6.1f  %6.1f\n", (double)s.used_bytes / (double)items, (double)s.claimed_bytes / (double)items);
    fflush(stdout);
}

static void create(uint64_t items) {
    static const struct larder_index_def indexes[4] = {
        {.name = "GSI1", .partition = {"GSI1PK", LARDER_S}, .sort = {"GSI1SK", LARDER_S}},
        {.name = "GSI2", .partition = {"GSI2PK", LARDER_S}, .sort = {"GSI2SK", LARDER_S}},
        {.name = "GSI3", .partition = {"GSI3PK", LARDER_S}, .sort = {"GSI3SK", LARDER_S}},
        {.name = "StatusIndex", .partition = {"ShopDomain", LARDER_S}, .sort = {"Status", LARDER_S}}};
    struct larder_table_def def = {.name = "measure",
                                   .partition = {"PK", LARDER_S},
                                   .sort = {"SK", LARDER_S},
                                   .indexes = indexes,
                                   .index_count = (uint32_t)index_count};
    struct larder_options options = {
        .flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .size_bytes = (items + 100000) * 1500};
    must(larder_open(&options, &db), "open");
    must(larder_table_create(db, &def), "create");
    must(larder_table_open(db, "measure", &table), "open table");
    must(larder_builder_new(db, &builder), "builder");
    must(larder_page_new(db, &page), "page");
}

int main(int argc, char **argv) {
    uint64_t items = 2000000, at[] = {10000, 100000, 2000000}, n = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--items") == 0)
            items = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = atoi(argv[i + 1]) < 1 ? 1 : atoi(argv[i + 1]) > 64 ? 64 : atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--indexes") == 0)
            index_count = atoi(argv[i + 1]) & 7;
    }
    if (index_count > 4)
        index_count = 4;
    create(items);
    printf("items of %d bytes, %d indexes; microseconds per call or item, medians of %d rounds\n", ITEM_BYTES,
           index_count, rounds);
    printf("    items     get  many/1   query   index     hot  insert overwr.  used/i  claim/i\n");
    at[2] = items;
    for (int step = 0; step < 3; step++) {
        double start_s = now_s();
        uint64_t from = n;
        if (at[step] > items || at[step] <= n)
            continue;
        for (; n < at[step]; n++)
            must(larder_put(table, make_item(n), NULL), "put");
        report(n, now_s() - start_s, n - from);
    }
    larder_close(db);
    return 0;
}
