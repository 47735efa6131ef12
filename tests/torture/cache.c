/* tests/torture/cache.c - a table that evicts: with --evict it keeps the segment full.
 *
 * Job      See torture.h. Every worker also puts into the table "Cache" and reads it. No process
 *          knows which of its items are still there. But each item says whose it is, and all its
 *          bytes follow from its key. What the other tables hold is judged as ever: none of it may
 *          be evicted.
 */
#include <stdio.h>
#include <string.h>

#include "tests/torture/torture.h"

#define CACHE_KEYS 30000u
#define CACHE_GROUPS 61u
#define CACHE_FILL_MAX 3000u
#define CACHE_AT_ONCE 4u

void cache_create(struct client *c) {
    const struct larder_index_def index = {.name = "ByGroup", .partition = {"G", LARDER_S}, .sort = {"PK", LARDER_S}};
    const struct larder_table_def def = {.name = "Cache",
                                         .partition = {"PK", LARDER_S},
                                         .indexes = &index,
                                         .index_count = 1,
                                         .eviction = LARDER_EVICTION_SIEVE};
    int r = larder_table_create(c->db, &def);
    if (r && r != LARDER_E_EXISTS)
        client_failed(c, "cache: create", r);
}

void cache_drop(struct client *c) {
    int r = larder_table_drop(c->db, "Cache");
    if (r)
        client_failed(c, "cache: drop", r);
}

/* What a call may say to a client of a full segment, beside done. */
static void judge(struct client *c, const char *call, int r) {
    if (r == LARDER_E_NO_TABLE)
        c->cache = NULL; /* the auditor makes it again */
    else if (r < 0 && r != LARDER_E_FULL && !(r == LARDER_E_BUSY && c->is_impatient))
        client_failed(c, call, r);
}

static void put(struct client *c, uint32_t n) {
    char fill[CACHE_FILL_MAX], text[16];
    const struct larder_item *item;
    uint32_t bytes = (uint32_t)rng_below(&c->rng, rng_is_one_in(&c->rng, 4) ? CACHE_FILL_MAX : 300);
    memset(fill, (int)(n & 0xff), bytes);
    larder_builder_reset(c->builder);
    snprintf(text, sizeof text, "c%u", n);
    larder_builder_add_s(c->builder, "PK", text);
    snprintf(text, sizeof text, "g%u", n % CACHE_GROUPS);
    larder_builder_add_s(c->builder, "G", text);
    larder_builder_add_int(c->builder, "n", n);
    larder_builder_add_b(c->builder, "fill", fill, bytes);
    int r = larder_builder_finish(c->builder, &item);
    judge(c, "cache: put", r ? r : larder_put(c->cache, item, NULL));
}

static void judge_item(struct client *c, const struct larder_item *item, int64_t key, uint32_t group) {
    struct larder_value fill, number;
    int64_t n = -1;
    if (larder_item_get(item, "n", &number) || larder_value_int64(&number, &n) || larder_item_get(item, "fill", &fill))
        client_wrong(c, "cache: an item lacks an attribute");
    if ((key >= 0 && n != key) || n % CACHE_GROUPS != group)
        client_wrong(c, "cache: an item that was not asked for");
    for (size_t i = 0; i < fill.bytes; i++)
        if (((const uint8_t *)fill.data)[i] != (uint8_t)n)
            client_wrong(c, "cache: an item has bytes of another one");
}

static void get(struct client *c, uint32_t n) {
    char text[16];
    snprintf(text, sizeof text, "c%u", n);
    int r = larder_get(c->cache, &(struct larder_key){.partition = larder_str(text)}, c->page);
    judge(c, "cache: get", r);
    if (r == LARDER_OK)
        judge_item(c, larder_page_item(c->page, 0), n, n % CACHE_GROUPS);
}

static void query(struct client *c, uint32_t group) {
    char text[16];
    snprintf(text, sizeof text, "g%u", group);
    struct larder_query_spec spec = {.index = "ByGroup", .partition = larder_str(text), .limit = 20};
    int r = larder_query(c->cache, &spec, c->page);
    judge(c, "cache: query", r);
    for (uint32_t i = 0; r >= 0 && i < larder_page_count(c->page); i++)
        judge_item(c, larder_page_item(c->page, i), -1, group);
}

void do_cache(struct client *c) {
    if (!c->cache && larder_table_open(c->db, "Cache", &c->cache))
        c->cache = NULL;
    /* one in two of few keys, so that some are often used */
    uint32_t n = (uint32_t)rng_below(&c->rng, rng_is_one_in(&c->rng, 2) ? CACHE_KEYS : CACHE_KEYS / 20);
    for (uint32_t i = 0; i < CACHE_AT_ONCE && c->cache && !c->is_read_only; i++)
        put(c, (n + i * 7919) % CACHE_KEYS);
    if (c->cache)
        get(c, n);
    if (c->cache && rng_is_one_in(&c->rng, 4))
        query(c, n % CACHE_GROUPS);
}
