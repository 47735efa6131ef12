/* serve/route.c - what a request gets: DynamoDB's answer, health, CORS, or a refusal. See route.h.
 *
 * Sources  Statuses, bodies and the order of checks: dynalite's connection tests, which were run
 *          against the service.
 * Tests    tests/serve/serve_http_test.c, tests/serve/serve_test.sh
 */
#include "serve/route.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "serve/host.h"
#include "serve/origin.h"
#include "serve/signature.h"

#define CORAL "com.amazon.coral.service#"
#define TARGET_PREFIX "DynamoDB_20120810."
#define OPERATION_BYTES_MAX 128u
/* A lock that a stopped process holds delays all clients of this worker. After this time the one
 * that needs it gets a ThrottlingException, and tries again by itself. */
#define ROUTE_BUSY_MS 200

/* ---- Attachment ------------------------------------------------------------------------------ */

static void route_detach(struct route *r) {
    larder_dynamodb_free(r->dynamodb);
    larder_close(r->db);
    r->dynamodb = NULL;
    r->db = NULL;
}

int route_attach(struct route *r) {
    struct larder_options options = {
        .segment = r->options->segment, .flags = r->options->owner_flag, .memfd = -1, .busy_timeout_ms = ROUTE_BUSY_MS};
    int result = larder_open(&options, &r->db);
    if (result < 0) {
        r->db = NULL;
        return result;
    }
    r->attachments++;
    result = larder_dynamodb_new(r->db, &r->dynamodb);
    if (result >= 0)
        result = larder_expirer_start(r->db);
    if (result < 0)
        route_detach(r);
    return result;
}

void route_free(struct route *r) {
    route_detach(r);
    zip_free(&r->zip);
}

/* Whether the segment is there; one that was destroyed is left, and a new one attached. */
static bool route_has_segment(struct route *r) {
    struct larder_segment_stats stats;
    if (r->db != NULL && larder_segment_stats(r->db, &stats) == LARDER_E_DESTROYED)
        route_detach(r);
    return r->db != NULL || route_attach(r) >= 0;
}

/* ---- Refusals -------------------------------------------------------------------------------- */

/* As a JSON string's contents; cut if there is no room. */
static size_t escape(char *out, size_t room, const char *text) {
    size_t used = 0;
    for (; *text != 0 && used + 7 <= room; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c >= 0x7f)
            used += (size_t)snprintf(out + used, room - used, "\\u%04x", c);
        else {
            if (c == '"' || c == '\\')
                out[used++] = '\\';
            out[used++] = (char)c;
        }
    }
    return used;
}

void route_fail(struct route *r, struct answer *a, const char *type, const char *message) {
    size_t room = sizeof r->text - 4;
    int used = snprintf(r->text, room, "{\"__type\":\"%s\"", type);
    size_t bytes = (size_t)used;
    if (message != NULL) {
        bytes += (size_t)snprintf(r->text + bytes, room - bytes, ",\"message\":\"");
        bytes += escape(r->text + bytes, room - bytes, message);
        r->text[bytes++] = '"';
    }
    r->text[bytes++] = '}';
    a->status = 400;
    a->body = r->text;
    a->bytes = bytes;
}

/* What the service says where no operation can be meant. */
static void not_found(struct answer *a) {
    static const char text[] = "<UnknownOperationException/>\n";
    a->status = 404;
    a->type = ANSWER_TEXT;
    a->body = text;
    a->bytes = sizeof text - 1;
}

/* ---- CORS, health ---------------------------------------------------------------------------- */

static void add_line(struct answer *a, const char *name, struct message_text value) {
    size_t used = strlen(a->cors);
    if (value.text != NULL && used + strlen(name) + value.bytes + 8 < sizeof a->cors)
        snprintf(a->cors + used, sizeof a->cors - used, "\r\n%s: %.*s", name, (int)value.bytes, value.text);
}

#define WORDS(literal) ((struct message_text){literal, sizeof(literal) - 1})

/* False: a page of this origin may not ask. */
static bool allow_origin(const struct route *r, const struct message *m, struct answer *a) {
    struct message_text origin = message_header(m, HEADER_ORIGIN);
    if (origin.text == NULL)
        return true;
    if (r->credentials == NULL && !origin_is_allowed(r->options->origin, origin.text, origin.bytes))
        return false;
    add_line(a, "Access-Control-Allow-Origin", WORDS("*"));
    add_line(a, "Access-Control-Expose-Headers", WORDS("x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date"));
    return true;
}

/* False: the request may be that of a page which gave this host its own name. */
static bool allow_host(const struct route *r, const struct message *m) {
    struct message_text host = message_header(m, HEADER_HOST);
    return r->credentials != NULL || r->options->is_exposed || host_is_ours(host.text, host.bytes);
}

static void refuse_access(struct route *r, struct answer *a, const char *message) {
    route_fail(r, a, CORAL "AccessDeniedException", message);
    a->status = 403;
}

static void answer_options(const struct message *m, struct answer *a) {
    add_line(a, "Access-Control-Allow-Headers", message_header(m, HEADER_ASKS_HEADERS));
    add_line(a, "Access-Control-Allow-Methods", message_header(m, HEADER_ASKS_METHOD));
    add_line(a, "Access-Control-Max-Age", WORDS("172800"));
    a->status = 200;
}

/* "/", with or without a query. */
static bool is_root(const struct message *m) {
    const char *url = m->base + m->url.at;
    return m->url.bytes >= 1 && url[0] == '/' && (m->url.bytes == 1 || url[1] == '?');
}

static void answer_health(struct route *r, const struct message *m, struct answer *a) {
    static const char healthy[] = "healthy: dynamodb.localhost ", gone[] = "the segment is gone\n";
    bool is_there = route_has_segment(r);
    a->status = is_there ? 200 : 503;
    a->type = ANSWER_TEXT;
    a->body = is_there ? healthy : gone;
    a->bytes = is_there ? sizeof healthy - 1 : sizeof gone - 1;
    a->is_body_left_out = m->parser.method == HTTP_HEAD;
}

/* ---- Operations ------------------------------------------------------------------------------ */

static bool is_word(struct message_text text, const char *word) {
    return text.bytes == strlen(word) && strncasecmp(text.text, word, text.bytes) == 0;
}

/* Of a media type, without its parameters. */
static struct message_text before_semicolon(struct message_text text) {
    const char *end = text.text != NULL ? memchr(text.text, ';', text.bytes) : NULL;
    if (end != NULL)
        text.bytes = (size_t)(end - text.text);
    while (text.text != NULL && text.bytes > 0 &&
           (text.text[text.bytes - 1] == ' ' || text.text[text.bytes - 1] == '\t'))
        text.bytes--;
    return text;
}

/* Whether a list such as "deflate, gzip;q=0.8" has gzip, and not with q=0. */
static bool takes_gzip(struct message_text list) {
    const char *at = list.text, *end = at != NULL ? at + list.bytes : NULL;
    while (at != NULL && at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma != NULL ? comma : end;
        while (at < stop && (*at == ' ' || *at == '\t'))
            at++;
        struct message_text part = {at, (size_t)(stop - at)};
        if (is_word(before_semicolon(part), "gzip")) {
            const char *q = memmem(part.text, part.bytes, "q=", 2);
            return q == NULL || strspn(q + 2, "0.") < strcspn(q + 2, " ,\t\r");
        }
        at = stop + 1;
    }
    return false;
}

/* The operation of x-amz-target; "" if it is none of this API. */
static void operation_of(const struct message *m, char operation[OPERATION_BYTES_MAX]) {
    const size_t prefix_bytes = sizeof TARGET_PREFIX - 1;
    struct message_text target = message_header(m, HEADER_TARGET);
    operation[0] = 0;
    if (target.bytes <= prefix_bytes || target.bytes - prefix_bytes >= OPERATION_BYTES_MAX ||
        memcmp(target.text, TARGET_PREFIX, prefix_bytes) != 0)
        return;
    memcpy(operation, target.text + prefix_bytes, target.bytes - prefix_bytes);
    operation[target.bytes - prefix_bytes] = 0;
}

/* Answers if the body cannot be had as text; else false, with the text. */
static bool unpack_body(struct route *r, const struct message *m, struct message_text *body, struct answer *a) {
    struct message_text encoding = message_header(m, HEADER_CONTENT_ENCODING);
    *body = message_body(m);
    if (encoding.text == NULL || body->bytes == 0 || is_word(encoding, "identity"))
        return false;
    if (!is_word(encoding, "gzip")) {
        route_fail(r, a, CORAL "SerializationException", "Content-Encoding must be gzip or identity");
        a->status = 415;
        return true;
    }
    size_t bytes;
    switch (zip_unpack(&r->zip, body->text, body->bytes, MESSAGE_BODY_BYTES_MAX, &bytes)) {
    case ZIP_DONE:
        *body = (struct message_text){r->zip.room, bytes};
        return false;
    case ZIP_TOO_LONG:
        a->status = 413;
        return true;
    case ZIP_NO_MEMORY:
        a->status = 500;
        return true;
    default:
        route_fail(r, a, CORAL "SerializationException", NULL);
        return true;
    }
}

static void call(struct route *r, const char *operation, struct message_text body, struct answer *a) {
    struct larder_dynamodb_reply reply = {.status = 500};
    int result = LARDER_E_DESTROYED;
    if (r->db != NULL)
        result = larder_dynamodb_call(r->dynamodb, operation, body.text, body.bytes, &reply);
    if (reply.status == 500) {
        uint32_t before = r->attachments;
        if (!route_has_segment(r)) {
            route_fail(r, a, "com.amazonaws.dynamodb.v20120810#InternalServerError",
                       "the segment was destroyed; larder create makes a new one");
            a->status = 500;
            return;
        }
        if (before != r->attachments)
            result = larder_dynamodb_call(r->dynamodb, operation, body.text, body.bytes, &reply);
    }
    if (result < 0) {
        route_fail(r, a, "com.amazonaws.dynamodb.v20120810#InternalServerError", larder_error());
        a->status = 500;
        return;
    }
    a->status = reply.status;
    a->body = reply.body;
    a->bytes = reply.bytes;
}

static void pack_answer(struct route *r, const struct message *m, struct answer *a) {
    size_t bytes;
    if (a->bytes < ZIP_ANSWER_BYTES_MIN || !takes_gzip(message_header(m, HEADER_ACCEPT_ENCODING)) ||
        zip_pack(&r->zip, a->body, a->bytes, &bytes) != ZIP_DONE)
        return;
    a->body = r->zip.room;
    a->bytes = bytes;
    a->is_gzip = true;
}

/* An operation. The first checks are in the service's order. */
static void answer_post(struct route *r, const struct message *m, struct answer *a) {
    char operation[OPERATION_BYTES_MAX];
    struct message_text body, type = before_semicolon(message_header(m, HEADER_CONTENT_TYPE));
    bool is_json_1_0 = is_word(type, "application/x-amz-json-1.0");
    if (m->body.bytes != 0 && !is_json_1_0 && !is_word(type, "application/json")) {
        not_found(a);
        return;
    }
    a->type = is_json_1_0 ? ANSWER_JSON_1_0 : ANSWER_JSON;
    operation_of(m, operation);
    if (operation[0] == 0) {
        route_fail(r, a, CORAL "UnknownOperationException", NULL);
        return;
    }
    if (r->credentials != NULL && signature_refuse(r, m, a))
        return;
    if (unpack_body(r, m, &body, a))
        return;
    call(r, operation, body, a);
    pack_answer(r, m, a);
}

void route_answer(struct route *r, const struct message *m, struct answer *a) {
    zip_trim(&r->zip);
    answer_begin(a);
    if (!allow_host(r, m)) {
        refuse_access(r, a,
                      "the Host of this request is a name that others can register; ask by localhost or an address, "
                      "or give larder serve --credentials FILE or --expose");
        return;
    }
    if (!allow_origin(r, m, a)) {
        refuse_access(r, a, "pages of this origin may not ask; larder serve --origin ORIGIN lets them");
        return;
    }
    switch (m->parser.method) {
    case HTTP_POST:
        answer_post(r, m, a);
        return;
    case HTTP_OPTIONS:
        if (message_header(m, HEADER_ORIGIN).text != NULL)
            answer_options(m, a);
        else
            not_found(a);
        return;
    case HTTP_GET:
    case HTTP_HEAD:
        if (is_root(m)) {
            answer_health(r, m, a);
            return;
        }
        break;
    default:
        break;
    }
    not_found(a);
    a->is_body_left_out = m->parser.method == HTTP_HEAD;
}
