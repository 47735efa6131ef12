/* serve/connection.h - a client's connection: bytes in, answers out.
 *
 * Picture  socket -> scratch (or `in`, what is there of half a request) -> message -> route
 *          socket <- head, body (or `out`, what the socket did not take)
 * Tests    tests/serve/serve_http_test.c, tests/serve/serve_limits_test.c
 */
#ifndef LARDER_SERVE_CONNECTION_H
#define LARDER_SERVE_CONNECTION_H

#include "serve/message.h"
#include "serve/worker.h"

struct connection {
    struct event_source source; /* first: events point here */
    struct deadline deadline;   /* second: connection_of_deadline() */
    struct connection *next_dead;
    char *in, *out;             /* NULL: nothing is waiting */
    size_t in_bytes, in_room;   /* of a request that is not complete, or not answered */
    size_t seen;                /* of it: what `message` has read */
    size_t out_at, out_bytes;   /* not sent yet: from out_at to out_bytes */
    bool is_last, is_continued; /* close after the answer; 100 Continue was sent */
    bool is_draining;
    struct message message;
};

/* NULL: no memory; fd stays open. */
struct connection *connection_new(struct worker *w, int fd);
void connection_event(struct worker *w, struct connection *c, uint32_t events);
/* Its deadline has passed. */
void connection_late(struct worker *w, struct connection *c);
/* Answers what has come; if nothing has, and no request has begun, closes it. */
void connection_stop(struct worker *w, struct connection *c);
void connection_close(struct worker *w, struct connection *c);
struct connection *connection_of_deadline(struct deadline *d);

#endif
