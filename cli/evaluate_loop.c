/* cli/evaluate_loop.c - Fn::ForEach: a member of an object that stands for several.
 *
 * Picture  "Fn::ForEach::Loop": ["X", ["dev", "prod"], {"Orders${X}": {... "${X}" ...}}]
 *          becomes "Ordersdev": {... "dev" ...}, "Ordersprod": {... "prod" ...}
 * Rules    L1 ${NAME} in every key and text, and {"Ref": "NAME"}, become the value; &{NAME} the
 *             value without characters that a logical id may not have.
 *          L2 Loops in what a loop gave are expanded as well.
 * Sources  CloudFormation template reference, "Fn::ForEach" (transform AWS::LanguageExtensions).
 * Tests    tests/unit/cli/evaluate_test.c
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/evaluate.h"
#include "larder.h"

#define LOOP_PREFIX "Fn::ForEach::"

/* One turn of a loop: what stands for what. */
struct turn {
    const char *name, *value;
    size_t name_bytes;
};

static bool loop_is_loop(const char *name) {
    return strncmp(name, LOOP_PREFIX, strlen(LOOP_PREFIX)) == 0;
}

/* Bytes of ${NAME} or &{NAME} at `at`; 0: it is none. */
static size_t turn_match(const struct turn *turn, const char *at) {
    bool is_match = (at[0] == '$' || at[0] == '&') && at[1] == '{' &&
                    strncmp(at + 2, turn->name, turn->name_bytes) == 0 && at[2 + turn->name_bytes] == '}';
    return is_match ? turn->name_bytes + 3 : 0;
}

/* L1: writes a text with the value in it to `to`, or only counts its bytes (`to` is NULL). */
static size_t turn_write(const struct turn *turn, const char *text, char *to) {
    size_t bytes = 0;
    for (const char *at = text; *at != 0;) {
        size_t match = turn_match(turn, at);
        const char *from = match > 0 ? turn->value : at, *end = match > 0 ? from + strlen(from) : at + 1;
        for (; from < end; from++) {
            if (match > 0 && *at == '&' && !isalnum((unsigned char)*from))
                continue;
            if (to != NULL)
                to[bytes] = *from;
            bytes++;
        }
        at += match > 0 ? match : 1;
    }
    return bytes;
}

static int turn_text(struct evaluator *e, const struct turn *turn, const char *text, json_t **out) {
    size_t bytes = turn_write(turn, text, NULL);
    char *copy = bytes <= EVALUATE_TEXT_BYTES_MAX ? malloc(bytes + 1) : NULL;
    if (bytes > EVALUATE_TEXT_BYTES_MAX)
        return place_fail(e->place, "gives a text of more than %zu bytes", EVALUATE_TEXT_BYTES_MAX);
    if (copy == NULL)
        return evaluate_no_memory(e);
    turn_write(turn, text, copy);
    int result = evaluate_give_text(e, copy, bytes, out);
    free(copy);
    return result;
}

static int turn_node(struct evaluator *e, const struct turn *turn, json_t *node, json_t **out);

static int turn_array(struct evaluator *e, const struct turn *turn, json_t *array, json_t **out) {
    json_t *copy = json_array();
    int result = copy != NULL ? LARDER_OK : evaluate_no_memory(e);
    for (size_t i = 0; i < json_array_size(array) && result >= 0; i++) {
        json_t *element = NULL;
        result = turn_node(e, turn, json_array_get(array, i), &element);
        if (result >= 0 && json_array_append_new(copy, element) != 0)
            result = evaluate_no_memory(e);
    }
    *out = copy;
    return result;
}

static int turn_member(struct evaluator *e, const struct turn *turn, const char *name, json_t *value, json_t *into) {
    json_t *new_name = NULL, *new_value = NULL;
    int result = turn_text(e, turn, name, &new_name);
    if (result >= 0 && json_object_get(into, json_string_value(new_name)) != NULL)
        result = place_fail(e->place, "\"%.80s\" comes twice: the loop's name belongs in its key",
                            json_string_value(new_name));
    if (result >= 0)
        result = turn_node(e, turn, value, &new_value);
    if (result >= 0 && json_object_set(into, json_string_value(new_name), new_value) != 0)
        result = evaluate_no_memory(e);
    json_decref(new_name);
    json_decref(new_value);
    return result;
}

static int turn_object(struct evaluator *e, const struct turn *turn, json_t *object, json_t *into) {
    const char *name;
    json_t *value;
    int result = LARDER_OK;
    json_object_foreach(object, name, value) {
        if (result >= 0)
            result = turn_member(e, turn, name, value, into);
    }
    return result;
}

/* A copy with the value in it; on failure *out may hold a part. */
static int turn_node(struct evaluator *e, const struct turn *turn, json_t *node, json_t **out) {
    int result = evaluate_step(e);
    if (result < 0)
        return result;
    const char *ref = json_object_size(node) == 1 ? json_string_value(json_object_get(node, "Ref")) : NULL;
    if (ref != NULL && strcmp(ref, turn->name) == 0)
        return evaluate_give(e, json_string(turn->value), out);
    if (json_is_string(node))
        return turn_text(e, turn, json_string_value(node), out);
    if (!json_is_array(node) && !json_is_object(node)) {
        *out = json_incref(node);
        return LARDER_OK;
    }
    if (e->depth >= EVALUATE_DEPTH_MAX)
        return place_fail(e->place, "more than %d values in each other", EVALUATE_DEPTH_MAX);
    e->depth++;
    if (json_is_array(node)) {
        result = turn_array(e, turn, node, out);
    } else {
        *out = json_object();
        result = *out != NULL ? turn_object(e, turn, node, *out) : evaluate_no_memory(e);
    }
    e->depth--;
    return result;
}

/* ---- Loops ----------------------------------------------------------------------------------- */

static int loop_add(struct evaluator *e, json_t *object, json_t *into);

/* One value of the collection; a list in it counts as its elements. */
static int loop_turn(struct evaluator *e, const char *name, json_t *value, json_t *body, json_t *into) {
    int result = LARDER_OK;
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value) && result >= 0; i++)
            result = json_is_array(json_array_get(value, i)) ? place_fail(e->place, "lists in lists in a loop")
                                                             : loop_turn(e, name, json_array_get(value, i), body, into);
        return result;
    }
    json_t *text = NULL, *made = json_object();
    result = made != NULL ? evaluate_scalar_text(e, value, &text) : evaluate_no_memory(e);
    if (result >= 0) {
        struct turn turn = {.name = name, .name_bytes = strlen(name), .value = json_string_value(text)};
        result = turn_object(e, &turn, body, made);
    }
    if (result >= 0)
        result = loop_add(e, made, into); /* L2 */
    json_decref(text);
    json_decref(made);
    return result;
}

static int loop_expand(struct evaluator *e, json_t *arguments, json_t *into) {
    static const char form[] = "a name, a list of values and an object";
    json_t *values = NULL;
    int result = evaluate_arguments(e, arguments, 3, 3, form);
    const char *name = json_string_value(json_array_get(arguments, 0));
    json_t *body = json_array_get(arguments, 2);
    if (result >= 0 && (name == NULL || name[0] == 0 || !json_is_object(body)))
        result = place_fail(e->place, "takes %s", form);
    if (result >= 0)
        result = evaluate_list_at(e, arguments, 1, &values);
    if (result >= 0 && name != NULL) {
        result = loop_turn(e, name, values, body, into);
        json_decref(values);
    }
    return result;
}

/* Adds the members of an object, loops expanded. */
static int loop_add(struct evaluator *e, json_t *object, json_t *into) {
    const char *name;
    json_t *value;
    int result = e->depth < EVALUATE_DEPTH_MAX
                     ? LARDER_OK
                     : place_fail(e->place, "more than %d loops in each other", EVALUATE_DEPTH_MAX);
    e->depth++;
    json_object_foreach(object, name, value) {
        if (result < 0)
            break;
        size_t mark = place_enter_name(e->place, name);
        if (loop_is_loop(name))
            result = loop_expand(e, value, into);
        else if (json_object_get(into, name) != NULL)
            result = place_fail(e->place, "comes twice, once by a loop");
        else if (json_object_set(into, name, value) != 0)
            result = evaluate_no_memory(e);
        place_leave(e->place, mark);
    }
    e->depth--;
    return result;
}

int evaluate_members(struct evaluator *e, json_t *object, json_t **out) {
    const char *name;
    json_t *value;
    bool has_loop = false;
    json_object_foreach(object, name, value) has_loop = has_loop || loop_is_loop(name);
    if (!has_loop) {
        *out = json_incref(object);
        return LARDER_OK;
    }
    json_t *members = json_object();
    int result = members != NULL ? loop_add(e, object, members) : evaluate_no_memory(e);
    if (result >= 0)
        *out = members;
    else
        json_decref(members);
    return result;
}
