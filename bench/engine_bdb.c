/* bench/engine_bdb.c - Berkeley DB's Concurrent Data Store in tmpfs. See bench/engine.h.
 *
 * Setup    No log and no transactions, a cache that holds everything ("Berkeley DB Concurrent Data
 *          Store applications" and "Selecting a cache size" of its reference guide). B-trees; an
 *          index is a second database, as in engine_lmdb.c, but nothing makes the writes of both
 *          one step.
 */
#include "bench/engine.h"
#include "bench/fail.h"
#include <db.h>
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct bdb_engine {
    struct scene scene;
    char path[128];
};

struct bdb_session {
    struct bdb_engine *e;
    DB_ENV *env;
    DB *items, *index[INDEX_COUNT];
    struct blobs blobs;
    char buffer[1 << 20];
};

static void must(int r, const char *what) {
    if (r)
        fail("bdb: %s: %s", what, db_strerror(r));
}

static DB *open_db(struct bdb_session *s, const char *name) {
    DB *db;
    must(db_create(&db, s->env, 0), "db_create");
    must(db->open(db, NULL, name, NULL, DB_BTREE, DB_CREATE | DB_THREAD, 0600), name);
    return db;
}

static void *bdb_attach(void *engine) {
    struct bdb_session *s = calloc(1, sizeof *s);
    s->e = engine;
    s->blobs.bytes = s->e->scene.item_bytes;
    uint64_t cache =
        (s->e->scene.items + s->e->scene.spare_items) * (s->blobs.bytes * 2ull + (s->e->scene.indexes ? 900 : 100)) +
        (64u << 20);
    must(db_env_create(&s->env, 0), "db_env_create");
    must(s->env->set_cachesize(s->env, (uint32_t)(cache >> 30), (uint32_t)(cache & 0x3fffffff), 1), "cache");
    must(s->env->open(s->env, s->e->path, DB_CREATE | DB_INIT_CDB | DB_INIT_MPOOL | DB_THREAD, 0600), "open");
    s->items = open_db(s, "items.db");
    for (int i = 0; i < s->e->scene.indexes; i++)
        s->index[i] = open_db(s, dataset_index_names[i]);
    return s;
}

static void bdb_detach(void *session) {
    struct bdb_session *s = session;
    for (int i = 0; i < s->e->scene.indexes; i++)
        s->index[i]->close(s->index[i], DB_NOSYNC);
    s->items->close(s->items, DB_NOSYNC);
    s->env->close(s->env, 0);
    blobs_free(&s->blobs);
    free(s);
}

static DBT dbt(const void *data, size_t bytes) {
    DBT d;
    memset(&d, 0, sizeof d);
    d.data = (void *)data;
    d.size = (uint32_t)bytes;
    return d;
}

static DBT into(char *data, size_t bytes) {
    DBT d = dbt(data, 0);
    d.flags = DB_DBT_USERMEM;
    d.ulen = (uint32_t)bytes;
    return d;
}

static void put_entries(struct bdb_session *s, const struct write *w, int only_moved) {
    char entry[INDEX_ENTRY_MAX];
    for (int i = 0; i < s->e->scene.indexes; i++) {
        if (only_moved && i != 1 && i != 2)
            continue;
        size_t bytes = dataset_index_entry(w->n, i, w->version, entry);
        DBT k = dbt(entry, bytes), v = dbt(entry + bytes - KEY_BYTES, KEY_BYTES);
        must(s->index[i]->put(s->index[i], NULL, &k, &v, 0), "put entry");
    }
}

static void remove_entries(struct bdb_session *s, uint64_t n, uint32_t version, int only_moved) {
    char entry[INDEX_ENTRY_MAX];
    for (int i = 0; i < s->e->scene.indexes; i++) {
        if (only_moved && i != 1 && i != 2)
            continue;
        DBT k = dbt(entry, dataset_index_entry(n, i, version, entry));
        int r = s->index[i]->del(s->index[i], NULL, &k, 0);
        if (r != DB_NOTFOUND)
            must(r, "delete entry");
    }
}

static int bdb_put(void *session, const struct write *w, int is_new, int is_moved) {
    struct bdb_session *s = session;
    struct bench_key key;
    dataset_key(w->n, &key);
    DBT k = dbt(&key, KEY_BYTES), v = dbt(w->prepared, w->bytes);
    must(s->items->put(s->items, NULL, &k, &v, 0), "put");
    if (is_moved)
        remove_entries(s, w->n, w->old_version, 1);
    if (is_new || is_moved)
        put_entries(s, w, is_moved);
    return 1;
}

static int bdb_remove(void *session, uint64_t n) {
    struct bdb_session *s = session;
    struct bench_key key;
    dataset_key(n, &key);
    DBT k = dbt(&key, KEY_BYTES);
    int r = s->items->del(s->items, NULL, &k, 0);
    if (r != DB_NOTFOUND)
        must(r, "delete");
    remove_entries(s, n, 0, 0);
    return r == 0;
}

static uint64_t copy_item(struct bdb_session *s, const void *key, char *to) {
    DBT k = dbt(key, KEY_BYTES), v = into(to, s->blobs.bytes);
    int r = s->items->get(s->items, NULL, &k, &v, 0);
    if (r == DB_NOTFOUND)
        return 0;
    must(r, "get");
    return v.size;
}

static uint64_t bdb_get(void *session, const struct bench_key *key) {
    struct bdb_session *s = session;
    return copy_item(s, key, s->buffer);
}

static unsigned bdb_query(void *session, int index, uint64_t n) {
    struct bdb_session *s = session;
    char from[INDEX_ENTRY_MAX], found[sizeof from], primary[KEY_BYTES];
    struct index_key ik;
    DB *db = index < 0 ? s->items : s->index[index];
    DBC *cursor;
    size_t prefix = PK_BYTES, bytes = KEY_BYTES;
    unsigned count = 0;
    if (index < 0) {
        dataset_key(n, (struct bench_key *)from);
    } else {
        dataset_index_key(n, index, 0, &ik);
        bytes = dataset_index_entry(n, index, 0, from) - KEY_BYTES;
        prefix = ik.partition_bytes + 1;
    }
    memcpy(found, from, bytes);
    DBT k = into(found, sizeof found), v = index < 0 ? into(s->buffer, s->blobs.bytes) : into(primary, KEY_BYTES);
    k.size = (uint32_t)bytes;
    must(db->cursor(db, NULL, &cursor, 0), "cursor");
    for (int r = cursor->get(cursor, &k, &v, DB_SET_RANGE); r == 0 && count < QUERY_LIMIT;
         r = cursor->get(cursor, &k, &v, DB_NEXT)) {
        if (k.size < prefix || memcmp(found, from, prefix) != 0)
            break;
        if (index >= 0)
            copy_item(s, primary, s->buffer + (size_t)count * s->blobs.bytes);
        count++;
        if (index < 0)
            v.data = s->buffer + (size_t)count * s->blobs.bytes;
    }
    cursor->close(cursor);
    return count;
}

/* Under the one write lock, which a write cursor takes. */
static int bdb_count(void *session, const struct bench_key *key) {
    struct bdb_session *s = session;
    DBC *cursor;
    DBT k = dbt(key, KEY_BYTES), v = into(s->buffer, s->blobs.bytes);
    uint64_t counter;
    must(s->items->cursor(s->items, NULL, &cursor, DB_WRITECURSOR), "cursor");
    int r = cursor->get(cursor, &k, &v, DB_SET);
    if (r == 0) {
        memcpy(&counter, s->buffer, 8);
        counter++;
        memcpy(s->buffer, &counter, 8);
        must(cursor->put(cursor, &k, &v, DB_CURRENT), "count");
    } else if (r != DB_NOTFOUND) {
        must(r, "count");
    }
    cursor->close(cursor);
    return r == 0;
}

static uint64_t bdb_copied(void *session, unsigned i) {
    struct bdb_session *s = session;
    return blob_number(s->buffer + (size_t)i * s->blobs.bytes);
}

static void bdb_prepare(void *session, struct write *w) {
    blobs_prepare(&((struct bdb_session *)session)->blobs, w);
}

static void bdb_build(void *session, struct write *w) {
    blobs_build(&((struct bdb_session *)session)->blobs, w);
}

static void *bdb_create(const struct scene *scene, const char **why) {
    struct bdb_engine *e = calloc(1, sizeof *e);
    struct bench_key key;
    (void)why;
    e->scene = *scene;
    snprintf(e->path, sizeof e->path, "%s/bdb", scene->folder);
    if (mkdir(e->path, 0700))
        fail("%s: cannot be made", e->path);
    struct bdb_session *s = bdb_attach(e);
    for (uint64_t n = 0; n < scene->items; n++) {
        struct write w = {.n = n};
        dataset_key(n, &key);
        blob_fill(n, 0, s->buffer, s->blobs.bytes);
        DBT k = dbt(&key, KEY_BYTES), v = dbt(s->buffer, s->blobs.bytes);
        must(s->items->put(s->items, NULL, &k, &v, 0), "load");
        put_entries(s, &w, 0);
    }
    bdb_detach(s);
    return e;
}

static void bdb_destroy(void *engine) {
    struct bdb_engine *e = engine;
    char file[512];
    DIR *dir = opendir(e->path);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        snprintf(file, sizeof file, "%s/%s", e->path, d->d_name);
        unlink(file);
    }
    if (dir)
        closedir(dir);
    rmdir(e->path);
    free(e);
}

const struct engine engine_bdb = {
    .name = "bdb",
    .setup =
        "Concurrent Data Store, B-trees, cache of everything in tmpfs, no log; an index is a database, not one step",
    .can = CAN_QUERY | CAN_INDEX | CAN_SHARE | CAN_COUNT | CAN_WRITE,
    .create = bdb_create,
    .destroy = bdb_destroy,
    .attach = bdb_attach,
    .detach = bdb_detach,
    .prepare = bdb_prepare,
    .build = bdb_build,
    .get = bdb_get,
    .query = bdb_query,
    .put = bdb_put,
    .remove = bdb_remove,
    .count = bdb_count,
    .copied = bdb_copied,
};
