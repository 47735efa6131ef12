/* serve/worker.h - one process that answers: an epoll loop over its sockets and connections.
 *
 * Rules    W1 A closed connection is freed only when all events of the round have been looked at.
 *          W2 Nothing is read from a connection that has not taken its last answer.
 *          W3 An idle connection has no buffer.
 * Tests    tests/serve/serve_http_test.c, tests/serve/serve_limits_test.c, tests/fuzz/http_fuzz.c
 */
#ifndef LARDER_SERVE_WORKER_H
#define LARDER_SERVE_WORKER_H

#include "serve/deadlines.h"
#include "serve/listen.h"
#include "serve/route.h"

#define WORKER_SCRATCH_BYTES (64u << 10)
#define WORKER_BUFFERS_BYTES_MAX ((size_t)256 << 20) /* of all connections together */

struct connection;

/* What an event of epoll is about. */
enum event_kind { EVENT_CONNECTION, EVENT_LISTENER, EVENT_SIGNAL };

struct event_source {
    enum event_kind kind;
    int fd; /* -1: closed */
};

#define JOINED_BYTES_MAX 8192u /* of a body that is sent with its head in one piece */

struct worker {
    struct route route;
    struct answer_maker maker;
    struct answer answer;
    struct deadlines deadlines;
    struct event_source listeners[LISTEN_ADDRESSES_MAX], signals;
    uint32_t listener_count, connection_count, connections_max;
    struct connection *dead; /* closed in this round */
    size_t buffers_bytes;
    int epoll_fd;
    int64_t now_ms, stop_ms; /* stop_ms: when a stop must be complete; 0: none is wanted */
    int64_t accept_ms;       /* when it tries again, if it is not accepting */
    bool is_accepting;
    char head[ANSWER_HEAD_BYTES_MAX + JOINED_BYTES_MAX];
    char scratch[WORKER_SCRATCH_BYTES]; /* requests that come whole are read and answered here */
};

/* Makes a worker without sockets, and not attached: that is route_attach(). NULL after a note. */
struct worker *worker_new(const struct serve_options *options, const struct credentials *credentials);
void worker_free(struct worker *w);
/* Takes a connected socket that does not block. */
void worker_adopt(struct worker *w, int fd);
/* Waits for events, at most wait_ms (-1: for ever), and does what they ask for. */
void worker_turn(struct worker *w, int wait_ms);

/* Serves the listening sockets until SIGTERM or SIGINT, which must be blocked. The exit code of the
 * process: 0, or 1 after a note. */
int worker_run(const struct serve_options *options, const struct credentials *credentials, const int *listeners,
               uint32_t count);

#endif
