/* oracle.c - judges the engine's answers without asking the engine. See oracle.h. */
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ident.h"
#include "item.h"
#include "sink.h"

/* A live item that changed more often during one call is judged by its own revision only. */
#define ORACLE_REVISIONS_MAX 64

bool oracle_init(struct oracle *o, const struct gen *g, struct board *board) {
    uint32_t items = gen_item_count(g), live = gen_live_count(g);
    *o = (struct oracle){.gen = g, .board = board};
    o->fingerprint = calloc(items, sizeof *o->fingerprint);
    o->mark = calloc(items, sizeof *o->mark);
    o->low = calloc(live, sizeof *o->low);
    o->seen = calloc(live, sizeof *o->seen);
    o->scratch.id = calloc(items, sizeof *o->scratch.id);
    o->sorted = calloc(GEN_JOBS_MAX, sizeof *o->sorted);
    if (o->sorted && o->fingerprint && o->mark && o->low && o->seen && o->scratch.id)
        return true;
    oracle_done(o);
    return false;
}

void oracle_done(struct oracle *o) {
    free(o->fingerprint);
    free(o->mark);
    free(o->low);
    free(o->seen);
    free(o->sorted);
    free(o->scratch.id);
    for (uint32_t i = 0; i <= ORACLE_CACHE_MAX; i++)
        free(o->kept[i].id);
    *o = (struct oracle){0};
}

void oracle_complain(struct oracle *o, const char *what, const char *partition, const char *sort) {
    const struct oracle_question *q = &o->question;
    if (o->complaint[0])
        return; /* the first complaint is the most useful */
    (void)snprintf(o->complaint, sizeof o->complaint, "%s %s (op %d \"%s\" \"%s\"): %s: %s %s",
                   q->index == KEY_TABLE ? "table" : key_attributes[q->index].index, q->partition, (int)q->op, q->low,
                   q->high, what, partition, sort);
}

/* ---- Brute force ----------------------------------------------------------------------------- */

static bool oracle_sort_matches(const struct oracle_question *q, const char *sort) {
    int low = strcmp(sort, q->low);
    switch (q->op) {
    case LARDER_SORT_ANY:
        return true;
    case LARDER_SORT_EQ:
        return low == 0;
    case LARDER_SORT_LT:
        return low < 0;
    case LARDER_SORT_LE:
        return low <= 0;
    case LARDER_SORT_GT:
        return low > 0;
    case LARDER_SORT_GE:
        return low >= 0;
    case LARDER_SORT_BETWEEN:
        return low >= 0 && strcmp(sort, q->high) <= 0;
    case LARDER_SORT_BEGINS_WITH:
        return strncmp(sort, q->low, strlen(q->low)) == 0;
    }
    return false;
}

static bool oracle_matches(const struct oracle *o, struct gen_place p, uint32_t revision) {
    struct key k;
    return key_of(o->gen, p, revision, o->question.index, &k) && strcmp(k.partition, o->question.partition) == 0 &&
           oracle_sort_matches(&o->question, k.sort);
}

/* A live item of an index other than the table may match at some revisions only: it stays a
 * candidate, and the judge looks closer. */
static bool oracle_is_candidate(const struct oracle *o, struct gen_place p) {
    struct key k;
    if (o->question.index != KEY_TABLE && gen_live(o->gen, p) != GEN_NONE)
        return key_of(o->gen, p, 0, o->question.index, &k);
    return oracle_matches(o, p, 0);
}

static void oracle_collect_shop(const struct oracle *o, uint32_t shop, struct oracle_ids *ids) {
    uint32_t n = gen_shop_items(o->gen, shop);
    for (uint32_t i = 0; i < n; i++) {
        struct gen_place p = gen_place_in(o->gen, shop, i);
        if ((o->question.kinds & (1u << p.kind)) && oracle_is_candidate(o, p))
            ids->id[ids->count++] = o->gen->first[shop] + i;
    }
}

static void oracle_collect(struct oracle *o, struct oracle_ids *ids) {
    ids->count = 0;
    if (o->question.shop != ORACLE_ALL_SHOPS) {
        oracle_collect_shop(o, o->question.shop, ids);
        return;
    }
    for (uint32_t s = 0; s < o->gen->load.shop_count; s++)
        oracle_collect_shop(o, s, ids);
}

/* Keeps the candidates of a question that will come again. Without memory they are collected each
 * time. */
static const struct oracle_ids *oracle_keep(struct oracle_ids *kept, const struct oracle_ids *found) {
    kept->id = malloc(sizeof *kept->id * (found->count + (size_t)1));
    if (!kept->id)
        return found;
    memcpy(kept->id, found->id, sizeof *kept->id * found->count);
    kept->count = found->count;
    kept->is_kept = true;
    return kept;
}

static int oracle_compare(const void *a, const void *b) {
    return strcmp(((const struct oracle_sorted *)a)->sort, ((const struct oracle_sorted *)b)->sort);
}

/* Keeps the first items_max candidates in the order asked for. */
static void oracle_cut(const struct oracle *o, struct oracle_ids *ids) {
    uint32_t n = ids->count, max = o->question.items_max;
    struct oracle_sorted *sorted = o->sorted;
    /* no shop has more jobs; if one had, the judge would complain */
    if (max == 0 || n <= max || n > GEN_JOBS_MAX)
        return;
    struct key k;
    for (uint32_t i = 0; i < n; i++) {
        (void)key_of(o->gen, gen_place_of(o->gen, ids->id[i]), 0, KEY_TABLE, &k);
        memcpy(sorted[i].sort, k.sort, sizeof k.sort);
        sorted[i].id = ids->id[i];
    }
    qsort(sorted, n, sizeof *sorted, oracle_compare);
    for (uint32_t i = 0; i < max; i++)
        ids->id[i] = sorted[o->question.is_descending ? n - 1 - i : i].id;
    ids->count = max;
}

/* ---- One question ---------------------------------------------------------------------------- */

static void oracle_start(struct oracle *o, const struct oracle_ids *candidates) {
    o->candidates = candidates;
    o->round++;
    for (uint32_t i = 0; i < candidates->count; i++) {
        uint32_t id = candidates->id[i], live = gen_live(o->gen, gen_place_of(o->gen, id));
        o->mark[id] = 2 * o->round;
        if (live == GEN_NONE)
            continue;
        uint32_t acked = atomic_load(&o->board->mark[live].acked);
        o->low[live] = acked > o->seen[live] ? acked : o->seen[live];
    }
}

static void oracle_set(struct oracle *o, const struct oracle_question *q) {
    o->question = *q;
    o->complaint[0] = o->last_sort[0] = 0;
    o->item_count = 0;
}

void oracle_ask(struct oracle *o, const struct oracle_question *q) {
    struct oracle_ids *kept = &o->kept[q->cache];
    oracle_set(o, q);
    if (q->cache > 0 && kept->is_kept) {
        oracle_start(o, kept);
        return;
    }
    oracle_collect(o, &o->scratch);
    oracle_cut(o, &o->scratch);
    oracle_start(o, q->cache > 0 ? oracle_keep(kept, &o->scratch) : &o->scratch);
}

void oracle_ask_one(struct oracle *o, const struct oracle_question *q, uint32_t id) {
    oracle_set(o, q);
    o->scratch.count = 0;
    if (id != GEN_NONE)
        o->scratch.id[o->scratch.count++] = id;
    oracle_start(o, &o->scratch);
}

/* ---- Judging a page -------------------------------------------------------------------------- */

bool oracle_text(const struct larder_item *item, const char *name, char out[KEY_TEXT_BYTES]) {
    struct larder_value v;
    if (larder_item_get(item, name, &v) != LARDER_OK || v.type != LARDER_S || v.bytes >= KEY_TEXT_BYTES)
        return false;
    memcpy(out, v.data, v.bytes);
    out[v.bytes] = 0;
    return true;
}

static uint64_t oracle_fingerprint(struct oracle *o, uint32_t id, struct gen_place p, bool is_live, uint32_t revision) {
    if (is_live)
        return item_fingerprint(o->gen, p, revision);
    if (o->fingerprint[id] == 0)
        o->fingerprint[id] = item_fingerprint(o->gen, p, 0);
    return o->fingerprint[id];
}

/* The revision of a returned live item, if it can be right now. */
static bool oracle_revision(struct oracle *o, const struct larder_item *item, uint32_t live, uint32_t *revision,
                            const struct key *k) {
    struct larder_value v;
    int64_t r;
    char what[96];
    if (larder_item_get(item, ITEM_REVISION, &v) != LARDER_OK || larder_value_int64(&v, &r) != LARDER_OK) {
        oracle_complain(o, "no revision", k->partition, k->sort);
        return false;
    }
    uint32_t begun = atomic_load(&o->board->mark[live].begun);
    if (r < o->low[live] || r > begun) {
        (void)snprintf(what, sizeof what, "revision %lld is not in %u..%u", (long long)r, o->low[live], begun);
        oracle_complain(o, what, k->partition, k->sort);
        return false;
    }
    *revision = (uint32_t)r;
    return true;
}

static void oracle_judge_order(struct oracle *o, const struct larder_item *item, const struct key *k) {
    char sort[KEY_TEXT_BYTES];
    if (!oracle_text(item, key_attributes[o->question.index].sort, sort)) {
        oracle_complain(o, "it has no sort key of the index", k->partition, k->sort);
        return;
    }
    int order = strcmp(o->last_sort, sort);
    if (o->item_count > 1 && (o->question.is_descending ? order < 0 : order > 0))
        oracle_complain(o, "out of order", k->partition, k->sort);
    memcpy(o->last_sort, sort, sizeof sort);
}

static void oracle_judge_item(struct oracle *o, const struct larder_item *item) {
    struct key k;
    struct gen_place p;
    uint32_t revision = 0;
    o->item_count++;
    if (!oracle_text(item, "PK", k.partition) || !oracle_text(item, "SK", k.sort)) {
        oracle_complain(o, "an item without a key", "", "");
        return;
    }
    if (!ident_find(o->gen, k.partition, k.sort, &p)) {
        oracle_complain(o, "an item that was never stored", k.partition, k.sort);
        return;
    }
    uint32_t id = gen_id(o->gen, p), live = gen_live(o->gen, p);
    if (o->mark[id] != 2 * o->round) {
        oracle_complain(o, o->mark[id] == 2 * o->round + 1 ? "twice" : "does not belong", k.partition, k.sort);
        return;
    }
    o->mark[id] = 2 * o->round + 1;
    if (live != GEN_NONE && !oracle_revision(o, item, live, &revision, &k))
        return;
    if (sink_fingerprint_item(item) != oracle_fingerprint(o, id, p, live != GEN_NONE, revision))
        oracle_complain(o, "wrong attributes", k.partition, k.sort);
    if (live != GEN_NONE) {
        o->seen[live] = revision;
        if (!oracle_matches(o, p, revision))
            oracle_complain(o, "under a key that it does not have", k.partition, k.sort);
    }
    oracle_judge_order(o, item, &k);
}

void oracle_judge(struct oracle *o, const struct larder_page *page) {
    uint32_t n = larder_page_count(page);
    for (uint32_t i = 0; i < n; i++) {
        const struct larder_item *item = larder_page_item(page, i);
        if (item)
            oracle_judge_item(o, item);
    }
}

/* Whether an item had to be in the answer: it matched all the time. */
static bool oracle_must_show(const struct oracle *o, struct gen_place p) {
    uint32_t live = gen_live(o->gen, p);
    if (live == GEN_NONE || o->question.index == KEY_TABLE)
        return true;
    uint32_t begun = atomic_load(&o->board->mark[live].begun);
    if (begun - o->low[live] > ORACLE_REVISIONS_MAX)
        return false;
    for (uint32_t r = o->low[live]; r <= begun; r++)
        if (!oracle_matches(o, p, r))
            return false;
    return true;
}

bool oracle_end(struct oracle *o) {
    for (uint32_t i = 0; i < o->candidates->count && !o->complaint[0]; i++) {
        uint32_t id = o->candidates->id[i];
        struct gen_place p = gen_place_of(o->gen, id);
        struct key k;
        if (o->mark[id] != 2 * o->round || !oracle_must_show(o, p))
            continue;
        (void)key_of(o->gen, p, 0, KEY_TABLE, &k);
        oracle_complain(o, "missing", k.partition, k.sort);
    }
    return o->complaint[0] == 0;
}
