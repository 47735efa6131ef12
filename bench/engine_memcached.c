/* bench/engine_memcached.c - memcached on a Unix socket, two threads, text protocol. See
 * bench/engine.h.
 *
 * Setup    "100 at once" is one get with 100 keys (protocol.txt, "Retrieval command"). No indexes
 *          and no order.
 */
#include "bench/engine.h"
#include "bench/fail.h"
#include "bench/server.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 100

struct memcached_engine {
    struct scene scene;
    char socket[104];
    pid_t pid;
};

struct memcached_session {
    struct memcached_engine *e;
    int fd;
    struct blobs blobs;
    size_t have, at; /* received and not yet read: in[at..have) */
    char in[1 << 16], out[1 << 20], buffer[1 << 20];
};

static void *memcached_attach(void *engine) {
    struct memcached_session *s = calloc(1, sizeof *s);
    s->e = engine;
    s->blobs.bytes = s->e->scene.item_bytes;
    s->fd = server_connect(s->e->socket);
    return s;
}

static void memcached_detach(void *session) {
    struct memcached_session *s = session;
    close(s->fd);
    blobs_free(&s->blobs);
    free(s);
}

static void send_all(struct memcached_session *s, const char *from, size_t bytes) {
    while (bytes > 0) {
        ssize_t sent = send(s->fd, from, bytes, MSG_NOSIGNAL);
        if (sent <= 0)
            fail("memcached: the connection was lost");
        from += sent;
        bytes -= (size_t)sent;
    }
}

static void read_bytes(struct memcached_session *s, char *to, size_t bytes) {
    while (bytes > 0) {
        if (s->at == s->have) {
            ssize_t got = recv(s->fd, s->in, sizeof s->in, 0);
            if (got <= 0)
                fail("memcached: the connection was lost");
            s->at = 0;
            s->have = (size_t)got;
        }
        size_t part = s->have - s->at < bytes ? s->have - s->at : bytes;
        memcpy(to, s->in + s->at, part);
        s->at += part;
        to += part;
        bytes -= part;
    }
}

static size_t read_line(struct memcached_session *s, char *line, size_t room) {
    size_t n = 0;
    do
        read_bytes(s, &line[n], 1);
    while (line[n] != '\n' && ++n < room - 1);
    line[n] = 0;
    return n;
}

/* Reads "VALUE <key> <flags> <bytes>" and its bytes until "END". */
static uint64_t read_values(struct memcached_session *s) {
    char line[128], mark[2];
    uint64_t found = 0;
    while (read_line(s, line, sizeof line) && strncmp(line, "VALUE ", 6) == 0) {
        size_t bytes = strtoul(strrchr(line, ' '), NULL, 10);
        read_bytes(s, s->buffer + found % 100 * s->blobs.bytes, bytes);
        read_bytes(s, mark, 2);
        found++;
    }
    return found;
}

static uint64_t memcached_get_many(void *session, const struct bench_key *keys, unsigned count) {
    struct memcached_session *s = session;
    char *at = mempcpy(s->out, "get", 3);
    for (unsigned i = 0; i < count; i++) {
        *at++ = ' ';
        at = mempcpy(at, &keys[i], KEY_BYTES);
    }
    at = mempcpy(at, "\r\n", 2);
    send_all(s, s->out, (size_t)(at - s->out));
    return read_values(s);
}

static uint64_t memcached_get(void *session, const struct bench_key *key) {
    return memcached_get_many(session, key, 1);
}

static size_t write_set(const struct write *w, char *to, const char *tail) {
    struct bench_key key;
    dataset_key(w->n, &key);
    char *at = mempcpy(to, "set ", 4);
    at = mempcpy(at, &key, KEY_BYTES);
    at += sprintf(at, " 0 0 %u%s\r\n", w->bytes, tail);
    at = mempcpy(at, w->prepared, w->bytes);
    at = mempcpy(at, "\r\n", 2);
    return (size_t)(at - to);
}

static int memcached_put(void *session, const struct write *w, int is_new, int is_moved) {
    struct memcached_session *s = session;
    char line[128];
    (void)is_new, (void)is_moved;
    send_all(s, s->out, write_set(w, s->out, ""));
    read_line(s, line, sizeof line);
    return strncmp(line, "STORED", 6) == 0;
}

static int memcached_remove(void *session, uint64_t n) {
    struct memcached_session *s = session;
    struct bench_key key;
    char line[128];
    dataset_key(n, &key);
    char *at = mempcpy(s->out, "delete ", 7);
    at = mempcpy(at, &key, KEY_BYTES);
    at = mempcpy(at, "\r\n", 2);
    send_all(s, s->out, (size_t)(at - s->out));
    read_line(s, line, sizeof line);
    return strncmp(line, "DELETED", 7) == 0;
}

static void memcached_prepare(void *session, struct write *w) {
    blobs_prepare(&((struct memcached_session *)session)->blobs, w);
}

static void memcached_build(void *session, struct write *w) {
    blobs_build(&((struct memcached_session *)session)->blobs, w);
}

static void load(struct memcached_engine *e) {
    struct memcached_session *s = memcached_attach(e);
    struct bench_key probe;
    for (uint64_t n = 0; n < e->scene.items; n += BATCH) {
        size_t bytes = 0;
        for (uint64_t i = n; i < n + BATCH && i < e->scene.items; i++) {
            struct write w = {.n = i, .prepared = s->buffer, .bytes = s->blobs.bytes};
            blob_fill(i, 0, s->buffer, s->blobs.bytes);
            bytes += write_set(&w, s->out + bytes, " noreply");
        }
        send_all(s, s->out, bytes);
    }
    dataset_key(e->scene.items - 1, &probe); /* answered after all that was sent before */
    if (memcached_get(s, &probe) != 1)
        fail("memcached: not all items were taken");
    memcached_detach(s);
}

static void *memcached_create(const struct scene *scene, const char **why) {
    struct memcached_engine *e = calloc(1, sizeof *e);
    e->scene = *scene;
    snprintf(e->socket, sizeof e->socket, "%s/memcached", scene->folder);
    const char *const argv[] = {"memcached", "-u", "root", "-s", e->socket, "-m", "16384", "-t", "2", NULL};
    e->pid = server_start(argv, e->socket, why);
    if (!e->pid) {
        free(e);
        return NULL;
    }
    load(e);
    return e;
}

static void memcached_destroy(void *engine) {
    struct memcached_engine *e = engine;
    server_stop(e->pid);
    unlink(e->socket);
    free(e);
}

static uint64_t memcached_copied(void *session, unsigned i) {
    struct memcached_session *s = session;
    return blob_number(s->buffer + (size_t)i * s->blobs.bytes);
}

const struct engine engine_memcached = {
    .name = "memcached",
    .setup = "Unix socket, 2 threads, text protocol; 100 at once is one multi-key get",
    .can = CAN_READ_AT_ONCE | CAN_SHARE | CAN_WRITE,
    .create = memcached_create,
    .destroy = memcached_destroy,
    .attach = memcached_attach,
    .detach = memcached_detach,
    .prepare = memcached_prepare,
    .build = memcached_build,
    .get = memcached_get,
    .get_many = memcached_get_many,
    .put = memcached_put,
    .remove = memcached_remove,
    .copied = memcached_copied,
};
