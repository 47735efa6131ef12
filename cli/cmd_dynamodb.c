/* cli/cmd_dynamodb.c - larder dynamodb: one request of DynamoDB's API, and its answer.
 *
 * Job      Hands the request to larder_dynamodb_call() as it is, and prints what comes back on
 *          standard output: also an error, as the service would send it.
 * Tests    tests/cli/dynamodb_test.sh
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/report.h"
#include "larder_dynamodb.h"

#define REQUEST_BYTES_MAX (64u << 20)

static const struct args_option dynamodb_options[] = {ARGS_COMMON, {NULL, 0, NULL, NULL}};

/* Standard input as a whole. NULL after a message. */
static char *read_input(size_t *bytes) {
    size_t room = 1u << 16;
    char *text = malloc(room);
    for (*bytes = 0; text != NULL && !feof(stdin) && !ferror(stdin);) {
        if (*bytes == room && room < REQUEST_BYTES_MAX) {
            char *longer = realloc(text, room *= 2);
            if (longer == NULL)
                break;
            text = longer;
        } else if (*bytes == room)
            break;
        *bytes += fread(text + *bytes, 1, room - *bytes, stdin);
    }
    if (text != NULL && feof(stdin))
        return text;
    report_error(EXIT_INPUT, "standard input could not be read, or has more than %u bytes", REQUEST_BYTES_MAX);
    free(text);
    return NULL;
}

static int exit_of(const struct larder_dynamodb_reply *reply) {
    static const struct {
        const char *type;
        int code;
    } codes[] = {{"#ConditionalCheckFailedException\"", EXIT_REFUSED},
                 {"#ResourceNotFoundException\"", EXIT_MISSING},
                 {"#LimitExceededException\"", EXIT_FULL},
                 {"#ThrottlingException\"", EXIT_BUSY}};
    if (reply->status == 200)
        return EXIT_DONE;
    const char *type_end = strchr(reply->body, ',');
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        const char *found = strstr(reply->body, codes[i].type);
        if (found != NULL && (type_end == NULL || found < type_end))
            return codes[i].code;
    }
    return reply->status < 500 ? EXIT_INPUT : EXIT_OTHER;
}

static int dynamodb_call(struct attach *attach, const char *operation, const char *json, size_t bytes) {
    struct larder_dynamodb_reply reply = {0};
    struct larder_dynamodb *dynamodb;
    int code, result = larder_dynamodb_new(attach->db, &dynamodb);
    if (result < 0)
        return report_result(result, NULL);
    result = larder_dynamodb_call(dynamodb, operation, json, bytes, &reply);
    if (result < 0)
        code = report_error(EXIT_OTHER, "out of memory");
    else {
        fwrite(reply.body, 1, reply.bytes, stdout);
        putchar('\n');
        code = exit_of(&reply);
    }
    larder_dynamodb_free(dynamodb);
    return code;
}

static int dynamodb_run(const struct args *args) {
    const char *json = args->positional_count > 1 ? args->positional[1] : "{}";
    struct attach attach = {0};
    char *input = NULL;
    size_t bytes = strlen(json);
    if (strcmp(json, "-") == 0 && (json = input = read_input(&bytes)) == NULL)
        return EXIT_INPUT;
    int code = attach_open(args, attach_owner_flag(args), &attach);
    if (code == EXIT_DONE)
        code = dynamodb_call(&attach, args->positional[0], json, bytes);
    attach_close(&attach);
    free(input);
    return code;
}

const struct command cmd_dynamodb = {
    .name = "dynamodb",
    .operands = "OPERATION [REQUEST-JSON]",
    .summary = "one request of DynamoDB's API, and its answer",
    .details =
        "OPERATION is the API's name, such as GetItem; REQUEST-JSON what `aws dynamodb ... --cli-input-json` takes, or "
        "-\n"
        "for standard input. Prints the answer as DynamoDB sends it, also if it is an error: then the exit code is 9\n"
        "for a condition that is not true, 4 for a table that does not exist, 5 and 6 for a segment that is full or\n"
        "busy, else 3, or 8 if Larder is to blame.\n"
        "\n"
        "  larder dynamodb GetItem '{\"TableName\": \"Songs\", \"Key\": {\"Artist\": {\"S\": \"Nina Simone\"}}}'\n",
    .options = dynamodb_options,
    .positional_min = 1,
    .positional_max = 2,
    .run = dynamodb_run,
};
