/* tests/dynamodb/dynamodb_threads_test.c - many threads, each with a context of its own.
 *
 * Goal     Contexts of one attachment do not know of each other: no update is lost, a condition
 *          lets one of them through, and a table that comes and goes is found or not found, no
 *          more.
 * Method   Four threads on one segment; the thread sanitizer watches them.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/expect.h"

TestSuite(dynamodb_threads, .timeout = 30 * SLOW_FACTOR);

#define THREADS 4
#define ROUNDS 50

struct worker {
    pthread_t thread;
    struct larder *db;
    int number, created; /* how often its conditional put was the first */
    char problem[400];
};

static int call(struct larder_dynamodb *dynamodb, const char *operation, char *request,
                struct larder_dynamodb_reply *reply) {
    for (char *c = request; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    return larder_dynamodb_call(dynamodb, operation, request, strlen(request), reply);
}

static void expect_one_of(struct worker *w, const struct larder_dynamodb_reply *reply, const char *type) {
    if (reply->status != 200 && !strstr(reply->body, type))
        snprintf(w->problem, sizeof w->problem, "%s", reply->body);
}

static void take_turn(struct worker *w, struct larder_dynamodb *dynamodb, int round) {
    struct larder_dynamodb_reply reply;
    char request[400];
    snprintf(request, sizeof request,
             "{'TableName':'Plain','Key':{'pk':{'S':'sum'}},'UpdateExpression':'ADD n :one',"
             "'ExpressionAttributeValues':{':one':{'N':'1'}},'ReturnConsumedCapacity':'TOTAL'}");
    call(dynamodb, "UpdateItem", request, &reply);
    expect_one_of(w, &reply, "none");
    snprintf(request, sizeof request,
             "{'TableName':'Plain','Item':{'pk':{'S':'%d'}},'ConditionExpression':'attribute_not_exists(pk)'}", round);
    call(dynamodb, "PutItem", request, &reply);
    expect_one_of(w, &reply, "ConditionalCheckFailedException");
    w->created += reply.status == 200;
    snprintf(request, sizeof request,
             "{'TableName':'Temp','AttributeDefinitions':[{'AttributeName':'a','AttributeType':'S'}],'KeySchema':[{'"
             "AttributeName':'a','KeyType':'HASH'}],'BillingMode':'PAY_PER_REQUEST'}");
    if (w->number == 0) {
        call(dynamodb, round % 2 ? "DeleteTable" : "CreateTable", request, &reply);
        expect_one_of(w, &reply, "none");
    }
    snprintf(request, sizeof request, "{'TableName':'Temp','Key':{'a':{'S':'x'}}}");
    call(dynamodb, "GetItem", request, &reply);
    expect_one_of(w, &reply, "ResourceNotFoundException");
}

static void *work(void *arg) {
    struct worker *w = arg;
    struct larder_dynamodb *dynamodb;
    if (larder_dynamodb_new(w->db, &dynamodb) != LARDER_OK) {
        snprintf(w->problem, sizeof w->problem, "no context");
        return NULL;
    }
    for (int round = 0; round < ROUNDS; round++)
        take_turn(w, dynamodb, round);
    larder_dynamodb_free(dynamodb);
    return NULL;
}

Test(dynamodb_threads, each_with_a_context) {
    struct worker workers[THREADS] = {{.number = 0}};
    struct dynamodb_fixture f;
    char sum[100];
    int created = 0;
    dynamodb_begin(&f);
    for (int i = 0; i < THREADS; i++) {
        workers[i].db = f.db;
        workers[i].number = i;
        cr_assert(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        cr_expect(!workers[i].problem[0], "%s", workers[i].problem);
        created += workers[i].created;
    }
    cr_expect(created == ROUNDS, "%d puts were the first", created);
    snprintf(sum, sizeof sum, "{'Item':{'n':{'N':'%d'},'pk':{'S':'sum'}}}", THREADS * ROUNDS);
    dynamodb_expect(&f, &(struct row){"GetItem", "{'TableName':'Plain','Key':{'pk':{'S':'sum'}}}", 200, sum});
    dynamodb_end(&f);
}
