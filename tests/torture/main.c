/* tests/torture/main.c - the command line of larder_torture. See torture.h, and script/torture,
 * which builds and calls it. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/torture/torture.h"

#define SECONDS_USUAL 20u
#define WORKERS_USUAL 6u
#define SEGMENT_MB_USUAL 12u
#define HOG_BYTES_USUAL 150000u /* of segment for each large item: not all of them fit */

static void usage(void) {
    fprintf(
        stderr,
        "usage: larder_torture [--seconds N] [--kills N] [--seed S] [--workers N] [--segment-mb N] [--evict] [--keep] "
        "[--keep-in FOLDER]\n"
        "Kills, stops and restarts N processes that work on one segment. Exit code: 0, or %d wrong, %d cannot run, %d "
        "crash, %d stuck, or 128 and the signal that interrupted it.\n",
        EXIT_WRONG, EXIT_USAGE, EXIT_CRASH, EXIT_STUCK);
}

static struct run *run_map(int fd) {
    void *at = mmap(NULL, sizeof(struct run), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* Decimal, also with zeros before it, or 0x and hexadecimal. */
static int number_of(const char *text, uint64_t least, uint64_t most, uint64_t *out) {
    char *end;
    if (!text || !isdigit((unsigned char)*text))
        return 0;
    errno = 0;
    *out = strtoull(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
    return !errno && !*end && *out >= least && *out <= most;
}

/* A worker or the auditor: --part NAME DESCRIPTOR NUMBER NUMBER. */
static int part_main(char **argv) {
    uint64_t fd, a, b;
    struct run *run;
    if (!number_of(argv[1], 0, 1 << 20, &fd) || !number_of(argv[2], 0, UINT32_MAX, &a) ||
        !number_of(argv[3], 0, UINT32_MAX, &b) || !(run = run_map((int)fd)))
        return EXIT_USAGE;
    if (strcmp(argv[0], "worker") == 0)
        return worker_main(run, (uint32_t)a, (uint32_t)b);
    return audit_main(run, (uint32_t)a, (uint32_t)b);
}

static uint64_t fresh_seed(void) {
    struct timespec now;
    struct rng rng;
    clock_gettime(CLOCK_REALTIME, &now);
    rng_seed(&rng, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
    return rng_next(&rng);
}

struct command {
    struct supervisor_options options;
    uint64_t seconds, kills, seed, workers, segment_mb;
    int has_cache;
};

/* An option that takes a number. script/torture knows the same ranges. */
struct number_option {
    const char *name;
    uint64_t least, most;
    uint64_t *out;
};

static int parse_number(const struct number_option *o, const char *text) {
    if (number_of(text, o->least, o->most, o->out))
        return 1;
    fprintf(stderr, "larder_torture: %s %s: not a number from %llu to %llu\n", o->name, text ? text : "(nothing)",
            (unsigned long long)o->least, (unsigned long long)o->most);
    return 0;
}

static int parse(int argc, char **argv, struct command *c) {
    const struct number_option numbers[] = {
        {"--seconds", 1, UINT32_MAX / 1000, &c->seconds},
        {"--kills", 1, UINT32_MAX, &c->kills},
        {"--seed", 0, UINT64_MAX, &c->seed},
        {"--workers", 2, WORKERS_MAX, &c->workers},
        {"--segment-mb", 6, 24, &c->segment_mb},
    };
    const unsigned count = sizeof numbers / sizeof *numbers;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        unsigned n = 0;
        if (strcmp(name, "--keep") == 0) {
            c->options.is_kept = 1;
            continue;
        }
        if (strcmp(name, "--evict") == 0) {
            c->has_cache = 1;
            continue;
        }
        while (n < count && strcmp(name, numbers[n].name) != 0)
            n++;
        if (n < count) {
            if (!parse_number(&numbers[n], argv[++i]))
                return 0;
        } else if (strcmp(name, "--keep-in") == 0 && argv[i + 1])
            c->options.keep_folder = argv[++i];
        else {
            fprintf(stderr, "larder_torture: %s: no such option, or it lacks its folder\n", name);
            usage();
            return 0;
        }
    }
    c->options.seconds = (uint32_t)c->seconds;
    c->options.kills = (uint32_t)c->kills;
    return 1;
}

int main(int argc, char **argv) {
    struct command c = {.options = {.keep_folder = "."}, .workers = WORKERS_USUAL, .segment_mb = SEGMENT_MB_USUAL};
    if (argc == 6 && strcmp(argv[1], "--part") == 0)
        return part_main(argv + 2);
    c.seed = fresh_seed();
    if (!parse(argc, argv, &c))
        return EXIT_USAGE;
    if (!c.options.seconds && !c.options.kills)
        c.options.seconds = SECONDS_USUAL;
    int fd = memfd_create("larder-torture", 0); /* no MFD_CLOEXEC: the parts map it, too */
    struct run *run = fd < 0 || ftruncate(fd, sizeof(struct run)) ? NULL : run_map(fd);
    if (!run) {
        perror("larder_torture");
        return EXIT_USAGE;
    }
    run->seed = run->shared.seed = c.seed;
    run->worker_count = (uint32_t)c.workers;
    run->segment_bytes = c.segment_mb << 20;
    run->has_cache = (uint32_t)c.has_cache;
    run->hog_keys = (uint32_t)(run->segment_bytes / HOG_BYTES_USUAL);
    if (run->hog_keys > SHARED_KEYS)
        run->hog_keys = SHARED_KEYS;
    run->shared.now_s = SHARED_EPOCH_S;
    snprintf(run->segment, sizeof run->segment, "larder-test-torture-%d", (int)getpid());
    printf("seed 0x%llx: %u workers, %u MB, segment %s\n", (unsigned long long)c.seed, run->worker_count,
           (unsigned)c.segment_mb, run->segment);
    fflush(stdout);
    return supervise(run, fd, &c.options);
}
