/* main.c - the shuttle command: load, run, and the two roles that run starts. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gen.h"
#include "load.h"
#include "run.h"
#include "when.h"
#include "work.h"
#include "write.h"

static const char main_usage[] = "usage: shuttle load [--segment NAME] [--shops N] [--seed N] [--today YYYY-MM-DD]\n"
                                 "       shuttle run  [--segment NAME] [--workers N] [--seconds N]\n"
                                 "\n"
                                 "load   fills the InavorShuttleTable of a segment (made by `larder create`); 5,000 "
                                 "shops are about a million items\n"
                                 "run    starts workers and a writer on it, kills some, judges every answer, prints a "
                                 "table; exit code 0: all right\n"
                                 "`shuttle work` and `shuttle write` are the processes that run starts.\n";

/* All options of all commands; each command looks at its own. */
struct main_options {
    struct gen_load load;
    struct run_options run;
    int board_fd;
    uint32_t slot, share, share_count;
};

static bool main_number(const char *text, uint64_t min, uint64_t max, uint64_t *out) {
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || n < min || n > max) {
        (void)fprintf(stderr, "shuttle: \"%s\" is not a number from %llu to %llu\n", text, (unsigned long long)min,
                      (unsigned long long)max);
        return false;
    }
    *out = n;
    return true;
}

static bool main_number32(const char *text, uint32_t min, uint32_t max, uint32_t *out) {
    uint64_t n;
    if (!main_number(text, min, max, &n))
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool main_share(const char *text, struct main_options *o) {
    char part[16];
    size_t bytes = strcspn(text, "/");
    if (bytes >= sizeof part || text[bytes] != '/')
        return false;
    memcpy(part, text, bytes);
    part[bytes] = 0;
    return main_number32(text + bytes + 1, 1, RUN_WORKERS_MAX, &o->share_count) &&
           main_number32(part, 0, o->share_count, &o->share);
}

static bool main_option(int option, const char *text, struct main_options *o) {
    uint32_t board_fd = 0;
    switch (option) {
    case 's':
        o->run.segment = text;
        return true;
    case 'n':
        return main_number32(text, GEN_SHOPS_MIN, GEN_SHOPS_MAX, &o->load.shop_count);
    case 'r':
        return main_number(text, 0, INT64_MAX, &o->load.seed);
    case 't':
        return when_parse_date(text, &o->load.today);
    case 'w':
        return main_number32(text, 1, RUN_WORKERS_MAX, &o->run.worker_count);
    case 'l':
        return main_number32(text, 5, 100000, &o->run.seconds);
    case 'b':
        if (!main_number32(text, 0, 1u << 20, &board_fd))
            return false;
        o->board_fd = (int)board_fd;
        return true;
    case 'p':
        return main_number32(text, 0, 1u << 20, &o->slot);
    case 'h':
        return main_share(text, o);
    default:
        return false;
    }
}

static bool main_options(int argc, char **argv, struct main_options *o) {
    static const struct option names[] = {
        {"segment", required_argument, NULL, 's'}, {"shops", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 'r'},    {"today", required_argument, NULL, 't'},
        {"workers", required_argument, NULL, 'w'}, {"seconds", required_argument, NULL, 'l'},
        {"board", required_argument, NULL, 'b'},   {"slot", required_argument, NULL, 'p'},
        {"share", required_argument, NULL, 'h'},   {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
        if (!main_option(option, optarg, o))
            return false;
    return optind == argc;
}

int main(int argc, char **argv) {
    struct main_options o = {.load = {.seed = 1, .shop_count = 5000, .today = time(NULL) / WHEN_DAY_S},
                             .run = {.segment = "larder", .worker_count = 4, .seconds = 16},
                             .board_fd = -1,
                             .share_count = 1};
    const char *command = argc > 1 ? argv[1] : "";
    if (argc > 1 && main_options(argc - 1, argv + 1, &o)) {
        if (strcmp(command, "load") == 0)
            return load_run(o.run.segment, &o.load);
        if (strcmp(command, "run") == 0)
            return run_demo(&o.run);
        if (strcmp(command, "work") == 0)
            return work_run(o.run.segment, o.board_fd, o.slot, o.share, o.share_count);
        if (strcmp(command, "write") == 0)
            return write_run(o.run.segment, o.board_fd, o.slot);
    }
    (void)fputs(main_usage, stderr);
    return 2;
}
