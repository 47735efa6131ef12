/* cli/cmd_import.c - larder import: items from a file, one per line.
 *
 * Job      Line after line: JSON, item, put. Each item is stored by itself: items imported before
 *          an error stay.
 * Rules    A bad line is the input's fault, and --keep-going goes past it. Any other failure (full,
 *          busy, damaged) would hit the next line as well, and ends the import.
 * Tests    tests/cli/cli_test.sh
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/json_item.h"
#include "cli/json_nul.h"
#include "cli/lines.h"
#include "cli/progress.h"
#include "cli/report.h"

enum { IMPORT_KEEP_GOING = ARGS_OWN };

static const struct args_option import_options[] = {
    ARGS_COMMON, {"keep-going", 0, "", "skip and count bad lines"}, {NULL, 0, NULL, NULL}};

#define IMPORT_BATCH 128 /* lines between two looks at the progress bar */

struct import {
    struct attach attach;
    struct lines lines;
    struct progress progress;
    struct place place;
    uint64_t item_count, bad_count;
    bool is_keep_going;
};

/* Reports the problem of the current line; returns the exit code of its cause. */
static int import_refuse(struct import *import, int result, const char *text) {
    progress_hide(&import->progress);
    return report_error(report_exit_of(result), "%s:%llu: %s", import->lines.name,
                        (unsigned long long)import->lines.number, text);
}

static int import_bad_json(struct import *import, const json_error_t *error) {
    if (json_error_code(error) == json_error_out_of_memory)
        return import_refuse(import, LARDER_E_NO_MEMORY, "out of memory");
    progress_hide(&import->progress);
    return report_error(EXIT_INPUT, "%s:%llu:%d: %s", import->lines.name, (unsigned long long)import->lines.number,
                        error->column, error->text);
}

static int import_line(struct import *import, const char *text, size_t bytes) {
    json_error_t error;
    json_t *json = json_nul_load(text, bytes, &import->place, &error);
    if (json == NULL)
        return import_bad_json(import, &error);
    const struct larder_item *item;
    place_leave(&import->place, 0);
    int result = json_item_build(import->attach.builder, json, &item, &import->place);
    json_decref(json);
    if (result < 0)
        return import_refuse(import, result, import->place.problem);
    result = larder_put(import->attach.table, item, NULL);
    if (result < 0)
        return import_refuse(import, result, larder_error());
    import->item_count++;
    return EXIT_DONE;
}

static bool import_is_blank(const char *text, size_t bytes) {
    while (bytes > 0 && (text[bytes - 1] == ' ' || text[bytes - 1] == '\t' || text[bytes - 1] == '\r'))
        bytes--;
    return bytes == 0;
}

static int import_lines(struct import *import) {
    const char *text;
    size_t bytes;
    int code = EXIT_DONE, more;
    while ((more = lines_next(&import->lines, &text, &bytes, &code)) > 0) {
        if (import->lines.number % IMPORT_BATCH == 0)
            progress_show(&import->progress, lines_position(&import->lines), import->item_count);
        if (import_is_blank(text, bytes))
            continue;
        code = import_line(import, text, bytes);
        if (code == EXIT_INPUT)
            import->bad_count++;
        if (code != EXIT_DONE && (code != EXIT_INPUT || !import->is_keep_going))
            return code;
    }
    if (more < 0)
        return code;
    return import->bad_count > 0 ? EXIT_INPUT : EXIT_DONE;
}

static void import_summary(const struct import *import) {
    char bad[64] = "";
    if (import->bad_count > 0)
        snprintf(bad, sizeof bad, ", refused %llu line%s", (unsigned long long)import->bad_count,
                 import->bad_count == 1 ? "" : "s");
    report_note("imported %llu item%s%s", (unsigned long long)import->item_count, import->item_count == 1 ? "" : "s",
                bad);
}

static int import_run(const struct args *args) {
    struct import import = {.is_keep_going = args->option[IMPORT_KEEP_GOING].is_given};
    int code = attach_table(args, 0, args->positional[0], &import.attach);
    if (code == EXIT_DONE)
        code = attach_builder(&import.attach);
    if (code == EXIT_DONE)
        code = lines_open(&import.lines, args->positional[1]);
    if (code == EXIT_DONE) {
        progress_start(&import.progress, true, "import", import.lines.total_bytes, true);
        code = import_lines(&import);
        progress_hide(&import.progress);
        import_summary(&import);
    }
    lines_close(&import.lines);
    attach_close(&import.attach);
    return code;
}

const struct command cmd_import = {
    .name = "import",
    .operands = "TABLE FILE",
    .summary = "store the items of a file, one per line",
    .details = "Stores every item of FILE, one per line, as {\"Item\": {...}} (the shape of DynamoDB's export to S3) "
               "or bare.\n"
               "FILE may be gzip, which its content shows; - is standard input. Stops at the first bad line;\n"
               "items of earlier lines stay stored. Shows its progress if standard error is a terminal.\n",
    .options = import_options,
    .positional_min = 2,
    .positional_max = 2,
    .run = import_run,
};
