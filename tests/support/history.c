/* tests/support/history.c - see history.h. */
#include "tests/support/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/content.h"

#define INDEXES CONTENT_INDEXES
#define FILL_MAX 60000u

static struct content_source source_of(const struct history *h) {
    return (struct content_source){.seed = h->seed, .keys = CONTENT_TEXT_KEYS, .fill_max = h->fill_max};
}

/* What a key holds after its n-th write. */
static void state_of(const struct history *h, uint32_t key, uint32_t serial, struct content *s) {
    struct content_source from = source_of(h);
    content_of(&from, key, serial, s);
}

static int64_t expiry_of(const struct content *s) {
    return s->expires_in_s < 0 ? 0 : HISTORY_EPOCH_S + s->expires_in_s;
}

/* ---- History and clients --------------------------------------------------------------------- */

struct history *history_map(int fd) {
    void *at = mmap(NULL, sizeof(struct history), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return at == MAP_FAILED ? NULL : at;
}

struct history *history_new(uint32_t key_count, uint64_t seed, int *fd) {
    struct history *h;
    *fd = memfd_create("history", 0); /* no MFD_CLOEXEC: programs that a test starts map it, too */
    if (*fd < 0 || ftruncate(*fd, sizeof(struct history)) || !(h = history_map(*fd)))
        abort();
    h->seed = seed;
    h->key_count = key_count;
    h->fill_max = FILL_MAX;
    atomic_store(&h->now_s, HISTORY_EPOCH_S);
    return h;
}

void history_free(struct history *h) {
    munmap(h, sizeof *h);
}

static int64_t history_clock(void *arg) {
    return atomic_load(&((struct history *)arg)->now_s);
}

int history_table_create(struct larder *db) {
    const struct larder_table_def def = {.name = HISTORY_TABLE,
                                         .partition = {"PK", LARDER_S},
                                         .sort = {"SK", LARDER_S},
                                         .indexes = content_indexes,
                                         .index_count = INDEXES,
                                         .ttl_attribute = "exp"};
    return larder_table_create(db, &def);
}

int history_attach(struct history_client *c, struct history *h, struct larder *db) {
    memset(c, 0, sizeof *c);
    c->h = h;
    c->db = db;
    rng_seed(&c->rng, h->seed ^ (uint64_t)getpid());
    larder_set_clock(db, history_clock, h);
    int r = larder_table_open(db, HISTORY_TABLE, &c->table);
    if (r == LARDER_OK)
        r = larder_builder_new(db, &c->builder);
    return r ? r : larder_page_new(db, &c->page);
}

void history_detach(struct history_client *c) {
    larder_page_free(c->page);
    larder_builder_free(c->builder);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static int delete_key(struct history_client *c, uint32_t key) {
    struct content_source from = source_of(c->h);
    struct content_key k;
    content_key(&from, key, &k);
    int r = larder_delete(c->table, &k.key, NULL);
    return r == LARDER_NOT_FOUND ? LARDER_OK : r;
}

int history_write(struct history_client *c, uint32_t key) {
    uint32_t before = atomic_load(&c->h->key[key].acked), serial = before + 1;
    const struct larder_item *item = NULL;
    struct content_source from = source_of(c->h);
    struct content s;
    content_of(&from, key, serial, &s);
    int r = s.is_deleted ? LARDER_OK : content_build(c->builder, &from, key, serial, &s, expiry_of(&s), &item);
    if (r)
        return r;
    atomic_store(&c->h->key[key].begun, serial);
    r = s.is_deleted ? delete_key(c, key) : larder_put(c->table, item, NULL);
    if (r == LARDER_OK)
        atomic_store(&c->h->key[key].acked, serial);
    else
        atomic_store(&c->h->key[key].begun, before); /* a failure changed nothing */
    return r;
}

/* ---- Judging what was read ------------------------------------------------------------------- */

/* One read: what could be seen of each key, and what was seen. */
struct look {
    struct history_client *c;
    int index, partition; /* -1: the table; partition -1: no query but a get or scan */
    int64_t from_s, to_s;
    /* serials; seen 0: nothing */
    uint32_t from[HISTORY_KEYS_MAX], to[HISTORY_KEYS_MAX], seen[HISTORY_KEYS_MAX];
};

static void look_begin(struct look *l, struct history_client *c, int index, int partition) {
    memset(l, 0, sizeof *l);
    l->c = c;
    l->index = index;
    l->partition = partition;
    l->from_s = atomic_load(&c->h->now_s);
    for (uint32_t k = 0; k < c->h->key_count; k++)
        l->from[k] = atomic_load(&c->h->key[k].acked);
}

static void look_end(struct look *l) {
    for (uint32_t k = 0; k < l->c->h->key_count; k++)
        l->to[k] = atomic_load(&l->c->h->key[k].begun);
    l->to_s = atomic_load(&l->c->h->now_s);
}

static int is_in_path(const struct look *l, uint32_t key, const struct content *s) {
    const struct content_source from = source_of(l->c->h);
    if (s->is_deleted)
        return 0;
    if (l->partition < 0)
        return 1;
    return l->index < 0 ? (int)content_partition_of(&from, key) == l->partition
                        : s->index[l->index].partition == l->partition;
}

static const char *look_path(const struct look *l) {
    static _Thread_local char text[64];
    if (l->partition < 0)
        return "get or scan";
    snprintf(text, sizeof text, "query of %s, partition %d",
             l->index < 0 ? "the table" : content_indexes[l->index].name, l->partition);
    return text;
}

/* A key was not seen: at some moment of the look it must not have been there, or it moved. */
static const char *judge_absent(const struct look *l, uint32_t key) {
    struct content s, first;
    state_of(l->c->h, key, l->from[key], &first);
    for (uint32_t serial = l->from[key]; serial <= l->to[key]; serial++) {
        state_of(l->c->h, key, serial, &s);
        if (!is_in_path(l, key, &s) || (expiry_of(&s) && expiry_of(&s) <= l->to_s))
            return NULL;
        if (l->index >= 0 && strcmp(s.index[l->index].sort, first.index[l->index].sort) != 0)
            return NULL;
    }
    return content_wrong("key %u is missing in a %s: writes %u to %u of it are all there", key, look_path(l),
                         l->from[key], l->to[key]);
}

static const char *judge_present(const struct look *l, uint32_t key) {
    struct content s;
    uint32_t serial = l->seen[key];
    if (serial < l->from[key] || serial > l->to[key])
        return content_wrong("key %u shows write %u in a %s; acknowledged was %u, begun was %u", key, serial,
                             look_path(l), l->from[key], l->to[key]);
    state_of(l->c->h, key, serial, &s);
    if (!is_in_path(l, key, &s))
        return content_wrong("key %u, write %u, is seen in a %s, where it does not belong", key, serial, look_path(l));
    if (expiry_of(&s) && expiry_of(&s) <= l->from_s)
        return content_wrong("key %u, write %u, is seen in a %s though it has expired", key, serial, look_path(l));
    return NULL;
}

static const char *look_judge(const struct look *l) {
    for (uint32_t k = 0; k < l->c->h->key_count; k++) {
        const char *what = l->seen[k] ? judge_present(l, k) : judge_absent(l, k);
        if (what)
            return what;
    }
    return NULL;
}

/* ---- Taking items apart ---------------------------------------------------------------------- */

/* Key and serial of an item that is wholly what that write put there. */
static const char *look_item(const struct look *l, const struct larder_item *item, uint32_t *key, uint32_t *serial) {
    struct content_source from = source_of(l->c->h);
    const char *what = content_read(&from, l->partition >= 0 ? l->index : -1, item, key, serial);
    if (what)
        return content_wrong("%.200s, in a %s", what, look_path(l));
    return *key < l->c->h->key_count ? NULL
                                     : content_wrong("key %u, which was never written, in a %s", *key, look_path(l));
}

/* Whether two items may be in this order. */
static int is_ordered(const struct look *l, uint32_t a, uint32_t b, int is_descending) {
    struct content_source from = source_of(l->c->h);
    struct content s, t;
    content_of(&from, a, l->seen[a], &s);
    content_of(&from, b, l->seen[b], &t);
    int order = content_compare(l->index, a, &s, b, &t);
    return is_descending ? order >= 0 : order <= 0;
}

/* Takes everything in the page as seen. */
static const char *look_page(struct look *l, int is_descending) {
    uint32_t last = UINT32_MAX, key, serial;
    for (uint32_t i = 0; i < larder_page_count(l->c->page); i++) {
        const struct larder_item *item = larder_page_item(l->c->page, i);
        const char *what = item ? look_item(l, item, &key, &serial) : NULL;
        if (!item)
            continue; /* larder_get_many */
        if (what)
            return what;
        if (l->seen[key])
            return content_wrong("key %u comes twice in a %s: writes %u and %u", key, look_path(l), l->seen[key],
                                 serial);
        l->seen[key] = serial;
        if (l->partition >= 0 && last != UINT32_MAX && !is_ordered(l, last, key, is_descending))
            return content_wrong("key %u comes after key %u in a %s", key, last, look_path(l));
        last = key;
    }
    return NULL;
}

/* ---- Looking --------------------------------------------------------------------------------- */

static const char *failed(const char *call, int r) {
    return content_wrong("%s: %s: %s", call, larder_result_name(r), larder_error());
}

const char *history_get(struct history_client *c, uint32_t key) {
    struct content_source from = source_of(c->h);
    struct content_key k;
    struct look l;
    content_key(&from, key, &k);
    look_begin(&l, c, -1, -1);
    int r = larder_get(c->table, &k.key, c->page);
    look_end(&l);
    if (r < 0)
        return failed("get", r);
    const char *what = r == LARDER_OK ? look_page(&l, 0) : NULL;
    if (what)
        return what;
    return l.seen[key] ? judge_present(&l, key) : judge_absent(&l, key);
}

static const char *history_get_all(struct history_client *c) {
    struct content_source from = source_of(c->h);
    struct content_key texts[HISTORY_KEYS_MAX];
    struct larder_key keys[HISTORY_KEYS_MAX];
    struct look l;
    for (uint32_t k = 0; k < c->h->key_count; k++) {
        content_key(&from, k, &texts[k]);
        keys[k] = texts[k].key;
    }
    look_begin(&l, c, -1, -1);
    int r = larder_get_many(c->table, keys, c->h->key_count, c->page);
    look_end(&l);
    const char *what = r == LARDER_OK ? look_page(&l, 0) : failed("get_many", r);
    return what ? what : look_judge(&l);
}

unsigned history_partitions(int index) {
    return content_partitions(&(struct content_source){.keys = CONTENT_TEXT_KEYS}, index);
}

const char *history_query(struct history_client *c, int index, unsigned partition, int is_descending) {
    struct content_source from = source_of(c->h);
    char text[CONTENT_TEXT_MAX];
    struct look l;
    struct larder_query_spec spec = {.index = index < 0 ? NULL : content_indexes[index].name,
                                     .partition = content_partition(&from, index, partition, text),
                                     .is_descending = is_descending,
                                     .bytes_max = UINT32_MAX};
    look_begin(&l, c, index, (int)partition);
    int r = larder_query(c->table, &spec, c->page);
    look_end(&l);
    const char *what = r == LARDER_OK ? look_page(&l, is_descending) : failed("query", r);
    return what ? what : look_judge(&l);
}

const char *history_scan(struct history_client *c) {
    struct larder_scan_spec spec = {.bytes_max = UINT32_MAX};
    struct look l;
    look_begin(&l, c, -1, -1);
    int r = larder_scan(c->table, &spec, c->page);
    look_end(&l);
    const char *what = r == LARDER_OK ? look_page(&l, 0) : failed("scan", r);
    return what ? what : look_judge(&l);
}

const char *history_look(struct history_client *c) {
    const char *what = history_get_all(c);
    for (uint32_t k = 0; !what && k < c->h->key_count; k++)
        what = history_get(c, k);
    for (int index = -1; !what && index < INDEXES; index++)
        for (unsigned p = 0; !what && p < history_partitions(index); p++)
            what = history_query(c, index, p, (int)rng_below(&c->rng, 2));
    return what ? what : history_scan(c);
}

/* ---- After a death, and in the end ----------------------------------------------------------- */

static int may_be_unseen(const struct history *h, uint32_t key, uint32_t serial) {
    struct content s;
    state_of(h, key, serial, &s);
    return s.is_deleted || (expiry_of(&s) && expiry_of(&s) <= atomic_load(&h->now_s));
}

static const char *settle_key(struct history_client *c, uint32_t key) {
    uint32_t acked = atomic_load(&c->h->key[key].acked), begun = atomic_load(&c->h->key[key].begun);
    uint32_t seen = 0, is = 0;
    struct content_source from = source_of(c->h);
    struct content_key k;
    struct look l;
    content_key(&from, key, &k);
    look_begin(&l, c, -1, -1);
    int r = larder_get(c->table, &k.key, c->page);
    if (r < 0)
        return failed("get", r);
    if (r == LARDER_NOT_FOUND)
        is = may_be_unseen(c->h, key, acked) ? acked : begun;
    else {
        const char *what = look_item(&l, larder_page_item(c->page, 0), &seen, &is);
        if (what)
            return what;
    }
    if (is != acked && is != begun)
        return content_wrong("key %u shows write %u after a death; %u was acknowledged, %u begun", key, is, acked,
                             begun);
    if (r == LARDER_NOT_FOUND && !may_be_unseen(c->h, key, is))
        return content_wrong("key %u is lost: %u was acknowledged, %u begun, and there is nothing", key, acked, begun);
    /* In this order a reader always finds acked <= begun. */
    if (is == begun)
        atomic_store(&c->h->key[key].acked, begun);
    else
        atomic_store(&c->h->key[key].begun, acked);
    return NULL;
}

const char *history_settle(struct history_client *c, uint32_t first, uint32_t count) {
    for (uint32_t k = first; k < first + count; k++)
        if (atomic_load(&c->h->key[k].acked) != atomic_load(&c->h->key[k].begun)) {
            const char *what = settle_key(c, k);
            if (what)
                return what;
        }
    return NULL;
}

int history_empty(struct history_client *c) {
    for (uint32_t k = 0; k < c->h->key_count; k++) {
        int r = delete_key(c, k);
        if (r)
            return r;
    }
    return larder_expire(c->db, 0, NULL);
}

uint64_t history_used_bytes(struct history_client *c) {
    struct larder_segment_stats segment;
    struct larder_table_stats table;
    if (larder_segment_stats(c->db, &segment) || larder_table_stats(c->table, &table))
        return UINT64_MAX;
    return segment.used_bytes - table.bucket_bytes;
}
