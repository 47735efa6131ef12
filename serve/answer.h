/* serve/answer.h - the bytes of an answer's head.
 *
 * Picture  "HTTP/1.1 200 OK", Server, Date, x-amzn-RequestId, CORS, Content-Type, x-amz-crc32,
 *          Content-Length, blank line; the body is sent from where it lies.
 * Sources  Which headers: dynalite's connection tests, which were run against the service.
 * Tests    tests/serve/serve_http_test.c
 */
#ifndef LARDER_SERVE_ANSWER_H
#define LARDER_SERVE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define ANSWER_HEAD_BYTES_MAX 4096u
#define ANSWER_CORS_BYTES_MAX 3072u

enum answer_type { ANSWER_JSON_1_0, ANSWER_JSON, ANSWER_TEXT };

struct answer {
    int status;
    const char *body;
    size_t bytes;
    enum answer_type type;
    bool is_gzip;                     /* the body is compressed */
    bool is_body_left_out;            /* HEAD: lengths as if there were one */
    bool is_closing, is_old_protocol; /* the connection ends; HTTP/1.0 */
    char cors[ANSWER_CORS_BYTES_MAX]; /* "": none; whole lines */
};

/* What heads of one worker share. Zero it first. */
struct answer_maker {
    uint64_t random;
    time_t second; /* of `date` */
    char date[40];
};

/* An answer without a body: 404. */
void answer_begin(struct answer *a);

/* Writes the head of `a`. Returns its length. */
size_t answer_head(struct answer_maker *maker, const struct answer *a, char head[ANSWER_HEAD_BYTES_MAX]);

#endif
