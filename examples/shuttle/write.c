/* write.c - the writer: changes job states, counts imports and renews sessions. See write.h.
 *
 * Job      Takes a live item from revision r to r + 1, repeatedly, and keeps the history on the
 *          board (board.h, B1). After each change it looks at both index positions, the one left
 *          and the one taken. A new writer first settles what a killed one left in doubt: the item
 *          itself shows whether the last put took place.
 */
#include "write.h"

#include <stdlib.h>
#include <string.h>

#include "item.h"
#include "patterns.h"
#include "sink.h"
#include "worker.h"

#define WRITE_CHECK_INDEXES 2

static bool write_wrong(struct worker *w, const char *what, struct gen_place p) {
    struct key k;
    (void)key_of(&w->gen, p, 0, KEY_TABLE, &k);
    oracle_complain(&w->oracle, what, k.partition, k.sort);
    return false;
}

/* ---- One change ------------------------------------------------------------------------------ */

/* Whether the put replaced the item as it was at that revision. */
static bool write_replaced(struct worker *w, struct gen_place p, uint32_t revision) {
    const struct larder_item *old = larder_page_item(w->page, 0);
    if (!old)
        return write_wrong(w, "the put replaced nothing", p);
    if (sink_fingerprint_item(old) != item_fingerprint(&w->gen, p, revision))
        return write_wrong(w, "the put replaced something else", p);
    return true;
}

/* Looks at the index position that the item had at a revision: the oracle knows whether it is still
 * there. */
static bool write_look(struct worker *w, struct gen_place p, uint32_t revision, enum key_index index) {
    struct oracle_question q = {.index = index, .op = LARDER_SORT_EQ};
    struct key k;
    if (!key_of(&w->gen, p, revision, index, &k))
        return true;
    memcpy(q.partition, k.partition, sizeof q.partition);
    memcpy(q.low, k.sort, sizeof q.low);
    return worker_query(w, &q, gen_id(&w->gen, p));
}

static bool write_put(struct worker *w, struct gen_place p, uint32_t live, uint32_t revision) {
    const struct larder_item *item;
    struct sink s;
    sink_open(&s, w->builder);
    item_emit(&w->gen, p, revision, &s);
    int result = larder_builder_finish(w->builder, &item);
    if (result != LARDER_OK)
        return write_wrong(w, larder_error(), p);
    atomic_store(&w->board->mark[live].begun, revision);
    worker_call_begins(w);
    result = larder_put(w->table, item, w->page);
    worker_call_ends(w);
    if (result != LARDER_OK) { /* a failure changes nothing, so nothing was begun */
        atomic_store(&w->board->mark[live].begun, revision - 1);
        return write_wrong(w, larder_error(), p);
    }
    atomic_store(&w->board->mark[live].acked, revision);
    return write_replaced(w, p, revision - 1);
}

/* The counts that one import adds to a month's usage. */
static const struct write_counter {
    const char *name;
    int64_t by;
} write_counters[] = {
    {"importsCount", 1},
    {"productsImported", ITEM_IMPORT_PRODUCTS},
    {"shopifyApiCalls", 2 * ITEM_IMPORT_PRODUCTS + 3},
    {"storageUsedBytes", 2048 * ITEM_IMPORT_PRODUCTS},
    {ITEM_REVISION, 1},
};
#define WRITE_COUNTERS (sizeof write_counters / sizeof write_counters[0])

/* A copy of the table's item, with grown counters. NULL: there is none. */
static const struct larder_item *write_grown(struct worker *w, const struct larder_item *old) {
    const struct larder_item *item;
    const char *names[WRITE_COUNTERS];
    for (unsigned i = 0; i < WRITE_COUNTERS; i++)
        names[i] = write_counters[i].name;
    larder_builder_reset(w->builder);
    (void)larder_builder_add_all(w->builder, old, names, WRITE_COUNTERS);
    for (unsigned i = 0; i < WRITE_COUNTERS; i++) {
        struct larder_value v;
        int64_t n;
        if (larder_item_get(old, names[i], &v) != LARDER_OK || larder_value_int64(&v, &n) != LARDER_OK)
            return NULL;
        (void)larder_builder_add_int(w->builder, names[i], n + write_counters[i].by);
    }
    return larder_builder_finish(w->builder, &item) == LARDER_OK ? item : NULL;
}

/* Reads, adds, and stores the item if no other process did meanwhile; else again, with the new
 * item. LARDER_NOT_FOUND: no counters. */
static int write_count(struct worker *w, const struct larder_key *key) {
    int result = larder_get(w->table, key, w->page);
    if (result != LARDER_OK)
        return result;
    do {
        const struct larder_item *old = larder_page_item(w->page, 0), *item = old ? write_grown(w, old) : NULL;
        if (!item)
            return LARDER_NOT_FOUND;
        result = larder_put_if(w->table, item, old, w->page);
    } while (result == LARDER_CHANGED);
    return result;
}

static bool write_import(struct worker *w, struct gen_place p, uint32_t live, uint32_t revision) {
    struct key k;
    (void)key_of(&w->gen, p, 0, KEY_TABLE, &k);
    const struct larder_key key = {larder_str(k.partition), larder_str(k.sort)};
    atomic_store(&w->board->mark[live].begun, revision);
    worker_call_begins(w);
    int result = write_count(w, &key);
    worker_call_ends(w);
    if (result != LARDER_OK) {
        atomic_store(&w->board->mark[live].begun, revision - 1);
        return write_wrong(w, result > 0 ? "there is nothing to count up" : larder_error(), p);
    }
    atomic_store(&w->board->mark[live].acked, revision);
    return write_replaced(w, p, revision - 1);
}

static unsigned write_pattern(struct gen_place p) {
    return p.kind == GEN_JOB ? pattern_status_change() : p.kind == GEN_MONTHLY ? pattern_import() : pattern_renewal();
}

static void write_change(struct worker *w, struct gen_place p) {
    static const enum key_index jobs[WRITE_CHECK_INDEXES] = {KEY_GSI1, KEY_GSI2};
    static const enum key_index usage[WRITE_CHECK_INDEXES] = {KEY_GSI2, KEY_TABLE};
    static const enum key_index sessions[WRITE_CHECK_INDEXES] = {KEY_GSI3, KEY_TABLE};
    const enum key_index *indexes = p.kind == GEN_JOB ? jobs : p.kind == GEN_MONTHLY ? usage : sessions;
    const struct oracle_question none = {.index = KEY_TABLE};
    uint32_t live = gen_live(&w->gen, p), revision = atomic_load(&w->board->mark[live].acked);
    w->pattern = write_pattern(p);
    oracle_ask_one(&w->oracle, &none, GEN_NONE); /* clears the last complaint */
    bool is_right =
        p.kind == GEN_MONTHLY ? write_import(w, p, live, revision + 1) : write_put(w, p, live, revision + 1);
    w->is_aside = true;
    for (int i = 0; i < WRITE_CHECK_INDEXES && is_right; i++) {
        is_right = write_look(w, p, revision, indexes[i]) && write_look(w, p, revision + 1, indexes[i]);
    }
    w->is_aside = false;
    worker_count(w, is_right);
}

/* ---- After another writer's death ------------------------------------------------------------ */

/* The revision in the table. Any but the acknowledged one and its successor is a lost or an
 * invented write. */
static bool write_settle(struct worker *w, struct gen_place p, uint32_t live) {
    struct board_mark *mark = &w->board->mark[live];
    struct larder_value v;
    int64_t revision;
    struct key k;
    w->pattern = write_pattern(p);
    (void)key_of(&w->gen, p, 0, KEY_TABLE, &k);
    w->is_aside = true;
    bool is_right = worker_get(w, k.partition, k.sort, gen_id(&w->gen, p));
    const struct larder_item *item = larder_page_item(w->page, 0);
    if (is_right && item && larder_item_get(item, ITEM_REVISION, &v) == LARDER_OK &&
        larder_value_int64(&v, &revision) == LARDER_OK) {
        atomic_store(&mark->acked, (uint32_t)revision);
        atomic_store(&mark->begun, (uint32_t)revision);
        atomic_fetch_add(&w->slot->repaired, 1);
    }
    w->is_aside = false;
    worker_count(w, is_right);
    return is_right;
}

static bool write_settle_all(struct worker *w) {
    bool is_right = true;
    for (uint32_t shop = 0; shop < w->gen.load.shop_count; shop++) {
        uint32_t first = w->gen.first_live[shop], n = w->gen.first_live[shop + 1] - first;
        for (uint32_t i = 0; i < n; i++) {
            struct board_mark *mark = &w->board->mark[first + i];
            if (atomic_load(&mark->begun) != atomic_load(&mark->acked))
                is_right = write_settle(w, gen_live_place(&w->gen, shop, i), first + i) && is_right;
        }
    }
    return is_right;
}

int write_run(const char *segment, int board_fd, uint32_t slot) {
    struct worker w;
    bool is_good = worker_open(&w, segment, board_fd, slot);
    if (is_good && write_settle_all(&w))
        while (atomic_load(&w.board->phase) == BOARD_LIVE) {
            uint32_t shop = zipf_pick(&w.zipf, &w.rng);
            uint32_t n = w.gen.first_live[shop + 1] - w.gen.first_live[shop];
            write_change(&w, gen_live_place(&w.gen, shop, rng_below(&w.rng, n)));
        }
    worker_close(&w);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
