/* cli/cmd_segment.c - larder destroy and larder check: a segment as a whole.
 *
 * Tests    tests/cli/cli_test.sh
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/report.h"

enum { DESTROY_FORCE = ARGS_OWN };

static const struct args_option destroy_options[] = {
    ARGS_COMMON,
    {"force", 0, "",
     "even if a table is to be retained, or the segment is damaged or has lost its lock file; see below"},
    {NULL, 0, NULL, NULL}};

static int destroy_run(const struct args *args) {
    const char *segment = attach_segment(args);
    uint32_t force = args->option[DESTROY_FORCE].is_given ? LARDER_FORCE : 0;
    int result = larder_destroy(segment, force | attach_owner_flag(args));
    return result < 0 ? report_result(result, segment) : EXIT_DONE;
}

const struct command cmd_destroy = {
    .name = "destroy",
    .operands = "",
    .summary = "remove a segment with all its tables",
    .details =
        "Removes a segment with all its tables. Refuses if a table's DeletionPolicy is Retain, unless forced.\n"
        "Attached processes live on and get LARDER_E_DESTROYED. Always remove a segment with this command: rm leaves\n"
        "the lock file .larder-*.lock behind if no process is attached. A segment of another user is left alone\n"
        "without --any-owner.\n"
        "A file is a segment by its first bytes. If they are damaged, or of another file, it is left as it is, also\n"
        "with --force; only rm removes it.\n",
    .options = destroy_options,
    .positional_min = 0,
    .positional_max = 0,
    .run = destroy_run,
};

enum { CHECK_READ_ONLY = ARGS_OWN, CHECK_REPAIR };

static const struct args_option check_options[] = {
    ARGS_COMMON,
    {"read-only", 0, "", "take no lock, change and repair nothing; beside writers some parts cannot be judged"},
    {"repair", 0, "", "if it is damaged, keep every undamaged item and rebuild everything else; drops the rest"},
    {NULL, 0, NULL, NULL}};

static void check_note(void *arg, const char *line) {
    char text[1024]; /* damaged data may have any bytes in it */
    if (arg != NULL)
        progress_hide(arg);
    snprintf(text, sizeof text, "%s", line);
    report_clean(text);
    puts(text);
}

static int check_progress(void *arg, uint64_t done, uint64_t total) {
    struct progress *progress = arg;
    progress->total = total;
    progress_show_share(progress, done);
    return 0;
}

static void check_print(const struct larder_check_report *report) {
    printf("%s: %" PRIu64 " items, %" PRIu64 " index entries, %" PRIu64 " blocks; %" PRIu64 " errors, %" PRIu64
           " leaked blocks, %" PRIu64 " stale entries, %" PRIu64 " dead slots\n",
           report->errors == 0 ? "clean" : "DAMAGED", report->items, report->index_entries, report->blocks,
           report->errors, report->leaked_blocks, report->stale_entries, report->dead_slots);
    if (report->longest_pause_ns > 0)
        printf("longest pause for a writer: %.1f ms, time without a processor included\n",
               (double)report->longest_pause_ns / 1e6);
    if (report->unjudged > 0)
        printf("not judged: %" PRIu64 " parts or blocks that changed whenever they were looked at\n", report->unjudged);
}

static void check_print_repair(const struct larder_repair_report *report) {
    if (report->errors_found == 0) {
        puts("clean: nothing to repair");
        return;
    }
    printf("%s: %" PRIu64 " items kept (%" PRIu64 " mended), %" PRIu64 " lost; %" PRIu64 " tables kept, %" PRIu64
           " lost; %" PRIu64 " index entries and %" PRIu64 " timers rebuilt, %" PRIu64 " bytes freed, %" PRIu64
           " slots and %" PRIu64 " locks cleared\n",
           report->errors_left == 0 ? "repaired" : "NOT REPAIRED", report->items_kept, report->items_mended,
           report->items_lost, report->tables_kept, report->tables_lost, report->index_entries, report->timers,
           report->freed_bytes, report->slots_cleared, report->locks_cleared);
}

static int check_repair(const struct args *args) {
    struct attach attach = {0};
    struct larder_repair_report report;
    memset(&report, 0, sizeof report);
    int code = attach_open(args, LARDER_REPAIR, &attach);
    if (code != EXIT_DONE)
        return code;
    int result = larder_repair(attach.db, &(struct larder_repair_options){.note = check_note}, &report);
    if (result >= 0)
        check_print_repair(&report);
    if (result != LARDER_OK)
        code = report_result(result, attach_segment(args));
    attach_close(&attach);
    return code;
}

static int check_run(const struct args *args) {
    struct attach attach = {0};
    int is_read_only = args->option[CHECK_READ_ONLY].is_given;
    if (args->option[CHECK_REPAIR].is_given)
        return is_read_only ? report_error(EXIT_USAGE, "--repair and --read-only exclude each other")
                            : check_repair(args);
    struct larder_check_report report;
    memset(&report, 0, sizeof report);
    int code, result = attach_try(args, is_read_only ? LARDER_READ_ONLY : 0, &attach);
    if (result < 0) {
        code = report_result(result, attach_segment(args));
        if (result == LARDER_E_ACCESS && !is_read_only)
            report_note("with --read-only, the right to read is enough");
        return code;
    }
    struct progress progress;
    progress_start(&progress, true, "check", 1, false);
    const struct larder_check_options options = {.note = check_note, .progress = check_progress, .arg = &progress};
    result = larder_check(attach.db, &options, &report);
    progress_hide(&progress);
    if (result >= 0)
        check_print(&report);
    code = EXIT_DONE;
    if (result != LARDER_OK)
        code = report_result(result, attach_segment(args));
    attach_close(&attach);
    return code;
}

const struct command cmd_check = {
    .name = "check",
    .operands = "",
    .summary = "verify every invariant of a segment",
    .details =
        "Walks the whole segment and verifies every invariant. Recovers what dead processes left first. The segment\n"
        "may be in use: each lock is held for about a millisecond, and what a write has changed meanwhile is looked\n"
        "at again. Prints a line for each error, a summary, and the longest time a writer may have waited; exit code\n"
        "0 only if it is clean. Shows a progress bar if standard error is a terminal.\n"
        "\n"
        "With --read-only nothing is locked: beside writers, a finding is an error only if it lasts, and parts that\n"
        "cannot be judged are counted.\n"
        "\n"
        "With --repair a damaged segment is repaired in place: every undamaged item is kept, and everything else\n"
        "(indexes, timers, memory, locks) is rebuilt from the items. It does not ask first: what cannot be kept is\n"
        "useless. Prints the damage it found, each lost item and table with the reason, and a summary; a clean\n"
        "segment stays as it is. Exit code 0 only if it is clean afterwards. Other processes may stay attached; if\n"
        "one is in the middle of a change for too long, it is named, and nothing is done (exit code 6). If a repair\n"
        "is interrupted, run it again. A file whose first bytes are not those of a segment is left as it is (exit\n"
        "code 7): use a copy of it, or larder import.\n",
    .options = check_options,
    .positional_min = 0,
    .positional_max = 0,
    .run = check_run,
};
