/* tests/dynamodb/dynamodb_scan_test.c - Scan of an index, and in segments.
 *
 * Goal     Each item that is in the index comes exactly once over all pages and segments, as the
 *          index has it; an item without the index's keys never does.
 * Source   API reference, Scan: IndexName, Segment, TotalSegments, Limit. Developer guide, "Take
 *          advantage of sparse indexes", "Using global secondary indexes".
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/expect.h"

TestSuite(dynamodb_scan, .timeout = 30 * SLOW_FACTOR);

#define ITEMS 60 /* every third has a Year */

static void fill(struct dynamodb_fixture *f) {
    char request[300];
    for (int i = 0; i < ITEMS; i++) {
        snprintf(request, sizeof request,
                 "{'TableName':'Songs','Item':{'Artist':{'S':'a%d'},'Title':{'S':'t%02d'},'Label':{'S':'l'},'Other':{'"
                 "S':'o'}%s}}",
                 i % 5, i, i % 3 ? "" : ",'Year':{'N':'1958'}");
        dynamodb_expect(f, &(struct row){"PutItem", request, 200, "{}"});
    }
}

/* Copies a JSON object that begins at `at`. */
static void copy_object(const char *at, char *to) {
    int depth = 0;
    do {
        depth += (*at == '{') - (*at == '}');
        *to++ = *at++;
    } while (depth);
    *to = 0;
}

/* Scans until there is no more; notes which items came. Returns the number of pages. */
static int scan(struct dynamodb_fixture *f, const char *rest, int *seen) {
    char request[1024], key[512] = "";
    int pages = 0;
    do {
        struct larder_dynamodb_reply reply;
        snprintf(request, sizeof request, "{'TableName':'Songs'%s%s%s}", rest, key[0] ? ",'ExclusiveStartKey':" : "",
                 key);
        for (char *c = request; *c; c++)
            *c = *c == '\'' ? '"' : *c;
        EXPECT(larder_dynamodb_call(f->dynamodb, "Scan", request, strlen(request), &reply), LARDER_OK);
        cr_assert(reply.status == 200, "%s", reply.body);
        const char *items_end = strstr(reply.body, "],\"Count\"");
        cr_assert(items_end);
        for (const char *at = reply.body; (at = strstr(at, "{\"S\":\"t")) && at < items_end; at++)
            seen[atoi(at + 7)]++;
        const char *last = strstr(reply.body, "\"LastEvaluatedKey\":");
        key[0] = 0;
        if (last)
            copy_object(last + strlen("\"LastEvaluatedKey\":"), key);
        pages++;
    } while (key[0]);
    return pages;
}

static void expect_each_once(const int *seen, int step) {
    for (int i = 0; i < ITEMS; i++)
        cr_expect(seen[i] == (i % step == 0), "item %d came %d times", i, seen[i]);
}

Test(dynamodb_scan, index_in_pages) {
    struct dynamodb_fixture f;
    dynamodb_begin(&f);
    fill(&f);
    static const char *const rests[] = {",'IndexName':'by-year'", ",'IndexName':'by-year','Limit':1",
                                        ",'IndexName':'by-year','Limit':7"};
    static const int pages[] = {1, 21, 3};
    for (int i = 0; i < 3; i++) {
        int seen[ITEMS] = {0};
        cr_expect(scan(&f, rests[i], seen) == pages[i]);
        expect_each_once(seen, 3);
    }
    dynamodb_end(&f);
}

Test(dynamodb_scan, segments) {
    static const char *const indexes[] = {"", ",'IndexName':'by-year'"};
    struct dynamodb_fixture f;
    char rest[128];
    dynamodb_begin(&f);
    fill(&f);
    for (int of_index = 0; of_index < 2; of_index++) {
        int seen[ITEMS] = {0};
        for (int segment = 0; segment < 3; segment++) {
            snprintf(rest, sizeof rest, ",'Limit':4,'Segment':%d,'TotalSegments':3%s", segment, indexes[of_index]);
            scan(&f, rest, seen);
        }
        expect_each_once(seen, of_index ? 3 : 1);
    }
    dynamodb_end(&f);
}

#define SONG(rest) "{'TableName':'Songs','Item':{'Artist':{'S':'a'},'Title':{'S':'t'}" rest "}}"
#define INDEX "'TableName':'Songs','IndexName':'by-year'"
Test(dynamodb_scan, as_the_index_has_it) {
    static const struct row rows[] = {
        {"PutItem", SONG(",'Year':{'N':'1'},'Label':{'S':'l'},'Other':{'S':'o'}"), 200, "{}"},
        {"Scan", "{" INDEX "}", 200,
         "{'Items':[{'Artist':{'S':'a'},'Label':{'S':'l'},'Title':{'S':'t'},'Year':{'N':'1'}}],'Count':1,'ScannedCount'"
         ":1}"},
        {"Scan",
         "{" INDEX ",'FilterExpression':'Label = "
         ":l','ExpressionAttributeValues':{':l':{'S':'x'}},'ReturnConsumedCapacity':'INDEXES'}",
         200,
         "{'Items':[],'Count':0,'ScannedCount':1,'ConsumedCapacity':{'TableName':'Songs','CapacityUnits':0.5,'Table':{'"
         "CapacityUnits':0.0},"
         "'GlobalSecondaryIndexes':{'by-year':{'CapacityUnits':0.5}}}}"},
        {"Scan", "{" INDEX ",'Select':'COUNT'}", 200, "{'Count':1,'ScannedCount':1}"},
        {"Scan", "{" INDEX ",'Limit':1,'Select':'COUNT'}", 200,
         "{'Count':1,'ScannedCount':1,'LastEvaluatedKey':{'Artist':{'S':'a'},'Title':{'S':'t'},'Year':{'N':'1'}}}"},
        {"Scan", "{" INDEX ",'ConsistentRead':true}", 400,
         VALIDATION("Consistent reads are not supported on global secondary indexes")},
        {"Scan", "{" INDEX ",'ExclusiveStartKey':{'Artist':{'S':'a'},'Title':{'S':'t'}}}", 400,
         VALIDATION("The provided starting key is invalid")},
        {"PutItem", SONG(",'Label':{'S':'l'},'Other':{'S':'o'}"), 200, "{}"},
        {"Scan", "{" INDEX "}", 200, "{'Items':[],'Count':0,'ScannedCount':0}"},
    };
    DYNAMODB_RUN(rows);
}
