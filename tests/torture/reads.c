/* tests/torture/reads.c - reads by every path, each judged against the history. See torture.h and
 * shared.h.
 *
 * Method   A read notes the tick before and after. It takes apart each item it was given: is it
 *          wholly what one write put there, under a key of the path that was asked, in order, not
 *          twice? Then it asks of each key whether what was seen, or that nothing was, is possible.
 *          Several pages are judged as one long read.
 */
#include <string.h>

#include "tests/torture/torture.h"

struct look {
    struct client *c;
    struct shared_read r;
    struct content_source from;
    uint32_t table;
    int index;              /* -1: the table */
    int partition;          /* -1: no query */
    int is_key_order;       /* pages come in order of the index */
    int is_visible_expired; /* nothing expires, or may not have expired in that moment */
    uint32_t last;          /* key of the last item; UINT32_MAX: none yet */
    uint32_t seen[SHARED_KEYS];
    int64_t expiry[SHARED_KEYS];
    /* judging one key: the first sort key that it may have had */
    char moved_from[CONTENT_TEXT_MAX];
};

static void look_begin(struct look *l, struct client *c, uint32_t table, int index, int partition) {
    memset(l, 0, sizeof *l);
    l->c = c;
    l->from = client_source(c, table);
    l->table = table;
    l->index = index;
    l->partition = partition;
    l->last = UINT32_MAX;
    shared_read_begin(c->h, &l->r);
}

/* What the time of the read means for expired items. */
static void look_time(struct look *l) {
    const struct torture_table *t = &torture_tables[l->table];
    l->is_visible_expired =
        t->is_ttl_changed ? !shared_was_always(l->c->h, &l->r, l->table, SHARED_TTL, t->has_ttl, 1) : !t->has_ttl;
}

static void look_end(struct look *l) {
    shared_read_end(l->c->h, &l->r);
    look_time(l);
}

/* A read that was part of a write. */
static void look_within(struct look *l, struct client *c, uint32_t table, const struct shared_read *r) {
    look_begin(l, c, table, -1, -1);
    l->r = *r;
    look_time(l);
}

static void look_wrong(struct look *l, const char *what) __attribute__((noreturn));

static void look_wrong(struct look *l, const char *what) {
    client_wrong(l->c, content_wrong("table %s, %s %s, partition %d: %.300s", torture_tables[l->table].name,
                                     l->partition < 0 ? "get or scan" : "query of",
                                     l->index < 0 ? "the table" : content_indexes[l->index].name, l->partition, what));
}

static int is_in_path(const struct look *l, uint32_t key, const struct content *content) {
    if (l->partition < 0)
        return 1;
    if (l->index < 0)
        return (int)content_partition_of(&l->from, key) == l->partition;
    return content->index[l->index].partition == l->partition;
}

/* ---- What was seen --------------------------------------------------------------------------- */

/* An index may show an item twice if it moved on from one page to the next. */
static int has_moved_on(const struct look *l, uint32_t key, uint32_t serial) {
    struct content before, now;
    if (l->index < 0 || !l->is_key_order)
        return 0;
    content_of(&l->from, key, l->seen[key], &before);
    content_of(&l->from, key, serial, &now);
    return content_compare(l->index, key, &before, key, &now) != 0;
}

static void look_order(struct look *l, uint32_t key, uint32_t serial, int is_descending) {
    static const char *const text = "key %u comes after key %u";
    struct content before, now;
    if (l->is_key_order && l->last != UINT32_MAX) {
        content_of(&l->from, l->last, l->seen[l->last], &before);
        content_of(&l->from, key, serial, &now);
        int order = content_compare(l->index, l->last, &before, key, &now);
        if (is_descending ? order < 0 : order > 0)
            look_wrong(l, content_wrong(text, key, l->last));
    }
    l->last = key;
}

static void look_item(struct look *l, const struct larder_item *item, int is_descending) {
    uint32_t key, serial;
    struct content content;
    const char *what = content_read(&l->from, l->partition >= 0 ? l->index : -1, item, &key, &serial);
    if (what)
        look_wrong(l, what);
    if (key >= client_keys(l->c, l->table))
        look_wrong(l, content_wrong("key %u is none of the table's", key));
    content_of(&l->from, key, serial, &content);
    if (!is_in_path(l, key, &content))
        look_wrong(l, content_wrong("key %u, write %u, does not belong here", key, serial));
    if (l->seen[key] && !has_moved_on(l, key, serial))
        look_wrong(l, content_wrong("key %u comes twice: writes %u and %u", key, l->seen[key], serial));
    look_order(l, key, serial, is_descending);
    l->seen[key] = serial;
    /* -1: not projected */
    l->expiry[key] = l->partition >= 0 && l->index == CONTENT_NUMBER_INDEX ? -1 : content_expiry(item);
}

static void look_page(struct look *l, int is_descending) {
    for (uint32_t i = 0; i < larder_page_count(l->c->page); i++) {
        const struct larder_item *item = larder_page_item(l->c->page, i);
        if (item)
            look_item(l, item, is_descending);
    }
}

/* ---- Judging --------------------------------------------------------------------------------- */

/* Whether this write may be the reason that the key was not seen. Items that moved during a query
 * may be missed (larder.h). */
static int hides(void *arg, uint32_t serial, int64_t expiry) {
    struct look *l = arg;
    struct content content;
    uint32_t key = l->last;
    const struct torture_table *t = &torture_tables[l->table];
    content_of(&l->from, key, serial, &content);
    if (content.is_deleted || !is_in_path(l, key, &content))
        return 1;
    if (expiry && expiry <= l->r.to_s && (t->has_ttl || t->is_ttl_changed))
        return 1;
    if (l->index < 0 || l->partition < 0)
        return 0;
    if (!*l->moved_from)
        memcpy(l->moved_from, content.index[l->index].sort, sizeof l->moved_from);
    return strcmp(l->moved_from, content.index[l->index].sort) != 0;
}

static void judge_key(struct look *l, uint32_t key, uint32_t but) {
    const char *what;
    struct shared *h = l->c->h;
    if (l->seen[key]) {
        what = shared_judge_seen(h, &l->r, l->table, key, l->seen[key], l->expiry[key]);
        if (!what && l->expiry[key] > 0 && l->expiry[key] <= l->r.from_s && !l->is_visible_expired)
            what = content_wrong("key %u, write %u, is seen though it has expired", key, l->seen[key]);
    } else {
        l->last = key;
        l->moved_from[0] = 0;
        what = shared_judge_unseen(h, &l->r, l->table, key, but, hides, l);
    }
    if (what)
        look_wrong(l, what);
}

static void judge_all(struct look *l) {
    for (uint32_t key = 0; key < client_keys(l->c, l->table); key++)
        if (l->index >= 0 || l->partition < 0 || (int)content_partition_of(&l->from, key) == l->partition)
            judge_key(l, key, 0);
}

/* LARDER_E_NO_TABLE and the like end a read: right or wrong, there is nothing more to judge. True
 * if the read is to go on. */
static int look_is_answered(struct look *l, const char *call, int r) {
    if (r >= 0)
        return 1;
    look_end(l);
    if (r == LARDER_E_NO_TABLE)
        client_table_gone(l->c, l->table, &l->r);
    else if (r != LARDER_E_NO_INDEX || l->index < 0 || l->index != torture_tables[l->table].added_index ||
             shared_has_index(l->c->h, &l->r, l->table))
        client_failed(l->c, call, r);
    return 0;
}

void judge_replaced(struct client *c, uint32_t table, uint32_t key, uint32_t own, const struct shared_read *r) {
    struct look l;
    look_within(&l, c, table, r);
    look_page(&l, 0);
    judge_key(&l, key, own);
    const char *what = l.seen[key] ? shared_judge_replaced(c->h, table, key, l.seen[key]) : NULL;
    if (what)
        look_wrong(&l, what);
}

void judge_was_absent(struct client *c, uint32_t table, uint32_t key, uint32_t own, const struct shared_read *r) {
    struct look l;
    look_within(&l, c, table, r);
    judge_key(&l, key, own);
}

/* ---- Tables that come and go ----------------------------------------------------------------- */

void client_table_gone(struct client *c, uint32_t table, const struct shared_read *r) {
    if (!shared_may_be_dropped(c->h, r, table, c->table[table].since))
        client_wrong(c, content_wrong("table %s is gone, but was not dropped since tick %lu",
                                      torture_tables[table].name, (unsigned long)c->table[table].since));
    c->table[table].t = NULL;
}

struct larder_table *client_table(struct client *c, uint32_t table) {
    struct shared_read r;
    if (c->table[table].t)
        return c->table[table].t;
    shared_read_begin(c->h, &r);
    int result = larder_table_open(c->db, torture_tables[table].name, &c->table[table].t);
    shared_read_end(c->h, &r);
    if (result == LARDER_OK) {
        c->table[table].since = r.from;
        return c->table[table].t;
    }
    c->table[table].since = 0;
    if (result != LARDER_E_NO_TABLE)
        client_failed(c, "table_open", result);
    client_table_gone(c, table, &r);
    if (!c->is_read_only && rng_is_one_in(&c->rng, 2))
        do_create(c, table);
    return NULL;
}

/* ---- Reading --------------------------------------------------------------------------------- */

void do_get(struct client *c, uint32_t table, uint32_t key) {
    struct larder_table *t = client_table(c, table);
    struct content_source from = client_source(c, table);
    struct content_key k;
    struct look l;
    if (!t)
        return;
    content_key(&from, key, &k);
    look_begin(&l, c, table, -1, -1);
    int r = larder_get(t, &k.key, c->page);
    if (!look_is_answered(&l, "get", r))
        return;
    look_end(&l);
    if (r == LARDER_OK)
        look_page(&l, 0);
    judge_key(&l, key, 0);
}

void do_get_many(struct client *c, uint32_t table, uint32_t count) {
    struct larder_table *t = client_table(c, table);
    struct content_source from = client_source(c, table);
    struct content_key texts[SHARED_KEYS];
    struct larder_key keys[SHARED_KEYS];
    uint32_t all = client_keys(c, table), first = (uint32_t)rng_below(&c->rng, all);
    struct look l;
    if (!t)
        return;
    count = count < all ? count : all;
    for (uint32_t i = 0; i < count; i++) {
        content_key(&from, (first + i) % all, &texts[i]);
        keys[i] = texts[i].key;
    }
    look_begin(&l, c, table, -1, -1);
    int r = larder_get_many(t, keys, count, c->page);
    if (!look_is_answered(&l, "get_many", r))
        return;
    look_end(&l);
    look_page(&l, 0);
    for (uint32_t i = 0; i < count; i++)
        judge_key(&l, (first + i) % all, 0);
}

void do_query(struct client *c, uint32_t table, int index, unsigned partition, int is_descending, uint32_t limit) {
    struct larder_table *t = client_table(c, table);
    struct content_source from = client_source(c, table);
    char text[CONTENT_TEXT_MAX];
    struct larder_query_spec spec = {.index = index < 0 ? NULL : content_indexes[index].name,
                                     .partition = content_partition(&from, index, partition, text),
                                     .is_descending = is_descending,
                                     .limit = limit,
                                     .bytes_max = limit ? 0 : UINT32_MAX};
    struct look l;
    int r;
    if (!t)
        return;
    look_begin(&l, c, table, index, (int)partition);
    l.is_key_order = 1;
    do {
        r = larder_query(t, &spec, c->page);
        if (!look_is_answered(&l, "query", r))
            return;
        look_page(&l, is_descending);
        spec.start_key = larder_page_resume(c->page);
    } while (r == LARDER_MORE);
    look_end(&l);
    judge_all(&l);
    atomic_fetch_add_explicit(&c->h->counts.queries, 1, memory_order_relaxed);
}

void do_scan(struct client *c, uint32_t table, uint32_t segments, uint32_t limit) {
    struct larder_table *t = client_table(c, table);
    struct larder_scan_spec spec = {.segment_count = segments, .limit = limit};
    struct look l;
    int r;
    if (!t)
        return;
    look_begin(&l, c, table, -1, -1);
    do {
        spec.start_key = NULL;
        do {
            r = larder_scan(t, &spec, c->page);
            if (!look_is_answered(&l, "scan", r))
                return;
            look_page(&l, 0);
            spec.start_key = larder_page_resume(c->page);
        } while (r == LARDER_MORE);
    } while (++spec.segment < segments);
    look_end(&l);
    judge_all(&l);
    atomic_fetch_add_explicit(&c->h->counts.scans, 1, memory_order_relaxed);
}

static void look_at_partitions(struct client *c, uint32_t table, int index) {
    struct content_source from = client_source(c, table);
    unsigned partitions = content_partitions(&from, index);
    if (!partitions)
        partitions = client_keys(c, table);
    for (unsigned p = 0; p < partitions; p++)
        for (int is_descending = 0; is_descending < 2; is_descending++)
            do_query(c, table, index, p, is_descending, (uint32_t)rng_below(&c->rng, 2) * 7);
}

void do_look(struct client *c) {
    for (uint32_t table = 0; table < TABLES; table++) {
        const struct torture_table *t = &torture_tables[table];
        if (!client_table(c, table))
            continue;
        do_get_many(c, table, SHARED_KEYS);
        for (uint32_t key = 0; key < client_keys(c, table); key++)
            do_get(c, table, key);
        look_at_partitions(c, table, -1);
        for (int i = 0; i < CONTENT_INDEXES; i++)
            if (t->indexes & 1u << i || i == t->added_index)
                look_at_partitions(c, table, i);
        do_scan(c, table, (uint32_t)rng_below(&c->rng, 4), (uint32_t)rng_below(&c->rng, 2) * 5);
    }
}
