/* bench/load.h - a client of an HTTP server: many connections, a request in flight on each.
 *
 * Method   One thread and epoll. A closed loop: the next request goes out when an answer has come
 *          whole. Requests are texts that were made before. A time is from just before the request
 *          is sent until its answer has been read. The share of a core that the client took is
 *          given back: near 1, it is what bounds the rate.
 */
#ifndef LARDER_BENCH_LOAD_H
#define LARDER_BENCH_LOAD_H

#include <stddef.h>
#include <stdint.h>

#define LOAD_CONNECTIONS_MAX 256u
/* A request's head as long as the SDK for JavaScript writes it, with a signature that nobody
 * checks: a format of the operation (%s) and the bytes of the body (%zu). */
#define LOAD_HEAD                                                                                                      \
    "POST / HTTP/1.1\r\nhost: 127.0.0.1:8000\r\nx-amz-target: DynamoDB_20120810.%s\r\n"                                \
    "content-type: application/x-amz-json-1.0\r\nuser-agent: aws-sdk-js/3.1168.0 ua/2.1 os/linux#6.1.0 lang/js "       \
    "md/nodejs#18\r\n"                                                                                                 \
    "amz-sdk-invocation-id: 4fb0c3a2-9d3b-4d26-8a5e-5d7c5b5b0f6e\r\namz-sdk-request: attempt=1; max=3\r\n"             \
    "x-amz-date: 20261130T123456Z\r\n"                                                                                 \
    "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261130/eu-west-1/dynamodb/aws4_request, "                \
    "SignedHeaders=content-type;host;x-amz-date;x-amz-target, "                                                        \
    "Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n"                                   \
    "content-length: %zu\r\nconnection: keep-alive\r\n\r\n"

struct load_request {
    const char *text; /* head and body */
    size_t bytes;
};

struct load {
    const int *ports; /* connections are dealt to them in turn */
    unsigned port_count, connections;
    const struct load_request *ring;
    uint32_t ring_count, at; /* `at` moves on from run to run */
    const char *wanted;      /* stands in every answer's body; NULL: nothing */
};

struct load_result {
    uint64_t answers;
    double seconds, p50_us, p99_us;
    double client; /* the client's share of a core */
};

/* Opens the connections, warms each up, and asks for so long. Ends the program if an answer is not
 * 200. */
struct load_result load_run(struct load *l, double seconds);
/* One request on a connection of its own. The answer's body, 0-terminated, until the next call. */
const char *load_ask(int port, const struct load_request *request, int *status);

#endif
