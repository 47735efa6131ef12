/* bench/api.c - what a call of DynamoDB's API in JSON costs, beside the engine's own call for the
 * same, and what the endpoint does, beside dynalite.
 *
 *     larder_api [--quick] [--larder COMMAND [--dynalite FOLDER]]
 *                                      both rates, their ratio, per operation; with a command, the
 *                                      endpoint, too (endpoint.h); verdicts
 *     larder_api --count NAME          the calls of one line alone, for callgrind: --calls N in
 *                                      api_counted(), as many in own_counted(); NAME: get, put, ..;
 *                                      --items N, default 20000
 *
 * Method   Both sides take turns, round after round, in one process on one segment, so that what
 *          the machine does meanwhile affects both. Requests are texts that were made before. A
 *          write through the engine builds its item, as a write through the API does. A ratio is
 *          the median of the rounds'. Once with few items, which the caches hold, once with many.
 * See      script/bench --only api
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"
#include "bench/endpoint.h"
#include "bench/fail.h"
#include "bench/orders.h"
#include "larder_dynamodb.h"

#define ROUNDS 15
#define ROUND_NS 40000000
#define ITEMS_FEW 2000u
#define ITEMS_MANY 500000u

static uint32_t items;
static struct larder *db;
static struct larder_table *table;
static struct larder_page *page;
static struct larder_builder *builder, *values;
static struct larder_dynamodb *dynamodb;
static struct larder_expr *update;

/* ---- The engine's own ------------------------------------------------------------------------ */

static struct larder_key key_of(const struct order_key *k) {
    return (struct larder_key){larder_str(k->partition), larder_str(k->sort)};
}

static int own_get(uint32_t n, const struct order_key *k) {
    struct larder_key key = key_of(k);
    (void)n;
    return larder_get(table, &key, page);
}

static int own_put(uint32_t n, const struct order_key *k) {
    return larder_put(table, order_build(builder, n, k), NULL);
}

static int own_update(uint32_t n, const struct order_key *k) {
    const struct larder_item *given;
    (void)n;
    larder_builder_reset(values);
    larder_builder_add_int(values, ":one", 1);
    int r = larder_builder_finish(values, &given);
    struct larder_action action = {
        .kind = LARDER_ACTION_UPDATE, .table = table, .key = key_of(k), .update = update, .values = given};
    return r ? r : larder_write(&action, NULL);
}

static int own_query(uint32_t n, const struct order_key *k) {
    struct larder_query_spec spec = {.partition = larder_str(k->partition)};
    (void)n;
    return larder_query(table, &spec, page);
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

static const struct line {
    const char *name;
    const struct order_operation *operation;
    int (*own)(uint32_t n, const struct order_key *k);
    double wanted; /* ratio; 0: no target */
} lines[] = {{"get", &order_operations[ORDER_GET], own_get, 0.3},
             {"put", &order_operations[ORDER_PUT], own_put, 0},
             {"update", &order_operations[ORDER_UPDATE], own_update, 0},
             {"query", &order_operations[ORDER_QUERY], own_query, 0.4}};
#define LINES (sizeof lines / sizeof *lines)

/* So many different draws that their items are not in the processor's caches, if there are as many
 * items. */
#define RING_MAX 65536u
static struct {
    uint32_t n;
    struct order_key key;
    size_t at, bytes; /* of the request, in `requests` */
} ring[RING_MAX];
static uint32_t ring_count;
static char *requests;

static void fill_ring(const struct line *l) {
    uint64_t draws = ORDER_DRAWS;
    if (!requests && !(requests = malloc((size_t)RING_MAX * ORDERS_REQUEST_BYTES)))
        fail("out of memory");
    ring_count = items < RING_MAX ? items : RING_MAX;
    for (uint32_t i = 0; i < ring_count; i++) {
        ring[i].n = (uint32_t)(order_draw(&draws) % items);
        ring[i].key = order_key(ring[i].n);
        ring[i].at = i ? ring[i - 1].at + ring[i - 1].bytes : 0;
        ring[i].bytes = l->operation->write(ring[i].n, requests + ring[i].at);
        if (ring[i].bytes >= ORDERS_REQUEST_BYTES)
            fail("a request of %zu bytes", ring[i].bytes);
    }
}

/* Not inlined: callgrind collects what it calls. */
static __attribute__((noinline)) void api_counted(const struct line *l, uint32_t calls, uint32_t first) {
    struct larder_dynamodb_reply reply;
    for (uint32_t i = first; i < first + calls; i++) {
        uint32_t at = i % ring_count;
        if (larder_dynamodb_call(dynamodb, l->operation->name, requests + ring[at].at, ring[at].bytes, &reply) ||
            reply.status != 200)
            fail("%s: %s", l->operation->name, reply.body);
    }
}

static __attribute__((noinline)) void own_counted(const struct line *l, uint32_t calls, uint32_t first) {
    for (uint32_t i = first; i < first + calls; i++)
        if (l->own(ring[i % ring_count].n, &ring[i % ring_count].key) != LARDER_OK)
            fail("%s: %s", l->name, larder_error());
}

/* Calls a second. */
static double round_of(void (*counted)(const struct line *l, uint32_t calls, uint32_t first), const struct line *l,
                       uint32_t *at) {
    uint64_t start = clock_ns(), end;
    uint32_t calls = 0;
    do {
        counted(l, 64, *at);
        *at += 64;
        calls += 64;
        end = clock_ns();
    } while (end - start < ROUND_NS);
    return calls * 1e9 / (double)(end - start);
}

static double measure(const struct line *l) {
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
    printf("%-10s %9u %12.0f %12.0f %8.2f\n", l->operation->name, items, median_of(own, ROUNDS), median_of(api, ROUNDS),
           median_of(ratio, ROUNDS));
    return median_of(ratio, ROUNDS);
}

/* ---- The program ----------------------------------------------------------------------------- */

static void open_all(uint32_t count) {
    struct larder_options options = {
        .flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .size_bytes = (64u << 20) + (uint64_t)count * 700};
    static const struct larder_table_def def = {
        .name = ORDERS_TABLE, .partition = {"PK", LARDER_S}, .sort = {"SK", LARDER_S}};
    items = count;
    if (larder_open(&options, &db) || larder_table_create(db, &def) || larder_table_open(db, ORDERS_TABLE, &table) ||
        larder_page_new(db, &page) || larder_builder_new(db, &builder) || larder_builder_new(db, &values) ||
        larder_prepare(db, LARDER_EXPR_UPDATE, ORDERS_UPDATE, NULL, 0, &update) || larder_dynamodb_new(db, &dynamodb))
        fail("%s", larder_error());
    for (uint32_t n = 0; n < items; n++) {
        struct order_key k = order_key(n);
        if (own_put(n, &k))
            fail("%s", larder_error());
    }
}

static void close_all(void) {
    larder_dynamodb_free(dynamodb);
    larder_expr_free(update);
    larder_builder_free(values);
    larder_builder_free(builder);
    larder_page_free(page);
    larder_close(db);
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

/* All lines on a table of so many items. Returns how many verdicts. */
static unsigned measure_all(uint32_t count, const char *where, struct verdict *out) {
    unsigned verdicts = 0;
    open_all(count);
    for (size_t i = 0; i < LINES; i++) {
        double ratio = measure(&lines[i]);
        static char names[2 * LINES][64];
        char *name = names[(count == ITEMS_MANY) * LINES + i];
        snprintf(name, sizeof names[0], "%s, JSON, %s", lines[i].operation->name, where);
        out[verdicts++] =
            (struct verdict){name, "of the engine's own", ratio, lines[i].wanted, 0, 1, lines[i].wanted == 0};
    }
    close_all();
    return verdicts;
}

static const char *option_of(int argc, char **argv, const char *name, const char *otherwise) {
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return otherwise;
}

static int has_option(int argc, char **argv, const char *name) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return 1;
    return 0;
}

static void print_all(const struct endpoint_options *o) {
    struct verdict verdicts[TARGETS_MAX];
    unsigned count = 0;
    printf("%-10s %9s %12s %12s %8s\n", "operation", "items", "engine/s", "call/s", "ratio");
    count += measure_all(ITEMS_FEW, "in cache", verdicts);
    count += measure_all(ITEMS_MANY, "500,000 items", verdicts + count);
    if (o->larder)
        count += endpoint_measure(o, verdicts + count);
    targets_print(verdicts, count);
    if (!o->larder)
        puts("the endpoint was not measured: --larder COMMAND");
}

int main(int argc, char **argv) {
    const struct endpoint_options endpoint = {.larder = option_of(argc, argv, "--larder", NULL),
                                              .dynalite = option_of(argc, argv, "--dynalite", NULL),
                                              .is_quick = has_option(argc, argv, "--quick")};
    const char *counted = option_of(argc, argv, "--count", NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (counted) {
        open_all((uint32_t)atoi(option_of(argc, argv, "--items", "20000")) / ORDERS_ROWS * ORDERS_ROWS);
        count(counted, (uint32_t)atoi(option_of(argc, argv, "--calls", "1000")));
        close_all();
    } else
        print_all(&endpoint);
    return 0;
}
