/* serve/message.h - one HTTP request: llhttp reads it, this file notes where its parts are.
 *
 * Picture  base [ request line | headers | blank | body ........ ] next request
 *                 `-- spans count from `base` --'`-- body --'
 * Rules    M1 A request's bytes lie in a row from its first one on, in whatever buffer: spans are
 *             offsets, so the buffer may move between two calls.
 *          M2 Pieces of a chunked body are moved together as they come.
 *          M3 HTTP/1.1 and 1.0 alone: another version is 505. A second Host, or a header that goes
 *             on in the next line, is 400: two readers could take such a head in two ways.
 * Sources  RFC 9112, 2.3 (versions), 3.2 (Host), 5.2 (lines that go on).
 * Tests    tests/serve/serve_http_test.c, tests/fuzz/http_fuzz.c
 */
#ifndef LARDER_SERVE_MESSAGE_H
#define LARDER_SERVE_MESSAGE_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_HEAD_BYTES_MAX (64u << 10)
#define MESSAGE_BODY_BYTES_MAX (16u << 20) /* the service's: 413 beyond it */

/* The headers that an answer depends on. */
enum message_header {
    HEADER_OTHER,
    HEADER_TARGET, /* x-amz-target */
    HEADER_CONTENT_TYPE,
    HEADER_CONTENT_ENCODING,
    HEADER_ACCEPT_ENCODING,
    HEADER_EXPECT,
    HEADER_HOST,
    HEADER_ORIGIN,
    HEADER_ASKS_HEADERS, /* access-control-request-headers */
    HEADER_ASKS_METHOD,  /* access-control-request-method */
    HEADER_AUTHORIZATION,
    HEADER_AMZ_DATE,
    HEADER_DATE,
    HEADER_SECURITY_TOKEN, /* x-amz-security-token */
    HEADERS
};

struct message_span {
    uint32_t at, bytes;
};

/* A part of a request, while its buffer stands. */
struct message_text {
    const char *text; /* NULL: not given */
    size_t bytes;
};

struct message {
    llhttp_t parser;
    char *base;                 /* of the present call */
    struct message_span field;  /* name of the header that is being read */
    enum message_header header; /* whose value is being read */
    struct message_span headers[HEADERS], url, body;
    uint32_t head_bytes; /* kept before the body; 0: the head is not complete */
    uint16_t refusal;    /* an HTTP status, if the request is refused before its end */
    bool is_head_complete, is_complete, is_keep_alive;
};

enum message_state { MESSAGE_MORE, MESSAGE_COMPLETE, MESSAGE_REFUSED };

/* For a new request. */
void message_begin(struct message *m);

/* Reads on in a request that begins at `base` and of which `seen` bytes have been read. *bytes is
 * all that there is. MESSAGE_MORE: *bytes is what has to be kept. MESSAGE_COMPLETE: *bytes is the
 * request's length; the next one may follow. MESSAGE_REFUSED: m->refusal is the status, and no
 * more can be read from this connection. */
enum message_state message_read(struct message *m, char *base, size_t seen, size_t *bytes);

struct message_text message_header(const struct message *m, enum message_header header);
struct message_text message_body(const struct message *m);

#endif
