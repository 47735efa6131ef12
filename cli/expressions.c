/* cli/expressions.c - see expressions.h.
 *
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/expressions.h"

#include <stdlib.h>
#include <string.h>

#include "cli/json_item.h"
#include "cli/json_text.h"
#include "cli/report.h"

#define NAMES_WHAT "--expression-attribute-names"

static int take_names(struct expressions *e, const char *what) {
    const char *placeholder;
    json_t *attribute;
    if (!json_is_object(e->names_json))
        return report_error(EXIT_INPUT, "%s: an object is needed, such as {\"#s\": \"status\"}", what);
    e->names = calloc(json_object_size(e->names_json) + 1, sizeof *e->names);
    if (e->names == NULL)
        return report_error(EXIT_OTHER, "out of memory");
    json_object_foreach(e->names_json, placeholder, attribute) {
        if (!json_is_string(attribute))
            return report_error(EXIT_INPUT, "%s: %s: a string is needed", what, placeholder);
        e->names[e->name_count].placeholder = placeholder;
        e->names[e->name_count++].attribute = json_string_value(attribute);
    }
    return EXIT_DONE;
}

static int take_values(struct expressions *e, struct attach *attach, const char *text) {
    int result = larder_builder_new_values(attach->db, &e->builder);
    return result < 0 ? report_result(result, NULL)
                      : json_text_item(e->builder, text, "--expression-attribute-values", &e->values);
}

int expressions_open(struct expressions *e, struct attach *attach, const struct args *args, int names_option) {
    int values_option = names_option + 1, code = EXIT_DONE;
    if (args->option[names_option].is_given) {
        code = json_text_of(args->option[names_option].value[0], NAMES_WHAT, &e->names_json);
        if (code == EXIT_DONE)
            code = take_names(e, NAMES_WHAT);
    }
    if (code == EXIT_DONE && args->option[values_option].is_given)
        code = take_values(e, attach, args->option[values_option].value[0]);
    return code;
}

int expressions_open_json(struct expressions *e, struct larder *db, json_t *names, json_t *values,
                          struct place *place) {
    size_t mark = place_enter_name(place, "ExpressionAttributeNames");
    e->names_json = json_incref(names);
    int code = names ? take_names(e, place->path) : EXIT_DONE;
    place_leave(place, mark);
    if (code != EXIT_DONE || values == NULL)
        return code;
    mark = place_enter_name(place, "ExpressionAttributeValues");
    int result = larder_builder_new_values(db, &e->builder);
    if (result < 0)
        return report_result(result, NULL);
    result = json_item_build(e->builder, values, &e->values, place);
    place_leave(place, mark);
    return result < 0 ? report_error(report_exit_of(result), "%s", place->problem) : EXIT_DONE;
}

int expressions_prepare(struct expressions *e, const struct attach *attach, const struct args *args, int option,
                        enum larder_expr_kind kind, const struct larder_expr **out) {
    if (!args->option[option].is_given)
        return EXIT_DONE;
    return expressions_prepare_text(e, attach->db, args->option[option].value[0], kind, out);
}

int expressions_prepare_text(struct expressions *e, struct larder *db, const char *text, enum larder_expr_kind kind,
                             const struct larder_expr **out) {
    struct larder_expr *prepared;
    int result = larder_prepare(db, kind, text, e->names, e->name_count, &prepared);
    if (result < 0)
        return report_result(result, NULL);
    *out = e->prepared[e->prepared_count++] = prepared;
    return EXIT_DONE;
}

void expressions_close(struct expressions *e) {
    while (e->prepared_count > 0)
        larder_expr_free(e->prepared[--e->prepared_count]);
    larder_builder_free(e->builder);
    free(e->names);
    json_decref(e->names_json);
}
