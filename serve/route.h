/* serve/route.h - what a request gets: DynamoDB's answer, health, CORS, or a refusal.
 *
 * Picture  OPTIONS, GET / -> answered here
 *          POST -> X-Amz-Target -> signature -> gunzip -> larder_dynamodb_call() -> gzip
 * Rules    R1 Pages of other sites must not reach a cache that asks for no signature: browsers name
 *             the page's origin, and it must be one of this host or the one of --origin.
 *             A page that gives this host its own name is known by the Host: host.h.
 *          R2 A segment that was destroyed is detached; each request looks whether there is a new
 *             one of its name.
 * Tests    tests/serve/serve_http_test.c, tests/serve/serve_test.sh
 */
#ifndef LARDER_SERVE_ROUTE_H
#define LARDER_SERVE_ROUTE_H

#include "larder_dynamodb.h"
#include "serve/answer.h"
#include "serve/message.h"
#include "serve/serve.h"
#include "serve/zip.h"

struct credentials;

/* The key that a signature was last checked with. */
struct signing_key {
    char name[256]; /* access key/date/region */
    size_t name_bytes;
    unsigned char key[32];
};

/* Of one worker. Zero it, and set the first two. */
struct route {
    const struct serve_options *options;
    const struct credentials *credentials; /* NULL: signatures are not looked at */
    struct larder *db;                     /* NULL: the segment is gone */
    uint32_t attachments;                  /* how many there were; a new one may have the old address */
    struct larder_dynamodb *dynamodb;
    int64_t now_s; /* when signatures are checked; 0: by the clock */
    struct zip zip;
    struct signing_key signing_key;
    char text[4096]; /* a refusal of this file's own */
};

/* Attaches to the segment and starts its expirer. Returns a result of larder_open(). */
int route_attach(struct route *r);
void route_free(struct route *r);

/* The answer; its body stands until the next call with `r`. */
void route_answer(struct route *r, const struct message *m, struct answer *a);

/* An exception of the service's. `type` is the whole name. */
void route_fail(struct route *r, struct answer *a, const char *type, const char *message);

#endif
