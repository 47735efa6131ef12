/* serve/message.c - one HTTP request: llhttp reads it, this file notes where its parts are. See
 * message.h.
 *
 * Tests    tests/serve/serve_http_test.c, tests/fuzz/http_fuzz.c
 */
#include "serve/message.h"

#include <string.h>
#include <strings.h>

static struct message *message_of(llhttp_t *parser) {
    return (struct message *)parser->data;
}

/* An error of this file's own: the status is set. */
static int refuse(struct message *m, uint16_t status) {
    m->refusal = status;
    return HPE_USER;
}

/* Adds a piece that follows what the span has. */
static int extend(struct message *m, struct message_span *span, const char *at, size_t bytes) {
    size_t offset = (size_t)(at - m->base);
    if (offset + bytes > MESSAGE_HEAD_BYTES_MAX)
        return refuse(m, 431);
    if (span->bytes == 0)
        span->at = (uint32_t)offset;
    span->bytes = (uint32_t)(offset + bytes) - span->at;
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t bytes) {
    struct message *m = message_of(parser);
    return extend(m, &m->url, at, bytes);
}

static int on_header_field(llhttp_t *parser, const char *at, size_t bytes) {
    struct message *m = message_of(parser);
    return m->is_head_complete ? 0 : extend(m, &m->field, at, bytes); /* a trailer is not looked at */
}

/* M3: a header that goes on in the next line. Pieces of one line follow each other. */
static bool is_folded(const struct message *m, const struct message_span *value, const char *at) {
    if (value->bytes != 0)
        return m->base + value->at + value->bytes != at;
    while (at > m->base && (at[-1] == ' ' || at[-1] == '\t'))
        at--;
    return at > m->base && at[-1] == '\n';
}

static int on_header_value(llhttp_t *parser, const char *at, size_t bytes) {
    struct message *m = message_of(parser);
    if (m->is_head_complete || bytes == 0)
        return 0;
    struct message_span *value = &m->headers[m->header];
    return is_folded(m, value, at) ? refuse(m, 400) : extend(m, value, at, bytes);
}

static enum message_header header_of(const char *name, size_t bytes) {
    static const struct {
        const char *name;
        uint8_t bytes, header;
    } known[] = {
#define KNOWN(name, header) {name, sizeof(name) - 1, header}
        KNOWN("x-amz-target", HEADER_TARGET),
        KNOWN("content-type", HEADER_CONTENT_TYPE),
        KNOWN("content-encoding", HEADER_CONTENT_ENCODING),
        KNOWN("accept-encoding", HEADER_ACCEPT_ENCODING),
        KNOWN("expect", HEADER_EXPECT),
        KNOWN("host", HEADER_HOST),
        KNOWN("origin", HEADER_ORIGIN),
        KNOWN("access-control-request-headers", HEADER_ASKS_HEADERS),
        KNOWN("access-control-request-method", HEADER_ASKS_METHOD),
        KNOWN("authorization", HEADER_AUTHORIZATION),
        KNOWN("x-amz-date", HEADER_AMZ_DATE),
        KNOWN("date", HEADER_DATE),
        KNOWN("x-amz-security-token", HEADER_SECURITY_TOKEN),
#undef KNOWN
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].bytes == bytes && strncasecmp(known[i].name, name, bytes) == 0)
            return (enum message_header)known[i].header;
    return HEADER_OTHER;
}

/* Of a header that is given twice the last one counts. */
static int on_header_field_complete(llhttp_t *parser) {
    struct message *m = message_of(parser);
    if (m->is_head_complete)
        return 0;
    m->header = header_of(m->base + m->field.at, m->field.bytes);
    if (m->header == HEADER_HOST && m->headers[HEADER_HOST].bytes != 0)
        return refuse(m, 400);
    m->headers[m->header] = (struct message_span){0};
    m->field = (struct message_span){0};
    return 0;
}

static int on_headers_complete(llhttp_t *parser) {
    struct message *m = message_of(parser);
    if (parser->http_major != 1)
        return refuse(m, 505);
    if (parser->method == HTTP_CONNECT)
        return refuse(m, 405);
    if (parser->content_length > MESSAGE_BODY_BYTES_MAX)
        return refuse(m, 413);
    /* An offer to speak another protocol, such as h2c, is not taken. */
    parser->upgrade = 0;
    m->is_head_complete = true;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t bytes) {
    struct message *m = message_of(parser);
    if (m->body.bytes + bytes > MESSAGE_BODY_BYTES_MAX)
        return refuse(m, 413);
    if (m->body.bytes == 0)
        m->body.at = (uint32_t)(at - m->base);
    else if (m->base + m->body.at + m->body.bytes != at)
        memmove(m->base + m->body.at + m->body.bytes, at, bytes);
    m->body.bytes += (uint32_t)bytes;
    return 0;
}

static int on_message_complete(llhttp_t *parser) {
    struct message *m = message_of(parser);
    m->is_complete = true;
    m->is_keep_alive = llhttp_should_keep_alive(parser) != 0;
    return HPE_PAUSED;
}

static const llhttp_settings_t message_settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
    .on_header_field_complete = on_header_field_complete,
};

void message_begin(struct message *m) {
    memset(m, 0, sizeof *m);
    llhttp_init(&m->parser, HTTP_REQUEST, &message_settings);
    m->parser.data = m;
}

/* Framing that has been read need not be kept, nor trailers. */
static size_t kept_bytes(struct message *m, size_t bytes) {
    if (!m->is_head_complete)
        return bytes;
    if (m->head_bytes == 0)
        m->head_bytes = (uint32_t)(m->body.bytes != 0 ? m->body.at : bytes);
    return m->body.bytes != 0 ? m->body.at + m->body.bytes : m->head_bytes;
}

enum message_state message_read(struct message *m, char *base, size_t seen, size_t *bytes) {
    m->base = base;
    llhttp_errno_t error = llhttp_execute(&m->parser, base + seen, *bytes - seen);
    if (error == HPE_PAUSED && m->is_complete) {
        *bytes = (size_t)(llhttp_get_error_pos(&m->parser) - base);
        kept_bytes(m, *bytes);
        return MESSAGE_COMPLETE;
    }
    if (error == HPE_OK && (m->is_head_complete || *bytes <= MESSAGE_HEAD_BYTES_MAX)) {
        *bytes = kept_bytes(m, *bytes);
        return MESSAGE_MORE;
    }
    if (m->refusal == 0)
        m->refusal = error == HPE_OK ? 431 : 400;
    return MESSAGE_REFUSED;
}

struct message_text message_header(const struct message *m, enum message_header header) {
    const struct message_span *span = &m->headers[header];
    return span->bytes != 0 ? (struct message_text){m->base + span->at, span->bytes} : (struct message_text){0};
}

struct message_text message_body(const struct message *m) {
    return (struct message_text){m->base + m->body.at, m->body.bytes};
}
