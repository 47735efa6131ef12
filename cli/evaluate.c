/* cli/evaluate.c - CloudFormation's functions: from a value of a template to a plain one.
 *
 * Job      Finds the function that a value is and applies it. Texts, conditions, names and loops
 *          have files of their own: evaluate_text.c, evaluate_condition.c, evaluate_name.c,
 *          evaluate_loop.c.
 * Rules    E1 Only what is asked for is evaluated: a property that a cache does not read may hold
 *             anything.
 *          E2 A function whose value only AWS knows (Fn::GetAtt, Fn::ImportValue, a resource's Ref)
 *             is an error that says so.
 *          E3 Depth, steps and the length of texts are bounded, whatever the template repeats.
 * Sources  CloudFormation user guide, "Intrinsic function reference".
 * Tests    tests/unit/cli/evaluate_test.c, tests/fuzz/template_fuzz.c
 */
#include "cli/evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "larder.h"

const struct evaluate_pair *evaluate_pair(const struct evaluate_pairs *pairs, const char *name) {
    size_t bytes = strlen(name);
    for (size_t i = 0; pairs != NULL && i < pairs->count; i++)
        if (pairs->pairs[i].name_bytes == bytes && memcmp(pairs->pairs[i].name, name, bytes) == 0) {
            pairs->pairs[i].is_used = true;
            return &pairs->pairs[i];
        }
    return NULL;
}

int evaluate_no_memory(struct evaluator *e) {
    place_fail(e->place, "out of memory");
    return LARDER_E_NO_MEMORY;
}

int evaluate_give(struct evaluator *e, json_t *value, json_t **out) {
    *out = value;
    return value != NULL ? LARDER_OK : evaluate_no_memory(e);
}

int evaluate_step(struct evaluator *e) {
    return ++e->steps <= EVALUATE_STEPS_MAX
               ? LARDER_OK
               : place_fail(e->place, "the template is too large: more than %d values to evaluate", EVALUATE_STEPS_MAX);
}

int evaluate_arguments(struct evaluator *e, json_t *argument, size_t min, size_t max, const char *form) {
    size_t count = json_array_size(argument); /* 0 for what is no array */
    return json_is_array(argument) && count >= min && count <= max ? LARDER_OK : place_fail(e->place, "takes %s", form);
}

int evaluate_text_at(struct evaluator *e, json_t *arguments, size_t i, json_t **out) {
    size_t mark = place_enter_index(e->place, i);
    int result = evaluate_text(e, json_array_get(arguments, i), out);
    place_leave(e->place, mark);
    return result;
}

int evaluate_list_at(struct evaluator *e, json_t *arguments, size_t i, json_t **out) {
    size_t mark = place_enter_index(e->place, i);
    int result = evaluate_all(e, json_array_get(arguments, i), out);
    if (result >= 0 && !json_is_array(*out)) {
        json_decref(*out);
        result = place_fail(e->place, "needs a list");
    }
    place_leave(e->place, mark);
    return result;
}

/* ---- Small functions ------------------------------------------------------------------------- */

static int evaluate_ref(struct evaluator *e, json_t *argument, json_t **out) {
    const char *name = json_string_value(argument);
    if (name == NULL)
        return place_fail(e->place, "takes a name");
    if (strcmp(name, "AWS::NoValue") != 0)
        return evaluate_name(e, name, out);
    *out = NULL;
    return LARDER_OK;
}

/* [MAP, KEY, KEY], or with {"DefaultValue": VALUE} behind. */
static int evaluate_find_in_map(struct evaluator *e, json_t *argument, json_t **out) {
    json_t *names[3] = {NULL}, *at = e->mappings, *other = NULL;
    int result = evaluate_arguments(e, argument, 3, 4, "a map, a key, a second key, and perhaps a DefaultValue");
    if (result >= 0 && json_array_size(argument) == 4)
        other = json_object_get(json_array_get(argument, 3), "DefaultValue");
    for (size_t i = 0; i < 3 && result >= 0; i++)
        result = evaluate_text_at(e, argument, i, &names[i]);
    for (size_t i = 0; i < 3 && result >= 0; i++) {
        at = json_object_get(at, json_string_value(names[i]));
        if (at == NULL && other == NULL)
            result = place_fail(e->place, "there is no Mappings.%.80s%s%.80s%s%.80s", json_string_value(names[0]),
                                i > 0 ? "." : "", i > 0 ? json_string_value(names[1]) : "", i > 1 ? "." : "",
                                i > 1 ? json_string_value(names[2]) : "");
    }
    for (size_t i = 0; i < 3; i++)
        json_decref(names[i]);
    return result >= 0 ? evaluate_head(e, at != NULL ? at : other, out) : result;
}

static int evaluate_select(struct evaluator *e, json_t *argument, json_t **out) {
    json_t *number = NULL, *list = NULL;
    int result = evaluate_arguments(e, argument, 2, 2, "an index and a list");
    if (result >= 0)
        result = evaluate_text_at(e, argument, 0, &number);
    if (result >= 0)
        result = evaluate_list_at(e, argument, 1, &list);
    if (result >= 0) {
        char *end;
        const char *text = json_string_value(number);
        unsigned long i = strtoul(text, &end, 10);
        if (text[0] < '0' || text[0] > '9' || *end != 0 || i >= json_array_size(list))
            result = place_fail(e->place, "the index is \"%.20s\"; the list has %zu elements, from 0", text,
                                json_array_size(list));
        else
            *out = json_incref(json_array_get(list, i));
        json_decref(list);
    }
    json_decref(number);
    return result;
}

static int evaluate_length(struct evaluator *e, json_t *argument, json_t **out) {
    json_t *list = NULL;
    int result = evaluate_all(e, argument, &list);
    if (result < 0)
        return result;
    size_t count = json_array_size(list);
    result = json_is_array(list) ? evaluate_give(e, json_integer((json_int_t)count), out)
                                 : place_fail(e->place, "takes a list");
    json_decref(list);
    return result;
}

/* ---- Which function -------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*function)(struct evaluator *e, json_t *argument, json_t **out);
} evaluate_functions[] = {
    {"Ref", evaluate_ref},
    {"Fn::Sub", evaluate_sub},
    {"Fn::Join", evaluate_join},
    {"Fn::If", evaluate_if},
    {"Fn::FindInMap", evaluate_find_in_map},
    {"Fn::Select", evaluate_select},
    {"Fn::Split", evaluate_split},
    {"Fn::Base64", evaluate_base64},
    {"Fn::Length", evaluate_length},
    {"Fn::ToJsonString", evaluate_to_json},
};
#define EVALUATE_FUNCTIONS (sizeof evaluate_functions / sizeof evaluate_functions[0])

/* The name of the function that this calls, or NULL. */
static const char *evaluate_function_name(json_t *node) {
    if (!json_is_object(node) || json_object_size(node) != 1)
        return NULL;
    const char *name = json_object_iter_key(json_object_iter(node));
    if (strcmp(name, "Ref") != 0 && (strncmp(name, "Fn::", 4) != 0 || strncmp(name, "Fn::ForEach::", 13) == 0))
        return NULL;
    return name;
}

static int evaluate_apply(struct evaluator *e, const char *name, json_t *argument, json_t **out) {
    for (size_t i = 0; i < EVALUATE_FUNCTIONS; i++)
        if (strcmp(evaluate_functions[i].name, name) == 0)
            return evaluate_functions[i].function(e, argument, out);
    static const char *const elsewhere[] = {"Fn::GetAtt", "Fn::ImportValue", "Fn::GetAZs", "Fn::Cidr", "Fn::Transform"};
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
        if (strcmp(elsewhere[i], name) == 0)
            return place_fail(e->place, "only CloudFormation knows what this gives");
    if (strcmp(name, "Fn::Equals") == 0 || strcmp(name, "Fn::Not") == 0 || strcmp(name, "Fn::And") == 0 ||
        strcmp(name, "Fn::Or") == 0)
        return place_fail(e->place, "is a condition: it stands below Conditions, and Fn::If asks for it");
    return place_fail(e->place, "is no function that larder knows");
}

int evaluate_head(struct evaluator *e, json_t *node, json_t **out) {
    int result = evaluate_step(e);
    if (result < 0)
        return result;
    const char *name = evaluate_function_name(node);
    if (name == NULL) {
        *out = json_incref(node);
        return LARDER_OK;
    }
    if (e->depth >= EVALUATE_DEPTH_MAX)
        return place_fail(e->place, "more than %d functions in each other, or conditions that need themselves",
                          EVALUATE_DEPTH_MAX);
    e->depth++;
    size_t mark = place_enter_name(e->place, name);
    result = evaluate_apply(e, name, json_object_iter_value(json_object_iter(node)), out);
    place_leave(e->place, mark);
    e->depth--;
    return result;
}

/* ---- Whole values ---------------------------------------------------------------------------- */

static int evaluate_array(struct evaluator *e, json_t *array, json_t **out) {
    json_t *copy = json_array();
    int result = copy != NULL ? LARDER_OK : evaluate_no_memory(e);
    for (size_t i = 0; i < json_array_size(array) && result >= 0; i++) {
        json_t *element = NULL;
        size_t mark = place_enter_index(e->place, i);
        result = evaluate_all(e, json_array_get(array, i), &element);
        if (result >= 0 && element != NULL && json_array_append_new(copy, element) != 0)
            result = evaluate_no_memory(e);
        place_leave(e->place, mark);
    }
    if (result >= 0)
        *out = copy;
    else
        json_decref(copy);
    return result;
}

static int evaluate_object(struct evaluator *e, json_t *object, json_t **out) {
    json_t *members = NULL, *value, *copy = json_object();
    const char *name;
    int result = copy != NULL ? evaluate_members(e, object, &members) : evaluate_no_memory(e);
    json_object_foreach(members, name, value) {
        json_t *plain = NULL;
        if (result < 0)
            break;
        size_t mark = place_enter_name(e->place, name);
        result = evaluate_all(e, value, &plain);
        if (result >= 0 && plain != NULL && json_object_set_new(copy, name, plain) != 0)
            result = evaluate_no_memory(e);
        place_leave(e->place, mark);
    }
    json_decref(members);
    if (result >= 0)
        *out = copy;
    else
        json_decref(copy);
    return result;
}

int evaluate_all(struct evaluator *e, json_t *node, json_t **out) {
    json_t *head = NULL;
    int result = evaluate_head(e, node, &head);
    if (result < 0 || head == NULL || (!json_is_array(head) && !json_is_object(head))) {
        if (result >= 0 && json_is_string(head))
            result = evaluate_check_variable(e, json_string_value(head));
        if (result >= 0)
            *out = head;
        else
            json_decref(head);
        return result;
    }
    if (e->depth >= EVALUATE_DEPTH_MAX) {
        json_decref(head);
        return place_fail(e->place, "more than %d values in each other", EVALUATE_DEPTH_MAX);
    }
    e->depth++;
    result = json_is_array(head) ? evaluate_array(e, head, out) : evaluate_object(e, head, out);
    e->depth--;
    json_decref(head);
    return result;
}
