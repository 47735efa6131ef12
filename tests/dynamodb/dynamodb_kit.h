/* tests/dynamodb/dynamodb_kit.h - requests and their answers, as rows of a table.
 *
 * Method   A row is an operation, a request, a status and the whole answer. In a row ' stands for a
 *          quote and ` for an apostrophe, so that JSON can be read. Rows run in their order, on
 *          one segment, all through one context: what is kept from call to call takes part.
 * Tables   Plain   pk S
 *          Bytes   pk B
 *          Numbers pk N
 *          Songs   Artist S, Title S; global index by-year (Year N, Title S; includes Label), local
 *                  index by-length (Length N; all)
 */
#ifndef LARDER_TESTS_DYNAMODB_DYNAMODB_KIT_H
#define LARDER_TESTS_DYNAMODB_DYNAMODB_KIT_H

#include "larder_dynamodb.h"
#include "tests/support/slow.h"

struct row {
    const char *operation, *request;
    int status;
    /* One that ends with "..." needs to begin so. ~ stands for any hexadecimal digits and "-T:.":
     * a time, an id. */
    const char *reply;
};

struct dynamodb_fixture {
    struct larder *db;
    struct larder_dynamodb *dynamodb;
};

void dynamodb_begin(struct dynamodb_fixture *f);
void dynamodb_end(struct dynamodb_fixture *f);
void dynamodb_expect(struct dynamodb_fixture *f, const struct row *row);
/* The same with bytes as they are. */
void dynamodb_expect_bytes(struct dynamodb_fixture *f, const char *operation, const char *request, size_t bytes,
                           int status, const char *reply);
/* In a fixture of their own. */
void dynamodb_run(const struct row *rows, size_t count);
#define DYNAMODB_RUN(rows) dynamodb_run(rows, sizeof(rows) / sizeof *(rows))

/* Answers that many rows have. */
#define VALIDATION(message) "{'__type':'com.amazon.coral.validate#ValidationException','message':'" message "'}"
#define INVALID(message) VALIDATION("One or more parameter values were invalid: " message)
#define SERIALIZATION(message) "{'__type':'com.amazon.coral.service#SerializationException','Message':'" message "'}"
#define MALFORMED "{'__type':'com.amazon.coral.service#SerializationException'}"
#define SERVICE(type, message) "{'__type':'com.amazonaws.dynamodb.v20120810#" type "','message':'" message "'}"
#define NOT_FOUND SERVICE("ResourceNotFoundException", "Requested resource not found")
#define REFUSED SERVICE("ConditionalCheckFailedException", "The conditional request failed")

#endif
