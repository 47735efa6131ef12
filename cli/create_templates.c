/* cli/create_templates.c - the templates of a command line, read into one set.
 *
 * Rules    R1 A --parameter or --name that no template knows is wrong usage: it is a slip of the
 *             pen, and would give a table that nobody asked for.
 * Tests    tests/cli/template_test.sh
 */
#include "cli/create_templates.h"

#include <stdlib.h>
#include <string.h>

#include "cli/report.h"
#include "cli/template_file.h"
#include "cli/text_file.h"

#define CREATE_MESSAGE_BYTES 2048

/* NAME=VALUE of the command line. */
static int create_pair(struct evaluate_pairs *pairs, const char *text, const char *equals, const char *option) {
    struct evaluate_pair pair = {.name = text, .name_bytes = (size_t)(equals - text), .value = equals + 1};
    if (pair.name_bytes == 0)
        return report_error(EXIT_USAGE, "--%s needs NAME=VALUE, not \"%s\"", option, text);
    for (size_t i = 0; i < pairs->count; i++)
        if (pairs->pairs[i].name_bytes == pair.name_bytes && memcmp(pairs->pairs[i].name, text, pair.name_bytes) == 0)
            return report_error(EXIT_USAGE, "--%s gives %.*s twice", option, (int)pair.name_bytes, text);
    pairs->pairs[pairs->count++] = pair;
    return EXIT_DONE;
}

static int create_settings(struct create_templates *templates, const struct args *args, int parameter_option,
                           int name_option) {
    struct template_settings *settings = &templates->settings;
    int code = EXIT_DONE;
    settings->parameters.pairs = templates->pairs[0];
    settings->names.pairs = templates->pairs[1];
    templates->set.settings = settings;
    for (int i = 0; i < args->repeated_count && code == EXIT_DONE; i++) {
        const char *text = args->repeated[i].value, *equals = strchr(text, '=');
        if (args->repeated[i].option == parameter_option && equals == NULL)
            code = report_error(EXIT_USAGE, "--parameter needs NAME=VALUE, not \"%s\"", text);
        else if (args->repeated[i].option == parameter_option)
            code = create_pair(&settings->parameters, text, equals, "parameter");
        else if (args->repeated[i].option == name_option && equals != NULL)
            code = create_pair(&settings->names, text, equals, "name");
        else if (args->repeated[i].option == name_option && settings->only_name != NULL)
            code = report_error(EXIT_USAGE, "--name gives two tables a name: say which, LOGICAL_ID=NAME");
        else if (args->repeated[i].option == name_option)
            settings->only_name = text;
    }
    return code;
}

/* R1 */
static int create_check_used(const struct create_templates *templates) {
    const struct evaluate_pairs *parameters = &templates->settings.parameters, *names = &templates->settings.names;
    for (size_t i = 0; i < parameters->count; i++)
        if (!parameters->pairs[i].is_used && strncmp(parameters->pairs[i].name, "AWS::", 5) != 0)
            return report_error(EXIT_USAGE, "--parameter %.*s: no template has such a parameter",
                                (int)parameters->pairs[i].name_bytes, parameters->pairs[i].name);
    for (size_t i = 0; i < names->count; i++)
        if (!names->pairs[i].is_used)
            return report_error(EXIT_USAGE, "--name %.*s: no template has such a table",
                                (int)names->pairs[i].name_bytes, names->pairs[i].name);
    if (templates->settings.only_name != NULL && !templates->settings.is_only_name_used)
        return report_error(EXIT_USAGE, "--name %s: each table has a name; OLD=NEW, or LOGICAL_ID=NAME, gives another",
                            templates->settings.only_name);
    return EXIT_DONE;
}

static int create_file(struct create_templates *templates, const char *path) {
    const char *name = text_file_name(path);
    char *text = NULL;
    size_t bytes = 0;
    int code = text_file_read(path, &text, &bytes);
    if (code != EXIT_DONE)
        return code;
    struct node_lines lines = {0};
    struct place place = {.lines = &lines};
    json_t *document = NULL;
    int result = template_file_parse(name, text, bytes, &lines, &place, &document);
    if (result >= 0)
        result = template_add(&templates->set, document, path, &place);
    if (document != NULL)
        json_decref(document); /* the set holds a reference */
    if (result < 0) {
        char message[CREATE_MESSAGE_BYTES];
        place_message(&place, name, message, sizeof message);
        code = report_error(report_exit_of(result), "%s", message);
    }
    for (size_t i = 0; result >= 0 && i < json_array_size(templates->set.notes); i++)
        report_note("%s: %s", name, json_string_value(json_array_get(templates->set.notes, i)));
    node_lines_free(&lines);
    free(text);
    return code;
}

int create_templates_read(struct create_templates *templates, const struct args *args, int parameter_option,
                          int name_option) {
    int code = create_settings(templates, args, parameter_option, name_option);
    for (int i = 0; i < args->positional_count && code == EXIT_DONE; i++)
        code = create_file(templates, args->positional[i]);
    return code == EXIT_DONE ? create_check_used(templates) : code;
}

void create_templates_free(struct create_templates *templates) {
    template_free(&templates->set);
}
