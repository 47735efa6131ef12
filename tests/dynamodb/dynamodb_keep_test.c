/* tests/dynamodb/dynamodb_keep_test.c - requests leave nothing in the process that answers them.
 *
 * Goal     A worker that answers for months is no larger than after its first minute: tables with
 *          changing settings, under changing names, that come and go.
 * Method   As tests/unit/table/keep_test.c: the kernel's figures after a warm-up, and again after
 *          many more cycles. Under sanitizers, which keep freed memory, the cycles only run.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/footprint.h"
#include "tests/support/until.h"

TestSuite(dynamodb_keep, .timeout = 60 * SLOW_FACTOR);

#define WARM_UP (SLOW_FACTOR > 1 ? 5u : 200u)
#define CYCLES (SLOW_FACTOR > 1 ? 20u : 1000u)
#define GROWN_KB_MAX 1024 /* what malloc still spreads; one definition kept in each cycle is 6,000 */
#define NAMES 40u         /* more than a context remembers */
#define ARN "arn:aws:dynamodb:larder:000000000000:table/"

static void expect(struct dynamodb_fixture *f, const char *operation, const char *request) {
    struct larder_dynamodb_reply reply;
    cr_assert_eq(larder_dynamodb_call(f->dynamodb, operation, request, strlen(request), &reply), LARDER_OK);
    cr_assert_eq(reply.status, 200, "%s %s: %s", operation, request, reply.body);
}

/* Each table has an id of its own in its settings; each tag makes another definition. */
static void cycle(struct dynamodb_fixture *f, uint32_t i) {
    char request[600];
    uint32_t name = i % NAMES;
    snprintf(request, sizeof request,
             "{\"TableName\":\"table%u\",\"AttributeDefinitions\":[{\"AttributeName\":\"pk\",\"AttributeType\":\"S\"}],"
             "\"KeySchema\":[{\"AttributeName\":\"pk\",\"KeyType\":\"HASH\"}],\"BillingMode\":\"PAY_PER_REQUEST\"}",
             name);
    expect(f, "CreateTable", request);
    snprintf(request, sizeof request, "{\"TableName\":\"table%u\",\"Item\":{\"pk\":{\"S\":\"a\"}}}", name);
    expect(f, "PutItem", request);
    snprintf(request, sizeof request,
             "{\"ResourceArn\":\"" ARN "table%u\",\"Tags\":[{\"Key\":\"run\",\"Value\":\"%u\"}]}", name, i);
    expect(f, "TagResource", request);
    snprintf(request, sizeof request, "{\"TableName\":\"table%u\",\"Key\":{\"pk\":{\"S\":\"a\"}}}", name);
    expect(f, "GetItem", request);
    snprintf(request, sizeof request,
             "{\"TableName\":\"table%u\",\"TimeToLiveSpecification\":{\"AttributeName\":\"t%u\",\"Enabled\":true}}",
             name, i);
    expect(f, "UpdateTimeToLive", request);
    snprintf(request, sizeof request, "{\"TableName\":\"table%u\"}", name);
    expect(f, "DescribeTable", request);
    expect(f, "DeleteTable", request);
    expect(f, "ListTables", "{}");
}

/* The thread that empties dropped tables may hold back what was replaced while it works. */
static int is_small(struct dynamodb_fixture *f, const struct footprint *before) {
    cycle(f, 0);
    return footprint_now().private_kb < before->private_kb + GROWN_KB_MAX;
}

Test(dynamodb_keep, tables_that_come_and_go) {
    struct dynamodb_fixture f;
    dynamodb_begin(&f);
    for (uint32_t i = 0; i < WARM_UP; i++)
        cycle(&f, i);
    struct footprint before = footprint_now();
    for (uint32_t i = 0; i < CYCLES; i++)
        cycle(&f, WARM_UP + i);
    cr_assert(SLOW_FACTOR > 1 || UNTIL(is_small(&f, &before), 30000), "grew by %ld KB",
              footprint_now().private_kb - before.private_kb);
    dynamodb_end(&f);
}
