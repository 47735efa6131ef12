/* cli/cmd_expire.c - larder expire: the expirer's work, once or repeatedly.
 *
 * Job      Calls larder_expire() and reports how many items were removed. With --every it is a
 *          small daemon, for segments whose programs run no expirer; SIGINT and SIGTERM end it
 *          after the current round. If the segment is destroyed, it waits for a new one of that
 *          name.
 * Tests    tests/cli/cli_test.sh
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/report.h"

enum { EXPIRE_EVERY = ARGS_OWN, EXPIRE_JSON };

#define EXPIRE_SECONDS_MAX 86400u

static const struct args_option expire_options[] = {
    ARGS_COMMON,
    {"every", 1, "SECONDS", "repeat until SIGINT or SIGTERM; 1 to 86400"},
    {"json", 0, "", "one JSON object per round"},
    {NULL, 0, NULL, NULL}};

extern const struct command cmd_expire;

static void expire_print(const struct args *args, uint64_t removed) {
    if (args->option[EXPIRE_JSON].is_given)
        printf("{\"removed\":%" PRIu64 "}\n", removed);
    else
        printf("removed %" PRIu64 " expired item%s\n", removed, removed == 1 ? "" : "s");
    fflush(stdout);
}

static int expire_round(const struct args *args, struct attach *attach, int is_daemon) {
    uint64_t removed = 0;
    int result = larder_expire(attach->db, 0, &removed);
    if (result == LARDER_E_BUSY && is_daemon) { /* the next round tries again */
        report_note("%s", larder_error());
        return EXIT_DONE;
    }
    if (result == LARDER_E_DESTROYED && is_daemon) {
        report_note("segment \"%s\" is gone; waiting until there is one again", attach_segment(args));
        attach_close(attach);
        return EXIT_DONE;
    }
    if (result < 0)
        return report_result(result, attach_segment(args));
    if (removed != 0 || !is_daemon)
        expire_print(args, removed);
    return EXIT_DONE;
}

/* After the segment was destroyed: looks once whether there is a new one of its name. */
static int expire_attach_again(const struct args *args, struct attach *attach) {
    int result = attach_try(args, 0, attach);
    if (result == LARDER_E_NO_SEGMENT || result == LARDER_E_BUSY)
        return EXIT_DONE;
    if (result < 0)
        return report_result(result, attach_segment(args));
    report_note("segment \"%s\" is there again", attach_segment(args));
    return EXIT_DONE;
}

static int expire_turn(const struct args *args, struct attach *attach, int is_daemon) {
    int code = attach->db != NULL ? EXIT_DONE : expire_attach_again(args, attach);
    return code == EXIT_DONE && attach->db != NULL ? expire_round(args, attach, is_daemon) : code;
}

/* Returns true if a signal came. The signals are blocked from before the first round on. */
static int expire_sleep(const sigset_t *signals, uint32_t seconds) {
    const struct timespec time = {.tv_sec = seconds};
    return sigtimedwait(signals, NULL, &time) > 0;
}

static int expire_run(const struct args *args) {
    struct attach attach = {0};
    sigset_t signals;
    uint32_t every = 0;
    int code = args_uint32(&cmd_expire, args, EXPIRE_EVERY, 1, EXPIRE_SECONDS_MAX, &every);
    if (code == EXIT_DONE)
        code = attach_open(args, 0, &attach);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (every != 0)
        sigprocmask(SIG_BLOCK, &signals, NULL);
    do
        code = code == EXIT_DONE ? expire_turn(args, &attach, every != 0) : code;
    while (code == EXIT_DONE && !ferror(stdout) && every != 0 && !expire_sleep(&signals, every));
    attach_close(&attach);
    return code;
}

const struct command cmd_expire = {
    .name = "expire",
    .operands = "",
    .summary = "remove expired items and what else is dead, once or every few seconds",
    .details =
        "Does the expirer's work: recovers what dead processes left, removes expired items, and empties dropped\n"
        "tables. Prints how many items it removed. Reads do not need it: an expired item is invisible from its\n"
        "second on, and a put that finds no room removes expired items itself. With --every it keeps running and\n"
        "repeats the work, for segments whose programs do not call larder_expirer_start(); then it prints a line\n"
        "only for a round that removed something. If the segment is destroyed meanwhile, it says so, waits for a\n"
        "new segment of that name, and goes on. Works beside other expirers.\n",
    .options = expire_options,
    .positional_min = 0,
    .positional_max = 0,
    .run = expire_run,
};
