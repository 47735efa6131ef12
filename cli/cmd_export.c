/* cli/cmd_export.c - larder export: all items of a table, one per line.
 *
 * Job      A scan into a file that appears whole or not at all (cli/sink.c), also when the user
 *          interrupts it.
 * Tests    tests/cli/cli_test.sh
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/walk.h"

static const struct args_option export_options[] = {ARGS_COMMON, {NULL, 0, NULL, NULL}};

static volatile sig_atomic_t export_signal; /* the signal that asks us to stop; 0: none */

static void export_on_signal(int number) {
    export_signal = number;
}

static void export_catch_signals(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction old, action = {.sa_handler = export_on_signal};
        /* An ignored signal (nohup) stays ignored. */
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
}

static int export_between(void *arg, uint64_t item_count) {
    struct progress *progress = arg;
    progress_show(progress, item_count, item_count);
    return export_signal != 0 ? EXIT_OTHER : EXIT_DONE;
}

/* The number of items, for the progress bar; 0 if no bar is shown. */
static uint64_t export_total(const struct attach *attach, bool is_bar) {
    struct larder_table_stats stats;
    if (!is_bar || !progress_is_possible() || larder_table_stats(attach->table, &stats) < 0)
        return 0;
    return stats.item_count;
}

static int export_to(const struct attach *attach, struct sink *sink, bool is_bar) {
    struct progress progress;
    struct larder_scan_spec spec = {0};
    struct walk walk = {.db = attach->db,
                        .table = attach->table,
                        .scan = &spec,
                        .is_wrapped = 1,
                        .between = export_between,
                        .between_arg = &progress};
    progress_start(&progress, is_bar, "export", export_total(attach, is_bar), false);
    int code = walk_run(&walk, sink);
    progress_hide(&progress);
    if (code == EXIT_DONE && walk.item_count == 0)
        code = sink_nothing(sink);
    if (code == EXIT_DONE)
        code = sink_commit(sink);
    if (code == EXIT_DONE)
        report_note("exported %llu item%s", (unsigned long long)walk.item_count, walk.item_count == 1 ? "" : "s");
    return code;
}

static int export_run(const struct args *args) {
    struct attach attach = {0};
    struct sink sink = {0};
    const char *path = args->positional_count > 1 ? args->positional[1] : "-";
    bool is_stdout = strcmp(path, "-") == 0;
    int code = attach_table(args, LARDER_READ_ONLY, args->positional[0], &attach);
    if (code == EXIT_DONE && is_stdout) {
        sink_open_stdout(&sink);
        code = export_to(&attach, &sink, !isatty(STDOUT_FILENO));
    } else if (code == EXIT_DONE) {
        export_catch_signals();
        code = sink_open_file(&sink, path);
        if (code == EXIT_DONE)
            code = export_to(&attach, &sink, true);
    }
    sink_close(&sink);
    attach_close(&attach);
    if (export_signal != 0) { /* cleaned up; now end as the sender of the signal expects */
        signal(export_signal, SIG_DFL);
        raise(export_signal);
    }
    return code;
}

const struct command cmd_export = {
    .name = "export",
    .operands = "TABLE [FILE]",
    .summary = "write all items of a table, one per line",
    .details =
        "Writes every item of TABLE as {\"Item\": {...}}, one per line, to FILE or standard output. gzip if FILE ends\n"
        "in .gz. FILE is replaced when the export is complete, and left alone if it fails. Items that are written\n"
        "to the table meanwhile may or may not be included; each is whole. Of a table without items FILE is empty, or\n"
        "[] if its name ends in .json.\n",
    .options = export_options,
    .positional_min = 1,
    .positional_max = 2,
    .run = export_run,
};
