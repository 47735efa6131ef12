/* cli/import_file.c - all items of one file into a table.
 *
 * Job      Piece after piece: text, JSON, put. Each item is stored by itself: items imported before
 *          an error stay.
 * Rules    A bad piece is the input's fault, and --keep-going goes past it. Any other failure
 *          (full, busy, damaged) would hit the next one as well, and ends the import.
 * Tests    tests/cli/cli_test.sh, tests/cli/import_test.sh
 */
#include "cli/import_file.h"

#include <stdlib.h>
#include <string.h>

#include "cli/csv.h"
#include "cli/ending.h"
#include "cli/json_nul.h"
#include "cli/lines.h"
#include "cli/plain_json.h"
#include "cli/report.h"

#define IMPORT_BATCH 128 /* pieces between two looks at the progress bar */

/* Reports the problem of a piece that begins in this line; returns the exit code of its cause. */
static int import_refuse(struct import_file *import, int result, uint64_t line, const char *text, const char *hint) {
    progress_hide(&import->progress);
    return report_error(report_exit_of(result), "%s:%llu: %s%s", import->input.name, (unsigned long long)line, text,
                        hint);
}

/* jansson's error, counted from the line where the piece begins. */
static int import_bad_json(struct import_file *import, uint64_t line, const json_error_t *error) {
    if (json_error_code(error) == json_error_out_of_memory)
        return import_refuse(import, LARDER_E_NO_MEMORY, line, "out of memory", "");
    progress_hide(&import->progress);
    const char *hint = strstr(error->text, "near '$") != NULL ? " (Amazon Ion is not read; export as DYNAMODB_JSON)"
                       : strncmp(error->text, "'[' or '{' expected", 19) == 0
                           ? " (CSV needs --csv, or a file name that ends in .csv)"
                           : "";
    return report_error(EXIT_INPUT, "%s:%llu:%d: %s%s", import->input.name,
                        (unsigned long long)line + (error->line > 0 ? (unsigned long long)error->line - 1 : 0),
                        error->column, error->text, hint);
}

/* The JSON of a piece, types written out; NULL after a message. */
static json_t *import_plain(struct import_file *import, const char *text, size_t bytes, uint64_t line, int *code) {
    json_error_t error, plain_error;
    char *typed = NULL;
    size_t typed_bytes = 0;
    const char *problem = plain_json_typed(text, bytes, &typed, &typed_bytes);
    json_t *json = problem == NULL ? json_nul_load(typed, typed_bytes, &import->place, &error) : NULL;
    free(typed);
    if (json != NULL && plain_json_keys(json, import->target.def) != 0) {
        json_decref(json);
        json = NULL;
        problem = "out of memory";
    }
    if (json != NULL)
        return json;
    /* The text itself has the right columns; but what is wrong may be only in the other one. */
    json_t *plain = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &plain_error);
    if (plain == NULL)
        *code = import_bad_json(import, line, &plain_error);
    else
        *code = problem != NULL ? import_refuse(import, LARDER_E_INVAL, line, problem, "")
                                : import_bad_json(import, line, &error);
    json_decref(plain);
    return NULL;
}

/* Stores what the JSON says. */
static int import_json(struct import_file *import, const json_t *json, const char *list, uint64_t line) {
    place_leave(&import->place, 0);
    import->place.problem[0] = 0;
    int result = import_item(&import->target, json, list, &import->place);
    if (result >= 0)
        return EXIT_DONE;
    bool is_plain = import->format == IMPORT_JSON && plain_json_is_likely(json);
    return import_refuse(import, result, line, import->place.problem,
                         is_plain ? "; --plain reads plain JSON, without types" : "");
}

static int import_piece(struct import_file *import, const char *text, size_t bytes, const char *list, uint64_t line) {
    json_error_t error;
    int code = EXIT_DONE;
    json_t *json;
    if (import->format == IMPORT_PLAIN) {
        json = import_plain(import, text, bytes, line, &code);
    } else {
        json = json_nul_load(text, bytes, &import->place, &error);
        if (json == NULL)
            code = import_bad_json(import, line, &error);
    }
    if (json != NULL)
        code = import_json(import, json, list, line);
    json_decref(json);
    return code;
}

/* Counts a piece; whether the import goes on. */
static bool import_goes_on(struct import_file *import, int code, int *worst) {
    if (++import->entry_count % IMPORT_BATCH == 0)
        progress_show(&import->progress, import->before_bytes + import->input.read_bytes, import->target.put_count);
    if (code == EXIT_INPUT)
        import->bad_count++;
    if (code != EXIT_DONE)
        *worst = code;
    return code == EXIT_DONE || (code == EXIT_INPUT && import->is_keep_going);
}

/* ---- Formats --------------------------------------------------------------------------------- */

static bool import_is_blank(const char *text, size_t bytes) {
    while (bytes > 0 && (text[bytes - 1] == ' ' || text[bytes - 1] == '\t' || text[bytes - 1] == '\r'))
        bytes--;
    return bytes == 0;
}

static int import_lines(struct import_file *import) {
    const char *text;
    size_t bytes;
    int code = EXIT_DONE, worst = EXIT_DONE, more;
    import->is_lines = true;
    while ((more = lines_next(&import->input, &text, &bytes, &code)) > 0)
        if (!import_is_blank(text, bytes) &&
            !import_goes_on(import, import_piece(import, text, bytes, "", import->input.number), &worst))
            break;
    return more < 0 ? code : worst;
}

static int import_pieces(struct import_file *import) {
    const char *text;
    size_t bytes;
    int code = EXIT_DONE, worst = EXIT_DONE, more;
    while ((more = json_pieces_next(&import->pieces, &text, &bytes, &code)) > 0)
        if (!import_goes_on(import,
                            import_piece(import, text, bytes, json_pieces_list(&import->pieces), import->pieces.line),
                            &worst))
            break;
    if (import->pieces.is_more_to_scan)
        report_note("%s: a page has a LastEvaluatedKey or NextToken: it is not the end of its scan or query",
                    import->input.name);
    return more < 0 ? code : worst;
}

/* A header alone is a table without items if it is one of this table, else another kind of file. */
static int import_no_row(struct import_file *import, const struct csv *csv) {
    const char *key = import->target.def->partition.name;
    bool has_key = false;
    for (size_t i = 0; i < csv->column_count; i++)
        has_key = has_key || strcmp(csv->columns[i].name, key) == 0;
    progress_hide(&import->progress);
    return has_key
               ? EXIT_DONE
               : report_error(EXIT_INPUT,
                              "%s: one line, which names no column \"%s\", the table's partition key; no row follows",
                              import->input.name, key);
}

static int import_csv(struct import_file *import) {
    struct csv csv = {0};
    int worst = csv_open(&csv, &import->input, import->target.def), code = EXIT_DONE, more = 0;
    bool is_on = worst == EXIT_DONE;
    uint64_t before = import->entry_count;
    while (is_on && (more = csv_next(&csv, &import->place, &csv.item, &code)) > 0) {
        code = csv.item != NULL ? import_json(import, csv.item, "", csv.line)
                                : import_refuse(import, LARDER_E_INVAL, csv.line, import->place.problem, "");
        json_decref(csv.item);
        is_on = import_goes_on(import, code, &worst);
    }
    if (is_on && more == 0 && import->entry_count == before)
        worst = import_no_row(import, &csv);
    csv_close(&csv);
    return more < 0 ? code : worst;
}

static int import_any_json(struct import_file *import) {
    bool is_lines = false;
    import->pieces = (struct json_pieces){.input = &import->input, .is_plain = import->format == IMPORT_PLAIN};
    int code = json_pieces_is_lines(&import->pieces, &is_lines);
    if (code != EXIT_DONE)
        return code;
    uint64_t before = import->entry_count;
    code = is_lines ? import_lines(import) : import_pieces(import);
    import->is_blank = is_lines && import->entry_count == before;
    return code;
}

/* ---- Files without an item ------------------------------------------------------------------- */

/* Nothing was stored, deleted or refused. A list without items is as good as any other, and so is a
 * file of no lines. But a file that is named as JSON and has none is what a command leaves that
 * failed; and lists of other tables alone are a mistake. */
static int import_nothing(struct import_file *import, const char *path) {
    const struct import_target *target = &import->target;
    progress_hide(&import->progress);
    if (target->has_other && !target->has_own)
        return report_error(EXIT_INPUT, "%s: it has a list for table %s and nothing for %s; --name %s imports that",
                            import->input.name, target->other_table, target->name, target->other_table);
    if (import->is_blank && has_ending(path, ".json"))
        return report_error(EXIT_INPUT, "%s: the file is empty; JSON without items is [], and lines are named .jsonl",
                            import->input.name);
    if (!import->is_export) /* of which a file without items is as usual */
        report_note("%s: no item in it%s", import->input.name,
                    import->is_blank               ? ": the file is empty"
                    : import->format == IMPORT_CSV ? ": a header, and no row follows"
                                                   : "");
    return EXIT_DONE;
}

static uint64_t import_done_count(const struct import_file *import) {
    return import->target.put_count + import->target.delete_count + import->bad_count;
}

int import_file(struct import_file *import, const char *path) {
    uint64_t before = import_done_count(import);
    int code = input_open(&import->input, path);
    import->place = (struct place){0};
    import->target.has_own = import->target.has_other = import->is_blank = false;
    if (code == EXIT_DONE)
        code = import->format == IMPORT_CSV ? import_csv(import) : import_any_json(import);
    if (code == EXIT_DONE && import_done_count(import) == before)
        code = import_nothing(import, path);
    import->before_bytes += import->input.read_bytes;
    input_close(&import->input);
    return code;
}
