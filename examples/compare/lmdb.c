/* lmdb.c - the tasks of examples/README.md ("Beside LMDB and SQLite"), with LMDB (lmdb.h, "Getting
 * Started"). */
#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void must(int result) {
    if (result != 0)
        exit((fprintf(stderr, "%s\n", mdb_strerror(result)), 1));
}

static MDB_env *env;
static MDB_dbi jobs, by_status;

/* task: keys and values, by hand */
/* The value of a job. Its key: shop, 0, id. Its key in the index: status, 0, created, highest byte
 * first. */
struct job {
    int64_t created;
    char shop_status[48];
};

/* task: open */
static void open_all(const char *path) {
    MDB_txn *txn;
    (void)mkdir(path, 0700); /* may be there */
    must(mdb_env_create(&env));
    must(mdb_env_set_mapsize(env, 64u << 20));
    must(mdb_env_set_maxdbs(env, 2));
    must(mdb_env_open(env, path, MDB_NOSYNC, 0600));
    must(mdb_txn_begin(env, NULL, 0, &txn));
    must(mdb_dbi_open(txn, "jobs", MDB_CREATE, &jobs));
    must(mdb_dbi_open(txn, "by_status", MDB_CREATE | MDB_DUPSORT, &by_status));
    must(mdb_txn_commit(txn));
}

/* task: keys and values, by hand */
static MDB_val job_key(char buffer[128], const char *shop, const char *id) {
    int bytes = snprintf(buffer, 128, "%s%c%s", shop, 0, id);
    if (bytes >= 128)
        exit(1);
    return (MDB_val){(size_t)bytes, buffer};
}

static MDB_val status_key(char buffer[128], const char *shop_status, int64_t created) {
    size_t bytes = strlen(shop_status) + 1;
    if (bytes + 8 > 128)
        exit(1);
    memcpy(buffer, shop_status, bytes);
    uint64_t sortable = (uint64_t)created ^ (UINT64_C(1) << 63);
    for (int i = 0; i < 8; i++)
        buffer[bytes + (size_t)i] = (char)(sortable >> (56 - 8 * i));
    return (MDB_val){bytes + 8, buffer};
}

/* task: put */
static void put_in(MDB_txn *txn, const char *shop, const char *id, const char *shop_status, int64_t created) {
    char buffer[128], old_buffer[128], new_buffer[128];
    struct job job = {.created = created}, old;
    MDB_val key = job_key(buffer, shop, id), value = {sizeof job, &job}, found, old_key, new_key;
    snprintf(job.shop_status, sizeof job.shop_status, "%s", shop_status);
    int r = mdb_get(txn, jobs, &key, &found);
    if (r == 0) { /* else the index would keep the entry of the job before */
        memcpy(&old, found.mv_data, sizeof old);
        old_key = status_key(old_buffer, old.shop_status, old.created);
        must(mdb_del(txn, by_status, &old_key, &key));
    } else if (r != MDB_NOTFOUND)
        must(r);
    must(mdb_put(txn, jobs, &key, &value, 0));
    new_key = status_key(new_buffer, shop_status, created);
    must(mdb_put(txn, by_status, &new_key, &key, 0));
}

static void put_job(const char *shop, const char *id, const char *shop_status, int64_t created) {
    MDB_txn *txn;
    must(mdb_txn_begin(env, NULL, 0, &txn));
    put_in(txn, shop, id, shop_status, created);
    must(mdb_txn_commit(txn));
}

/* task: get */
static int64_t created_of(const char *shop, const char *id) {
    MDB_txn *txn;
    char buffer[128];
    MDB_val key = job_key(buffer, shop, id), value;
    struct job job = {.created = -1};
    must(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
    int r = mdb_get(txn, jobs, &key, &value);
    if (r == 0)
        memcpy(&job, value.mv_data, sizeof job); /* ends with the transaction; not aligned */
    mdb_txn_abort(txn);
    if (r != MDB_NOTFOUND)
        must(r);
    return job.created;
}

/* task: newest of an index, page by page */
static void print_newest(const char *shop_status, unsigned page_items) {
    MDB_txn *txn;
    MDB_cursor *cursor;
    char buffer[128];
    MDB_val key = status_key(buffer, shop_status, INT64_MAX), found = key, job;
    size_t prefix = strlen(shop_status) + 1;
    (void)page_items; /* no pages: the transaction is open to the end, and the file grows */
    must(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
    must(mdb_cursor_open(txn, by_status, &cursor));
    int r = mdb_cursor_get(cursor, &found, &job, MDB_SET_RANGE); /* the end, or after it */
    if (r == 0 && (found.mv_size != key.mv_size || memcmp(found.mv_data, key.mv_data, key.mv_size) != 0))
        r = mdb_cursor_get(cursor, &found, &job, MDB_PREV);
    else if (r == 0)
        r = mdb_cursor_get(cursor, &found, &job, MDB_LAST_DUP);
    else if (r == MDB_NOTFOUND)
        r = mdb_cursor_get(cursor, &found, &job, MDB_LAST);
    for (; r == 0 && found.mv_size == prefix + 8 && memcmp(found.mv_data, shop_status, prefix) == 0;
         r = mdb_cursor_get(cursor, &found, &job, MDB_PREV)) {
        const char *id = (const char *)job.mv_data + strlen(job.mv_data) + 1;
        printf("%.*s\n", (int)((const char *)job.mv_data + job.mv_size - id), id);
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    if (r != 0 && r != MDB_NOTFOUND)
        must(r);
}

/* task: a job changes its status, if it has not changed meanwhile */
static int set_status(const char *shop, const char *id, const char *shop_status) {
    MDB_txn *txn;
    char buffer[128];
    struct job job;
    MDB_val key = job_key(buffer, shop, id), value;
    must(mdb_txn_begin(env, NULL, 0, &txn)); /* one writer at a time: nothing changes meanwhile */
    int r = mdb_get(txn, jobs, &key, &value);
    if (r != 0) {
        mdb_txn_abort(txn);
        if (r != MDB_NOTFOUND)
            must(r);
        return 0;
    }
    memcpy(&job, value.mv_data, sizeof job); /* the next put may move it */
    put_in(txn, shop, id, shop_status, job.created);
    must(mdb_txn_commit(txn));
    return 1;
}
/* end */

int main(int argc, char **argv) {
    open_all(argc > 1 ? argv[1] : "./compare.lmdb");
    put_job("one", "job1", "one#QUEUED", 1);
    put_job("one", "job2", "one#QUEUED", 2);
    put_job("one", "job3", "one#QUEUED", 3);
    printf("%lld %lld\n", (long long)created_of("one", "job2"), (long long)created_of("one", "none"));
    print_newest("one#QUEUED", 2);
    printf("%d %d\n", set_status("one", "job2", "one#DONE"), set_status("one", "none", "one#DONE"));
    print_newest("one#QUEUED", 2);
    mdb_env_close(env);
    return 0;
}
