/* write.c - the writer: changes job states, counts imports and renews sessions. See write.h.
 *
 * Job      Takes a live item from revision r to r + 1, repeatedly, and keeps the history on the
 *          board (board.h, B1). After each change it looks at both index positions, the one left
 *          and the one taken. A new writer first settles what a killed one left in doubt: the item
 *          itself shows whether the last write took place.
 */
#include "write.h"

#include <stdio.h>
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

/* Whether the write replaced the item as it was at that revision. */
static bool write_replaced(struct worker *w, struct gen_place p, uint32_t revision) {
    const struct larder_item *old = larder_page_item(w->page, 0);
    if (!old)
        return write_wrong(w, "the write replaced nothing", p);
    if (sink_fingerprint_item(old) != item_fingerprint(&w->gen, p, revision))
        return write_wrong(w, "the write replaced something else", p);
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

/* Of the writer, which is a process of its own. */
static struct write_tools {
    struct larder_builder *before, *values; /* the item as it was; values of expressions */
    struct larder_expr *is_before, *has_counters, *count;
    const struct larder_item *counts;
} tools;

#define WRITE_CHANGES_MAX 40 /* attributes of an item */

/* The names and the text of "SET #0 = :0, #1 = :1 REMOVE #2". */
struct write_update {
    struct larder_expr_name names[WRITE_CHANGES_MAX];
    char placeholders[WRITE_CHANGES_MAX][8], attributes[WRITE_CHANGES_MAX][64], text[2048];
    uint32_t count;
};

static void write_add_change(struct write_update *u, const char *clause, const struct larder_member *member,
                             int has_value) {
    uint32_t i = u->count++;
    size_t used = strlen(u->text);
    snprintf(u->placeholders[i], sizeof u->placeholders[i], "#%u", i);
    snprintf(u->attributes[i], sizeof u->attributes[i], "%.*s", (int)member->name_bytes, member->name);
    u->names[i] = (struct larder_expr_name){u->placeholders[i], u->attributes[i]};
    snprintf(u->text + used, sizeof u->text - used, has_value ? "%s #%u = :%u" : "%s #%u", clause, i, i);
}

static bool write_has(const struct larder_item *item, const struct larder_member *member, bool with_value) {
    const struct larder_value *a = &member->value;
    struct larder_value b;
    if (larder_item_getn(item, member->name, member->name_bytes, &b) != LARDER_OK)
        return false;
    return !with_value || (a->type == b.type && a->bytes == b.bytes && a->count == b.count && a->is_true == b.is_true &&
                           (!a->bytes || memcmp(a->data, b.data, a->bytes) == 0));
}

/* What makes `after` of `before`: an update, and its values in tools.values, with ":r": the
 * revision that must be there. */
static const struct larder_item *write_difference(const struct larder_item *before, const struct larder_item *after,
                                                  uint32_t revision, struct write_update *u) {
    const struct larder_item *values;
    struct larder_member member;
    struct larder_iter it;
    char name[8];
    int is_first = 1;
    u->count = 0;
    u->text[0] = 0;
    larder_builder_reset(tools.values);
    (void)larder_builder_add_int(tools.values, ":r", revision);
    for (larder_iter_item(after, &it); larder_iter_next(&it, &member) == LARDER_OK && u->count < WRITE_CHANGES_MAX;) {
        if (write_has(before, &member, true))
            continue;
        snprintf(name, sizeof name, ":%u", u->count);
        write_add_change(u, u->count ? "," : "SET", &member, 1);
        member.name = name;
        member.name_bytes = strlen(name);
        (void)larder_builder_add_member(tools.values, &member);
    }
    for (larder_iter_item(before, &it); larder_iter_next(&it, &member) == LARDER_OK && u->count < WRITE_CHANGES_MAX;)
        if (!write_has(after, &member, false)) {
            write_add_change(u, is_first ? " REMOVE" : ",", &member, 0);
            is_first = 0;
        }
    return larder_builder_finish(tools.values, &values) == LARDER_OK ? values : NULL;
}

static const struct larder_item *write_made(struct worker *w, struct gen_place p, uint32_t revision,
                                            struct larder_builder *builder) {
    const struct larder_item *item;
    struct sink s;
    sink_open(&s, builder);
    item_emit(&w->gen, p, revision, &s);
    return larder_builder_finish(builder, &item) == LARDER_OK ? item : NULL;
}

/* Changes what differs between two revisions, if the former one is there. The page gets the item as
 * it was. */
static int write_update(struct worker *w, struct gen_place p, uint32_t revision, const struct larder_key *key) {
    struct write_update u;
    struct larder_expr *update;
    const struct larder_item *before = write_made(w, p, revision - 1, tools.before),
                             *after = write_made(w, p, revision, w->builder), *values;
    if (!before || !after || !(values = write_difference(before, after, revision - 1, &u)))
        return LARDER_E_INVAL;
    int result = larder_prepare(w->db, LARDER_EXPR_UPDATE, u.text, u.names, u.count, &update);
    if (result != LARDER_OK)
        return result;
    worker_call_begins(w);
    result = larder_write(&(struct larder_action){.kind = LARDER_ACTION_UPDATE,
                                                  .table = w->table,
                                                  .key = *key,
                                                  .condition = tools.is_before,
                                                  .update = update,
                                                  .values = values,
                                                  .returns = LARDER_RETURNS_ALL_OLD},
                          w->page);
    worker_call_ends(w);
    larder_expr_free(update);
    return result;
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

/* Adds to five counters at once, if they are there. The page gets the item as it was. */
static int write_count(struct worker *w, const struct larder_key *key) {
    worker_call_begins(w);
    int result = larder_write(&(struct larder_action){.kind = LARDER_ACTION_UPDATE,
                                                      .table = w->table,
                                                      .key = *key,
                                                      .condition = tools.has_counters,
                                                      .update = tools.count,
                                                      .values = tools.counts,
                                                      .returns = LARDER_RETURNS_ALL_OLD},
                              w->page);
    worker_call_ends(w);
    return result;
}

/* One revision further. */
static bool write_step(struct worker *w, struct gen_place p, uint32_t live, uint32_t revision) {
    struct key k;
    (void)key_of(&w->gen, p, 0, KEY_TABLE, &k);
    const struct larder_key key = {larder_str(k.partition), larder_str(k.sort)};
    atomic_store(&w->board->mark[live].begun, revision);
    int result = p.kind == GEN_MONTHLY ? write_count(w, &key) : write_update(w, p, revision, &key);
    if (result != LARDER_OK) { /* nothing was changed, so nothing was begun */
        atomic_store(&w->board->mark[live].begun, revision - 1);
        return write_wrong(w, result > 0 ? "the condition is not true" : larder_error(), p);
    }
    atomic_store(&w->board->mark[live].acked, revision);
    return write_replaced(w, p, revision - 1);
}

/* The expressions, prepared once. */
static bool write_open_tools(struct worker *w) {
    char text[512] = "";
    struct larder_builder *counts;
    int result = larder_builder_new(w->db, &tools.before);
    if (result == LARDER_OK)
        result = larder_builder_new(w->db, &tools.values);
    if (result == LARDER_OK)
        result = larder_builder_new(w->db, &counts);
    for (unsigned i = 0; i < WRITE_COUNTERS && result == LARDER_OK; i++) {
        char value[8];
        size_t used = strlen(text);
        snprintf(value, sizeof value, ":%u", i);
        snprintf(text + used, sizeof text - used, "%s %s %s", i ? "," : "ADD", write_counters[i].name, value);
        result = larder_builder_add_int(counts, value, write_counters[i].by);
    }
    if (result == LARDER_OK)
        result = larder_builder_finish(counts, &tools.counts);
    if (result == LARDER_OK)
        result = larder_prepare(w->db, LARDER_EXPR_UPDATE, text, NULL, 0, &tools.count);
    if (result == LARDER_OK)
        result = larder_prepare(w->db, LARDER_EXPR_CONDITION, "attribute_exists(" ITEM_REVISION ")", NULL, 0,
                                &tools.has_counters);
    if (result == LARDER_OK)
        result = larder_prepare(w->db, LARDER_EXPR_CONDITION, ITEM_REVISION " = :r", NULL, 0, &tools.is_before);
    if (result != LARDER_OK)
        fprintf(stderr, "shuttle: %s\n", larder_error());
    return result == LARDER_OK;
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
    bool is_right = write_step(w, p, live, revision + 1);
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
    if (is_good && write_open_tools(&w) && write_settle_all(&w))
        while (atomic_load(&w.board->phase) == BOARD_LIVE) {
            uint32_t shop = zipf_pick(&w.zipf, &w.rng);
            uint32_t n = w.gen.first_live[shop + 1] - w.gen.first_live[shop];
            write_change(&w, gen_live_place(&w.gen, shop, rng_below(&w.rng, n)));
        }
    worker_close(&w);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
