/* cli/cmd_serve.c - larder serve: DynamoDB's HTTP endpoint for a segment.
 *
 * Job      Makes the segment if it is missing, and the tables of --create as `larder create
 *          --if-not-exists` does; then serve/ does the rest. This process is attached only before
 *          that.
 * Tests    tests/serve/serve_test.sh
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/report.h"
#include "serve/serve.h"

enum {
    SERVE_LISTEN = ARGS_OWN,
    SERVE_WORKERS,
    SERVE_CREATE,
    SERVE_SIZE,
    SERVE_CREDENTIALS,
    SERVE_EXPOSE,
    SERVE_ORIGIN,
    SERVE_IDLE,
    SERVE_REQUEST
};

static const struct args_option serve_options[] = {
    ARGS_COMMON_OF("serve also a segment that another user made, to read and to write"),
    {"listen", 1, "HOST:PORT", "where; default 127.0.0.1:8000; port 0: any that is free"},
    {"workers", 1, "N", "processes that answer; default: one for each core, at most 8"},
    {"create", 1, "TEMPLATE...", "create the tables of these templates, unless they exist"},
    {"size", 1, "BYTES", "size of a new segment, with K, M, G or T; default 1G"},
    {"credentials", 1, "FILE", "demand signatures by the access keys of this file; see below"},
    {"expose", 0, "", "let other hosts ask without a signature, directly or through a proxy"},
    {"origin", 1, "ORIGIN", "let pages of this origin ask, such as https://x.example; *: all"},
    {"idle-seconds", 1, "N", "close a connection without a request after these; default 600"},
    {"request-seconds", 1, "N", "in which a request must come whole; default 30"},
    {NULL, 0, NULL, NULL}};

extern const struct command cmd_serve;

static uint32_t default_workers(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > 8 ? 8 : (uint32_t)cores;
}

static int serve_read_options(const struct args *args, struct serve_options *out) {
    const char *listen = args->option[SERVE_LISTEN].value[0];
    *out = (struct serve_options){.segment = attach_segment(args),
                                  .owner_flag = attach_owner_flag(args),
                                  .listen = listen != NULL ? listen : "127.0.0.1:8000",
                                  .credentials = args->option[SERVE_CREDENTIALS].value[0],
                                  .origin = args->option[SERVE_ORIGIN].value[0],
                                  .is_exposed = args->option[SERVE_EXPOSE].is_given,
                                  .worker_count = default_workers(),
                                  .idle_seconds = 600,
                                  .request_seconds = 30,
                                  .note = report_note};
    int code = args_uint32(&cmd_serve, args, SERVE_WORKERS, 1, SERVE_WORKERS_MAX, &out->worker_count);
    if (code == EXIT_DONE)
        code = args_uint32(&cmd_serve, args, SERVE_IDLE, 1, SERVE_SECONDS_MAX, &out->idle_seconds);
    if (code == EXIT_DONE)
        code = args_uint32(&cmd_serve, args, SERVE_REQUEST, 1, SERVE_SECONDS_MAX, &out->request_seconds);
    if (code == EXIT_DONE && args->positional_count > 0 && !args->option[SERVE_CREATE].is_given)
        code = report_error(EXIT_USAGE, "\"%s\": templates follow --create", args->positional[0]);
    return code;
}

/* As `larder create --if-not-exists [--size BYTES] TEMPLATE...` would. */
static int serve_create_tables(const struct args *args) {
    struct args create = {.positional_count = args->positional_count + 1};
    char **argv = malloc(((size_t)args->positional_count + 8) * sizeof *argv);
    int argc = 0, code = EXIT_OTHER;
    if (argv == NULL)
        return report_error(EXIT_OTHER, "out of memory");
    argv[argc++] = (char *)(uintptr_t) "--if-not-exists";
    argv[argc++] = (char *)(uintptr_t) "--segment";
    argv[argc++] = (char *)(uintptr_t)attach_segment(args);
    if (args->option[ARGS_ANY_OWNER].is_given)
        argv[argc++] = (char *)(uintptr_t) "--any-owner";
    if (args->option[SERVE_SIZE].is_given) {
        argv[argc++] = (char *)(uintptr_t) "--size";
        argv[argc++] = (char *)(uintptr_t)args->option[SERVE_SIZE].value[0];
    }
    argv[argc++] = (char *)(uintptr_t) "--";
    argv[argc++] = (char *)(uintptr_t)args->option[SERVE_CREATE].value[0];
    for (int i = 0; i < args->positional_count; i++)
        argv[argc++] = args->positional[i];
    code = args_parse(&cmd_create, argc, argv, &create);
    if (code == EXIT_DONE)
        code = cmd_create.run(&create);
    free(argv);
    return code;
}

/* The segment alone. */
static int serve_create_segment(const struct args *args) {
    struct larder_options options = {
        .segment = attach_segment(args), .flags = LARDER_CREATE | attach_owner_flag(args), .memfd = -1};
    struct larder *db;
    int code = args_size(&cmd_serve, args, SERVE_SIZE, &options.size_bytes);
    if (code != EXIT_DONE)
        return code;
    int result = larder_open(&options, &db);
    if (result < 0)
        return report_result(result, options.segment);
    larder_close(db);
    return EXIT_DONE;
}

struct serve_make {
    const struct args *args;
    int code; /* of the command, if it fails */
};

static bool serve_make(void *arg) {
    struct serve_make *make = arg;
    make->code =
        make->args->option[SERVE_CREATE].is_given ? serve_create_tables(make->args) : serve_create_segment(make->args);
    return make->code == EXIT_DONE;
}

static int serve_run_command(const struct args *args) {
    struct serve_make make = {args, EXIT_DONE};
    struct serve_options options;
    int code = serve_read_options(args, &options);
    if (code != EXIT_DONE)
        return code;
    options.make = serve_make;
    options.make_arg = &make;
    switch (serve_run(&options)) {
    case SERVE_DONE:
        return EXIT_DONE;
    case SERVE_WRONG_OPTION:
        return EXIT_USAGE;
    case SERVE_WRONG_FILE:
        return EXIT_INPUT;
    case SERVE_NOT_MADE:
        return make.code;
    default:
        return EXIT_OTHER;
    }
}

const struct command cmd_serve = {
    .name = "serve",
    .operands = "[--create TEMPLATE...]",
    .summary = "DynamoDB's HTTP endpoint, for the clients there are",
    .details =
        "Answers DynamoDB's API over HTTP until SIGTERM or SIGINT. Makes the segment if it is missing, so it is a\n"
        "local DynamoDB by itself. Programs of this host may use the segment at the same time without it.\n"
        "\n"
        "  larder serve &\n"
        "  aws dynamodb list-tables --endpoint-url http://127.0.0.1:8000\n"
        "\n"
        "Workers that die are replaced. Expired items are removed. SIGTERM finishes the requests that have begun.\n"
        "\n"
        "Without --credentials no signature is looked at, any access key will do, and other hosts are not served\n"
        "unless --expose is given; nor are requests for a host name that somebody else may own, as web pages could\n"
        "send them. FILE has the form of ~/.aws/credentials: every access key in it may do everything. Web pages may\n"
        "ask if their origin is this host or --origin; with --credentials, all pages.\n",
    .options = serve_options,
    .positional_min = 0,
    .positional_max = -1,
    .run = serve_run_command,
};
