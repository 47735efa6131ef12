/* serve/connection.c - a client's connection: bytes in, answers out. See connection.h.
 *
 * Tests    tests/serve/serve_http_test.c, tests/serve/serve_limits_test.c
 */
#include "serve/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define IN_BYTES_FIRST 4096u
/* What the framing of a body's chunks may take beside it before it is thrown away. */
#define IN_BYTES_MAX ((size_t)MESSAGE_HEAD_BYTES_MAX + MESSAGE_BODY_BYTES_MAX + WORKER_SCRATCH_BYTES)

/* ---- Buffers --------------------------------------------------------------------------------- */

static void drop_in(struct worker *w, struct connection *c) {
    w->buffers_bytes -= c->in_room;
    free(c->in);
    c->in = NULL;
    c->in_bytes = c->in_room = 0;
}

static void drop_out(struct worker *w, struct connection *c) {
    if (c->out != NULL)
        w->buffers_bytes -= c->out_bytes;
    free(c->out);
    c->out = NULL;
    c->out_at = c->out_bytes = 0;
}

/* Room for `bytes` in all, half as much again as there was. */
static bool grow_in(struct worker *w, struct connection *c, size_t bytes) {
    size_t room = c->in_room != 0 ? c->in_room : IN_BYTES_FIRST;
    while (room < bytes)
        room *= 2;
    if (room > IN_BYTES_MAX)
        room = bytes > IN_BYTES_MAX ? bytes : IN_BYTES_MAX;
    if (room == c->in_room)
        return true;
    char *in = w->buffers_bytes + room - c->in_room <= WORKER_BUFFERS_BYTES_MAX ? realloc(c->in, room) : NULL;
    if (in == NULL)
        return false;
    w->buffers_bytes += room - c->in_room;
    c->in = in;
    c->in_room = room;
    return true;
}

/* Keeps what has not been answered for the next look. `at` lies in the scratch or in c->in. */
static bool keep_in(struct worker *w, struct connection *c, const char *at, size_t bytes) {
    if (bytes == 0) {
        drop_in(w, c);
        return true;
    }
    if (c->in == NULL || at < c->in || at >= c->in + c->in_room) {
        if (!grow_in(w, c, bytes) || c->in == NULL)
            return false;
        memcpy(c->in, at, bytes);
    } else if (at != c->in)
        memmove(c->in, at, bytes);
    c->in_bytes = bytes;
    return true;
}

/* ---- Life ------------------------------------------------------------------------------------ */

struct connection *connection_of_deadline(struct deadline *d) {
    return (struct connection *)((char *)d - offsetof(struct connection, deadline));
}

static void watch(struct worker *w, struct connection *c, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(w->epoll_fd, EPOLL_CTL_MOD, c->source.fd, &event);
}

struct connection *connection_new(struct worker *w, int fd) {
    struct connection *c = calloc(1, sizeof *c);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (c == NULL || epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        free(c);
        return NULL;
    }
    c->source = (struct event_source){.kind = EVENT_CONNECTION, .fd = fd};
    message_begin(&c->message);
    deadline_enter(&w->deadlines, &c->deadline, DEADLINE_IDLE, w->now_ms);
    w->connection_count++;
    return c;
}

void connection_close(struct worker *w, struct connection *c) {
    if (c->source.fd < 0)
        return;
    close(c->source.fd);
    c->source.fd = -1;
    deadline_leave(&w->deadlines, &c->deadline);
    drop_in(w, c);
    drop_out(w, c);
    w->connection_count--;
    c->next_dead = w->dead;
    w->dead = c;
}

/* The last answer is out. A client that is still sending would lose it by a reset, so what it sends
 * is thrown away for a while. */
static void finish(struct worker *w, struct connection *c) {
    drop_in(w, c);
    shutdown(c->source.fd, SHUT_WR);
    c->is_draining = true;
    watch(w, c, EPOLLIN);
    deadline_enter(&w->deadlines, &c->deadline, DEADLINE_DRAIN, w->now_ms);
}

static void drain(struct worker *w, struct connection *c) {
    ssize_t n = recv(c->source.fd, w->scratch, sizeof w->scratch, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        connection_close(w, c);
}

/* ---- Out ------------------------------------------------------------------------------------- */

/* Keeps what the socket did not take. */
static void keep_out(struct worker *w, struct connection *c, const struct iovec *parts, int count, size_t sent) {
    size_t all = parts[0].iov_len + (count > 1 ? parts[1].iov_len : 0), left = all - sent;
    char *out = w->buffers_bytes + left <= WORKER_BUFFERS_BYTES_MAX ? malloc(left) : NULL;
    if (out == NULL) {
        connection_close(w, c);
        return;
    }
    size_t head_left = sent < parts[0].iov_len ? parts[0].iov_len - sent : 0;
    memcpy(out, (char *)parts[0].iov_base + parts[0].iov_len - head_left, head_left);
    if (left > head_left)
        memcpy(out + head_left, (char *)parts[1].iov_base + parts[1].iov_len - (left - head_left), left - head_left);
    w->buffers_bytes += left;
    c->out = out;
    c->out_at = 0;
    c->out_bytes = left;
    watch(w, c, EPOLLOUT);
    deadline_enter(&w->deadlines, &c->deadline, DEADLINE_REQUEST, w->now_ms);
}

static void send_parts(struct worker *w, struct connection *c, struct iovec *parts, int count) {
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    ssize_t n;
    do
        n = count > 1 ? sendmsg(c->source.fd, &message, MSG_NOSIGNAL)
                      : send(c->source.fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) {
        connection_close(w, c);
        return;
    }
    size_t sent = n > 0 ? (size_t)n : 0, all = parts[0].iov_len + (count > 1 ? parts[1].iov_len : 0);
    if (sent < all)
        keep_out(w, c, parts, count, sent);
    else if (c->is_last)
        finish(w, c);
}

static void send_answer(struct worker *w, struct connection *c, struct answer *a) {
    a->is_old_protocol = c->message.parser.http_major == 1 && c->message.parser.http_minor == 0;
    a->is_closing = c->is_last;
    struct iovec parts[2] = {{w->head, answer_head(&w->maker, a, w->head)}, {(char *)(uintptr_t)a->body, a->bytes}};
    bool has_body = a->bytes != 0 && !a->is_body_left_out;
    if (has_body && a->bytes <= sizeof w->head - ANSWER_HEAD_BYTES_MAX) { /* copying is cheaper than two parts */
        memcpy(w->head + parts[0].iov_len, a->body, a->bytes);
        parts[0].iov_len += a->bytes;
        has_body = false;
    }
    send_parts(w, c, parts, has_body ? 2 : 1);
}

/* An answer without a body that ends the connection. */
static void send_refusal(struct worker *w, struct connection *c, int status) {
    answer_begin(&w->answer);
    w->answer.status = status;
    c->is_last = true;
    send_answer(w, c, &w->answer);
}

/* ---- In -------------------------------------------------------------------------------------- */

static void answer_message(struct worker *w, struct connection *c) {
    if (!c->message.is_keep_alive || w->stop_ms != 0)
        c->is_last = true;
    deadline_enter(&w->deadlines, &c->deadline, DEADLINE_IDLE, w->now_ms);
    route_answer(&w->route, &c->message, &w->answer);
    send_answer(w, c, &w->answer);
    c->seen = 0;
    c->is_continued = false;
    message_begin(&c->message);
}

/* Expect: the client waits before it sends the body. False: refused. */
static bool answer_expectation(struct worker *w, struct connection *c) {
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!c->message.is_head_complete || c->is_continued)
        return true;
    struct message_text expect = message_header(&c->message, HEADER_EXPECT);
    c->is_continued = true;
    if (expect.text == NULL)
        return true;
    if (expect.bytes != 12 || strncasecmp(expect.text, "100-continue", 12) != 0) {
        send_refusal(w, c, 417);
        return false;
    }
    if (c->message.body.bytes == 0 &&
        send(c->source.fd, go_on, sizeof go_on - 1, MSG_NOSIGNAL) != (ssize_t)sizeof go_on - 1) {
        connection_close(w, c);
        return false;
    }
    return true;
}

/* Half a request: waits for the rest. */
static void wait_for_rest(struct worker *w, struct connection *c, const char *at, size_t bytes) {
    c->seen = bytes;
    if (!keep_in(w, c, at, bytes)) {
        send_refusal(w, c, 503);
        return;
    }
    if (bytes == 0) /* only empty lines, which may stand before a request */
        return;
    if (c->deadline.kind != DEADLINE_REQUEST) /* it has just begun */
        deadline_enter(&w->deadlines, &c->deadline, DEADLINE_REQUEST, w->now_ms);
    c->message.base = c->in;
    answer_expectation(w, c);
}

static bool is_open_for_more(const struct connection *c) {
    return c->source.fd >= 0 && !c->is_last && c->out == NULL;
}

/* Answers the requests in a row of bytes, as long as the client takes the answers. */
static void answer_all(struct worker *w, struct connection *c, char *at, size_t bytes) {
    while (bytes > 0) {
        size_t taken = bytes;
        switch (message_read(&c->message, at, c->seen, &taken)) {
        case MESSAGE_COMPLETE:
            answer_message(w, c);
            at += taken;
            bytes -= taken;
            break;
        case MESSAGE_MORE:
            wait_for_rest(w, c, at, taken);
            return;
        default:
            send_refusal(w, c, c->message.refusal);
            return;
        }
        if (!is_open_for_more(c))
            break;
    }
    if (c->source.fd < 0 || c->is_last)
        return;
    if (!keep_in(w, c, at, bytes))
        connection_close(w, c);
}

/* Reads once. False: nothing has come. */
static bool read_more(struct worker *w, struct connection *c) {
    char *into = w->scratch;
    size_t room = sizeof w->scratch;
    if (c->in != NULL) {
        if (c->in_bytes == c->in_room && !grow_in(w, c, c->in_bytes + 1)) {
            send_refusal(w, c, 503);
            return true;
        }
        into = c->in + c->in_bytes;
        room = c->in_room - c->in_bytes;
    }
    ssize_t n = recv(c->source.fd, into, room, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0)
        connection_close(w, c);
    else if (c->in != NULL)
        answer_all(w, c, c->in, c->in_bytes + (size_t)n);
    else
        answer_all(w, c, w->scratch, (size_t)n);
    return true;
}

static void write_more(struct worker *w, struct connection *c) {
    ssize_t n = send(c->source.fd, c->out + c->out_at, c->out_bytes - c->out_at, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        connection_close(w, c);
        return;
    }
    c->out_at += n > 0 ? (size_t)n : 0;
    if (c->out_at < c->out_bytes)
        return;
    drop_out(w, c);
    if (c->is_last) {
        finish(w, c);
        return;
    }
    watch(w, c, EPOLLIN);
    deadline_enter(&w->deadlines, &c->deadline, DEADLINE_IDLE, w->now_ms);
    if (c->in != NULL)
        answer_all(w, c, c->in, c->in_bytes);
}

void connection_event(struct worker *w, struct connection *c, uint32_t events) {
    if (c->source.fd < 0)
        return;
    if (c->is_draining)
        drain(w, c);
    else if (c->out == NULL)
        read_more(w, c);
    else if ((events & EPOLLOUT) != 0)
        write_more(w, c);
    else
        connection_close(w, c);
}

void connection_late(struct worker *w, struct connection *c) {
    if (c->deadline.kind == DEADLINE_REQUEST && c->out == NULL)
        send_refusal(w, c, 408);
    else
        connection_close(w, c);
}

void connection_stop(struct worker *w, struct connection *c) {
    if (c->is_draining || c->out != NULL) {
        c->is_last = c->is_last || w->stop_ms != 0;
        return;
    }
    if (c->in == NULL && !read_more(w, c))
        connection_close(w, c);
}
