/* serve/answer.c - the bytes of an answer's head. See answer.h.
 *
 * Tests    tests/serve/serve_http_test.c
 */
#include "serve/answer.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <zlib.h>

#define REQUEST_ID_CHARACTERS 52 /* as the service's */

static const char *status_words(int status) {
    switch (status) {
    case 200:
        return "200 OK";
    case 400:
        return "400 Bad Request";
    case 403:
        return "403 Forbidden";
    case 404:
        return "404 Not Found";
    case 405:
        return "405 Method Not Allowed";
    case 408:
        return "408 Request Timeout";
    case 413:
        return "413 Request Entity Too Large";
    case 415:
        return "415 Unsupported Media Type";
    case 417:
        return "417 Expectation Failed";
    case 431:
        return "431 Request Header Fields Too Large";
    case 503:
        return "503 Service Unavailable";
    case 505:
        return "505 HTTP Version Not Supported";
    default:
        return "500 Internal Server Error";
    }
}

static char *put(char *at, const char *text, size_t bytes) {
    memcpy(at, text, bytes);
    return at + bytes;
}

#define PUT(at, literal) put(at, literal, sizeof(literal) - 1)

static char *put_text(char *at, const char *text) {
    return put(at, text, strlen(text));
}

static char *put_number(char *at, uint64_t number) {
    char digits[20];
    size_t i = sizeof digits;
    do
        digits[--i] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    return put(at, digits + i, sizeof digits - i);
}

/* SplitMix64: ids must differ, not be secret. */
static uint64_t next_random(struct answer_maker *maker) {
    if (maker->random == 0 && getrandom(&maker->random, sizeof maker->random, 0) < 0)
        maker->random = (uint64_t)time(NULL);
    uint64_t x = maker->random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static char *put_request_id(struct answer_maker *maker, char *at) {
    uint64_t bits = 0;
    for (int i = 0; i < REQUEST_ID_CHARACTERS; i++, bits >>= 5) {
        if (i % 12 == 0)
            bits = next_random(maker);
        *at++ = "0123456789ABCDEFGHIJKLMNOPQRSTUV"[bits & 31];
    }
    return at;
}

static char *put_date(struct answer_maker *maker, char *at) {
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != maker->second || maker->date[0] == 0) {
        maker->second = now.tv_sec;
        gmtime_r(&now.tv_sec, &parts);
        strftime(maker->date, sizeof maker->date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    }
    return put_text(at, maker->date);
}

void answer_begin(struct answer *a) {
    a->status = 404;
    a->body = "";
    a->bytes = 0;
    a->type = ANSWER_JSON_1_0;
    a->is_gzip = a->is_body_left_out = a->is_closing = a->is_old_protocol = false;
    a->cors[0] = 0;
}

static const char *type_line(enum answer_type type) {
    switch (type) {
    case ANSWER_JSON_1_0:
        return "\r\nContent-Type: application/x-amz-json-1.0";
    case ANSWER_JSON:
        return "\r\nContent-Type: application/json";
    default:
        return "\r\nContent-Type: text/plain";
    }
}

size_t answer_head(struct answer_maker *maker, const struct answer *a, char head[ANSWER_HEAD_BYTES_MAX]) {
    char *at = PUT(head, "HTTP/1.1 ");
    at = put_text(at, status_words(a->status));
    at = PUT(at, "\r\nServer: Server\r\nDate: ");
    at = put_date(maker, at);
    at = PUT(at, "\r\nx-amzn-RequestId: ");
    at = put_request_id(maker, at);
    at = put_text(at, a->cors);
    if (a->bytes != 0) {
        at = put_text(at, type_line(a->type));
        /* Of the bytes as they are sent: clients check it before they decompress. */
        at = PUT(at, "\r\nx-amz-crc32: ");
        at = put_number(at, crc32(0, (const Bytef *)a->body, (uInt)a->bytes));
    }
    if (a->is_gzip)
        at = PUT(at, "\r\nContent-Encoding: gzip");
    at = PUT(at, "\r\nContent-Length: ");
    at = put_number(at, a->bytes);
    if (a->is_closing)
        at = PUT(at, "\r\nConnection: close");
    else if (a->is_old_protocol)
        at = PUT(at, "\r\nConnection: keep-alive");
    at = PUT(at, "\r\n\r\n");
    return (size_t)(at - head);
}
