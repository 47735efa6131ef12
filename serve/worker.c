/* serve/worker.c - one process that answers: an epoll loop over its sockets and connections. See
 * worker.h.
 *
 * Tests    tests/serve/serve_http_test.c, tests/serve/serve_limits_test.c
 */
#include "serve/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/connection.h"
#include "serve/heard.h"

#define EVENTS_MAX 256
#define ACCEPTS_MAX 64        /* of one socket in one round */
#define DESCRIPTORS_SPARE 64u /* of the segment, its lock file, the C library */
#define ACCEPT_AGAIN_MS 100   /* descriptors may be lacking in the whole system, too */
#define DRAIN_MS 2000
#define STOP_MS 5000

static int64_t monotonic_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- Life ------------------------------------------------------------------------------------ */

/* As many connections as the process may have descriptors. */
static uint32_t find_connections_max(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024 - DESCRIPTORS_SPARE;
    limit.rlim_cur = limit.rlim_max < 1u << 20 ? limit.rlim_max : 1u << 20;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur > 2 * DESCRIPTORS_SPARE ? (uint32_t)limit.rlim_cur - DESCRIPTORS_SPARE : DESCRIPTORS_SPARE;
}

struct worker *worker_new(const struct serve_options *options, const struct credentials *credentials) {
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL || (w->epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) {
        options->note("a worker could not start: %s", strerror(errno));
        free(w);
        return NULL;
    }
    w->route = (struct route){.options = options, .credentials = credentials};
    w->signals.fd = -1;
    w->connections_max = find_connections_max();
    w->deadlines.lists[DEADLINE_IDLE].ms = (int64_t)options->idle_seconds * 1000;
    w->deadlines.lists[DEADLINE_REQUEST].ms = (int64_t)options->request_seconds * 1000;
    w->deadlines.lists[DEADLINE_DRAIN].ms = DRAIN_MS;
    w->now_ms = monotonic_ms();
    return w;
}

static void free_dead(struct worker *w) {
    while (w->dead != NULL) {
        struct connection *c = w->dead;
        w->dead = c->next_dead;
        free(c);
    }
}

/* Calls `what` for every connection. One that it moves to another list may be met again. */
static void for_each(struct worker *w, void (*what)(struct worker *, struct connection *)) {
    for (int kind = 0; kind < DEADLINES; kind++) {
        struct deadline *last = w->deadlines.lists[kind].last, *next;
        for (struct deadline *d = w->deadlines.lists[kind].first; d != NULL; d = next) {
            bool is_end = d == last;
            next = is_end ? NULL : d->next;
            what(w, connection_of_deadline(d));
        }
    }
}

void worker_free(struct worker *w) {
    for_each(w, connection_close);
    free_dead(w);
    route_free(&w->route);
    for (uint32_t i = 0; i < w->listener_count; i++)
        close(w->listeners[i].fd);
    if (w->signals.fd >= 0)
        close(w->signals.fd);
    close(w->epoll_fd);
    free(w);
}

/* ---- Listening ------------------------------------------------------------------------------- */

static void watch_source(struct worker *w, struct event_source *source, int operation) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
    epoll_ctl(w->epoll_fd, operation, source->fd, &event);
}

/* A worker that has no descriptor left leaves new connections in the queue until one is free. */
static void set_accepting(struct worker *w, bool is_accepting) {
    if (w->is_accepting == is_accepting)
        return;
    w->is_accepting = is_accepting;
    w->accept_ms = w->now_ms + ACCEPT_AGAIN_MS;
    for (uint32_t i = 0; i < w->listener_count; i++)
        watch_source(w, &w->listeners[i], is_accepting ? EPOLL_CTL_ADD : EPOLL_CTL_DEL);
}

void worker_adopt(struct worker *w, int fd) {
    if (connection_new(w, fd) == NULL)
        close(fd);
}

/* The connection that has been idle for longest makes room. One that has just sent a request only
 * seems idle. */
static bool make_room(struct worker *w) {
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        struct deadline *idle = w->deadlines.lists[DEADLINE_IDLE].first;
        uint32_t count = w->connection_count;
        if (idle == NULL)
            return false;
        connection_stop(w, connection_of_deadline(idle));
        if (w->connection_count < count)
            return true;
    }
    return false;
}

/* Returns false if there is none that waits, or none can be taken. */
static bool accept_one(struct worker *w, int listener) {
    if (w->connection_count >= w->connections_max && !make_room(w)) {
        set_accepting(w, false);
        return false;
    }
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        worker_adopt(w, fd);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        if (make_room(w))
            return true;
        set_accepting(w, false);
        return false;
    }
    return errno == EINTR || errno == ECONNABORTED;
}

static void accept_some(struct worker *w, int listener) {
    for (int i = 0; i < ACCEPTS_MAX && accept_one(w, listener); i++)
        ;
}

/* ---- The loop -------------------------------------------------------------------------------- */

/* Takes what waits in the queues, closes them, answers what has come, closes what is idle. What has
 * begun may end until stop_ms. */
static void begin_stop(struct worker *w) {
    w->stop_ms = w->now_ms + STOP_MS;
    for (uint32_t i = 0; i < w->listener_count; i++) {
        while (accept_one(w, w->listeners[i].fd))
            ;
        close(w->listeners[i].fd);
    }
    w->listener_count = 0;
    for_each(w, connection_stop);
}

static void take_signal(struct worker *w) {
    struct signalfd_siginfo info;
    if (read(w->signals.fd, &info, sizeof info) != sizeof info)
        return;
    if (w->stop_ms == 0)
        begin_stop(w);
}

static void take_event(struct worker *w, const struct epoll_event *event) {
    struct event_source *source = event->data.ptr;
    switch (source->kind) {
    case EVENT_CONNECTION:
        connection_event(w, (struct connection *)source, event->events);
        break;
    case EVENT_LISTENER:
        if (w->stop_ms == 0)
            accept_some(w, source->fd);
        break;
    default:
        take_signal(w);
    }
}

void worker_turn(struct worker *w, int wait_ms) {
    struct epoll_event events[EVENTS_MAX];
    int next_ms = deadline_wait_ms(&w->deadlines, w->now_ms);
    if (next_ms >= 0 && (wait_ms < 0 || next_ms < wait_ms))
        wait_ms = next_ms;
    if (!w->is_accepting && w->listener_count > 0 && (wait_ms < 0 || wait_ms > ACCEPT_AGAIN_MS))
        wait_ms = ACCEPT_AGAIN_MS;
    int count = epoll_wait(w->epoll_fd, events, EVENTS_MAX, wait_ms);
    w->now_ms = monotonic_ms();
    for (int i = 0; i < count; i++)
        take_event(w, &events[i]);
    struct deadline *late;
    while ((late = deadline_due(&w->deadlines, w->now_ms)) != NULL)
        connection_late(w, connection_of_deadline(late));
    if (!w->is_accepting && (w->dead != NULL || w->now_ms >= w->accept_ms))
        set_accepting(w, true);
    free_dead(w);
}

int worker_run(const struct serve_options *options, const struct credentials *credentials, const int *listeners,
               uint32_t count) {
    struct worker *w = worker_new(options, credentials);
    sigset_t signals;
    if (w == NULL)
        return 1;
    /* It serves all the same: the kernel deals connections to its socket, and each looks again. */
    if (route_attach(&w->route) < 0 && is_heard())
        options->note("a worker could not attach to segment \"%s\", and will try again: %s", options->segment,
                      larder_error());
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    w->signals = (struct event_source){EVENT_SIGNAL, signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC)};
    watch_source(w, &w->signals, EPOLL_CTL_ADD);
    for (uint32_t i = 0; i < count; i++)
        w->listeners[w->listener_count++] = (struct event_source){EVENT_LISTENER, listeners[i]};
    set_accepting(w, true);
    while (w->stop_ms == 0 || (w->connection_count > 0 && w->now_ms < w->stop_ms))
        worker_turn(w, w->stop_ms == 0 ? -1 : (int)(w->stop_ms - w->now_ms));
    worker_free(w);
    return 0;
}
