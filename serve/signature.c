/* serve/signature.c - Signature Version 4 of a request. See signature.h.
 *
 * Picture  canonical request -> SHA-256 -> string to sign -> HMAC with a key made of
 *          secret, date, region, service -> equal to Signature?
 * Sources  AWS Signature Version 4 ("Create a signed AWS API request"): Host and all x-amz-* must
 *          be signed. The order of the checks, types and messages: the comments of dynalite's
 *          index.js, noted from the service; of Host, aws-sdk-php#2469; of other headers that must
 *          be signed, the tests of scratchstack-aws-signature. That x-amz-content-sha256 need not
 *          be: dynago#8, where an early SDK for Go left it out and was served.
 * Not here Signatures in the query string, which no client uses for this API. Any region will do.
 * Tests    tests/serve/serve_signature_test.sh
 */
#include "serve/signature.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "serve/canonical.h"
#include "serve/credentials.h"

#define CORAL "com.amazon.coral.service#"
#define ALGORITHM "AWS4-HMAC-SHA256"
#define STAMP_BYTES 16
#define PAST_SECONDS (15 * 60)
#define FUTURE_SECONDS (5 * 60)

/* The parts of one Authorization header. */
struct claim {
    struct message_text algorithm, credential, signature, signed_headers;
    struct message_text scope[5]; /* access key, date, region, service, terminator */
    char stamp[STAMP_BYTES + 1];  /* "20150830T123600Z" */
    time_t time;
};

/* ---- Refusals -------------------------------------------------------------------------------- */

static bool refuse(struct route *r, struct answer *a, const char *type, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static bool refuse(struct route *r, struct answer *a, const char *type, const char *format, ...) {
    char message[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    route_fail(r, a, type, message);
    return true;
}

#define INCOMPLETE CORAL "IncompleteSignatureException"
#define INVALID CORAL "InvalidSignatureException"
#define UNRECOGNIZED CORAL "UnrecognizedClientException"
#define MUST_BE_SIGNED " must be a 'SignedHeader' in the AWS Authorization."
/* A text as two arguments of "%.*s". */
#define SHOWN(t) (int)(t).bytes, (t).bytes != 0 ? (t).text : ""

/* ---- The header ------------------------------------------------------------------------------ */

static bool is_text(struct message_text t, const char *word) {
    return t.bytes == strlen(word) && memcmp(t.text, word, t.bytes) == 0;
}

/* Cuts the text at the first `separator` and returns what stands before it. */
static struct message_text cut(struct message_text *rest, char separator) {
    struct message_text part = *rest;
    const char *at = part.bytes != 0 ? memchr(part.text, separator, part.bytes) : NULL;
    if (at != NULL)
        part.bytes = (size_t)(at - part.text);
    size_t used = part.bytes + (at != NULL);
    rest->text += used;
    rest->bytes -= used;
    return part;
}

static struct message_text trim(struct message_text t) {
    while (t.bytes > 0 && isspace((unsigned char)*t.text)) {
        t.text++;
        t.bytes--;
    }
    while (t.bytes > 0 && isspace((unsigned char)t.text[t.bytes - 1]))
        t.bytes--;
    return t;
}

/* "AWS4-HMAC-SHA256 Credential=.., SignedHeaders=.., Signature=.." True: refused. */
static bool read_claim(struct route *r, struct message_text header, struct claim *c, struct answer *a) {
    struct message_text rest = trim(header);
    c->algorithm = cut(&rest, ' ');
    while (rest.bytes > 0) {
        struct message_text value = trim(cut(&rest, ','));
        if (value.bytes == 0)
            continue;
        if (memchr(value.text, '=', value.bytes) == NULL)
            return refuse(r, a, INCOMPLETE,
                          "'%.*s' not a valid key=value pair (missing equal-sign) in Authorization header: '%.*s'.",
                          SHOWN(value), SHOWN(header));
        struct message_text name = cut(&value, '=');
        if (is_text(name, "Credential"))
            c->credential = value;
        else if (is_text(name, "Signature"))
            c->signature = value;
        else if (is_text(name, "SignedHeaders"))
            c->signed_headers = value;
    }
    return false;
}

static bool is_incomplete(struct route *r, struct message_text header, const struct claim *c, bool has_date,
                          struct answer *a) {
    if (c->credential.bytes != 0 && c->signature.bytes != 0 && c->signed_headers.bytes != 0 && has_date)
        return false;
    return refuse(r, a, INCOMPLETE, "%s%s%s%sAuthorization=%.*s",
                  c->credential.bytes == 0 ? "Authorization header requires 'Credential' parameter. " : "",
                  c->signature.bytes == 0 ? "Authorization header requires 'Signature' parameter. " : "",
                  c->signed_headers.bytes == 0 ? "Authorization header requires 'SignedHeaders' parameter. " : "",
                  has_date ? ""
                           : "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
                  SHOWN(header));
}

/* ---- The date -------------------------------------------------------------------------------- */

/* Of a year of four digits: strftime() would leave out zeros before it. */
static void write_stamp(time_t time, char stamp[STAMP_BYTES + 1]) {
    char text[64];
    struct tm parts;
    gmtime_r(&time, &parts);
    snprintf(text, sizeof text, "%04d%02d%02dT%02d%02d%02dZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
             parts.tm_hour, parts.tm_min, parts.tm_sec);
    text[STAMP_BYTES] = 0;
    memcpy(stamp, text, STAMP_BYTES + 1);
}

/* ISO 8601's basic format, or that of HTTP. A day or second that there is not, such as February 30,
 * is no date: strptime() and timegm() would make another of it. */
static bool read_date(struct message_text date, struct claim *c) {
    char text[64];
    struct tm parts = {0};
    if (date.text == NULL || date.bytes >= sizeof text)
        return false;
    memcpy(text, date.text, date.bytes);
    text[date.bytes] = 0;
    bool is_basic = date.bytes == STAMP_BYTES && text[8] == 'T';
    const char *end = strptime(text, is_basic ? "%Y%m%dT%H%M%SZ" : "%a, %d %b %Y %H:%M:%S GMT", &parts);
    if (end == NULL || *end != 0)
        return false;
    int day = parts.tm_mday, second = parts.tm_sec;
    c->time = timegm(&parts);
    write_stamp(c->time, c->stamp);
    return is_basic ? strcmp(c->stamp, text) == 0 : parts.tm_mday == day && parts.tm_sec == second;
}

static bool is_wrong_time(struct route *r, const struct claim *c, struct answer *a) {
    char now_stamp[STAMP_BYTES + 1], limit_stamp[STAMP_BYTES + 1];
    time_t now = r->now_s != 0 ? (time_t)r->now_s : time(NULL);
    write_stamp(now, now_stamp);
    if (c->time < now - PAST_SECONDS) {
        write_stamp(now - PAST_SECONDS, limit_stamp);
        return refuse(r, a, INVALID, "Signature expired: %s is now earlier than %s (%s - %d min.)", c->stamp,
                      limit_stamp, now_stamp, PAST_SECONDS / 60);
    }
    if (c->time > now + FUTURE_SECONDS) {
        write_stamp(now + FUTURE_SECONDS, limit_stamp);
        return refuse(r, a, INVALID, "Signature not yet current: %s is still later than %s (%s + %d min.)", c->stamp,
                      limit_stamp, now_stamp, FUTURE_SECONDS / 60);
    }
    return false;
}

/* ---- The scope ------------------------------------------------------------------------------- */

static bool has_host(struct message_text names) {
    while (names.bytes > 0) {
        struct message_text name = cut(&names, ';');
        if (name.bytes == 4 && strncasecmp(name.text, "host", 4) == 0)
            return true;
    }
    return false;
}

/* What a stranger could otherwise change under a signature that it has seen. */
static bool is_left_unsigned(struct route *r, const struct message *m, const struct claim *c, struct answer *a) {
    char lower[64] = "";
    if (!has_host(c->signed_headers))
        return refuse(r, a, INVALID, "'Host' or ':authority'" MUST_BE_SIGNED);
    struct message_text name = canonical_unsigned(m, c->signed_headers);
    if (name.text == NULL)
        return false;
    for (size_t i = 0; i < name.bytes && i < sizeof lower - 1; i++)
        lower[i] = (char)tolower((unsigned char)name.text[i]);
    return refuse(r, a, INVALID, "'%s'" MUST_BE_SIGNED, lower);
}

static bool is_wrong_scope(struct route *r, struct claim *c, struct answer *a) {
    struct message_text rest = c->credential;
    while (rest.bytes > 0 && rest.text[rest.bytes - 1] == '/')
        rest.bytes--;
    size_t count = 0;
    while (rest.bytes > 0 && count < 5)
        c->scope[count++] = cut(&rest, '/');
    if (count != 5 || rest.bytes > 0) {
        refuse(r, a, INCOMPLETE,
               "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
               "got '%.*s'",
               SHOWN(c->credential));
        return true; /* clang-tidy does not see that refuse() says so */
    }
    bool is_service = is_text(c->scope[3], "dynamodb"), is_term = is_text(c->scope[4], "aws4_request");
    bool is_date = c->scope[1].bytes == 8 && memcmp(c->scope[1].text, c->stamp, 8) == 0;
    if (is_service && is_term && is_date)
        return false;
    char term[128] = "", date[256] = "";
    if (!is_term)
        snprintf(term, sizeof term, "Credential should be scoped with a valid terminator: 'aws4_request', not '%.*s'. ",
                 (int)(c->scope[4].bytes < 32 ? c->scope[4].bytes : 32), c->scope[4].text);
    if (!is_date)
        snprintf(date, sizeof date,
                 "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                 "'%.*s' != '%.8s', from '%s'.",
                 (int)(c->scope[1].bytes < 32 ? c->scope[1].bytes : 32), c->scope[1].text, c->stamp, c->stamp);
    return refuse(r, a, INVALID, "%s%s%s",
                  is_service ? "" : "Credential should be scoped to correct service: 'dynamodb'. ", term, date);
}

/* ---- The signature --------------------------------------------------------------------------- */

#define HASH CANONICAL_HASH_BYTES

static void hmac(const void *key, size_t key_bytes, const void *data, size_t bytes, unsigned char out[HASH]) {
    unsigned out_bytes = HASH;
    HMAC(EVP_sha256(), key, (int)key_bytes, data, bytes, out, &out_bytes);
}

/* The key of a day and a region: four HMACs, so the last one is kept. */
static const unsigned char *signing_key(struct route *r, const struct claim *c, const char *secret) {
    struct signing_key *kept = &r->signing_key;
    unsigned char first[512];
    /* access key/date/region/ */
    size_t name_bytes = (size_t)(c->scope[2].text + c->scope[2].bytes - c->credential.text);
    if (name_bytes == kept->name_bytes && memcmp(kept->name, c->credential.text, name_bytes) == 0)
        return kept->key;
    int first_bytes = snprintf((char *)first, sizeof first, "AWS4%s", secret);
    if (first_bytes >= (int)sizeof first)
        return NULL;
    hmac(first, (size_t)first_bytes, c->scope[1].text, c->scope[1].bytes, kept->key);
    OPENSSL_cleanse(first, sizeof first);
    hmac(kept->key, HASH, c->scope[2].text, c->scope[2].bytes, kept->key);
    hmac(kept->key, HASH, "dynamodb", 8, kept->key);
    hmac(kept->key, HASH, "aws4_request", 12, kept->key);
    kept->name_bytes = name_bytes <= sizeof kept->name ? name_bytes : 0;
    memcpy(kept->name, c->credential.text, kept->name_bytes);
    return kept->key;
}

static bool is_signed(struct route *r, const struct message *m, const struct claim *c, const char *secret) {
    unsigned char hash[HASH];
    char hex[2 * HASH + 1], text[512];
    const unsigned char *key = signing_key(r, c, secret);
    if (key == NULL || c->signature.bytes != (size_t)2 * HASH || !canonical_hash(m, c->signed_headers, hash))
        return false;
    canonical_hex(hash, hex);
    int bytes = snprintf(text, sizeof text, ALGORITHM "\n%s\n%.8s/%.*s/dynamodb/aws4_request\n%s", c->stamp, c->stamp,
                         SHOWN(c->scope[2]), hex);
    if (bytes >= (int)sizeof text)
        return false;
    hmac(key, HASH, text, (size_t)bytes, hash);
    canonical_hex(hash, hex);
    return CRYPTO_memcmp(hex, c->signature.text, (size_t)2 * HASH) == 0;
}

static bool is_token_wrong(const struct message *m, const struct credential *known) {
    struct message_text token = message_header(m, HEADER_SECURITY_TOKEN);
    if (known->token == NULL)
        return false;
    return token.bytes != strlen(known->token) || CRYPTO_memcmp(token.text, known->token, token.bytes) != 0;
}

static bool check_signature(struct route *r, const struct message *m, struct claim *c, struct answer *a) {
    const struct credential *known = credentials_find(r->credentials, c->scope[0].text, c->scope[0].bytes);
    if (known == NULL)
        return refuse(r, a, UNRECOGNIZED, "The security token included in the request is invalid.");
    if (!is_signed(r, m, c, known->secret))
        return refuse(r, a, INVALID,
                      "The request signature we calculated does not match the signature you provided. Check your AWS "
                      "Secret Access Key and signing method. Consult the service documentation for details.");
    if (is_token_wrong(m, known))
        return refuse(r, a, UNRECOGNIZED, "The security token included in the request is invalid");
    return false;
}

/* The query says that it is signed, too. */
static bool has_query_algorithm(const struct message *m) {
    static const char name[] = "X-Amz-Algorithm";
    struct message_text rest = {m->base + m->url.at, m->url.bytes};
    cut(&rest, '?');
    while (rest.bytes > 0) {
        struct message_text part = cut(&rest, '&');
        if (is_text(cut(&part, '='), name))
            return true;
    }
    return false;
}

bool signature_refuse(struct route *r, const struct message *m, struct answer *a) {
    struct message_text header = message_header(m, HEADER_AUTHORIZATION), date = message_header(m, HEADER_AMZ_DATE);
    struct claim claim = {0}, *c = &claim;
    if (date.text == NULL)
        date = message_header(m, HEADER_DATE);
    if (header.bytes != 0 && has_query_algorithm(m))
        return refuse(r, a, INVALID,
                      "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.");
    if (header.bytes < 5 || memcmp(header.text, "AWS4-", 5) != 0)
        return refuse(r, a, CORAL "MissingAuthenticationTokenException", "Request is missing Authentication Token");
    if (read_claim(r, header, c, a) || is_incomplete(r, header, c, date.text != NULL, a))
        return true;
    if (!read_date(date, c))
        return refuse(r, a, INCOMPLETE,
                      "Date must be in ISO-8601 'basic format'. Got '%.*s'. See http://en.wikipedia.org/wiki/ISO_8601",
                      SHOWN(date));
    if (is_wrong_time(r, c, a))
        return true;
    if (is_left_unsigned(r, m, c, a))
        return true;
    if (!is_text(c->algorithm, ALGORITHM))
        return refuse(r, a, INCOMPLETE, "Unsupported AWS 'algorithm': '%.*s' (only " ALGORITHM " for now). ",
                      SHOWN(c->algorithm));
    return is_wrong_scope(r, c, a) || check_signature(r, m, c, a);
}
