/* cli/template_file.c - a template's file, JSON or YAML, as one document.
 *
 * Why      jansson reads JSON: it is strict, and it knows every escape. It has no lines of values,
 *          though. JSON is YAML as well: so libyaml reads the text a second time, for the lines. If
 *          it cannot, messages do without.
 * Tests    tests/unit/cli/yaml_tree_test.c, tests/cli/template_test.sh
 */
#include "cli/template_file.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "cli/text_file.h"
#include "cli/yaml_tree.h"
#include "larder.h"

#define TEMPLATE_FILE_LINES_BYTES_MAX ((size_t)4 << 20) /* of JSON that is read twice */
#define TEMPLATE_FILE_YAML_BYTES_MAX ((size_t)8 << 20)

static bool template_file_ends(const char *name, const char *end) {
    size_t name_bytes = strlen(name), end_bytes = strlen(end);
    return name_bytes >= end_bytes && strcasecmp(name + name_bytes - end_bytes, end) == 0;
}

static bool template_file_is_json(const char *name, const char *text, size_t bytes) {
    size_t at = 0;
    if (template_file_ends(name, ".json"))
        return true;
    if (template_file_ends(name, ".yaml") || template_file_ends(name, ".yml"))
        return false;
    while (at < bytes && strchr(" \t\r\n", text[at]) != NULL && text[at] != 0)
        at++;
    return at < bytes && (text[at] == '{' || text[at] == '[');
}

static int template_file_json(const char *text, size_t bytes, struct node_lines *lines, struct place *place,
                              json_t **out) {
    json_error_t error;
    json_t *json = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error), *again = NULL;
    if (json == NULL) {
        place_fail(place, "%s", error.text);
        place->line = error.line;
        place->column = error.column;
        return json_error_code(&error) == json_error_out_of_memory ? LARDER_E_NO_MEMORY : LARDER_E_INVAL;
    }
    struct place unused = {0};
    if (bytes <= TEMPLATE_FILE_LINES_BYTES_MAX && yaml_tree_load(text, bytes, lines, &unused, &again) == LARDER_OK)
        json_decref(again);
    *out = json;
    return LARDER_OK;
}

int template_file_parse(const char *name, const char *text, size_t bytes, struct node_lines *lines, struct place *place,
                        json_t **out) {
    const char *wide = text_file_wide(text, bytes);
    size_t mark = text_file_mark_bytes(text, bytes);
    if (wide != NULL)
        return place_fail(place, "%s", wide);
    text += mark;
    bytes -= mark;
    if (template_file_is_json(name, text, bytes))
        return template_file_json(text, bytes, lines, place, out);
    if (bytes > TEMPLATE_FILE_YAML_BYTES_MAX)
        return place_fail(place, "more than 8 MiB of YAML");
    return yaml_tree_load(text, bytes, lines, place, out);
}
