/* tests/support/history.c - see history.h. */
#include "tests/support/history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define INDEXES 4
#define LOCAL 3
#define PARTITIONS 3       /* of the table and the local index: P0.. */
#define INDEX_PARTITIONS 2 /* of the others: A, B */
#define TEXT_MAX 48
#define FILL_MAX 60000u

static const char *wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

static const char *wrong(const char *format, ...) {
    static _Thread_local char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return text;
}

/* ---- What a key holds after its n-th write -------------------------------------------------------------------------- */

struct state {
    int is_deleted;
    uint32_t fill;
    int64_t expires_s; /* 0: never */
    struct {
        int partition;       /* -1: not in the index */
        char sort[TEXT_MAX]; /* of the index on a number: its decimal text */
    } index[INDEXES];
};

static const char *const partition_names[INDEXES] = {"G1P", "G2P", "G3P", "PK"};
static const char *const sort_names[INDEXES] = {"G1S", "G2S", NULL, "L1S"};
#define NUMBER_INDEX 1 /* its sort key is an N, and it projects the serial alone */

static uint64_t mix(uint64_t a, uint64_t b) {
    uint64_t z = a + b * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0x7f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t fill_of(const struct history *h, uint64_t bits) {
    uint32_t kind = (uint32_t)(bits % 64), fill;
    bits /= 64;
    if (kind < 44)
        fill = (uint32_t)(bits % 200);
    else if (kind < 57)
        fill = (uint32_t)(bits % 2500);
    else if (kind < 63)
        fill = (uint32_t)(bits % 9000);
    else
        fill = 16384 + (uint32_t)(bits % (FILL_MAX - 16384)); /* a run of spans */
    return fill < h->fill_max ? fill : h->fill_max;
}

/* An index key changes with every 2nd, 4th, 8th, 16th write; in between it stays. */
static void index_state(const struct history *h, uint32_t key, uint32_t serial, int i, struct state *s) {
    uint64_t bits = mix(mix(h->seed + (uint64_t)i, key), serial >> (i + 1));
    char *sort = s->index[i].sort;
    if (i == LOCAL)
        s->index[i].partition = bits % 4 ? (int)(key % PARTITIONS) : -1;
    else
        s->index[i].partition = bits % 4 ? (int)(bits % 4 == 1) : -1;
    bits /= 4;
    if (i == NUMBER_INDEX)
        snprintf(sort, TEXT_MAX, "%d", (int)(bits % 7) * 100 - (int)key * (int)(bits % 3));
    else if (bits % 3 == 0)
        snprintf(sort, TEXT_MAX, "t%u", (unsigned)(bits / 3 % 2)); /* many equal ones */
    else
        snprintf(sort, TEXT_MAX, "SHARED#PREFIX#%u#%u", (unsigned)(bits / 3 % 20), key);
}

static void state_of(const struct history *h, uint32_t key, uint32_t serial, struct state *s) {
    uint64_t bits = mix(mix(h->seed, key), UINT64_C(1) << 40 | serial);
    memset(s, 0, sizeof *s);
    s->is_deleted = serial == 0 || bits % 6 == 0;
    s->fill = fill_of(h, bits / 6);
    if (key % 4 == 3 && bits >> 60 < 12)
        s->expires_s = HISTORY_EPOCH_S + (int64_t)(bits >> 40) % HISTORY_EXPIRY_SPAN;
    for (int i = 0; i < INDEXES; i++)
        index_state(h, key, serial, i, s);
}

static void key_text(uint32_t key, char pk[TEXT_MAX], char sk[TEXT_MAX]) {
    snprintf(pk, TEXT_MAX, "P%u", key % PARTITIONS);
    snprintf(sk, TEXT_MAX, "SK#%03u", key);
}

static void partition_text(int index, unsigned partition, char text[TEXT_MAX]) {
    if (index < 0 || index == LOCAL)
        snprintf(text, TEXT_MAX, "P%u", partition);
    else
        snprintf(text, TEXT_MAX, "%c", 'A' + (char)partition);
}

static unsigned char fill_byte(uint32_t key, uint32_t serial, size_t at) {
    return (unsigned char)(key * 31 + serial * 7 + at / 64);
}

/* ---- History and clients --------------------------------------------------------------------------------------------- */

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
    static const char *const serial[] = {"serial"};
    static const struct larder_index_def indexes[INDEXES] = {
        {.name = "G1x", .partition = {"G1P", LARDER_S}, .sort = {"G1S", LARDER_S}},
        {.name = "G2x",
         .partition = {"G2P", LARDER_S},
         .sort = {"G2S", LARDER_N},
         .projection = LARDER_PROJECT_INCLUDE,
         .included = serial,
         .included_count = 1},
        {.name = "G3x", .partition = {"G3P", LARDER_S}},
        {.name = "L1x", .is_local = 1, .partition = {"PK", LARDER_S}, .sort = {"L1S", LARDER_S}},
    };
    const struct larder_table_def def = {.name = HISTORY_TABLE,
                                         .partition = {"PK", LARDER_S},
                                         .sort = {"SK", LARDER_S},
                                         .indexes = indexes,
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

/* ---- Writing ------------------------------------------------------------------------------------------------------------ */

static void add_index_key(struct larder_builder *b, const struct state *s, int i) {
    char text[TEXT_MAX];
    if (s->index[i].partition < 0)
        return;
    if (i != LOCAL) {
        partition_text(i, (unsigned)s->index[i].partition, text);
        larder_add_s(b, partition_names[i], text);
    }
    if (i == NUMBER_INDEX)
        larder_add_n(b, sort_names[i], s->index[i].sort);
    else if (sort_names[i])
        larder_add_s(b, sort_names[i], s->index[i].sort);
}

static int build(struct larder_builder *b, uint32_t key, uint32_t serial, const struct state *s,
                 const struct larder_item **item) {
    char pk[TEXT_MAX], sk[TEXT_MAX];
    unsigned char fill[FILL_MAX];
    key_text(key, pk, sk);
    for (size_t i = 0; i < s->fill; i++)
        fill[i] = fill_byte(key, serial, i);
    larder_builder_reset(b);
    larder_add_s(b, "PK", pk);
    larder_add_s(b, "SK", sk);
    larder_add_int(b, "serial", serial);
    for (int i = 0; i < INDEXES; i++)
        add_index_key(b, s, i);
    if (s->expires_s)
        larder_add_int(b, "exp", s->expires_s);
    larder_add_b(b, "fill", fill, s->fill);
    return larder_builder_finish(b, item);
}

static int delete_key(struct larder_table *table, uint32_t key) {
    char pk[TEXT_MAX], sk[TEXT_MAX];
    key_text(key, pk, sk);
    struct larder_key k = {larder_str(pk), larder_str(sk)};
    int r = larder_delete(table, &k, NULL);
    return r == LARDER_NOT_FOUND ? LARDER_OK : r;
}

int history_write(struct history_client *c, uint32_t key) {
    uint32_t before = atomic_load(&c->h->key[key].acked), serial = before + 1;
    const struct larder_item *item = NULL;
    struct state s;
    state_of(c->h, key, serial, &s);
    int r = s.is_deleted ? LARDER_OK : build(c->builder, key, serial, &s, &item);
    if (r)
        return r;
    atomic_store(&c->h->key[key].begun, serial);
    r = s.is_deleted ? delete_key(c->table, key) : larder_put(c->table, item, NULL);
    if (r == LARDER_OK)
        atomic_store(&c->h->key[key].acked, serial);
    else
        atomic_store(&c->h->key[key].begun, before); /* a failure changed nothing */
    return r;
}

/* ---- Judging what was read ------------------------------------------------------------------------------------------- */

/* One read: what could be seen of each key, and what was. */
struct look {
    struct history_client *c;
    int index, partition; /* -1: the table; partition -1: no query but a get or scan */
    int64_t from_s, to_s;
    uint32_t from[HISTORY_KEYS_MAX], to[HISTORY_KEYS_MAX], seen[HISTORY_KEYS_MAX]; /* serials; seen 0: nothing */
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

static int is_in_path(const struct look *l, uint32_t key, const struct state *s) {
    if (s->is_deleted)
        return 0;
    if (l->partition < 0)
        return 1;
    return l->index < 0 ? (int)(key % PARTITIONS) == l->partition : s->index[l->index].partition == l->partition;
}

static const char *look_path(const struct look *l) {
    static _Thread_local char text[64];
    if (l->partition < 0)
        return "get or scan";
    snprintf(text, sizeof text, "query of %s, partition %d", l->index < 0 ? "the table" : partition_names[l->index],
             l->partition);
    return text;
}

/* A key was not seen: there must be a moment of the look at which it was not there to be seen, or it moved. */
static const char *judge_absent(const struct look *l, uint32_t key) {
    struct state s, first;
    state_of(l->c->h, key, l->from[key], &first);
    for (uint32_t serial = l->from[key]; serial <= l->to[key]; serial++) {
        state_of(l->c->h, key, serial, &s);
        if (!is_in_path(l, key, &s) || (s.expires_s && s.expires_s <= l->to_s))
            return NULL;
        if (l->index >= 0 && strcmp(s.index[l->index].sort, first.index[l->index].sort) != 0)
            return NULL;
    }
    return wrong("key %u is missing in a %s: writes %u to %u of it are all there", key, look_path(l), l->from[key],
                 l->to[key]);
}

static const char *judge_present(const struct look *l, uint32_t key) {
    struct state s;
    uint32_t serial = l->seen[key];
    if (serial < l->from[key] || serial > l->to[key])
        return wrong("key %u shows write %u in a %s; acknowledged was %u, begun was %u", key, serial, look_path(l),
                     l->from[key], l->to[key]);
    state_of(l->c->h, key, serial, &s);
    if (!is_in_path(l, key, &s))
        return wrong("key %u, write %u, is seen in a %s, where it does not belong", key, serial, look_path(l));
    if (s.expires_s && s.expires_s <= l->from_s)
        return wrong("key %u, write %u, is seen in a %s though it has expired", key, serial, look_path(l));
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

/* ---- Taking an item apart ----------------------------------------------------------------------------------------------- */

static int has_text(const struct larder_item *item, const char *name, const char *text) {
    struct larder_value v;
    char number[LARDER_NUMBER_TEXT_MAX];
    if (larder_item_get(item, name, &v))
        return text == NULL;
    if (!text)
        return 0;
    if (v.type == LARDER_N)
        return larder_value_number(&v, number) == LARDER_OK && strcmp(number, text) == 0;
    return v.bytes == strlen(text) && memcmp(v.data, text, v.bytes) == 0;
}

static int has_fill(const struct larder_item *item, uint32_t key, uint32_t serial, uint32_t fill) {
    struct larder_value v;
    if (larder_item_get(item, "fill", &v) || v.bytes != fill)
        return 0;
    for (size_t i = 0; i < v.bytes; i++)
        if (((const unsigned char *)v.data)[i] != fill_byte(key, serial, i))
            return 0;
    return 1;
}

static int has_index_key(const struct larder_item *item, const struct state *s, int i) {
    char text[TEXT_MAX];
    int is_in = s->index[i].partition >= 0;
    if (i != LOCAL && is_in)
        partition_text(i, (unsigned)s->index[i].partition, text);
    return (i == LOCAL || has_text(item, partition_names[i], is_in ? text : NULL)) &&
           (!sort_names[i] || has_text(item, sort_names[i], is_in ? s->index[i].sort : NULL));
}

/* Key and serial of an item that is wholly what that write put there. */
static const char *look_item(const struct look *l, const struct larder_item *item, uint32_t *key, uint32_t *serial) {
    struct larder_value v;
    struct state s;
    char pk[TEXT_MAX], sk[TEXT_MAX];
    int64_t number;
    int is_projected = l->index == NUMBER_INDEX && l->partition >= 0;
    if (larder_item_get(item, "SK", &v) || v.bytes != 6)
        return wrong("an item without its key in a %s", look_path(l));
    memcpy(sk, v.data, 6);
    sk[6] = 0;
    *key = (uint32_t)strtoul(sk + 3, NULL, 10);
    if (*key >= l->c->h->key_count || larder_item_get(item, "serial", &v) || larder_value_int64(&v, &number))
        return wrong("an item that nobody wrote, %s, in a %s", sk, look_path(l));
    *serial = (uint32_t)number;
    state_of(l->c->h, *key, *serial, &s);
    key_text(*key, pk, sk);
    int is_whole = has_text(item, "PK", pk) && has_text(item, "SK", sk);
    for (int i = 0; i < INDEXES; i++)
        is_whole = is_whole && ((is_projected && i != l->index) || has_index_key(item, &s, i));
    is_whole = is_whole && (is_projected ? larder_item_get(item, "fill", &v) == LARDER_NOT_FOUND
                                         : has_fill(item, *key, *serial, s.fill));
    return is_whole ? NULL : wrong("key %u in a %s is not what write %u put there", *key, look_path(l), *serial);
}

/* Whether two items may stand in this order. */
static int is_ordered(const struct look *l, uint32_t a, uint32_t b, int is_descending) {
    struct state s, t;
    int order;
    state_of(l->c->h, a, l->seen[a], &s);
    state_of(l->c->h, b, l->seen[b], &t);
    if (l->index < 0)
        order = (a > b) - (a < b);
    else if (!sort_names[l->index])
        return 1;
    else if (l->index == NUMBER_INDEX) {
        long x = strtol(s.index[NUMBER_INDEX].sort, NULL, 10), y = strtol(t.index[NUMBER_INDEX].sort, NULL, 10);
        order = (x > y) - (x < y);
    } else
        order = strcmp(s.index[l->index].sort, t.index[l->index].sort);
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
            return wrong("key %u comes twice in a %s: writes %u and %u", key, look_path(l), l->seen[key], serial);
        l->seen[key] = serial;
        if (l->partition >= 0 && last != UINT32_MAX && !is_ordered(l, last, key, is_descending))
            return wrong("key %u comes after key %u in a %s", key, last, look_path(l));
        last = key;
    }
    return NULL;
}

/* ---- Looking ------------------------------------------------------------------------------------------------------------ */

static const char *failed(const char *call, int r) {
    return wrong("%s: %s: %s", call, larder_result_name(r), larder_error());
}

const char *history_get(struct history_client *c, uint32_t key) {
    char pk[TEXT_MAX], sk[TEXT_MAX];
    struct look l;
    key_text(key, pk, sk);
    struct larder_key k = {larder_str(pk), larder_str(sk)};
    look_begin(&l, c, -1, -1);
    int r = larder_get(c->table, &k, c->page);
    look_end(&l);
    if (r < 0)
        return failed("get", r);
    const char *what = r == LARDER_OK ? look_page(&l, 0) : NULL;
    if (what)
        return what;
    return l.seen[key] ? judge_present(&l, key) : judge_absent(&l, key);
}

static const char *history_get_all(struct history_client *c) {
    char pk[HISTORY_KEYS_MAX][TEXT_MAX], sk[HISTORY_KEYS_MAX][TEXT_MAX];
    struct larder_key keys[HISTORY_KEYS_MAX];
    struct look l;
    for (uint32_t k = 0; k < c->h->key_count; k++) {
        key_text(k, pk[k], sk[k]);
        keys[k] = (struct larder_key){larder_str(pk[k]), larder_str(sk[k])};
    }
    look_begin(&l, c, -1, -1);
    int r = larder_get_many(c->table, keys, c->h->key_count, c->page);
    look_end(&l);
    const char *what = r == LARDER_OK ? look_page(&l, 0) : failed("get_many", r);
    return what ? what : look_judge(&l);
}

unsigned history_partitions(int index) {
    return index < 0 || index == LOCAL ? PARTITIONS : INDEX_PARTITIONS;
}

const char *history_query(struct history_client *c, int index, unsigned partition, int is_descending) {
    static const char *const names[INDEXES] = {"G1x", "G2x", "G3x", "L1x"};
    char text[TEXT_MAX];
    struct look l;
    partition_text(index, partition, text);
    struct larder_query_spec spec = {.index = index < 0 ? NULL : names[index],
                                     .partition = larder_str(text),
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

/* ---- After a death, and in the end ------------------------------------------------------------------------------------- */

static int may_be_unseen(const struct history *h, uint32_t key, uint32_t serial) {
    struct state s;
    state_of(h, key, serial, &s);
    return s.is_deleted || (s.expires_s && s.expires_s <= atomic_load(&h->now_s));
}

static const char *settle_key(struct history_client *c, uint32_t key) {
    uint32_t acked = atomic_load(&c->h->key[key].acked), begun = atomic_load(&c->h->key[key].begun);
    uint32_t seen = 0, is = 0;
    char pk[TEXT_MAX], sk[TEXT_MAX];
    struct look l;
    key_text(key, pk, sk);
    struct larder_key k = {larder_str(pk), larder_str(sk)};
    look_begin(&l, c, -1, -1);
    int r = larder_get(c->table, &k, c->page);
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
        return wrong("key %u shows write %u after a death; %u was acknowledged, %u begun", key, is, acked, begun);
    if (r == LARDER_NOT_FOUND && !may_be_unseen(c->h, key, is))
        return wrong("key %u is lost: %u was acknowledged, %u begun, and there is nothing", key, acked, begun);
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
        int r = delete_key(c->table, k);
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
