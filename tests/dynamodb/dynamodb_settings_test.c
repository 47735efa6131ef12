/* tests/dynamodb/dynamodb_settings_test.c - what is kept with a table, tags, deletion protection.
 *
 * Goal     DescribeTable gives back what CreateTable was given, in every process; a table that was
 *          made without it can be given it. What is refused changes nothing.
 * Source   [c] the dynamodb-conformance suite (createTable/config, updateTable/config, tags), run
 *          against the service in 2026. [d] dynalite's suites (tagResource, untagResource,
 *          listTagsOfResource). [u] the service's words as its users report them. [a] API
 *          reference.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/dynamodb/dynamodb_kit.h"
#include "tests/support/expect.h"
#include "tests/support/testseg.h"

TestSuite(dynamodb_settings, .timeout = 30 * SLOW_FACTOR);

#define KEY                                                                                                            \
    "'AttributeDefinitions':[{'AttributeName':'a','AttributeType':'S'}],'KeySchema':[{'AttributeName':'a','KeyType':'" \
    "HASH'}]"
#define ARN "arn:aws:dynamodb:larder:000000000000:table/"
#define ON_DEMAND "'BillingMode':'PAY_PER_REQUEST'"
#define UNITS(read, write)                                                                                             \
    "'ProvisionedThroughput':{'NumberOfDecreasesToday':0,'ReadCapacityUnits':" read ",'WriteCapacityUnits':" write "}"
#define DESCRIBED(name, units, rest)                                                                                   \
    "{'Table':{" KEY_OUT(name) ",'TableStatus':'ACTIVE','CreationDateTime':~,'TableId':'~'," units                     \
                               ",'TableSizeBytes':0,'ItemCount':0,'TableArn':'" ARN name "'" rest "}}"
#define KEY_OUT(name)                                                                                                  \
    "'AttributeDefinitions':[{'AttributeName':'a','AttributeType':'S'}],'TableName':'" name                            \
    "','KeySchema':[{'AttributeName':'a','KeyType':'HASH'}]"
#define SINCE ",'BillingModeSummary':{'BillingMode':'PAY_PER_REQUEST','LastUpdateToPayPerRequestDateTime':~}"
#define UNPROTECTED ",'DeletionProtectionEnabled':false"

/* [c] */
Test(dynamodb_settings, come_back) {
    static const struct row rows[] = {
        {"CreateTable", "{'TableName':'Least'," KEY "," ON_DEMAND "}", 200, "{'TableDescription':{..."},
        {"DescribeTable", "{'TableName':'Least'}", 200, DESCRIBED("Least", UNITS("0", "0"), SINCE UNPROTECTED)},
        {"CreateTable",
         "{'TableName':'Most'," KEY
         ",'ProvisionedThroughput':{'ReadCapacityUnits':5,'WriteCapacityUnits':7},'TableClass':"
         "'STANDARD_INFREQUENT_ACCESS','DeletionProtectionEnabled':true,'SSESpecification':{'Enabled':true},"
         "'StreamSpecification':{'StreamEnabled':true,'StreamViewType':'NEW_IMAGE'},'WarmThroughput':{'"
         "ReadUnitsPerSecond':"
         "12000},'Tags':[{'Key':'k','Value':'v'},{'Key':'empty','Value':''}]}",
         200, "{'TableDescription':{..."},
        {"DescribeTable", "{'TableName':'Most'}", 200,
         DESCRIBED("Most", UNITS("5", "7"),
                   ",'WarmThroughput':{'ReadUnitsPerSecond':12000,'Status':'ACTIVE'},'StreamSpecification':{'"
                   "StreamEnabled':true,"
                   "'StreamViewType':'NEW_IMAGE'},'LatestStreamLabel':'~','LatestStreamArn':'" ARN
                   "Most/stream/~','SSEDescription':{'Status':'ENABLED','SSEType':'KMS','KMSMasterKeyArn':"
                   "'arn:aws:kms:larder:000000000000:key/alias/aws/dynamodb'},'TableClassSummary':{'TableClass':"
                   "'STANDARD_INFREQUENT_ACCESS'},'DeletionProtectionEnabled':true")},
        {"ListTagsOfResource", "{'ResourceArn':'" ARN "Most'}", 200,
         "{'Tags':[{'Key':'k','Value':'v'},{'Key':'empty','Value':''}]}"},
        {"CreateTable",
         "{'TableName':'Limited'," KEY "," ON_DEMAND ",'OnDemandThroughput':{'MaxReadRequestUnits':10,"
         "'MaxWriteRequestUnits':5}}",
         200, "{'TableDescription':{..."},
        {"DescribeTable", "{'TableName':'Limited'}", 200,
         DESCRIBED("Limited", UNITS("0", "0"),
                   SINCE ",'OnDemandThroughput':{'MaxReadRequestUnits':10,'MaxWriteRequestUnits':5}" UNPROTECTED)},
        /* one that the engine made has none; it is on demand */
        {"DescribeTable", "{'TableName':'Plain'}", 200,
         "{'Table':{'AttributeDefinitions':[{'AttributeName':'pk','AttributeType':'S'}],'TableName':'Plain','KeySchema'"
         ":[{"
         "'AttributeName':'pk','KeyType':'HASH'}],'TableStatus':'ACTIVE'," UNITS(
             "0", "0") ",'TableSizeBytes':0,'ItemCount':0,"
                       "'TableArn':'" ARN "Plain','BillingModeSummary':{'BillingMode':'PAY_PER_REQUEST'}" UNPROTECTED
                       "}}"},
    };
    DYNAMODB_RUN(rows);
}

Test(dynamodb_settings, refused) {
    static const struct row rows[] = {
        /* [u] */
        {"CreateTable",
         "{'TableName':'New'," KEY "," ON_DEMAND ",'SSESpecification':{'Enabled':false,'SSEType':'KMS'}}", 400,
         INVALID("SSEType can not be specified if Enabled is false")},
        {"CreateTable",
         "{'TableName':'New'," KEY "," ON_DEMAND ",'SSESpecification':{'Enabled':true,'SSEType':'AES256'}}", 400,
         INVALID("SSEType AES256 is not supported")},
        {"CreateTable",
         "{'TableName':'New'," KEY "," ON_DEMAND ",'SSESpecification':{'Enabled':true,'KMSMasterKeyId':'x'}}", 400,
         INVALID("SSEType KMS is required if KMSMasterKeyId is specified")},
        {"CreateTable", "{'TableName':'New'," KEY "," ON_DEMAND ",'Tags':[{'Key':'aws:x','Value':'v'}]}", 400,
         VALIDATION("Tag Key cannot be prefixed with aws:, Key: aws:x")},
        {"CreateTable",
         "{'TableName':'New'," KEY "," ON_DEMAND ",'Tags':[{'Key':'x','Value':'v'},{'Key':'x','Value':'w'}]}", 400,
         VALIDATION("Duplicate Tag Keys provided as input: Duplicate Tag Key found x")},
        {"CreateTable",
         "{'TableName':'New'," KEY "," ON_DEMAND
         ",'StreamSpecification':{'StreamEnabled':true,'StreamViewType':'ALL'}}",
         400,
         VALIDATION("1 validation error detected: Value `ALL` at `streamSpecification.streamViewType` failed to "
                    "satisfy constraint: "
                    "Member must satisfy enum value set: [NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES, KEYS_ONLY]")},
        {"CreateTable",
         "{'TableName':'New'," KEY
         ",'ProvisionedThroughput':{'ReadCapacityUnits':1,'WriteCapacityUnits':1},'OnDemandThroughput':{"
         "'MaxReadRequestUnits':1}}",
         400,
         INVALID("MaxReadRequestUnits for OnDemandThroughput cannot be specified when the table BillingMode is "
                 "PROVISIONED")},
        /* types */
        {"CreateTable", "{'Tags':{}}", 400, SERIALIZATION("Start of structure or map found where not expected")},
        {"CreateTable", "{'Tags':[1]}", 400, SERIALIZATION("Unexpected value type in payload")},
        {"CreateTable", "{'DeletionProtectionEnabled':1}", 400,
         SERIALIZATION("NUMBER_VALUE cannot be converted to Boolean")},
        {"CreateTable", "{'SSESpecification':[]}", 400,
         SERIALIZATION("Unrecognized collection type class com.amazonaws.dynamodb.v20120810.SSESpecification")},
        {"DescribeTable", "{'TableName':'New'}", 400,
         SERVICE("ResourceNotFoundException", "Requested resource not found: Table: New not found")},
    };
    DYNAMODB_RUN(rows);
}

/* [c], [u] */
Test(dynamodb_settings, a_protected_table_stays) {
    static const struct row rows[] = {
        {"CreateTable", "{'TableName':'Kept'," KEY "," ON_DEMAND ",'DeletionProtectionEnabled':true}", 200,
         "{'TableDescription':{..."},
        {"PutItem", "{'TableName':'Kept','Item':{'a':{'S':'x'}}}", 200, "{}"},
        {"DeleteTable", "{'TableName':'Kept'}", 400,
         VALIDATION("Resource cannot be deleted as it is currently protected against deletion. Disable deletion "
                    "protection first.")},
        {"GetItem", "{'TableName':'Kept','Key':{'a':{'S':'x'}}}", 200, "{'Item':{'a':{'S':'x'}}}"},
        {"UpdateTable", "{'TableName':'Kept','DeletionProtectionEnabled':false}", 200, "{'TableDescription':{..."},
        {"DeleteTable", "{'TableName':'Kept'}", 200, "{'TableDescription':{..."},
        /* also one that was made without settings */
        {"UpdateTable", "{'TableName':'Plain','DeletionProtectionEnabled':true}", 200, "{'TableDescription':{..."},
        {"DeleteTable", "{'TableName':'Plain'}", 400,
         VALIDATION("Resource cannot be deleted as it is currently protected against "
                    "deletion. Disable deletion protection first.")},
    };
    DYNAMODB_RUN(rows);
}

#define AT_PLAIN "'ResourceArn':'" ARN "Plain'"
#define DENIED(operation, on)                                                                                          \
    "{'__type':'com.amazon.coral.service#AccessDeniedException','Message':'User: arn:aws:iam::000000000000:larder is " \
    "not authorized to perform: dynamodb:" operation " on resource: " on "'}"

/* [c], [d] */
Test(dynamodb_settings, tags) {
    static const struct row rows[] = {
        {"ListTagsOfResource", "{" AT_PLAIN "}", 200, "{'Tags':[]}"},
        {"TagResource", "{" AT_PLAIN ",'Tags':[{'Key':'env','Value':'test'},{'Key':'project','Value':'x'}]}", 200,
         "{}"},
        {"TagResource",
         "{" AT_PLAIN ",'Tags':[{'Key':'env','Value':'production'},{'Key':'\\u00e9 +-=._:/@','Value':''}]}", 200, "{}"},
        {"ListTagsOfResource", "{" AT_PLAIN ",'NextToken':'x'}", 200,
         "{'Tags':[{'Key':'env','Value':'production'},{'Key':'project','Value':'x'},{'Key':'\xc3\xa9 "
         "+-=._:/@','Value':''}]}"},
        {"UntagResource", "{" AT_PLAIN ",'TagKeys':['project','none']}", 200, "{}"},
        {"ListTagsOfResource", "{" AT_PLAIN "}", 200,
         "{'Tags':[{'Key':'env','Value':'production'},{'Key':'\xc3\xa9 +-=._:/@','Value':''}]}"},
        {"ListTagsOfResource", "{}", 400, VALIDATION("Invalid TableArn")},
        {"ListTagsOfResource", "{'ResourceArn':''}", 400, DENIED("ListTagsOfResource", "*")},
        {"ListTagsOfResource", "{'ResourceArn':'a:b:c:d:e/f'}", 400, DENIED("ListTagsOfResource", "a:b:c:d:e/f")},
        {"TagResource", "{'ResourceArn':'not-an-arn'}", 400, DENIED("TagResource", "not-an-arn")},
        {"ListTagsOfResource", "{'ResourceArn':'a:b:c:d:e:f/g'}", 400,
         VALIDATION("Invalid TableArn: Invalid ResourceArn provided as input a:b:c:d:e:f/g")},
        {"ListTagsOfResource", "{'ResourceArn':'" ARN "ab'}", 400,
         VALIDATION("Invalid TableArn: Invalid ResourceArn provided as input " ARN "ab")},
        {"ListTagsOfResource", "{'ResourceArn':'" ARN "Songs/index/by-year'}", 400,
         VALIDATION("Invalid TableArn: Invalid ResourceArn provided as input " ARN "Songs/index/by-year")},
        {"ListTagsOfResource", "{'ResourceArn':'" ARN "None'}", 400,
         SERVICE("ResourceNotFoundException", "Requested resource not found: ResourcArn: " ARN "None not found")},
        {"UntagResource", "{'ResourceArn':'a:b:c:d:e:f/g'}", 400,
         VALIDATION("1 validation error detected: Value null at `tagKeys` failed to satisfy constraint: Member must "
                    "not be null")},
        {"UntagResource", "{" AT_PLAIN ",'TagKeys':[]}", 400,
         VALIDATION("Atleast one Tag Key needs to be provided as Input.")},
        {"TagResource", "{" AT_PLAIN "}", 400,
         VALIDATION("1 validation error detected: Value null at `tags` failed to satisfy constraint: Member must not "
                    "be null")},
        {"TagResource", "{" AT_PLAIN ",'Tags':[]}", 400, VALIDATION("Atleast one Tag needs to be provided as Input.")},
        {"TagResource", "{" AT_PLAIN ",'Tags':[{'Key':'ok','Value':'v'},{'Key':'a*b','Value':'v'}]}", 400,
         VALIDATION("The Tag Key provided is invalid, Key: a*b")},
        {"TagResource", "{" AT_PLAIN ",'Tags':[{'Key':'','Value':'v'}]}", 400,
         VALIDATION("The Tag Key provided is invalid, Key: ")},
        {"TagResource", "{" AT_PLAIN ",'Tags':[{'Key':'a'}]}", 400,
         VALIDATION("The Tag Value provided is invalid, Value: null")},
        {"TagResource", "{" AT_PLAIN ",'Tags':[null]}", 400, VALIDATION("The Tag Key provided is invalid, Key: null")},
        {"UntagResource", "{" AT_PLAIN ",'TagKeys':[1]}", 400,
         SERIALIZATION("NUMBER_VALUE cannot be converted to String")},
        {"ListTagsOfResource", "{" AT_PLAIN "}", 200,
         "{'Tags':[{'Key':'env','Value':'production'},{'Key':'\xc3\xa9 +-=._:/@','Value':''}]}"},
    };
    DYNAMODB_RUN(rows);
}

/* 50 tags of the longest texts fit; one more is refused. */
Test(dynamodb_settings, as_many_tags_as_are_allowed) {
    struct dynamodb_fixture f;
    char request[4096], letter[] = "\xf0\x90\x8c\xb0"; /* of 4 bytes */
    dynamodb_begin(&f);
    for (int i = 0; i < 51; i++) {
        size_t used =
            (size_t)snprintf(request, sizeof request, "{\"ResourceArn\":\"" ARN "Plain\",\"Tags\":[{\"Key\":\"%02d", i);
        for (int k = 0; k < 126; k++)
            used += (size_t)snprintf(request + used, sizeof request - used, "%s", letter);
        used += (size_t)snprintf(request + used, sizeof request - used, "\",\"Value\":\"");
        for (int k = 0; k < 256; k++)
            used += (size_t)snprintf(request + used, sizeof request - used, "%s", letter);
        used += (size_t)snprintf(request + used, sizeof request - used, "\"}]}");
        dynamodb_expect_bytes(
            &f, "TagResource", request, used, i < 50 ? 200 : 400,
            i < 50 ? "{}" : VALIDATION("Number of Tags exceed the current limit for the provided ResourceArn"));
    }
    dynamodb_end(&f);
}

/* Bytes of another program: rule S1 of dynamodb/settings.h. */
Test(dynamodb_settings, what_is_not_understood_is_left_out) {
    static const char *const strange[] = {"x",
                                          "{",
                                          "[]",
                                          "{}",
                                          "{\"TableId\":1}",
                                          "{\"TableId\":\"i\",\"Tags\":[{}]}",
                                          "{\"TableId\":\"i\"} more",
                                          "{\"TableId\":\"i\",\"Tags\":7}",
                                          "\xff\xfe"};
    struct dynamodb_fixture f;
    struct larder_table *t;
    dynamodb_begin(&f);
    EXPECT(larder_table_open(f.db, "Plain", &t), LARDER_OK);
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        EXPECT(larder_settings_set(t, NULL, strange[i], strlen(strange[i])), LARDER_OK);
        dynamodb_expect(&f, &(struct row){"DescribeTable", "{'TableName':'Plain'}", 200, "{'Table':{..."});
        dynamodb_expect(&f, &(struct row){"ListTagsOfResource", "{" AT_PLAIN "}", 200, "{'Tags':[]}"});
    }
    dynamodb_expect(&f, &(struct row){"TagResource", "{" AT_PLAIN ",'Tags':[{'Key':'k','Value':'v'}]}", 200, "{}"});
    dynamodb_expect(&f,
                    &(struct row){"ListTagsOfResource", "{" AT_PLAIN "}", 200, "{'Tags':[{'Key':'k','Value':'v'}]}"});
    dynamodb_end(&f);
}

/* The id and the tags are the table's, whoever asks. */
Test(dynamodb_settings, are_the_same_for_every_attachment) {
    struct dynamodb_fixture f;
    struct larder_dynamodb *theirs;
    struct larder_dynamodb_reply reply;
    const char *request = "{\"TableName\":\"Kept\"}";
    dynamodb_begin(&f);
    struct larder *other = testseg_attach(f.db, 0);
    EXPECT(larder_dynamodb_new(other, &theirs), LARDER_OK);
    dynamodb_expect(&f, &(struct row){"CreateTable", "{'TableName':'Kept'," KEY "," ON_DEMAND "}", 200,
                                      "{'TableDescription':{..."});
    EXPECT(larder_dynamodb_call(f.dynamodb, "DescribeTable", request, strlen(request), &reply), LARDER_OK);
    char *mine = strdup(reply.body);
    EXPECT(larder_dynamodb_call(theirs, "DescribeTable", request, strlen(request), &reply), LARDER_OK);
    cr_assert_str_eq(mine, reply.body);
    free(mine);
    larder_dynamodb_free(theirs);
    larder_close(other);
    dynamodb_end(&f);
}
