/* bench/load.c - see load.h. */
#include "bench/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/fail.h"

#define ANSWER_BYTES 65536u
#define WARM_ANSWERS 64u /* of each connection */

struct connection {
    int fd;
    uint64_t sent_ns;
    size_t bytes;
    char answer[ANSWER_BYTES];
};

static struct connection connections[LOAD_CONNECTIONS_MAX];
static uint32_t *times; /* nanoseconds of each answer */
static size_t time_count, time_room;

/* ---- One connection -------------------------------------------------------------------------- */

static int open_connection(int port) {
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((in_port_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        fail("port %d: %s", port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void send_request(struct connection *c, const struct load_request *r) {
    c->bytes = 0;
    c->sent_ns = clock_ns();
    if (send(c->fd, r->text, r->bytes, MSG_NOSIGNAL) != (ssize_t)r->bytes)
        fail("a request was not taken: %s", strerror(errno));
}

/* Bytes of the head of an answer and of its body; 0: the head is not whole. */
static size_t head_of(const char *answer, size_t bytes, size_t *body_bytes) {
    const char *end = memmem(answer, bytes, "\r\n\r\n", 4);
    if (!end)
        return 0;
    for (const char *line = answer; line < end; line = (const char *)memchr(line, '\n', (size_t)(end + 2 - line)) + 1)
        if (strncasecmp(line, "content-length:", 15) == 0) {
            *body_bytes = (size_t)atol(line + 15);
            return (size_t)(end + 4 - answer);
        }
    fail("an answer without Content-Length");
}

/* Reads what has come. Returns the body of a whole answer, else NULL. */
static const char *receive(struct connection *c) {
    size_t head, body;
    ssize_t n = recv(c->fd, c->answer + c->bytes, sizeof c->answer - 1 - c->bytes, 0);
    if (n <= 0)
        fail("a connection was closed: %s", n ? strerror(errno) : "no answer");
    c->bytes += (size_t)n;
    c->answer[c->bytes] = 0;
    head = head_of(c->answer, c->bytes, &body);
    return head && c->bytes >= head + body ? c->answer + head : NULL;
}

static int status_of(const struct connection *c) {
    return c->bytes > 12 ? atoi(c->answer + 9) : 0;
}

const char *load_ask(int port, const struct load_request *request, int *status) {
    static struct connection c;
    const char *body;
    c.fd = open_connection(port);
    send_request(&c, request);
    while (!(body = receive(&c))) {
    }
    *status = status_of(&c);
    close(c.fd);
    return body;
}

/* ---- Many ------------------------------------------------------------------------------------ */

static void note_time(uint64_t ns) {
    if (time_count == time_room) {
        time_room = time_room ? 2 * time_room : 65536;
        if (!(times = realloc(times, time_room * sizeof *times)))
            fail("out of memory");
    }
    times[time_count++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static void send_next(struct load *l, struct connection *c) {
    send_request(c, &l->ring[l->at]);
    l->at = (l->at + 1) % l->ring_count;
}

static void judge(const struct load *l, const struct connection *c, const char *body) {
    if (status_of(c) != 200 || (l->wanted && !strstr(body, l->wanted)))
        fail("a wrong answer: %.600s", c->answer);
}

/* One look at the connections. Answers that came; a connection asks again unless it is the end. */
static unsigned turn(struct load *l, int epoll, int is_end) {
    struct epoll_event events[LOAD_CONNECTIONS_MAX];
    unsigned answers = 0;
    int count = epoll_wait(epoll, events, LOAD_CONNECTIONS_MAX, 10000);
    if (count == 0)
        fail("no answer in ten seconds");
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        const char *body = receive(c);
        if (!body)
            continue;
        note_time(clock_ns() - c->sent_ns);
        judge(l, c, body);
        answers++;
        if (!is_end)
            send_next(l, c);
    }
    return answers;
}

static double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int open_all(struct load *l) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->connections > LOAD_CONNECTIONS_MAX)
        fail("at most %u connections", LOAD_CONNECTIONS_MAX);
    for (unsigned i = 0; i < l->connections; i++) {
        struct connection *c = &connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        c->fd = open_connection(l->ports[i % l->port_count]);
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
        send_next(l, c);
    }
    return epoll;
}

struct load_result load_run(struct load *l, double seconds) {
    struct load_result r = {.answers = 0};
    int epoll = open_all(l);
    for (unsigned warm = 0; warm < WARM_ANSWERS * l->connections;)
        warm += turn(l, epoll, 0);
    time_count = 0;
    double cpu = cpu_seconds();
    uint64_t start = clock_ns(), end = start + (uint64_t)(seconds * 1e9), now;
    do
        r.answers += turn(l, epoll, 0);
    while ((now = clock_ns()) < end);
    r.seconds = (double)(now - start) / 1e9;
    r.client = (cpu_seconds() - cpu) / r.seconds;
    qsort(times, time_count, sizeof *times, by_value);
    size_t half = time_count / 2, hundredth = time_count / 100;
    r.p50_us = times[half] / 1e3;
    r.p99_us = times[time_count - 1 - hundredth] / 1e3;
    for (unsigned left = l->connections; left > 0;)
        left -= turn(l, epoll, 1);
    for (unsigned i = 0; i < l->connections; i++)
        close(connections[i].fd);
    close(epoll);
    return r;
}
