/* cli/json_text.c - JSON from an argument, standard input or a file, with the place of each error.
 *
 * Job      Reads it all, then parses once: nothing may follow the document, and every message has
 *          line and column.
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/json_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json_item.h"
#include "cli/json_nul.h"
#include "cli/report.h"
#include "cli/text_file.h"

/* place: of an item or key, whose names may hold zero bytes; else NULL. */
static int json_text_parse(const char *text, size_t bytes, struct place *place, const char *what, json_t **out) {
    json_error_t error;
    const char *wide = text_file_wide(text, bytes);
    if (wide != NULL)
        return report_error(EXIT_INPUT, "%s: %s", what, wide);
    size_t mark = text_file_mark_bytes(text, bytes);
    text += mark;
    bytes -= mark;
    *out = place != NULL ? json_nul_load(text, bytes, place, &error)
                         : json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (*out != NULL)
        return EXIT_DONE;
    if (json_error_code(&error) == json_error_out_of_memory)
        return report_error(EXIT_OTHER, "%s: out of memory", what);
    return report_error(EXIT_INPUT, "%s:%d:%d: %s", what, error.line, error.column, error.text);
}

static int json_text_stream(FILE *from, struct place *place, const char *what, json_t **out) {
    char *text = NULL;
    size_t bytes = 0;
    int code = text_file_stream(from, what, &text, &bytes);
    if (code != EXIT_DONE)
        return code;
    code = json_text_parse(text, bytes, place, what, out);
    free(text);
    return code;
}

static int json_text_argument(const char *argument, struct place *place, const char *what, json_t **out) {
    if (strcmp(argument, "-") == 0)
        return json_text_stream(stdin, place, "standard input", out);
    return json_text_parse(argument, strlen(argument), place, what, out);
}

int json_text_file(const char *path, json_t **out) {
    return json_text_file_items(path, NULL, out);
}

int json_text_file_items(const char *path, struct place *place, json_t **out) {
    if (strcmp(path, "-") == 0)
        return json_text_stream(stdin, place, "standard input", out);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return report_error(EXIT_OTHER, "cannot open %s: %s", path, strerror(errno));
    int code = json_text_stream(file, place, path, out);
    fclose(file);
    return code;
}

int json_text_of(const char *argument, const char *what, json_t **out) {
    return json_text_argument(argument, NULL, what, out);
}

int json_text_item(struct larder_builder *builder, const char *argument, const char *what,
                   const struct larder_item **out) {
    json_t *json = NULL;
    struct place place = {0};
    int code = json_text_argument(argument, &place, what, &json);
    if (code != EXIT_DONE)
        return code;
    int result = json_item_build(builder, json, out, &place);
    json_decref(json);
    return result < 0 ? report_error(report_exit_of(result), "%s: %s", what, place.problem) : EXIT_DONE;
}
