/* bench/straight.c - each peer by a straight program: does the harness hold any of them back?
 *
 * Method   One process, one loop, the calls that the peer's own documentation gives for it, no
 *          engine.h between. 500,000 items of 300 bytes with 55-byte keys and no index, as in the
 *          scene "plain": random gets, puts of random items whose value is laid out from its parts
 *          each time, 20-item ranges as loaded and after as many random puts. bench/README.md has
 *          the results beside the report's figures; they should be within a tenth.
 * Usage    larder_straight [NAME...]
 */
#include "bench/clock.h"
#include "bench/dataset.h"
#include "bench/fail.h"
#include "bench/server.h"
#include "larder.h"
#include <db.h>
#include <hiredis/hiredis.h>
#include <lmdb.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ITEMS 500000u
#define ITEM_BYTES 300u
#define MEASURE_NS 1000000000u

struct peer {
    const char *name;
    void (*open)(void), (*get)(uint64_t n), (*put)(uint64_t n), (*query)(uint64_t n), (*close)(void);
    void (*begin_load)(void), (*end_load)(void); /* NULL: each put by itself */
};

static char folder[64], path[96], copy[20 * ITEM_BYTES];

static char *in_folder(const char *name) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static uint64_t drawn;
static uint64_t any_item(void) {
    return dataset_mix(++drawn) % ITEMS;
}

/* The item's parts, side by side. */
static const char *value_of(uint64_t n, struct bench_key *key) {
    static char value[ITEM_BYTES];
    static struct item_values v;
    dataset_values(n, 0, 0, ITEM_BYTES, 0, &v);
    *key = v.key;
    char *at = mempcpy(value, &v.key, KEY_BYTES);
    memcpy(at, v.data, (size_t)(value + ITEM_BYTES - at));
    return value;
}

/* ---- Larder ---------------------------------------------------------------------------------- */

static struct larder *db;
static struct larder_table *table;
static struct larder_builder *builder;
static struct larder_page *page;

static void need(int result) {
    if (result != LARDER_OK)
        fail("larder: %s: %s", larder_result_name(result), larder_error());
}

static struct larder_value text(const char *data, size_t bytes) {
    return (struct larder_value){.type = LARDER_S, .data = data, .bytes = bytes};
}

static void engine_begin(void) {
    struct larder_options o = {
        .segment = in_folder("segment"), .flags = LARDER_CREATE, .size_bytes = UINT64_C(512) << 20};
    struct larder_table_def def = {.name = "bench", .partition = {"PK", LARDER_S}, .sort = {"SK", LARDER_S}};
    need(larder_open(&o, &db));
    need(larder_table_create(db, &def));
    need(larder_table_open(db, "bench", &table));
    need(larder_builder_new(db, &builder));
    need(larder_page_new(db, &page));
}

static void engine_one_get(uint64_t n) {
    struct bench_key key;
    dataset_key(n, &key);
    struct larder_key k = {text(key.pk, PK_BYTES), text(key.sk, SK_BYTES)};
    need(larder_get(table, &k, page));
}

static void engine_one_put(uint64_t n) {
    const struct larder_item *item;
    struct item_values v;
    dataset_values(n, 0, 0, ITEM_BYTES, 0, &v);
    larder_builder_reset(builder);
    larder_builder_add_sn(builder, "PK", v.key.pk, PK_BYTES);
    larder_builder_add_sn(builder, "SK", v.key.sk, SK_BYTES);
    larder_builder_add_int(builder, "n", 0);
    larder_builder_add_sn(builder, "data", v.data, v.data_bytes);
    need(larder_builder_finish(builder, &item));
    need(larder_put(table, item, NULL));
}

static void engine_one_query(uint64_t n) {
    struct bench_key key;
    dataset_key(n, &key);
    struct larder_query_spec q = {.partition = text(key.pk, PK_BYTES),
                                  .sort_op = LARDER_SORT_GE,
                                  .sort_value = text(key.sk, SK_BYTES),
                                  .limit = QUERY_LIMIT};
    if (larder_query(table, &q, page) < 0 || larder_page_count(page) != QUERY_LIMIT)
        fail("larder: %u items: %s", larder_page_count(page), larder_error());
}

static void engine_end(void) {
    larder_close(db);
    larder_destroy(in_folder("segment"), LARDER_FORCE);
}

/* ---- LMDB: lmdb.h, "Getting Started" and mdb_env_open ---------------------------------------- */

static MDB_env *env;
static MDB_dbi dbi;
static MDB_txn *reader, *loader;

static void ok(int r) {
    if (r)
        fail("lmdb: %s", mdb_strerror(r));
}

static void lmdb_begin(void) {
    MDB_txn *txn;
    mkdir(in_folder("lmdb"), 0700);
    ok(mdb_env_create(&env));
    ok(mdb_env_set_mapsize(env, UINT64_C(2) << 30));
    ok(mdb_env_open(env, path, MDB_NOSYNC | MDB_WRITEMAP | MDB_NOMEMINIT | MDB_NORDAHEAD, 0600));
    ok(mdb_txn_begin(env, NULL, 0, &txn));
    ok(mdb_dbi_open(txn, NULL, 0, &dbi));
    ok(mdb_txn_commit(txn));
    ok(mdb_txn_begin(env, NULL, MDB_RDONLY, &reader));
    mdb_txn_reset(reader);
}

static void lmdb_one_get(uint64_t n) {
    struct bench_key key;
    MDB_val k = {KEY_BYTES, &key}, v;
    dataset_key(n, &key);
    ok(mdb_txn_renew(reader));
    ok(mdb_get(reader, dbi, &k, &v));
    memcpy(copy, v.mv_data, v.mv_size);
    mdb_txn_reset(reader);
}

static void lmdb_one_put(uint64_t n) {
    struct bench_key key;
    MDB_txn *txn = loader;
    MDB_val k = {KEY_BYTES, &key}, v = {ITEM_BYTES, (void *)value_of(n, &key)};
    if (!loader)
        ok(mdb_txn_begin(env, NULL, 0, &txn));
    ok(mdb_put(txn, dbi, &k, &v, 0));
    if (!loader)
        ok(mdb_txn_commit(txn));
}

static void lmdb_one_query(uint64_t n) {
    struct bench_key key;
    MDB_cursor *cursor;
    MDB_val k = {KEY_BYTES, &key}, v;
    unsigned count = 0;
    dataset_key(n, &key);
    ok(mdb_txn_renew(reader));
    ok(mdb_cursor_open(reader, dbi, &cursor));
    for (int r = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
         r == 0 && count < QUERY_LIMIT && memcmp(k.mv_data, key.pk, PK_BYTES) == 0;
         r = mdb_cursor_get(cursor, &k, &v, MDB_NEXT))
        memcpy(copy + (size_t)count++ * ITEM_BYTES, v.mv_data, v.mv_size);
    mdb_cursor_close(cursor);
    mdb_txn_reset(reader);
    if (count != QUERY_LIMIT)
        fail("lmdb: %u items", count);
}

static void lmdb_begin_load(void) {
    ok(mdb_txn_begin(env, NULL, 0, &loader));
}

static void lmdb_end_load(void) {
    ok(mdb_txn_commit(loader));
    loader = NULL;
}

static void lmdb_end(void) {
    mdb_txn_abort(reader);
    mdb_env_close(env);
    unlink(in_folder("lmdb/data.mdb"));
    unlink(in_folder("lmdb/lock.mdb"));
    rmdir(in_folder("lmdb"));
}

/* ---- Berkeley DB: reference guide, "Berkeley DB Concurrent Data Store applications" ---------- */

static DB_ENV *bdb_env;
static DB *bdb;

static void fine(int r) {
    if (r)
        fail("bdb: %s", db_strerror(r));
}

static void bdb_begin(void) {
    mkdir(in_folder("bdb"), 0700);
    fine(db_env_create(&bdb_env, 0));
    fine(bdb_env->set_cachesize(bdb_env, 1, 0, 1));
    fine(bdb_env->open(bdb_env, path, DB_CREATE | DB_INIT_CDB | DB_INIT_MPOOL, 0600));
    fine(db_create(&bdb, bdb_env, 0));
    fine(bdb->open(bdb, NULL, "items.db", NULL, DB_BTREE, DB_CREATE, 0600));
}

static void bdb_one_get(uint64_t n) {
    struct bench_key key;
    DBT k = {.data = &key, .size = KEY_BYTES}, v = {.data = copy, .ulen = sizeof copy, .flags = DB_DBT_USERMEM};
    dataset_key(n, &key);
    fine(bdb->get(bdb, NULL, &k, &v, 0));
}

static void bdb_one_put(uint64_t n) {
    struct bench_key key;
    DBT k = {.data = &key, .size = KEY_BYTES}, v = {.data = (void *)value_of(n, &key), .size = ITEM_BYTES};
    fine(bdb->put(bdb, NULL, &k, &v, 0));
}

static void bdb_one_query(uint64_t n) {
    struct bench_key key;
    char found[KEY_BYTES];
    DBC *cursor;
    unsigned count = 0;
    dataset_key(n, &key);
    memcpy(found, &key, KEY_BYTES);
    DBT k = {.data = found, .size = KEY_BYTES, .ulen = KEY_BYTES, .flags = DB_DBT_USERMEM},
        v = {.data = copy, .ulen = ITEM_BYTES, .flags = DB_DBT_USERMEM};
    fine(bdb->cursor(bdb, NULL, &cursor, 0));
    for (int r = cursor->get(cursor, &k, &v, DB_SET_RANGE);
         r == 0 && count < QUERY_LIMIT && memcmp(found, key.pk, PK_BYTES) == 0;
         r = cursor->get(cursor, &k, &v, DB_NEXT))
        v.data = copy + (size_t)++count % QUERY_LIMIT * ITEM_BYTES;
    fine(cursor->close(cursor));
    if (count != QUERY_LIMIT)
        fail("bdb: %u items", count);
}

static void bdb_end(void) {
    fine(bdb->close(bdb, DB_NOSYNC));
    fine(bdb_env->close(bdb_env, 0));
    fine(db_env_create(&bdb_env, 0)); /* a fresh handle, to remove the regions' files */
    fine(bdb_env->remove(bdb_env, in_folder("bdb"), DB_FORCE));
    unlink(in_folder("bdb/items.db"));
    rmdir(in_folder("bdb"));
}

/* ---- SQLite: sqlite.org, "PRAGMA", "WITHOUT ROWID" ------------------------------------------- */

static sqlite3 *sqlite;
static sqlite3_stmt *select_one, *select_range, *upsert;

static void sql(const char *statement) {
    if (sqlite3_exec(sqlite, statement, NULL, NULL, NULL))
        fail("sqlite: %s", sqlite3_errmsg(sqlite));
}

static sqlite3_stmt *prepared(const char *statement) {
    sqlite3_stmt *st;
    if (sqlite3_prepare_v3(sqlite, statement, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL))
        fail("sqlite: %s", sqlite3_errmsg(sqlite));
    return st;
}

static void sqlite_begin(void) {
    if (sqlite3_open(in_folder("sqlite"), &sqlite))
        fail("sqlite: %s", sqlite3_errmsg(sqlite));
    sql("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA mmap_size=17179869184; PRAGMA cache_size=-262144;"
        "CREATE TABLE items (pk TEXT, sk TEXT, data BLOB, PRIMARY KEY (pk, sk)) WITHOUT ROWID");
    select_one = prepared("SELECT data FROM items WHERE pk=? AND sk=?");
    select_range = prepared("SELECT data FROM items WHERE pk=? AND sk>=? ORDER BY sk LIMIT 20");
    upsert = prepared("INSERT OR REPLACE INTO items VALUES (?,?,?)");
}

static void bind_key(sqlite3_stmt *st, const struct bench_key *key) {
    sqlite3_bind_text(st, 1, key->pk, PK_BYTES, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, key->sk, SK_BYTES, SQLITE_STATIC);
}

static void sqlite_rows(sqlite3_stmt *st, uint64_t n, unsigned wanted) {
    struct bench_key key;
    unsigned count = 0;
    dataset_key(n, &key);
    bind_key(st, &key);
    while (sqlite3_step(st) == SQLITE_ROW)
        memcpy(copy + (size_t)count++ % QUERY_LIMIT * ITEM_BYTES, sqlite3_column_blob(st, 0), ITEM_BYTES);
    sqlite3_reset(st);
    if (count != wanted)
        fail("sqlite: %u items", count);
}

static void sqlite_one_get(uint64_t n) {
    sqlite_rows(select_one, n, 1);
}

static void sqlite_one_query(uint64_t n) {
    sqlite_rows(select_range, n, QUERY_LIMIT);
}

static void sqlite_one_put(uint64_t n) {
    struct bench_key key;
    sqlite3_bind_blob(upsert, 3, value_of(n, &key), ITEM_BYTES, SQLITE_STATIC);
    bind_key(upsert, &key);
    if (sqlite3_step(upsert) != SQLITE_DONE)
        fail("sqlite: %s", sqlite3_errmsg(sqlite));
    sqlite3_reset(upsert);
}

static void sqlite_begin_load(void) {
    sql("BEGIN");
}

static void sqlite_end_load(void) {
    sql("COMMIT");
}

static void sqlite_end(void) {
    sqlite3_finalize(select_one);
    sqlite3_finalize(select_range);
    sqlite3_finalize(upsert);
    sqlite3_close(sqlite);
    unlink(in_folder("sqlite"));
}

/* ---- Redis and memcached, on a Unix socket --------------------------------------------------- */

static pid_t server;
static redisContext *redis;

static pid_t start_server(const char *const argv[], const char *socket) {
    const char *why = "";
    pid_t pid = server_start(argv, socket, &why);
    if (pid == 0)
        fail("%s: %s", argv[0], why);
    return pid;
}

static void redis_begin(void) {
    in_folder("redis");
    server = start_server(
        (const char *[]){"redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", NULL},
        path);
    redis = redisConnectUnix(path);
}

static void redis_reply(redisReply *reply, int type) {
    if (!reply || reply->type != type)
        fail("redis: another reply");
    if (type == REDIS_REPLY_STRING)
        memcpy(copy, reply->str, reply->len);
    freeReplyObject(reply);
}

static void redis_one_get(uint64_t n) {
    struct bench_key key;
    dataset_key(n, &key);
    redis_reply(redisCommand(redis, "GET %b", &key, (size_t)KEY_BYTES), REDIS_REPLY_STRING);
}

static void redis_one_put(uint64_t n) {
    struct bench_key key;
    const char *value = value_of(n, &key);
    redis_reply(redisCommand(redis, "SET %b %b", &key, (size_t)KEY_BYTES, value, (size_t)ITEM_BYTES),
                REDIS_REPLY_STATUS);
}

static void redis_end(void) {
    redisFree(redis);
    server_stop(server);
    unlink(in_folder("redis"));
}

static int fd;

static void memcached_begin(void) {
    in_folder("memcached");
    server = start_server((const char *[]){"memcached", "-u", "root", "-s", path, "-m", "1024", "-t", "1", NULL}, path);
    fd = server_connect(path);
}

/* One request, and its answer up to these last bytes. */
static void ask(const char *request, size_t bytes, const char *end) {
    static char answer[4096];
    size_t have = 0, end_bytes = strlen(end);
    if (send(fd, request, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
        fail("memcached: not sent");
    while (have < end_bytes || memcmp(answer + have - end_bytes, end, end_bytes) != 0) {
        ssize_t got = recv(fd, answer + have, sizeof answer - have, 0);
        if (got <= 0)
            fail("memcached: the connection was lost");
        have += (size_t)got;
    }
    memcpy(copy, answer, have < ITEM_BYTES ? have : ITEM_BYTES);
}

static void memcached_one_get(uint64_t n) {
    char request[128];
    struct bench_key key;
    dataset_key(n, &key);
    char *at = mempcpy(mempcpy(mempcpy(request, "get ", 4), &key, KEY_BYTES), "\r\n", 2);
    ask(request, (size_t)(at - request), "END\r\n");
}

static void memcached_one_put(uint64_t n) {
    static char request[512];
    struct bench_key key;
    const char *value = value_of(n, &key);
    char *at = mempcpy(mempcpy(request, "set ", 4), &key, KEY_BYTES);
    at += sprintf(at, " 0 0 %u\r\n", ITEM_BYTES);
    at = mempcpy(mempcpy(at, value, ITEM_BYTES), "\r\n", 2);
    ask(request, (size_t)(at - request), "STORED\r\n");
}

static void memcached_end(void) {
    close(fd);
    server_stop(server);
    unlink(in_folder("memcached"));
}

/* ---- Measuring ------------------------------------------------------------------------------- */

static const struct peer peers[] = {
    {"larder", engine_begin, engine_one_get, engine_one_put, engine_one_query, engine_end, NULL, NULL},
    {"lmdb", lmdb_begin, lmdb_one_get, lmdb_one_put, lmdb_one_query, lmdb_end, lmdb_begin_load, lmdb_end_load},
    {"bdb", bdb_begin, bdb_one_get, bdb_one_put, bdb_one_query, bdb_end, NULL, NULL},
    {"sqlite", sqlite_begin, sqlite_one_get, sqlite_one_put, sqlite_one_query, sqlite_end, sqlite_begin_load,
     sqlite_end_load},
    {"redis", redis_begin, redis_one_get, redis_one_put, NULL, redis_end, NULL, NULL},
    {"memcached", memcached_begin, memcached_one_get, memcached_one_put, NULL, memcached_end, NULL, NULL},
};

static void measure(void (*call)(uint64_t n), int is_query) {
    uint64_t calls = 0, start_ns = clock_ns(), now_ns = start_ns;
    if (!call) {
        printf(" %12s", "-");
        return;
    }
    for (; now_ns - start_ns < MEASURE_NS; now_ns = clock_ns())
        for (unsigned i = 0; i < 64; i++, calls++) {
            uint64_t n = any_item();
            call(is_query ? n - n % PARTITION_ITEMS + n % (PARTITION_ITEMS - QUERY_LIMIT) : n);
        }
    printf(" %12.0f", (double)calls / ((double)(now_ns - start_ns) * 1e-9));
    fflush(stdout);
}

static void run(const struct peer *p) {
    printf("%-10s", p->name);
    p->open();
    if (p->begin_load)
        p->begin_load();
    for (uint64_t n = 0; n < ITEMS; n++)
        p->put(n);
    if (p->end_load)
        p->end_load();
    measure(p->get, 0);
    measure(p->query, 1);
    measure(p->put, 0);
    for (uint64_t i = 0; i < ITEMS && p->query; i++)
        p->put(any_item());
    measure(p->query, 1);
    p->close();
    putchar('\n');
}

int main(int argc, char **argv) {
    snprintf(folder, sizeof folder, "/dev/shm/larder-straight-%d", (int)getpid());
    if (mkdir(folder, 0700))
        fail("%s: cannot be made", folder);
    printf("per second, one process, %u items of %u bytes, no index\n", ITEMS, ITEM_BYTES);
    printf("%-10s %12s %12s %12s %12s\n", "", "get", "query of 20", "put, built", "query, aged");
    for (unsigned i = 0; i < sizeof peers / sizeof *peers; i++) {
        int is_wanted = argc == 1;
        for (int a = 1; a < argc; a++)
            is_wanted |= strcmp(argv[a], peers[i].name) == 0;
        if (is_wanted)
            run(&peers[i]);
    }
    rmdir(folder);
    return 0;
}
