/* bench/api.c - what a call of DynamoDB's API in JSON costs, beside the engine's own call for the
 * same.
 *
 *     larder_api                       rates of both and their ratio, per operation
 *     larder_api --items N             of them; a multiple of 20 (default 300000)
 *     larder_api --count NAME          the calls of one line alone, for callgrind: --calls N in
 *                                      api_counted(), as many in own_counted(); NAME: get, put, ..
 *
 * Method   Items of 300 bytes in 10 attributes, in partitions of 20. Both sides take turns, round
 *          after round, in one process on one segment, so that what the machine does meanwhile
 *          affects both. Requests are texts that were made before. A write through the engine
 *          builds its item, as a write through the API does. A ratio is the median of the rounds'.
 * See      script/bench --only api
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/fail.h"
#include "larder_dynamodb.h"

#define ROWS 20u
#define ROUNDS 15
#define ROUND_NS 40000000
#define REQUEST_BYTES 640u

static uint32_t items = 300000;
static struct larder *db;
static struct larder_table *table;
static struct larder_page *page;
static struct larder_builder *builder, *values;
static struct larder_dynamodb *dynamodb;
static struct larder_expr *update;
static const char *const texts[] = {"pending",     "Amsterdam",           "EUR",
                                    "standard",    "2026-11-30T12:00Z",   "a comment of a customer who is content",
                                    "warehouse-7", "0123456789abcdef0123"};
static const char *const names[] = {"status", "city", "currency", "shipping", "updated", "comment", "from", "trace"};
#define TEXTS (sizeof texts / sizeof *texts)

/* ---- Keys, items, requests ------------------------------------------------------------------- */

struct key_texts {
    char partition[32], sort[16];
};

static struct key_texts texts_of(uint32_t n) {
    struct key_texts k;
    snprintf(k.partition, sizeof k.partition, "CUSTOMER#%08u", n / ROWS);
    snprintf(k.sort, sizeof k.sort, "ORDER#%04u", n % ROWS);
    return k;
}

static const struct larder_item *build(uint32_t n, const struct key_texts *k) {
    const struct larder_item *item;
    larder_builder_reset(builder);
    larder_builder_add_s(builder, "PK", k->partition);
    larder_builder_add_s(builder, "SK", k->sort);
    for (size_t i = 0; i < TEXTS; i++)
        larder_builder_add_s(builder, names[i], texts[i]);
    larder_builder_add_int(builder, "total", 1250 + n);
    larder_builder_add_int(builder, "version", 3);
    if (larder_builder_finish(builder, &item) != LARDER_OK)
        fail("%s", larder_error());
    return item;
}

#define KEY "\"Key\":{\"PK\":{\"S\":\"%s\"},\"SK\":{\"S\":\"%s\"}}"

static size_t write_get(uint32_t n, char *to) {
    struct key_texts k = texts_of(n);
    return (size_t)snprintf(to, REQUEST_BYTES, "{\"TableName\":\"orders\"," KEY "}", k.partition, k.sort);
}

static size_t write_put(uint32_t n, char *to) {
    struct key_texts k = texts_of(n);
    size_t used = (size_t)snprintf(to, REQUEST_BYTES,
                                   "{\"TableName\":\"orders\",\"Item\":{\"PK\":{\"S\":\"%s\"},\"SK\":{\"S\":\"%s\"}",
                                   k.partition, k.sort);
    for (size_t i = 0; i < TEXTS; i++)
        used += (size_t)snprintf(to + used, REQUEST_BYTES - used, ",\"%s\":{\"S\":\"%s\"}", names[i], texts[i]);
    used += (size_t)snprintf(to + used, REQUEST_BYTES - used, ",\"total\":{\"N\":\"%u\"},\"version\":{\"N\":\"3\"}}}",
                             1250 + n);
    return used;
}

static size_t write_update(uint32_t n, char *to) {
    struct key_texts k = texts_of(n);
    return (size_t)snprintf(to, REQUEST_BYTES,
                            "{\"TableName\":\"orders\"," KEY ",\"UpdateExpression\":\"SET version = version + :one\","
                            "\"ExpressionAttributeValues\":{\":one\":{\"N\":\"1\"}}}",
                            k.partition, k.sort);
}

static size_t write_query(uint32_t n, char *to) {
    struct key_texts k = texts_of(n);
    return (size_t)snprintf(to, REQUEST_BYTES,
                            "{\"TableName\":\"orders\",\"KeyConditionExpression\":\"PK = :pk\","
                            "\"ExpressionAttributeValues\":{\":pk\":{\"S\":\"%s\"}}}",
                            k.partition);
}

/* ---- The engine's own ------------------------------------------------------------------------ */

static struct larder_key key_of(const struct key_texts *k) {
    return (struct larder_key){larder_str(k->partition), larder_str(k->sort)};
}

static int own_get(uint32_t n, const struct key_texts *k) {
    struct larder_key key = key_of(k);
    (void)n;
    return larder_get(table, &key, page);
}

static int own_put(uint32_t n, const struct key_texts *k) {
    return larder_put(table, build(n, k), NULL);
}

static int own_update(uint32_t n, const struct key_texts *k) {
    const struct larder_item *given;
    (void)n;
    larder_builder_reset(values);
    larder_builder_add_int(values, ":one", 1);
    int r = larder_builder_finish(values, &given);
    struct larder_action action = {
        .kind = LARDER_ACTION_UPDATE, .table = table, .key = key_of(k), .update = update, .values = given};
    return r ? r : larder_write(&action, NULL);
}

static int own_query(uint32_t n, const struct key_texts *k) {
    struct larder_query_spec spec = {.partition = larder_str(k->partition)};
    (void)n;
    return larder_query(table, &spec, page);
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

static const struct line {
    const char *name, *operation;
    size_t (*write)(uint32_t n, char *to);
    int (*own)(uint32_t n, const struct key_texts *k);
} lines[] = {{"get", "GetItem", write_get, own_get},
             {"put", "PutItem", write_put, own_put},
             {"update", "UpdateItem", write_update, own_update},
             {"query", "Query", write_query, own_query}};
#define LINES (sizeof lines / sizeof *lines)

/* So many different draws that their items are not in the processor's caches. */
#define RING 65536u
static struct {
    uint32_t n;
    struct key_texts key;
    size_t at, bytes; /* of the request, in `requests` */
} ring[RING];
static char *requests;

static void fill_ring(const struct line *l) {
    uint64_t random = 88172645463325252u;
    if (!requests && !(requests = malloc((size_t)RING * REQUEST_BYTES)))
        fail("out of memory");
    for (uint32_t i = 0; i < RING; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        ring[i].n = (uint32_t)(random % items);
        ring[i].key = texts_of(ring[i].n);
        ring[i].at = i ? ring[i - 1].at + ring[i - 1].bytes : 0;
        ring[i].bytes = l->write(ring[i].n, requests + ring[i].at);
        if (ring[i].bytes >= REQUEST_BYTES)
            fail("a request of %zu bytes", ring[i].bytes);
    }
}

/* Not inlined: callgrind collects what it calls. */
static __attribute__((noinline)) void api_counted(const struct line *l, uint32_t calls, uint32_t first) {
    struct larder_dynamodb_reply reply;
    for (uint32_t i = first; i < first + calls; i++) {
        if (larder_dynamodb_call(dynamodb, l->operation, requests + ring[i % RING].at, ring[i % RING].bytes, &reply) ||
            reply.status != 200)
            fail("%s: %s", l->operation, reply.body);
    }
}

static __attribute__((noinline)) void own_counted(const struct line *l, uint32_t calls, uint32_t first) {
    for (uint32_t i = first; i < first + calls; i++)
        if (l->own(ring[i % RING].n, &ring[i % RING].key) != LARDER_OK)
            fail("%s: %s", l->name, larder_error());
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Calls a second. */
static double round_of(void (*counted)(const struct line *l, uint32_t calls, uint32_t first), const struct line *l,
                       uint32_t *at) {
    int64_t start = now_ns(), end;
    uint32_t calls = 0;
    do {
        counted(l, 64, *at);
        *at += 64;
        calls += 64;
        end = now_ns();
    } while (end - start < ROUND_NS);
    return calls * 1e9 / (double)(end - start);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *figures) {
    qsort(figures, ROUNDS, sizeof *figures, by_value);
    return figures[ROUNDS / 2];
}

static void measure(const struct line *l) {
    double own[ROUNDS], api[ROUNDS], ratio[ROUNDS];
    uint32_t own_at = 0, api_at = 0;
    fill_ring(l);
    api_counted(l, 4096, 0);
    own_counted(l, 4096, 0);
    for (int i = 0; i < ROUNDS; i++) {
        own[i] = round_of(own_counted, l, &own_at);
        api[i] = round_of(api_counted, l, &api_at);
        ratio[i] = api[i] / own[i];
    }
    printf("%-10s %12.0f %12.0f %8.2f\n", l->operation, median(own), median(api), median(ratio));
}

/* ---- The program ----------------------------------------------------------------------------- */

static void open_all(void) {
    static const struct larder_options options = {
        .flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .size_bytes = 256u << 20};
    static const struct larder_table_def def = {
        .name = "orders", .partition = {"PK", LARDER_S}, .sort = {"SK", LARDER_S}};
    if (larder_open(&options, &db) || larder_table_create(db, &def) || larder_table_open(db, "orders", &table) ||
        larder_page_new(db, &page) || larder_builder_new(db, &builder) || larder_builder_new(db, &values) ||
        larder_prepare(db, LARDER_EXPR_UPDATE, "SET version = version + :one", NULL, 0, &update) ||
        larder_dynamodb_new(db, &dynamodb))
        fail("%s", larder_error());
    for (uint32_t n = 0; n < items; n++) {
        struct key_texts k = texts_of(n);
        if (own_put(n, &k))
            fail("%s", larder_error());
    }
}

static void count(const char *name, uint32_t calls) {
    for (size_t i = 0; i < LINES; i++) {
        if (strcmp(lines[i].name, name) != 0)
            continue;
        fill_ring(&lines[i]);
        api_counted(&lines[i], calls, 0);
        own_counted(&lines[i], calls, 0);
        return;
    }
    fail("no line \"%s\": get, put, update, query", name);
}

int main(int argc, char **argv) {
    const char *counted = NULL;
    uint32_t calls = 1000;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--count") == 0)
            counted = argv[i + 1];
        else if (strcmp(argv[i], "--calls") == 0)
            calls = (uint32_t)atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--items") == 0)
            items = (uint32_t)atoi(argv[i + 1]) / ROWS * ROWS;
        else
            fail("unknown option %s", argv[i]);
    }
    if (!items)
        fail("--items: at least %u", ROWS);
    open_all();
    if (counted)
        count(counted, calls);
    else
        printf("%-10s %12s %12s %8s\n", "operation", "engine/s", "call/s", "ratio");
    for (size_t i = 0; !counted && i < LINES; i++)
        measure(&lines[i]);
    larder_dynamodb_free(dynamodb);
    larder_close(db);
    return 0;
}
