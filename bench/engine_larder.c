/* bench/engine_larder.c - Larder, through larder.h. See bench/engine.h.
 *
 * Not here Anything internal, with one exception: the size of a built item's image
 *          (core/item/item.h), so that prepared items can lie side by side as the peers' values do
 *          (rule W4 of bench/workload.h).
 */
#include "bench/definition.h"
#include "bench/engine.h"
#include "bench/fail.h"
#include "bench/hugepages.h"
#include "core/item/item.h"
#include "larder.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct larder_engine {
    struct larder *db;
    struct scene scene;
    uint32_t flags;
    char path[128]; /* of a segment on hugetlbfs; empty: a memfd */
};

struct larder_session {
    struct larder *db;
    struct larder_table *table;
    struct larder_page *page;
    struct larder_builder *builder;
    uint32_t item_bytes;
    struct blobs blobs;
    int indexes, expires;
    struct larder_expr *if_not_negative, *not_negative, *set, *add; /* each has the value ":n" */
    const struct larder_item *zero, *one;                           /* ":n" is 0, or 1 */
};

static void must(int result, const char *what) {
    if (result < 0)
        fail("larder: %s: %s: %s", what, larder_result_name(result), larder_error());
}

/* The item of an application's values, as it would write it. */
static const struct larder_item *build_item(struct larder_session *s, const struct item_values *v) {
    const struct larder_item *item;
    struct larder_builder *b = s->builder;
    larder_builder_reset(b);
    larder_builder_add_sn(b, "PK", v->key.pk, PK_BYTES);
    larder_builder_add_sn(b, "SK", v->key.sk, SK_BYTES);
    larder_builder_add_int(b, "n", 0);
    for (int i = 0; i < v->indexes; i++) {
        larder_builder_add_sn(b, dataset_index_attributes[i][0], v->index[i].partition, v->index[i].partition_bytes);
        larder_builder_add_sn(b, dataset_index_attributes[i][1], v->index[i].sort, v->index[i].sort_bytes);
    }
    if (v->expires_s)
        larder_builder_add_int(b, "ttl", v->expires_s);
    larder_builder_add_sn(b, "data", v->data, v->data_bytes);
    must(larder_builder_finish(b, &item), "item");
    return item;
}

/* Item n of the scene, of the size that the scene says. */
static const struct larder_item *item_of(struct larder_session *s, uint64_t n, uint32_t version) {
    struct item_values v;
    dataset_values(n, version, s->indexes, s->item_bytes, s->expires, &v);
    const struct larder_item *item = build_item(s, &v);
    if (v.data_bytes && larder_item_size(item) != s->item_bytes)
        fail("larder: an item of %zu bytes instead of %u", larder_item_size(item), s->item_bytes);
    return item;
}

/* Threads of one process share one attachment, as they would in a service. */
static struct {
    pthread_mutex_t mutex;
    struct larder *db;
    int users;
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static struct larder *shared_open(const struct larder_engine *e) {
    struct larder_options o = {.segment = e->path[0] ? e->path : NULL, .flags = e->flags, .memfd = larder_memfd(e->db)};
    pthread_mutex_lock(&shared.mutex);
    if (shared.users++ == 0)
        must(larder_open(&o, &shared.db), "open");
    pthread_mutex_unlock(&shared.mutex);
    return shared.db;
}

static void shared_close(void) {
    pthread_mutex_lock(&shared.mutex);
    if (--shared.users == 0)
        larder_close(shared.db);
    pthread_mutex_unlock(&shared.mutex);
}

/* What an application prepares once. */
static void prepare_expressions(struct larder_session *s) {
    struct larder_builder *b;
    must(larder_prepare(s->db, LARDER_EXPR_CONDITION, "n >= :n", NULL, 0, &s->if_not_negative), "condition");
    must(larder_prepare(s->db, LARDER_EXPR_FILTER, "n >= :n", NULL, 0, &s->not_negative), "filter");
    must(larder_prepare(s->db, LARDER_EXPR_UPDATE, "SET n = :n", NULL, 0, &s->set), "update");
    must(larder_prepare(s->db, LARDER_EXPR_UPDATE, "ADD n :n", NULL, 0, &s->add), "update");
    for (int i = 0; i < 2; i++) {
        must(larder_builder_new(s->db, &b), "builder");
        larder_builder_add_int(b, ":n", i);
        must(larder_builder_finish(b, i ? &s->one : &s->zero), "values");
    }
}

static void *larder_bench_attach(void *engine) {
    struct larder_engine *e = engine;
    struct larder_session *s = calloc(1, sizeof *s);
    s->db = shared_open(e);
    must(larder_table_open(s->db, "bench", &s->table), "table");
    must(larder_page_new(s->db, &s->page), "page");
    must(larder_builder_new(s->db, &s->builder), "builder");
    s->item_bytes = e->scene.item_bytes;
    s->indexes = e->scene.indexes;
    s->expires = e->scene.expires;
    prepare_expressions(s);
    return s;
}

static void larder_bench_detach(void *session) {
    struct larder_session *s = session;
    shared_close(); /* frees page and builder too, if this was the last */
    blobs_free(&s->blobs);
    free(s);
}

static void load(struct larder_engine *e) {
    struct larder_session *s = larder_bench_attach(e);
    for (uint64_t n = 0; n < e->scene.items; n++)
        must(larder_put(s->table, item_of(s, n, 0), NULL), "load");
    larder_bench_detach(s);
}

static uint64_t segment_bytes(const struct scene *scene) {
    return (scene->items + scene->spare_items + 20000) * (scene->item_bytes * 2ull + 500 + (scene->indexes ? 600 : 0));
}

static struct larder_engine *create(const struct scene *scene, uint32_t flags, const char *path) {
    struct larder_engine *e = calloc(1, sizeof *e);
    struct larder_index_def index[INDEX_COUNT];
    struct larder_table_def def = {.name = "bench",
                                   .partition = {"PK", LARDER_S},
                                   .sort = {"SK", LARDER_S},
                                   .indexes = index,
                                   .ttl_attribute = scene->expires ? "ttl" : NULL,
                                   .index_count = (uint32_t)scene->indexes};
    struct larder_options o = {
        .segment = path, .flags = LARDER_CREATE | flags, .memfd = -1, .size_bytes = segment_bytes(scene)};
    definition_of_indexes(index);
    e->scene = *scene;
    e->flags = flags;
    snprintf(e->path, sizeof e->path, "%s", path ? path : "");
    must(larder_open(&o, &e->db), "create");
    must(larder_table_create(e->db, &def), "create table");
    load(e);
    return e;
}

static void *larder_bench_create(const struct scene *scene, const char **why) {
    (void)why;
    return create(scene, LARDER_MEMFD, NULL);
}

static void *larder_huge_create(const struct scene *scene, const char **why) {
    *why = hugepages_advise();
    return *why ? NULL : create(scene, LARDER_MEMFD | LARDER_HUGE_PAGES, NULL);
}

static void *larder_hugetlb_create(const struct scene *scene, const char **why) {
    char folder[96], path[112];
    snprintf(folder, sizeof folder, "%s/huge", scene->folder);
    snprintf(path, sizeof path, "%s/segment", folder);
    *why = hugepages_mount(folder, segment_bytes(scene));
    return *why ? NULL : create(scene, 0, path);
}

static void larder_bench_destroy(void *engine) {
    struct larder_engine *e = engine;
    larder_close(e->db);
    if (e->path[0])
        larder_destroy(e->path, LARDER_FORCE);
    free(e);
}

static uint64_t larder_bench_bytes(void *engine) {
    struct larder_engine *e = engine;
    struct larder_segment_stats stats;
    must(larder_segment_stats(e->db, &stats), "stats");
    return stats.claimed_bytes;
}

static void larder_bench_prepare(void *session, struct write *w) {
    struct larder_session *s = session;
    const struct larder_item *item = item_of(s, w->n, w->version);
    w->bytes = item_head(item)->bytes;
    w->prepared = memcpy(blobs_room(&s->blobs, w->bytes), item, w->bytes);
}

static void larder_bench_build(void *session, struct write *w) {
    w->prepared = build_item(session, w->values);
}

static struct larder_value text(const char *data, size_t bytes) {
    return (struct larder_value){.type = LARDER_S, .data = data, .bytes = bytes};
}

static struct larder_key key_of(const struct bench_key *key) {
    return (struct larder_key){text(key->pk, PK_BYTES), text(key->sk, SK_BYTES)};
}

static uint64_t larder_bench_get(void *session, const struct bench_key *key) {
    struct larder_session *s = session;
    struct larder_key k = key_of(key);
    int r = larder_get(s->table, &k, s->page);
    must(r, "get");
    return r == LARDER_OK ? s->item_bytes : 0;
}

static uint64_t larder_bench_get_many(void *session, const struct bench_key *keys, unsigned count) {
    struct larder_session *s = session;
    struct larder_key k[128];
    for (unsigned i = 0; i < count; i++)
        k[i] = key_of(&keys[i]);
    must(larder_get_many(s->table, k, count, s->page), "get_many");
    return larder_page_count(s->page);
}

static unsigned query(struct larder_session *s, int index, uint64_t n, const struct larder_expr *filter) {
    struct larder_query_spec q = {.sort_op = LARDER_SORT_GE, .limit = QUERY_LIMIT, .filter = filter, .values = s->zero};
    struct bench_key key;
    struct index_key ik;
    if (index < 0) {
        dataset_key(n, &key);
        q.partition = text(key.pk, PK_BYTES);
        q.sort_value = text(key.sk, SK_BYTES);
    } else {
        dataset_index_key(n, index, 0, &ik);
        q.index = dataset_index_names[index];
        q.partition = text(ik.partition, ik.partition_bytes);
        q.sort_value = text(ik.sort, ik.sort_bytes);
    }
    must(larder_query(s->table, &q, s->page), "query");
    return larder_page_count(s->page);
}

static unsigned larder_bench_query(void *session, int index, uint64_t n) {
    return query(session, index, n, NULL);
}

static unsigned larder_bench_filter(void *session, int index, uint64_t n) {
    return query(session, index, n, ((struct larder_session *)session)->not_negative);
}

static unsigned larder_bench_query_page(void *session, uint64_t n) {
    struct larder_session *s = session;
    struct larder_query_spec q = {.limit = QUERY_PAGE_LIMIT};
    struct bench_key key;
    dataset_key(n, &key);
    q.partition = text(key.pk, PK_BYTES);
    must(larder_query(s->table, &q, s->page), "query");
    return larder_page_count(s->page);
}

static int larder_bench_put(void *session, const struct write *w, int is_new, int is_moved) {
    struct larder_session *s = session;
    (void)is_new, (void)is_moved;
    must(larder_put(s->table, w->prepared, NULL), "put");
    return 1;
}

static int larder_bench_remove(void *session, uint64_t n) {
    struct larder_session *s = session;
    struct bench_key key;
    dataset_key(n, &key);
    struct larder_key k = key_of(&key);
    int r = larder_delete(s->table, &k, NULL);
    must(r, "delete");
    return r == LARDER_OK;
}

static uint64_t digits_at(const struct larder_item *item, const char *name, size_t from, size_t count) {
    struct larder_value v;
    uint64_t n = 0;
    if (!item || larder_item_get(item, name, &v) != LARDER_OK || v.bytes < from + count)
        return UINT64_MAX;
    for (size_t i = from; i < from + count; i++)
        n = n * 10 + (uint64_t)(((const char *)v.data)[i] - '0');
    return n;
}

static uint64_t larder_bench_copied(void *session, unsigned i) {
    const struct larder_item *item = larder_page_item(((struct larder_session *)session)->page, i);
    return digits_at(item, "PK", 5, 7) * PARTITION_ITEMS + digits_at(item, "SK", SK_BYTES - 3, 3);
}

static int larder_bench_count(void *session, const struct bench_key *key) {
    struct larder_key k = key_of(key);
    int64_t n = 0;
    must(larder_increment(((struct larder_session *)session)->table, &k, "n", 1, &n), "increment");
    return n > 0;
}

static int write(const struct larder_action *action) {
    int r = larder_write(action, NULL);
    must(r, "write");
    return r == LARDER_OK;
}

static int larder_bench_put_if(void *session, const struct write *w) {
    struct larder_session *s = session;
    return write(&(struct larder_action){.kind = LARDER_ACTION_PUT,
                                         .table = s->table,
                                         .item = w->prepared,
                                         .condition = s->if_not_negative,
                                         .values = s->zero});
}

static int larder_bench_update(void *session, const struct bench_key *key) {
    struct larder_session *s = session;
    return write(&(struct larder_action){.kind = LARDER_ACTION_UPDATE,
                                         .table = s->table,
                                         .key = key_of(key),
                                         .condition = s->if_not_negative,
                                         .update = s->set,
                                         .values = s->zero});
}

static int larder_bench_set(void *session, const struct bench_key *key) {
    struct larder_session *s = session;
    return write(&(struct larder_action){
        .kind = LARDER_ACTION_UPDATE, .table = s->table, .key = key_of(key), .update = s->set, .values = s->one});
}

static int larder_bench_add(void *session, const struct bench_key *key) {
    struct larder_session *s = session;
    return write(&(struct larder_action){
        .kind = LARDER_ACTION_UPDATE, .table = s->table, .key = key_of(key), .update = s->add, .values = s->one});
}

static int larder_bench_put_four(void *session, const struct write *w, int is_transaction) {
    struct larder_session *s = session;
    struct larder_action actions[FOUR];
    for (unsigned i = 0; i < FOUR; i++) {
        if (!is_transaction)
            larder_bench_put(session, &w[i], 0, 0);
        actions[i] = (struct larder_action){.kind = LARDER_ACTION_PUT, .table = s->table, .item = w[i].prepared};
    }
    if (is_transaction)
        must(larder_transact(s->db, &(struct larder_transaction){.actions = actions, .count = FOUR}, NULL, NULL),
             "transact");
    return 1;
}

/* What the three have in common: all except how a segment is made. */
#define LARDER_CALLS                                                                                                   \
    .destroy = larder_bench_destroy, .bytes = larder_bench_bytes, .attach = larder_bench_attach,                       \
    .detach = larder_bench_detach, .prepare = larder_bench_prepare, .build = larder_bench_build,                       \
    .get = larder_bench_get, .get_many = larder_bench_get_many, .query = larder_bench_query, .put = larder_bench_put,  \
    .remove = larder_bench_remove, .count = larder_bench_count, .put_if = larder_bench_put_if,                         \
    .update = larder_bench_update, .set = larder_bench_set, .add = larder_bench_add, .filter = larder_bench_filter,    \
    .query_page = larder_bench_query_page, .put_four = larder_bench_put_four, .copied = larder_bench_copied

const struct engine engine_larder = {
    .name = "larder",
    .setup = "memfd segment, default options",
    .can = CAN_READ_AT_ONCE | CAN_QUERY | CAN_INDEX | CAN_SHARE | CAN_WRITE | CAN_COUNT | CAN_THREAD | CAN_DECIDE |
           CAN_EXPIRE,
    .create = larder_bench_create,
    LARDER_CALLS,
};

const struct engine engine_larder_huge = {
    .name = "larder-huge",
    .setup = "memfd segment, LARDER_HUGE_PAGES",
    .can = CAN_READ_AT_ONCE | CAN_QUERY | CAN_INDEX | CAN_SHARE | CAN_WRITE | CAN_COUNT | CAN_THREAD | IS_VARIANT,
    .create = larder_huge_create,
    LARDER_CALLS,
};

const struct engine engine_larder_hugetlb = {
    .name = "larder-hugetlb",
    .setup = "segment on a hugetlbfs mount",
    .can = CAN_READ_AT_ONCE | CAN_QUERY | CAN_INDEX | CAN_SHARE | CAN_WRITE | CAN_COUNT | CAN_THREAD | IS_VARIANT,
    .create = larder_hugetlb_create,
    LARDER_CALLS,
};
