/* serve/canonical.c - a request in the one form that both sides sign. See canonical.h.
 *
 * Why      Nothing is put together in memory: the parts go into the hash one after the other, so
 *          the length of what a stranger sends costs nothing but time.
 * Tests    tests/serve/serve_signature_test.sh
 */
#include "serve/canonical.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Beyond these no signature is right: each costs a walk over the head. */
#define SIGNED_HEADERS_MAX 64
#define QUERY_PARTS_MAX 64

/* A hash with a buffer before it, since most parts are a few bytes. */
struct sink {
    EVP_MD_CTX *hash;
    size_t bytes;
    char buffer[1024];
};

static void sink_flush(struct sink *s) {
    EVP_DigestUpdate(s->hash, s->buffer, s->bytes);
    s->bytes = 0;
}

static void sink_put(struct sink *s, char c) {
    if (s->bytes == sizeof s->buffer)
        sink_flush(s);
    s->buffer[s->bytes++] = c;
}

static void sink_text(struct sink *s, const char *text, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        sink_put(s, text[i]);
}

void canonical_hex(const unsigned char hash[CANONICAL_HASH_BYTES], char hex[2 * CANONICAL_HASH_BYTES + 1]) {
    for (size_t i = 0; i < CANONICAL_HASH_BYTES; i++) {
        hex[2 * i] = "0123456789abcdef"[hash[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
    }
    hex[2 * CANONICAL_HASH_BYTES] = 0;
}

/* ---- Path and query -------------------------------------------------------------------------- */

/* The path as it was sent, encoded once more. */
static void put_path(struct sink *s, const char *path, size_t bytes) {
    if (bytes == 0)
        sink_put(s, '/');
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)path[i];
        if (isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~' || c == '/')
            sink_put(s, (char)c);
        else {
            sink_put(s, '%');
            sink_put(s, "0123456789ABCDEF"[c >> 4]);
            sink_put(s, "0123456789ABCDEF"[c & 15]);
        }
    }
}

static int compare_parts(const void *a, const void *b) {
    const struct message_text *x = a, *y = b;
    size_t shorter = x->bytes < y->bytes ? x->bytes : y->bytes;
    int order = memcmp(x->text, y->text, shorter);
    return order != 0 ? order : x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* The parts of the query, sorted. They are encoded already. */
static bool put_query(struct sink *s, const char *query, size_t bytes) {
    struct message_text parts[QUERY_PARTS_MAX];
    size_t count = 0;
    for (const char *at = query, *end = query + bytes; at < end; at++) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        if (stop == NULL)
            stop = end;
        if (stop > at && count == QUERY_PARTS_MAX)
            return false;
        if (stop > at)
            parts[count++] = (struct message_text){at, (size_t)(stop - at)};
        at = stop;
    }
    qsort(parts, count, sizeof *parts, compare_parts);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            sink_put(s, '&');
        sink_text(s, parts[i].text, parts[i].bytes);
        if (memchr(parts[i].text, '=', parts[i].bytes) == NULL)
            sink_put(s, '=');
    }
    return true;
}

static bool put_url(struct sink *s, struct message_text url) {
    const char *at = memmem(url.text, url.bytes, "://", 3), *end = url.text + url.bytes;
    if (at != NULL) { /* as a proxy is asked: without scheme and host */
        at = memchr(at + 3, '/', (size_t)(end - at - 3));
        url = at != NULL ? (struct message_text){at, (size_t)(end - at)} : (struct message_text){end, 0};
    }
    const char *query = url.bytes != 0 ? memchr(url.text, '?', url.bytes) : NULL,
               *path_end = query != NULL ? query : end;
    put_path(s, url.text, (size_t)(path_end - url.text));
    sink_put(s, '\n');
    return query == NULL || put_query(s, query + 1, (size_t)(end - query - 1));
}

/* ---- Headers --------------------------------------------------------------------------------- */

/* The line at `at`, without its end; *next is the line after it. */
static struct message_text line_at(const char *at, const char *end, const char **next) {
    const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline != NULL ? newline : end;
    *next = newline != NULL ? newline + 1 : end;
    if (stop > at && stop[-1] == '\r')
        stop--;
    return (struct message_text){at, (size_t)(stop - at)};
}

/* Without spaces around it, and with one for each run of them inside. */
static void put_value(struct sink *s, const char *at, const char *end) {
    bool is_gap = false, is_first = true;
    for (; at < end; at++) {
        if (*at == ' ' || *at == '\t') {
            is_gap = true;
            continue;
        }
        if (is_gap && !is_first)
            sink_put(s, ' ');
        is_gap = is_first = false;
        sink_put(s, *at);
    }
}

/* False: there is no such header. An empty one is another thing. */
static bool put_header(struct sink *s, struct message_text name, const char *at, const char *end) {
    bool is_first = true;
    for (size_t i = 0; i < name.bytes; i++)
        sink_put(s, (char)tolower((unsigned char)name.text[i]));
    sink_put(s, ':');
    while (at < end) {
        struct message_text line = line_at(at, end, &at);
        if (line.bytes == 0)
            break; /* the end of the head */
        if (line.bytes <= name.bytes || line.text[name.bytes] != ':' ||
            strncasecmp(line.text, name.text, name.bytes) != 0)
            continue;
        if (!is_first)
            sink_put(s, ',');
        is_first = false;
        put_value(s, line.text + name.bytes + 1, line.text + line.bytes);
    }
    sink_put(s, '\n');
    return !is_first;
}

/* The line of the first header; *end is the end of the head. */
static const char *first_line(const struct message *m, const char **end) {
    const char *at = m->base + m->url.at + m->url.bytes;
    *end = m->base + m->head_bytes;
    line_at(at, *end, &at); /* what is left of the request line */
    return at;
}

/* The next of the names, which ';' separates; *rest is what follows. */
static struct message_text next_name(struct message_text *rest) {
    const char *stop = memchr(rest->text, ';', rest->bytes);
    struct message_text name = {rest->text, stop != NULL ? (size_t)(stop - rest->text) : rest->bytes};
    size_t used = name.bytes + (stop != NULL);
    *rest = (struct message_text){rest->text + used, rest->bytes - used};
    return name;
}

static bool put_headers(struct sink *s, const struct message *m, struct message_text names) {
    struct message_text rest = names;
    const char *end, *at = first_line(m, &end);
    int count = 0;
    while (rest.bytes > 0)
        if (++count > SIGNED_HEADERS_MAX || !put_header(s, next_name(&rest), at, end))
            return false;
    sink_put(s, '\n');
    sink_text(s, names.text, names.bytes);
    return true;
}

static bool is_name(struct message_text a, const char *name, size_t bytes) {
    return a.bytes == bytes && strncasecmp(a.text, name, bytes) == 0;
}

static bool is_in(struct message_text names, struct message_text name) {
    while (names.bytes > 0)
        if (is_name(next_name(&names), name.text, name.bytes))
            return true;
    return false;
}

struct message_text canonical_unsigned(const struct message *m, struct message_text signed_headers) {
    static const char hash[] = "x-amz-content-sha256";
    const char *end, *at = first_line(m, &end);
    while (at < end) {
        struct message_text name = line_at(at, end, &at);
        const char *colon = name.bytes != 0 ? memchr(name.text, ':', name.bytes) : NULL;
        if (colon == NULL)
            break; /* the end of the head */
        name.bytes = (size_t)(colon - name.text);
        if (name.bytes > 6 && strncasecmp(name.text, "x-amz-", 6) == 0 && !is_name(name, hash, sizeof hash - 1) &&
            !is_in(signed_headers, name))
            return name;
    }
    return (struct message_text){0};
}

/* ---- All of it ------------------------------------------------------------------------------- */

static bool put_body_hash(struct sink *s, const struct message *m) {
    unsigned char hash[CANONICAL_HASH_BYTES];
    char hex[2 * CANONICAL_HASH_BYTES + 1];
    struct message_text body = message_body(m);
    if (EVP_Digest(body.text, body.bytes, hash, NULL, EVP_sha256(), NULL) != 1)
        return false;
    canonical_hex(hash, hex);
    sink_put(s, '\n');
    sink_text(s, hex, sizeof hex - 1);
    return true;
}

bool canonical_hash(const struct message *m, struct message_text signed_headers,
                    unsigned char hash[CANONICAL_HASH_BYTES]) {
    struct sink s = {.hash = EVP_MD_CTX_new()};
    const char *method = llhttp_method_name((llhttp_method_t)m->parser.method);
    bool is_done = s.hash != NULL && EVP_DigestInit_ex(s.hash, EVP_sha256(), NULL) == 1;
    if (is_done) {
        sink_text(&s, method, strlen(method));
        sink_put(&s, '\n');
        is_done = put_url(&s, (struct message_text){m->base + m->url.at, m->url.bytes});
    }
    sink_put(&s, '\n');
    is_done = is_done && put_headers(&s, m, signed_headers) && put_body_hash(&s, m);
    if (is_done) {
        sink_flush(&s);
        is_done = EVP_DigestFinal_ex(s.hash, hash, NULL) == 1;
    }
    EVP_MD_CTX_free(s.hash);
    return is_done;
}
