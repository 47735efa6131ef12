/* bench/engine_redis.c - Redis on a Unix socket, nothing written to disk, through hiredis. See
 * bench/engine.h.
 *
 * Setup    "100 at once" is a pipeline of 100 GETs, as its documentation advises ("Redis
 *          pipelining").
 * Index    A sorted set for each partition with equal scores, whose members sort by their bytes
 *          ("Secondary indexing", lexicographical indexes), written with the item in one MULTI.
 */
#include "bench/engine.h"
#include "bench/fail.h"
#include "bench/server.h"
#include <hiredis/hiredis.h>
#include <string.h>
#include <unistd.h>

#define BATCH 1000

struct redis_engine {
    struct scene scene;
    char socket[104];
    pid_t pid;
};

struct redis_session {
    struct redis_engine *e;
    redisContext *c;
    struct blobs blobs;
    char buffer[1 << 20];
};

static redisReply *take(struct redis_session *s) {
    redisReply *reply = NULL;
    if (redisGetReply(s->c, (void **)&reply) != REDIS_OK)
        fail("redis: %s", s->c->errstr);
    if (reply->type == REDIS_REPLY_ERROR)
        fail("redis: %s", reply->str);
    return reply;
}

static void skip(struct redis_session *s, unsigned count) {
    while (count-- > 0)
        freeReplyObject(take(s));
}

static void *redis_attach(void *engine) {
    struct redis_session *s = calloc(1, sizeof *s);
    s->e = engine;
    s->blobs.bytes = s->e->scene.item_bytes;
    s->c = redisConnectUnix(s->e->socket);
    if (!s->c || s->c->err)
        fail("redis: %s", s->c ? s->c->errstr : "no memory");
    return s;
}

static void redis_detach(void *session) {
    struct redis_session *s = session;
    redisFree(s->c);
    blobs_free(&s->blobs);
    free(s);
}

/* Member of a sorted set: sort key, 0, primary key. */
static size_t member(uint64_t n, const struct index_key *ik, char *to) {
    char *at = mempcpy(to, ik->sort, ik->sort_bytes);
    *at++ = 0;
    dataset_key(n, (struct bench_key *)at);
    return (size_t)(at - to) + KEY_BYTES;
}

static unsigned append_entries(struct redis_session *s, uint64_t n, uint32_t version, const char *verb,
                               int only_moved) {
    unsigned count = 0;
    for (int i = 0; i < s->e->scene.indexes; i++) {
        struct index_key ik;
        char text[INDEX_KEY_MAX + 1 + KEY_BYTES];
        if (only_moved && i != 1 && i != 2)
            continue;
        dataset_index_key(n, i, version, &ik);
        size_t bytes = member(n, &ik, text);
        if (verb[1] == 'A')
            redisAppendCommand(s->c, "ZADD %d:%b 0 %b", i, ik.partition, (size_t)ik.partition_bytes, text, bytes);
        else
            redisAppendCommand(s->c, "ZREM %d:%b %b", i, ik.partition, (size_t)ik.partition_bytes, text, bytes);
        count++;
    }
    return count;
}

/* Appended, not yet sent. Returns the number of replies to come. */
static unsigned append_put(struct redis_session *s, const struct write *w, int is_new, int is_moved) {
    struct bench_key key;
    unsigned count = 1;
    int is_several = s->e->scene.indexes && (is_new || is_moved);
    dataset_key(w->n, &key);
    if (is_several)
        redisAppendCommand(s->c, "MULTI"), count++;
    redisAppendCommand(s->c, "SET %b %b", &key, (size_t)KEY_BYTES, w->prepared, (size_t)w->bytes);
    if (is_moved)
        count += append_entries(s, w->n, w->old_version, "ZREM", 1);
    if (is_several)
        count += append_entries(s, w->n, w->version, "ZADD", is_moved);
    if (is_several)
        redisAppendCommand(s->c, "EXEC"), count++;
    return count;
}

static int redis_put(void *session, const struct write *w, int is_new, int is_moved) {
    struct redis_session *s = session;
    skip(s, append_put(s, w, is_new, is_moved));
    return 1;
}

static int redis_remove(void *session, uint64_t n) {
    struct redis_session *s = session;
    struct bench_key key;
    dataset_key(n, &key);
    redisAppendCommand(s->c, "MULTI");
    redisAppendCommand(s->c, "DEL %b", &key, (size_t)KEY_BYTES);
    unsigned count = append_entries(s, n, 0, "ZREM", 0);
    redisAppendCommand(s->c, "EXEC");
    skip(s, count + 3);
    return 1;
}

static uint64_t copy_reply(struct redis_session *s, const redisReply *reply, size_t at) {
    if (reply->type != REDIS_REPLY_STRING)
        return 0;
    memcpy(s->buffer + at, reply->str, reply->len);
    return reply->len;
}

static uint64_t redis_get(void *session, const struct bench_key *key) {
    struct redis_session *s = session;
    redisAppendCommand(s->c, "GET %b", key, (size_t)KEY_BYTES);
    redisReply *reply = take(s);
    uint64_t bytes = copy_reply(s, reply, 0);
    freeReplyObject(reply);
    return bytes;
}

static uint64_t redis_get_many(void *session, const struct bench_key *keys, unsigned count) {
    struct redis_session *s = session;
    uint64_t found = 0;
    for (unsigned i = 0; i < count; i++)
        redisAppendCommand(s->c, "GET %b", &keys[i], (size_t)KEY_BYTES);
    for (unsigned i = 0; i < count; i++) {
        redisReply *reply = take(s);
        found += copy_reply(s, reply, (size_t)i * s->blobs.bytes) != 0;
        freeReplyObject(reply);
    }
    return found;
}

static unsigned redis_query(void *session, int index, uint64_t n) {
    struct redis_session *s = session;
    struct index_key ik;
    struct bench_key keys[QUERY_LIMIT];
    unsigned count = 0;
    dataset_index_key(n, index, 0, &ik);
    redisAppendCommand(s->c, "ZRANGE %d:%b [%b + BYLEX LIMIT 0 %d", index, ik.partition, (size_t)ik.partition_bytes,
                       ik.sort, (size_t)ik.sort_bytes, (int)QUERY_LIMIT);
    redisReply *reply = take(s);
    for (size_t i = 0; i < reply->elements && count < QUERY_LIMIT; i++) {
        const redisReply *m = reply->element[i];
        memcpy(&keys[count++], m->str + m->len - KEY_BYTES, KEY_BYTES);
    }
    freeReplyObject(reply);
    return (unsigned)redis_get_many(s, keys, count);
}

static int redis_count(void *session, const struct bench_key *key) {
    struct redis_session *s = session;
    redisAppendCommand(s->c, "INCR c:%b", key, (size_t)KEY_BYTES);
    skip(s, 1);
    return 1;
}

static void redis_prepare(void *session, struct write *w) {
    blobs_prepare(&((struct redis_session *)session)->blobs, w);
}

static void redis_build(void *session, struct write *w) {
    blobs_build(&((struct redis_session *)session)->blobs, w);
}

static void load(struct redis_engine *e) {
    struct redis_session *s = redis_attach(e);
    unsigned replies = 0;
    for (uint64_t n = 0; n < e->scene.items; n++) {
        struct write w = {.n = n, .prepared = s->buffer, .bytes = s->blobs.bytes};
        blob_fill(n, 0, s->buffer, s->blobs.bytes);
        replies += append_put(s, &w, 1, 0);
        if (replies >= BATCH)
            skip(s, replies), replies = 0;
    }
    skip(s, replies);
    redis_detach(s);
}

static void *redis_create(const struct scene *scene, const char **why) {
    struct redis_engine *e = calloc(1, sizeof *e);
    e->scene = *scene;
    snprintf(e->socket, sizeof e->socket, "%s/redis", scene->folder);
    const char *const argv[] = {"redis-server", "--port", "0",     "--unixsocket", e->socket, "--save", "",
                                "--appendonly", "no",     "--dir", "/tmp",         NULL};
    e->pid = server_start(argv, e->socket, why);
    if (!e->pid) {
        free(e);
        return NULL;
    }
    load(e);
    return e;
}

static void redis_destroy(void *engine) {
    struct redis_engine *e = engine;
    server_stop(e->pid);
    unlink(e->socket);
    free(e);
}

static uint64_t redis_copied(void *session, unsigned i) {
    struct redis_session *s = session;
    return blob_number(s->buffer + (size_t)i * s->blobs.bytes);
}

const struct engine engine_redis = {
    .name = "redis",
    .setup =
        "Unix socket, no persistence, hiredis; 100 at once is a pipeline; indexes are sorted sets, written in MULTI",
    .can = CAN_READ_AT_ONCE | CAN_INDEX | CAN_SHARE | CAN_COUNT | CAN_WRITE,
    .create = redis_create,
    .destroy = redis_destroy,
    .attach = redis_attach,
    .detach = redis_detach,
    .prepare = redis_prepare,
    .build = redis_build,
    .get = redis_get,
    .get_many = redis_get_many,
    .query = redis_query,
    .put = redis_put,
    .remove = redis_remove,
    .count = redis_count,
    .copied = redis_copied,
};
