/* sqlite.c - the tasks of examples/README.md ("Beside LMDB and SQLite"), with SQLite ("An
 * Introduction To The SQLite C/C++ Interface"). */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static sqlite3 *db;
static sqlite3_stmt *put_stmt, *get_stmt, *newest_stmt, *set_stmt;

static int must(int result) {
    if (result != SQLITE_OK && result != SQLITE_ROW && result != SQLITE_DONE)
        exit((fprintf(stderr, "%s: %s\n", sqlite3_errstr(result), sqlite3_errmsg(db)), 1));
    return result;
}

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *stmt;
    must(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL));
    return stmt;
}

static void bind_text(sqlite3_stmt *stmt, int place, const char *text) {
    must(sqlite3_bind_text(stmt, place, text, -1, SQLITE_STATIC));
}

/* task: open */
static void open_all(const char *path) {
    must(sqlite3_open(path, &db));
    must(sqlite3_busy_timeout(db, 2000));
    must(sqlite3_exec(db,
                      "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
                      "CREATE TABLE IF NOT EXISTS jobs (shop TEXT, id TEXT, shop_status TEXT, created INTEGER, "
                      "PRIMARY KEY (shop, id)) WITHOUT ROWID;"
                      "CREATE INDEX IF NOT EXISTS by_status ON jobs (shop_status, created);",
                      NULL, NULL, NULL));
    put_stmt = prepare("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?)");
    get_stmt = prepare("SELECT created FROM jobs WHERE shop = ? AND id = ?");
    newest_stmt = prepare("SELECT id, created FROM jobs WHERE shop_status = ?1 AND (created, shop, id) < (?2, ?3, ?4) "
                          "ORDER BY created DESC, shop DESC, id DESC LIMIT ?5");
    set_stmt = prepare("UPDATE jobs SET shop_status = ?3 WHERE shop = ?1 AND id = ?2");
}

/* task: put */
static void put_job(const char *shop, const char *id, const char *shop_status, sqlite3_int64 created) {
    bind_text(put_stmt, 1, shop);
    bind_text(put_stmt, 2, id);
    bind_text(put_stmt, 3, shop_status);
    must(sqlite3_bind_int64(put_stmt, 4, created));
    must(sqlite3_step(put_stmt));
    must(sqlite3_reset(put_stmt));
}

/* task: get */
static sqlite3_int64 created_of(const char *shop, const char *id) {
    sqlite3_int64 created = -1;
    bind_text(get_stmt, 1, shop);
    bind_text(get_stmt, 2, id);
    if (must(sqlite3_step(get_stmt)) == SQLITE_ROW)
        created = sqlite3_column_int64(get_stmt, 0);
    must(sqlite3_reset(get_stmt)); /* else the read transaction stays open */
    return created;
}

/* task: newest of an index, page by page */
static void print_newest(const char *shop, const char *shop_status, int page_items) {
    sqlite3_int64 after = INT64_MAX;
    char after_id[64] = "";
    int count;
    do {
        bind_text(newest_stmt, 1, shop_status);
        must(sqlite3_bind_int64(newest_stmt, 2, after));
        bind_text(newest_stmt, 3, shop);
        must(sqlite3_bind_text(newest_stmt, 4, after_id, -1, SQLITE_TRANSIENT)); /* which changes */
        must(sqlite3_bind_int(newest_stmt, 5, page_items));
        for (count = 0; must(sqlite3_step(newest_stmt)) == SQLITE_ROW; count++) {
            snprintf(after_id, sizeof after_id, "%s", (const char *)sqlite3_column_text(newest_stmt, 0));
            after = sqlite3_column_int64(newest_stmt, 1);
            printf("%s\n", after_id);
        }
        must(sqlite3_reset(newest_stmt));
    } while (count == page_items);
}

/* task: a job changes its status, if it has not changed meanwhile */
static int set_status(const char *shop, const char *id, const char *shop_status) {
    bind_text(set_stmt, 1, shop);
    bind_text(set_stmt, 2, id);
    bind_text(set_stmt, 3, shop_status);
    must(sqlite3_step(set_stmt));
    must(sqlite3_reset(set_stmt));
    return sqlite3_changes(db) == 1;
}
/* end */

int main(int argc, char **argv) {
    open_all(argc > 1 ? argv[1] : "./compare.sqlite");
    put_job("one", "job1", "one#QUEUED", 1);
    put_job("one", "job2", "one#QUEUED", 2);
    put_job("one", "job3", "one#QUEUED", 3);
    printf("%lld %lld\n", created_of("one", "job2"), created_of("one", "none"));
    print_newest("one", "one#QUEUED", 2);
    printf("%d %d\n", set_status("one", "job2", "one#DONE"), set_status("one", "none", "one#DONE"));
    print_newest("one", "one#QUEUED", 2);
    sqlite3_finalize(put_stmt);
    sqlite3_finalize(get_stmt);
    sqlite3_finalize(newest_stmt);
    sqlite3_finalize(set_stmt);
    must(sqlite3_close(db));
    return 0;
}
