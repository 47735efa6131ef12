/* cli/cmd_import.c - larder import: the items of files, or of a folder that DynamoDB exported.
 *
 * Job      Options, the list of files, the sum of it all. One file is cli/import_file.c.
 * Tests    tests/cli/cli_test.sh, tests/cli/import_test.sh
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/ending.h"
#include "cli/import_file.h"
#include "cli/import_folder.h"
#include "cli/report.h"

enum { IMPORT_KEEP_GOING = ARGS_OWN, IMPORT_OPTION_PLAIN, IMPORT_OPTION_CSV, IMPORT_OPTION_NAME };

static const struct args_option import_options[] = {ARGS_COMMON,
                                                    {"keep-going", 0, "", "skip and count what is refused"},
                                                    {"plain", 0, "", "plain JSON, without types; see below"},
                                                    {"csv", 0, "", "CSV, whatever the file's name; see below"},
                                                    {"name", 1, "NAME", "what the files call the table, if not TABLE"},
                                                    {NULL, 0, NULL, NULL}};

/* Whether the name, without the ending of a compression, ends in .csv. */
static bool import_is_csv(const char *path) {
    static const char *const endings[] = {".csv", ".csv.gz", ".csv.zst"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (has_ending(path, endings[i]))
            return true;
    return false;
}

static uint64_t import_file_bytes(const char *path) {
    struct stat status;
    return strcmp(path, "-") != 0 && stat(path, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
}

/* One file; goes on after a bad one only if that was asked for. */
static bool import_one(struct import_file *import, const struct args *args, const char *path, int *worst) {
    import->format = args->option[IMPORT_OPTION_PLAIN].is_given                        ? IMPORT_PLAIN
                     : args->option[IMPORT_OPTION_CSV].is_given || import_is_csv(path) ? IMPORT_CSV
                                                                                       : IMPORT_JSON;
    int code = import_file(import, path);
    if (code != EXIT_DONE)
        *worst = code;
    return code == EXIT_DONE || (code == EXIT_INPUT && import->is_keep_going);
}

/* The data files of an export. */
static bool import_export(struct import_file *import, const struct args *args, const char *path, int *worst) {
    struct import_folder folder = {0};
    uint64_t before = import->entry_count;
    bool is_on = true;
    int code = import_folder_list(path, &folder);
    if (code != EXIT_DONE)
        *worst = code;
    for (size_t i = 0; i < folder.count && code == EXIT_DONE; i++)
        import->progress.total += import_file_bytes(folder.paths[i]);
    import->is_export = true;
    for (size_t i = 0; i < folder.count && code == EXIT_DONE && is_on; i++)
        is_on = import_one(import, args, folder.paths[i], worst);
    import->is_export = false;
    uint64_t read = import->entry_count - before;
    if (code == EXIT_DONE && is_on && read != folder.item_count && (!folder.is_incremental || folder.item_count > 0)) {
        progress_hide(&import->progress);
        *worst = report_error(EXIT_INPUT, "%s: the manifest says %llu items; its files have %llu", path,
                              (unsigned long long)folder.item_count, (unsigned long long)read);
    }
    import_folder_free(&folder);
    return code == EXIT_DONE && is_on;
}

static int import_all(struct import_file *import, const struct args *args) {
    int worst = EXIT_DONE;
    bool is_on = true;
    uint64_t total = 0;
    for (int i = 1; i < args->positional_count; i++)
        total += import_file_bytes(args->positional[i]);
    progress_start(&import->progress, true, "import", total, true);
    for (int i = 1; i < args->positional_count && is_on; i++) {
        const char *path = args->positional[i];
        is_on =
            import_folder_is(path) ? import_export(import, args, path, &worst) : import_one(import, args, path, &worst);
    }
    progress_hide(&import->progress);
    return worst;
}

/* Appends ", WORD N NOUNs" if there are some. */
static void import_count(char *text, size_t text_bytes, const char *word, uint64_t count, const char *noun) {
    size_t used = strlen(text);
    if (count > 0)
        snprintf(text + used, text_bytes - used, ", %s %llu %s%s", word, (unsigned long long)count, noun,
                 count == 1 ? "" : "s");
}

static void import_summary(const struct import_file *import) {
    const struct import_target *target = &import->target;
    char more[160] = "";
    import_count(more, sizeof more, "deleted", target->delete_count, "item");
    import_count(more, sizeof more, "refused", import->bad_count, import->is_lines ? "line" : "item");
    if (target->other_count > 0)
        report_note("passed over %llu entr%s of other tables, such as %s", (unsigned long long)target->other_count,
                    target->other_count == 1 ? "y" : "ies", target->other_table);
    report_note("imported %llu item%s%s", (unsigned long long)target->put_count, target->put_count == 1 ? "" : "s",
                more);
}

static int import_run(const struct args *args) {
    struct import_file import = {.is_keep_going = args->option[IMPORT_KEEP_GOING].is_given};
    struct attach attach = {0};
    if (args->option[IMPORT_OPTION_PLAIN].is_given && args->option[IMPORT_OPTION_CSV].is_given)
        return report_error(EXIT_USAGE, "--plain and --csv exclude each other");
    int code = attach_table(args, 0, args->positional[0], &attach);
    if (code == EXIT_DONE)
        code = attach_builder(&attach);
    if (code == EXIT_DONE) {
        import.target = (struct import_target){.table = attach.table, .def = attach.def, .builder = attach.builder};
        import.target.name =
            args->option[IMPORT_OPTION_NAME].is_given ? args->option[IMPORT_OPTION_NAME].value[0] : attach.def->name;
        code = import_all(&import, args);
        import_summary(&import);
    }
    attach_close(&attach);
    return code;
}

const struct command cmd_import = {
    .name = "import",
    .operands = "TABLE FILE...",
    .summary = "store the items of files, or of a folder that DynamoDB exported",
    .details =
        "Stores the items of each FILE. gzip and zstd are known by their first bytes; - is standard input. A FILE is:\n"
        "  items in DynamoDB JSON, as {\"Item\": {...}} or bare: one per line, over several lines, or in a list\n"
        "  the output of scan, query or batch-get-item, or input of batch-write-item, whose DeleteRequests delete;\n"
        "    lists of other tables in it are passed over, and it is refused if it has no other; --name NAME takes\n"
        "    the list of that name\n"
        "  with --plain, objects in plain JSON: numbers, texts, booleans, null, lists and objects are N, S, BOOL,\n"
        "    NULL, L and M; keys of the table and of its indexes get the type that they have there\n"
        "  CSV, if its name ends in .csv or with --csv: the first line names the attributes, name:TYPE gives one of\n"
        "    S N B BOOL NULL M L SS NS BS; without, keys have their own type and the rest is text. An empty cell is\n"
        "    no attribute, \"\" an empty text; cells of M, L and sets have what DynamoDB JSON has there\n"
        "  the folder of an export to S3, with manifest-summary.json, or that file: full or incremental, where an\n"
        "    entry without a NewImage deletes. Amazon Ion is not read\n"
        "Stops at the first bad line or item; what was stored before stays. A FILE without an item is said: an empty\n"
        "one is refused if its name ends in .json or .csv. Shows its progress if standard error is a terminal.\n",
    .options = import_options,
    .positional_min = 2,
    .positional_max = -1,
    .run = import_run,
};
