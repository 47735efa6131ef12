/* bench/engine_sqlite.c - SQLite in tmpfs: WAL, no syncs, memory-mapped reads, prepared statements.
 * See bench/engine.h.
 *
 * Setup    sqlite.org/pragma.html: journal_mode, synchronous, mmap_size; "WITHOUT ROWID
 *          optimization". Indexes are SQL indexes.
 */
#include "bench/engine.h"
#include "bench/fail.h"
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

struct sqlite_engine {
    struct scene scene;
    char path[128];
};

enum {
    GET,
    PUT,
    MOVE,
    INSERT,
    REMOVE,
    COUNT,
    PUT_IF,
    SET_IF,
    SET,
    BEGIN,
    COMMIT,
    QUERY,
    FILTER,
    QUERY_INDEX,
    STATEMENTS = QUERY_INDEX + INDEX_COUNT
};

struct sqlite_session {
    struct sqlite_engine *e;
    sqlite3 *db;
    sqlite3_stmt *statement[STATEMENTS];
    struct blobs blobs;
    char buffer[1 << 20];
};

static void must(struct sqlite_session *s, int r, const char *what) {
    if (r != SQLITE_OK && r != SQLITE_ROW && r != SQLITE_DONE)
        fail("sqlite: %s: %s", what, sqlite3_errmsg(s->db));
}

static void sql(struct sqlite_session *s, const char *text) {
    must(s, sqlite3_exec(s->db, text, NULL, NULL, NULL), text);
}

static void statement(struct sqlite_session *s, int which, const char *text) {
    must(s, sqlite3_prepare_v3(s->db, text, -1, SQLITE_PREPARE_PERSISTENT, &s->statement[which], NULL), text);
}

static void make_tables(struct sqlite_session *s) {
    sql(s, "CREATE TABLE IF NOT EXISTS items (pk TEXT, sk TEXT, p0 TEXT, s0 TEXT, p1 TEXT, s1 TEXT, p2 TEXT, s2 TEXT, "
           "p3 TEXT, s3 TEXT, n INTEGER, data BLOB, PRIMARY KEY (pk, sk)) WITHOUT ROWID");
    for (int i = 0; i < s->e->scene.indexes; i++) {
        char text[128];
        snprintf(text, sizeof text, "CREATE INDEX IF NOT EXISTS i%d ON items (p%d, s%d)", i, i, i);
        sql(s, text);
    }
}

static void *sqlite_attach(void *engine) {
    struct sqlite_session *s = calloc(1, sizeof *s);
    s->e = engine;
    s->blobs.bytes = s->e->scene.item_bytes;
    if (sqlite3_open_v2(s->e->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL))
        fail("sqlite: %s", sqlite3_errmsg(s->db));
    sqlite3_busy_timeout(s->db, 60000);
    sql(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA mmap_size=17179869184; PRAGMA temp_store=MEMORY; "
           "PRAGMA cache_size=-262144");
    make_tables(s);
    statement(s, GET, "SELECT n, data FROM items WHERE pk=? AND sk=?");
    statement(s, PUT, "UPDATE items SET n=0, data=?3 WHERE pk=?1 AND sk=?2");
    statement(s, MOVE, "UPDATE items SET n=0, data=?3, s1=?4, s2=?5 WHERE pk=?1 AND sk=?2");
    statement(s, INSERT, "INSERT OR REPLACE INTO items VALUES (?,?,?,?,?,?,?,?,?,?,0,?)");
    statement(s, REMOVE, "DELETE FROM items WHERE pk=? AND sk=?");
    statement(s, COUNT, "UPDATE items SET n=n+1 WHERE pk=? AND sk=?");
    statement(s, PUT_IF, "UPDATE items SET n=0, data=?3 WHERE pk=?1 AND sk=?2 AND n>=0");
    statement(s, SET_IF, "UPDATE items SET n=1 WHERE pk=? AND sk=? AND n>=0");
    statement(s, SET, "UPDATE items SET n=1 WHERE pk=? AND sk=?");
    statement(s, BEGIN, "BEGIN IMMEDIATE");
    statement(s, COMMIT, "COMMIT");
    statement(s, QUERY, "SELECT n, data FROM items WHERE pk=? AND sk>=? ORDER BY sk LIMIT 20");
    statement(s, FILTER, "SELECT n, data FROM items WHERE pk=? AND sk>=? AND n>=0 ORDER BY sk LIMIT 20");
    for (int i = 0; i < s->e->scene.indexes; i++) {
        char text[128];
        snprintf(text, sizeof text, "SELECT n, data FROM items WHERE p%d=? AND s%d>=? ORDER BY s%d LIMIT 20", i, i, i);
        statement(s, QUERY_INDEX + i, text);
    }
    return s;
}

static void sqlite_detach(void *session) {
    struct sqlite_session *s = session;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(s->statement[i]);
    sqlite3_close(s->db);
    blobs_free(&s->blobs);
    free(s);
}

static void bind_text(sqlite3_stmt *st, int at, const char *text, size_t bytes) {
    sqlite3_bind_text(st, at, text, (int)bytes, SQLITE_STATIC);
}

static sqlite3_stmt *bind_key(struct sqlite_session *s, int which, const struct bench_key *key) {
    sqlite3_stmt *st = s->statement[which];
    bind_text(st, 1, key->pk, PK_BYTES);
    bind_text(st, 2, key->sk, SK_BYTES);
    return st;
}

static void finish(struct sqlite_session *s, sqlite3_stmt *st, const char *what) {
    must(s, sqlite3_step(st), what);
    must(s, sqlite3_reset(st), what);
}

static unsigned copy_rows(struct sqlite_session *s, sqlite3_stmt *st) {
    unsigned count = 0;
    int r;
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        memcpy(s->buffer + (size_t)count % QUERY_LIMIT * s->blobs.bytes, sqlite3_column_blob(st, 1),
               (size_t)sqlite3_column_bytes(st, 1));
        count++;
    }
    must(s, r, "rows");
    sqlite3_reset(st);
    return count;
}

static uint64_t sqlite_get(void *session, const struct bench_key *key) {
    return copy_rows(session, bind_key(session, GET, key));
}

static unsigned sqlite_query(void *session, int index, uint64_t n) {
    struct sqlite_session *s = session;
    struct bench_key key;
    struct index_key ik;
    if (index < 0) {
        dataset_key(n, &key);
        return copy_rows(s, bind_key(s, QUERY, &key));
    }
    dataset_index_key(n, index, 0, &ik);
    sqlite3_stmt *st = s->statement[QUERY_INDEX + index];
    bind_text(st, 1, ik.partition, ik.partition_bytes);
    bind_text(st, 2, ik.sort, ik.sort_bytes);
    return copy_rows(s, st);
}

/* The table's. */
static unsigned sqlite_filter(void *session, int index, uint64_t n) {
    struct bench_key key;
    (void)index;
    dataset_key(n, &key);
    return copy_rows(session, bind_key(session, FILTER, &key));
}

static int update(struct sqlite_session *s, const struct write *w, int is_moved) {
    struct bench_key key;
    struct index_key ik[2];
    dataset_key(w->n, &key);
    sqlite3_stmt *st = bind_key(s, is_moved ? MOVE : PUT, &key);
    sqlite3_bind_blob(st, 3, w->prepared, (int)w->bytes, SQLITE_STATIC);
    for (int i = 0; is_moved && i < 2; i++) {
        dataset_index_key(w->n, i + 1, w->version, &ik[i]);
        bind_text(st, 4 + i, ik[i].sort, ik[i].sort_bytes);
    }
    finish(s, st, "update");
    return sqlite3_changes(s->db) > 0;
}

static int sqlite_put(void *session, const struct write *w, int is_new, int is_moved) {
    struct sqlite_session *s = session;
    struct bench_key key;
    struct index_key ik[INDEX_COUNT];
    if (!is_new)
        return update(s, w, is_moved);
    dataset_key(w->n, &key);
    sqlite3_stmt *st = bind_key(s, INSERT, &key);
    for (int i = 0; i < s->e->scene.indexes; i++) {
        dataset_index_key(w->n, i, w->version, &ik[i]);
        bind_text(st, 3 + 2 * i, ik[i].partition, ik[i].partition_bytes);
        bind_text(st, 4 + 2 * i, ik[i].sort, ik[i].sort_bytes);
    }
    sqlite3_bind_blob(st, 11, w->prepared, (int)w->bytes, SQLITE_STATIC);
    finish(s, st, "put");
    return 1;
}

static int sqlite_remove(void *session, uint64_t n) {
    struct sqlite_session *s = session;
    struct bench_key key;
    dataset_key(n, &key);
    finish(s, bind_key(s, REMOVE, &key), "delete");
    return sqlite3_changes(s->db) > 0;
}

static int change(struct sqlite_session *s, int which, const struct bench_key *key) {
    finish(s, bind_key(s, which, key), "change");
    return sqlite3_changes(s->db) > 0;
}

static int sqlite_count(void *session, const struct bench_key *key) {
    return change(session, COUNT, key);
}

static int sqlite_update(void *session, const struct bench_key *key) {
    return change(session, SET_IF, key);
}

static int sqlite_set(void *session, const struct bench_key *key) {
    return change(session, SET, key);
}

static int sqlite_put_if(void *session, const struct write *w) {
    struct sqlite_session *s = session;
    struct bench_key key;
    dataset_key(w->n, &key);
    sqlite3_bind_blob(s->statement[PUT_IF], 3, w->prepared, (int)w->bytes, SQLITE_STATIC);
    return change(s, PUT_IF, &key);
}

static int sqlite_put_four(void *session, const struct write *w, int is_transaction) {
    struct sqlite_session *s = session;
    int done = 1;
    if (is_transaction)
        finish(s, s->statement[BEGIN], "begin");
    for (unsigned i = 0; i < FOUR; i++)
        done &= update(s, &w[i], 0);
    if (is_transaction)
        finish(s, s->statement[COMMIT], "commit");
    return done;
}

static void sqlite_prepare(void *session, struct write *w) {
    blobs_prepare(&((struct sqlite_session *)session)->blobs, w);
}

static void sqlite_build(void *session, struct write *w) {
    blobs_build(&((struct sqlite_session *)session)->blobs, w);
}

static void *sqlite_create(const struct scene *scene, const char **why) {
    struct sqlite_engine *e = calloc(1, sizeof *e);
    (void)why;
    e->scene = *scene;
    snprintf(e->path, sizeof e->path, "%s/sqlite.db", scene->folder);
    struct sqlite_session *s = sqlite_attach(e);
    sql(s, "BEGIN");
    for (uint64_t n = 0; n < scene->items; n++) {
        struct write w = {.n = n, .prepared = s->buffer, .bytes = s->blobs.bytes};
        blob_fill(n, 0, s->buffer, s->blobs.bytes);
        sqlite_put(s, &w, 1, 0);
    }
    sql(s, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
    sqlite_detach(s);
    return e;
}

static void sqlite_destroy(void *engine) {
    struct sqlite_engine *e = engine;
    static const char *const tails[] = {"", "-wal", "-shm"};
    char file[160];
    for (int i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s%s", e->path, tails[i]);
        unlink(file);
    }
    free(e);
}

static uint64_t sqlite_copied(void *session, unsigned i) {
    struct sqlite_session *s = session;
    return blob_number(s->buffer + (size_t)i * s->blobs.bytes);
}

const struct engine engine_sqlite = {
    .name = "sqlite",
    .setup = "tmpfs, WAL, synchronous=OFF, mmap, WITHOUT ROWID, prepared statements; indexes are SQL indexes",
    .can = CAN_QUERY | CAN_INDEX | CAN_SHARE | CAN_COUNT | CAN_WRITE | CAN_DECIDE,
    .create = sqlite_create,
    .destroy = sqlite_destroy,
    .attach = sqlite_attach,
    .detach = sqlite_detach,
    .prepare = sqlite_prepare,
    .build = sqlite_build,
    .get = sqlite_get,
    .query = sqlite_query,
    .put = sqlite_put,
    .remove = sqlite_remove,
    .count = sqlite_count,
    .put_if = sqlite_put_if,
    .update = sqlite_update,
    .set = sqlite_set,
    .add = sqlite_count,
    .filter = sqlite_filter,
    .put_four = sqlite_put_four,
    .copied = sqlite_copied,
};
