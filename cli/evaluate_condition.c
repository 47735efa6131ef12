/* cli/evaluate_condition.c - CloudFormation's conditions: Fn::Equals, Fn::And, Fn::Or, Fn::Not,
 * Fn::If.
 *
 * Rules    C1 Values are equal if their texts are: "true" and true, "1" and 1.
 *          C2 Fn::And and Fn::Or end at the first operand that decides: a later one may need a
 *             parameter that has no value.
 * Tests    tests/unit/cli/evaluate_test.c
 */
#include <string.h>

#include "cli/evaluate.h"
#include "larder.h"

static int condition_value(struct evaluator *e, json_t *node, bool *out);

static int condition_equals(struct evaluator *e, json_t *argument, bool *out) {
    json_t *values[2] = {NULL}, *texts[2] = {NULL};
    int result = evaluate_arguments(e, argument, 2, 2, "two values");
    for (size_t i = 0; i < 2 && result >= 0; i++) {
        size_t mark = place_enter_index(e->place, i);
        result = evaluate_all(e, json_array_get(argument, i), &values[i]);
        if (result >= 0 && values[i] != NULL && !json_is_array(values[i]) && !json_is_object(values[i]))
            result = evaluate_scalar_text(e, values[i], &texts[i]); /* C1 */
        place_leave(e->place, mark);
    }
    if (result >= 0)
        *out = texts[0] != NULL && texts[1] != NULL ? json_equal(texts[0], texts[1]) != 0
                                                    : json_equal(values[0], values[1]) != 0;
    for (size_t i = 0; i < 2; i++) {
        json_decref(texts[i]);
        json_decref(values[i]);
    }
    return result;
}

/* Fn::And (until is false) and Fn::Or (until is true). */
static int condition_each(struct evaluator *e, json_t *argument, bool until, bool *out) {
    int result = evaluate_arguments(e, argument, 1, 10, "2 to 10 conditions");
    *out = !until;
    for (size_t i = 0; i < json_array_size(argument) && result >= 0 && *out != until; i++) {
        size_t mark = place_enter_index(e->place, i);
        result = condition_value(e, json_array_get(argument, i), out);
        place_leave(e->place, mark);
    }
    return result;
}

static int condition_not(struct evaluator *e, json_t *argument, bool *out) {
    int result = evaluate_arguments(e, argument, 1, 1, "one condition, in a list");
    if (result >= 0)
        result = condition_value(e, json_array_get(argument, 0), out);
    *out = !*out;
    return result;
}

static int condition_apply(struct evaluator *e, const char *name, json_t *argument, bool *out) {
    if (strcmp(name, "Fn::Equals") == 0)
        return condition_equals(e, argument, out);
    if (strcmp(name, "Fn::And") == 0)
        return condition_each(e, argument, false, out);
    if (strcmp(name, "Fn::Or") == 0)
        return condition_each(e, argument, true, out);
    if (strcmp(name, "Fn::Not") == 0)
        return condition_not(e, argument, out);
    if (strcmp(name, "Condition") == 0 && json_is_string(argument))
        return evaluate_condition(e, json_string_value(argument), out);
    return place_fail(e->place, "is no condition; allowed are Condition, Fn::Equals, Fn::And, Fn::Or and Fn::Not");
}

/* An object with one of these functions, or a literal. */
static int condition_value(struct evaluator *e, json_t *node, bool *out) {
    const char *text = json_string_value(node);
    int result = evaluate_step(e);
    if (result < 0)
        return result;
    if (json_is_boolean(node) || (text != NULL && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))) {
        *out = json_is_true(node) || (text != NULL && text[0] == 't');
        return LARDER_OK;
    }
    if (!json_is_object(node) || json_object_size(node) != 1)
        return place_fail(e->place, "needs a condition: {\"Fn::Equals\": [A, B]} or the like");
    if (e->depth >= EVALUATE_DEPTH_MAX)
        return place_fail(e->place, "more than %d functions in each other, or conditions that need themselves",
                          EVALUATE_DEPTH_MAX);
    const char *name = json_object_iter_key(json_object_iter(node));
    e->depth++;
    size_t mark = place_enter_name(e->place, name);
    result = condition_apply(e, name, json_object_iter_value(json_object_iter(node)), out);
    place_leave(e->place, mark);
    e->depth--;
    return result;
}

int evaluate_condition(struct evaluator *e, const char *name, bool *out) {
    json_t *node = json_object_get(e->conditions, name);
    struct place *place = e->place;
    if (node == NULL)
        return place_fail(place, "there is no condition \"%.80s\" in Conditions", name);
    /* Its place is its own, not that of the value that asks for it. */
    char path[sizeof place->path];
    size_t bytes = place->path_bytes;
    memcpy(path, place->path, sizeof path);
    place_leave(place, e->root_bytes);
    place_enter_name(place, "Conditions");
    place_enter_name(place, name);
    int result = condition_value(e, node, out);
    memcpy(place->path, path, sizeof path);
    place->path_bytes = bytes;
    return result;
}

int evaluate_if(struct evaluator *e, json_t *argument, json_t **out) {
    bool is_true = false;
    int result = evaluate_arguments(e, argument, 3, 3, "the name of a condition and two values");
    const char *name = json_string_value(json_array_get(argument, 0));
    if (result >= 0 && name == NULL)
        result = place_fail(e->place, "takes the name of a condition and two values");
    if (result >= 0)
        result = evaluate_condition(e, name, &is_true);
    if (result < 0)
        return result;
    size_t mark = place_enter_index(e->place, is_true ? 1 : 2);
    result = evaluate_head(e, json_array_get(argument, is_true ? 1 : 2), out);
    place_leave(e->place, mark);
    return result;
}
