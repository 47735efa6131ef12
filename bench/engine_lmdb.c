/* bench/engine_lmdb.c - LMDB in tmpfs, without syncs, with a writable map. See bench/engine.h.
 *
 * Setup    The fastest it can be (lmdb.h, mdb_env_open flags MDB_NOSYNC, MDB_WRITEMAP,
 *          MDB_NOMEMINIT). Read transactions and cursors are renewed, not made again
 *          (mdb_txn_renew, mdb_cursor_renew). Without indexes the items are in the environment's
 *          unnamed database, whose root needs no other tree to be found and written. Threads of a
 *          process share one environment, which must not be opened twice.
 * Index    A database of its own whose key is (index partition key, index sort key, primary key)
 *          and whose value is the primary key, written in the same transaction as the item. A query
 *          walks a cursor over it and gets each item.
 */
#include "bench/engine.h"
#include "bench/fail.h"
#include <lmdb.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH 10000

struct lmdb_engine {
    struct scene scene;
    char path[128];
};

struct lmdb_session {
    struct lmdb_engine *e;
    MDB_env *env;
    MDB_dbi items, index[INDEX_COUNT];
    MDB_txn *reader;
    MDB_cursor *cursor[1 + INDEX_COUNT]; /* of the table, then of each index */
    struct blobs blobs;
    char buffer[1 << 20];
};

static void must(int r, const char *what) {
    if (r)
        fail("lmdb: %s: %s", what, mdb_strerror(r));
}

static struct {
    pthread_mutex_t mutex;
    int users;
    MDB_env *env;
    MDB_dbi items, index[INDEX_COUNT];
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void open_shared(const struct lmdb_engine *e) {
    MDB_txn *txn;
    must(mdb_env_create(&shared.env), "create");
    must(mdb_env_set_mapsize(shared.env,
                             (e->scene.items + e->scene.spare_items + 100000) * (e->scene.item_bytes * 3ull + 1200)),
         "map size");
    if (e->scene.indexes)
        must(mdb_env_set_maxdbs(shared.env, 1 + INDEX_COUNT), "maxdbs");
    must(mdb_env_open(shared.env, e->path, MDB_NOSYNC | MDB_WRITEMAP | MDB_NOMEMINIT | MDB_NORDAHEAD, 0600), "open");
    must(mdb_txn_begin(shared.env, NULL, 0, &txn), "begin");
    must(mdb_dbi_open(txn, e->scene.indexes ? "items" : NULL, MDB_CREATE, &shared.items), "items");
    for (int i = 0; i < e->scene.indexes; i++)
        must(mdb_dbi_open(txn, dataset_index_names[i], MDB_CREATE, &shared.index[i]), "index");
    must(mdb_txn_commit(txn), "commit");
}

static void *lmdb_attach(void *engine) {
    struct lmdb_session *s = calloc(1, sizeof *s);
    s->e = engine;
    s->blobs.bytes = s->e->scene.item_bytes;
    pthread_mutex_lock(&shared.mutex);
    if (shared.users++ == 0)
        open_shared(s->e);
    pthread_mutex_unlock(&shared.mutex);
    s->env = shared.env;
    s->items = shared.items;
    memcpy(s->index, shared.index, sizeof s->index);
    must(mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->reader), "reader");
    for (int i = 0; i <= s->e->scene.indexes; i++)
        must(mdb_cursor_open(s->reader, i == 0 ? s->items : s->index[i - 1], &s->cursor[i]), "cursor");
    mdb_txn_reset(s->reader);
    return s;
}

static void lmdb_detach(void *session) {
    struct lmdb_session *s = session;
    for (int i = 0; i <= s->e->scene.indexes; i++)
        mdb_cursor_close(s->cursor[i]);
    mdb_txn_abort(s->reader);
    pthread_mutex_lock(&shared.mutex);
    if (--shared.users == 0)
        mdb_env_close(s->env);
    pthread_mutex_unlock(&shared.mutex);
    blobs_free(&s->blobs);
    free(s);
}

static void put_entries(struct lmdb_session *s, MDB_txn *txn, const struct write *w, int only_moved) {
    char entry[INDEX_ENTRY_MAX];
    for (int i = 0; i < s->e->scene.indexes; i++) {
        if (only_moved && i != 1 && i != 2)
            continue;
        size_t bytes = dataset_index_entry(w->n, i, w->version, entry);
        MDB_val k = {bytes, entry}, v = {KEY_BYTES, entry + bytes - KEY_BYTES};
        must(mdb_put(txn, s->index[i], &k, &v, 0), "put entry");
    }
}

static void remove_entries(struct lmdb_session *s, MDB_txn *txn, uint64_t n, uint32_t version, int only_moved) {
    char entry[INDEX_ENTRY_MAX];
    for (int i = 0; i < s->e->scene.indexes; i++) {
        if (only_moved && i != 1 && i != 2)
            continue;
        MDB_val k = {dataset_index_entry(n, i, version, entry), entry};
        int r = mdb_del(txn, s->index[i], &k, NULL);
        if (r != MDB_NOTFOUND)
            must(r, "delete entry");
    }
}

static int lmdb_put(void *session, const struct write *w, int is_new, int is_moved) {
    struct lmdb_session *s = session;
    struct bench_key key;
    MDB_txn *txn;
    dataset_key(w->n, &key);
    must(mdb_txn_begin(s->env, NULL, 0, &txn), "begin");
    MDB_val k = {KEY_BYTES, &key}, v = {w->bytes, (void *)w->prepared};
    must(mdb_put(txn, s->items, &k, &v, 0), "put");
    if (is_moved)
        remove_entries(s, txn, w->n, w->old_version, 1);
    if (is_new || is_moved)
        put_entries(s, txn, w, is_moved);
    must(mdb_txn_commit(txn), "commit");
    return 1;
}

static int lmdb_remove(void *session, uint64_t n) {
    struct lmdb_session *s = session;
    struct bench_key key;
    MDB_txn *txn;
    dataset_key(n, &key);
    must(mdb_txn_begin(s->env, NULL, 0, &txn), "begin");
    MDB_val k = {KEY_BYTES, &key};
    int r = mdb_del(txn, s->items, &k, NULL);
    if (r != MDB_NOTFOUND)
        must(r, "delete");
    remove_entries(s, txn, n, 0, 0);
    must(mdb_txn_commit(txn), "commit");
    return r == 0;
}

static int64_t counter_of(const MDB_val *v) {
    int64_t counter;
    memcpy(&counter, v->mv_data, sizeof counter);
    return counter;
}

/* Reads, and writes what `change` makes of the counter unless that is negative, in one
 * transaction. */
static int change(struct lmdb_session *s, const struct bench_key *key, int64_t (*to)(int64_t counter)) {
    MDB_txn *txn;
    MDB_val k = {KEY_BYTES, (void *)key}, v;
    must(mdb_txn_begin(s->env, NULL, 0, &txn), "begin");
    must(mdb_get(txn, s->items, &k, &v), "get");
    int64_t counter = to(counter_of(&v));
    if (counter < 0) {
        mdb_txn_abort(txn);
        return 0;
    }
    memcpy(s->buffer, v.mv_data, v.mv_size);
    memcpy(s->buffer, &counter, 8);
    v.mv_data = s->buffer;
    must(mdb_put(txn, s->items, &k, &v, 0), "put");
    must(mdb_txn_commit(txn), "commit");
    return 1;
}

static int64_t one_more(int64_t counter) {
    return counter + 1;
}

static int64_t one(int64_t counter) {
    (void)counter;
    return 1;
}

static int64_t one_if_not_negative(int64_t counter) {
    return counter < 0 ? counter : 1;
}

static int lmdb_count(void *session, const struct bench_key *key) {
    return change(session, key, one_more);
}

static int lmdb_update(void *session, const struct bench_key *key) {
    return change(session, key, one_if_not_negative);
}

static int lmdb_set(void *session, const struct bench_key *key) {
    return change(session, key, one);
}

static int lmdb_put_if(void *session, const struct write *w) {
    struct lmdb_session *s = session;
    struct bench_key key;
    MDB_txn *txn;
    dataset_key(w->n, &key);
    MDB_val k = {KEY_BYTES, &key}, v;
    must(mdb_txn_begin(s->env, NULL, 0, &txn), "begin");
    must(mdb_get(txn, s->items, &k, &v), "get");
    if (counter_of(&v) < 0) {
        mdb_txn_abort(txn);
        return 0;
    }
    v = (MDB_val){w->bytes, (void *)w->prepared};
    must(mdb_put(txn, s->items, &k, &v, 0), "put");
    must(mdb_txn_commit(txn), "commit");
    return 1;
}

static int lmdb_put_four(void *session, const struct write *w, int is_transaction) {
    struct lmdb_session *s = session;
    struct bench_key key;
    MDB_txn *txn;
    for (unsigned i = 0; i < FOUR && !is_transaction; i++)
        lmdb_put(session, &w[i], 0, 0);
    if (!is_transaction)
        return 1;
    must(mdb_txn_begin(s->env, NULL, 0, &txn), "begin");
    for (unsigned i = 0; i < FOUR; i++) {
        dataset_key(w[i].n, &key);
        MDB_val k = {KEY_BYTES, &key}, v = {w[i].bytes, (void *)w[i].prepared};
        must(mdb_put(txn, s->items, &k, &v, 0), "put");
    }
    must(mdb_txn_commit(txn), "commit");
    return 1;
}

static uint64_t copy_item(struct lmdb_session *s, const struct bench_key *key, char *to) {
    MDB_val k = {KEY_BYTES, (void *)key}, v;
    int r = mdb_get(s->reader, s->items, &k, &v);
    if (r == MDB_NOTFOUND)
        return 0;
    must(r, "get");
    memcpy(to, v.mv_data, v.mv_size);
    return v.mv_size;
}

static uint64_t lmdb_get(void *session, const struct bench_key *key) {
    struct lmdb_session *s = session;
    must(mdb_txn_renew(s->reader), "renew");
    uint64_t bytes = copy_item(s, key, s->buffer);
    mdb_txn_reset(s->reader);
    return bytes;
}

static uint64_t lmdb_get_many(void *session, const struct bench_key *keys, unsigned count) {
    struct lmdb_session *s = session;
    uint64_t found = 0;
    must(mdb_txn_renew(s->reader), "renew");
    for (unsigned i = 0; i < count; i++)
        found += copy_item(s, &keys[i], s->buffer + (size_t)i * s->blobs.bytes) != 0;
    mdb_txn_reset(s->reader);
    return found;
}

/* is_filtered: only items whose counter is not negative are copied. */
static inline unsigned query(struct lmdb_session *s, int index, uint64_t n, int is_filtered) {
    char from[INDEX_ENTRY_MAX];
    struct bench_key key;
    struct index_key ik;
    MDB_cursor *cursor = s->cursor[index + 1];
    MDB_val k, v;
    unsigned count = 0;
    size_t prefix;
    must(mdb_txn_renew(s->reader), "renew");
    if (index < 0) {
        dataset_key(n, &key);
        memcpy(from, &key, KEY_BYTES);
        k = (MDB_val){KEY_BYTES, from};
        prefix = PK_BYTES;
    } else {
        dataset_index_key(n, index, 0, &ik);
        k = (MDB_val){dataset_index_entry(n, index, 0, from) - KEY_BYTES,
                      from}; /* without the primary key: from the first */
        prefix = ik.partition_bytes + 1;
    }
    must(mdb_cursor_renew(s->reader, cursor), "cursor");
    for (int r = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE); r == 0 && count < QUERY_LIMIT;
         r = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        if (k.mv_size < prefix || memcmp(k.mv_data, from, prefix) != 0)
            break;
        char *to = s->buffer + (size_t)count * s->blobs.bytes;
        if (is_filtered && counter_of(&v) < 0)
            continue;
        if (index < 0)
            memcpy(to, v.mv_data, v.mv_size);
        else if (!copy_item(s, v.mv_data, to))
            continue;
        count++;
    }
    mdb_txn_reset(s->reader);
    return count;
}

static unsigned lmdb_query(void *session, int index, uint64_t n) {
    return query(session, index, n, 0);
}

/* Of the table. */
static unsigned lmdb_filter(void *session, int index, uint64_t n) {
    return query(session, index, n, 1);
}

static uint64_t lmdb_copied(void *session, unsigned i) {
    struct lmdb_session *s = session;
    return blob_number(s->buffer + (size_t)i * s->blobs.bytes);
}

static void lmdb_prepare(void *session, struct write *w) {
    blobs_prepare(&((struct lmdb_session *)session)->blobs, w);
}

static void lmdb_build(void *session, struct write *w) {
    blobs_build(&((struct lmdb_session *)session)->blobs, w);
}

static void load(struct lmdb_engine *e) {
    struct lmdb_session *s = lmdb_attach(e);
    struct bench_key key;
    MDB_txn *txn = NULL;
    for (uint64_t n = 0; n < e->scene.items; n++) {
        if (n % BATCH == 0) {
            if (txn)
                must(mdb_txn_commit(txn), "commit");
            must(mdb_txn_begin(s->env, NULL, 0, &txn), "begin");
        }
        dataset_key(n, &key);
        blob_fill(n, 0, s->buffer, s->blobs.bytes);
        MDB_val k = {KEY_BYTES, &key}, v = {s->blobs.bytes, s->buffer};
        struct write w = {.n = n};
        must(mdb_put(txn, s->items, &k, &v, 0), "load");
        put_entries(s, txn, &w, 0);
    }
    must(mdb_txn_commit(txn), "commit");
    lmdb_detach(s);
}

static void *lmdb_create(const struct scene *scene, const char **why) {
    struct lmdb_engine *e = calloc(1, sizeof *e);
    (void)why;
    e->scene = *scene;
    snprintf(e->path, sizeof e->path, "%s/lmdb", scene->folder);
    if (mkdir(e->path, 0700))
        fail("%s: cannot be made", e->path);
    load(e);
    return e;
}

static void lmdb_destroy(void *engine) {
    struct lmdb_engine *e = engine;
    char file[160];
    snprintf(file, sizeof file, "%s/data.mdb", e->path);
    unlink(file);
    snprintf(file, sizeof file, "%s/lock.mdb", e->path);
    unlink(file);
    rmdir(e->path);
    free(e);
}

static uint64_t lmdb_bytes(void *engine) {
    struct lmdb_engine *e = engine;
    struct stat st;
    char file[160];
    snprintf(file, sizeof file, "%s/data.mdb", e->path);
    return stat(file, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

const struct engine engine_lmdb = {
    .name = "lmdb",
    .setup = "tmpfs, NOSYNC, WRITEMAP, NOMEMINIT, NORDAHEAD; renewed read transactions and cursors; an index is a "
             "database, one "
             "transaction",
    .can = CAN_READ_AT_ONCE | CAN_QUERY | CAN_INDEX | CAN_SHARE | CAN_COUNT | CAN_WRITE | CAN_THREAD | CAN_DECIDE,
    .create = lmdb_create,
    .destroy = lmdb_destroy,
    .bytes = lmdb_bytes,
    .attach = lmdb_attach,
    .detach = lmdb_detach,
    .prepare = lmdb_prepare,
    .build = lmdb_build,
    .get = lmdb_get,
    .get_many = lmdb_get_many,
    .query = lmdb_query,
    .put = lmdb_put,
    .remove = lmdb_remove,
    .count = lmdb_count,
    .put_if = lmdb_put_if,
    .update = lmdb_update,
    .set = lmdb_set,
    .add = lmdb_count,
    .filter = lmdb_filter,
    .put_four = lmdb_put_four,
    .copied = lmdb_copied,
};
