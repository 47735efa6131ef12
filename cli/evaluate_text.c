/* cli/evaluate_text.c - CloudFormation's functions that make texts: Fn::Sub, Fn::Join and the like.
 *
 * Rules    X1 A number or a boolean in a text is written as JSON writes it.
 *          X2 In Fn::Sub ${!Name} is the text ${Name}; ${Name} is a member of its second argument,
 *             a parameter or a pseudo parameter.
 * Tests    tests/unit/cli/evaluate_test.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/base64.h"
#include "cli/evaluate.h"
#include "larder.h"

/* A text that grows. */
struct sum {
    char *text;
    size_t bytes, capacity;
};

static int sum_add(struct evaluator *e, struct sum *sum, const char *text, size_t bytes) {
    if (sum->bytes + bytes > EVALUATE_TEXT_BYTES_MAX)
        return place_fail(e->place, "gives a text of more than %zu bytes", EVALUATE_TEXT_BYTES_MAX);
    if (sum->bytes + bytes > sum->capacity) {
        size_t capacity = 2 * (sum->bytes + bytes);
        char *grown = realloc(sum->text, capacity);
        if (grown == NULL)
            return evaluate_no_memory(e);
        sum->text = grown;
        sum->capacity = capacity;
    }
    if (bytes > 0)
        memcpy(sum->text + sum->bytes, text, bytes);
    sum->bytes += bytes;
    return LARDER_OK;
}

static int sum_add_json(struct evaluator *e, struct sum *sum, const json_t *text) {
    return sum_add(e, sum, json_string_value(text), json_string_length(text));
}

/* Gives the text out, if all went well so far. */
static int sum_end(struct evaluator *e, struct sum *sum, int result, json_t **out) {
    if (result >= 0)
        result = evaluate_give_text(e, sum->text != NULL ? sum->text : "", sum->bytes, out);
    free(sum->text);
    return result;
}

int evaluate_give_text(struct evaluator *e, const char *text, size_t bytes, json_t **out) {
    if (bytes > EVALUATE_TEXT_BYTES_MAX)
        return place_fail(e->place, "gives a text of more than %zu bytes", EVALUATE_TEXT_BYTES_MAX);
    return evaluate_give(e, json_stringn(text, bytes), out);
}

/* ---- Scalars as text ------------------------------------------------------------------------- */

int evaluate_scalar_text(struct evaluator *e, json_t *scalar, json_t **out) {
    char text[64];
    if (json_is_string(scalar)) {
        *out = json_incref(scalar);
        return LARDER_OK;
    }
    if (json_is_integer(scalar))
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(scalar));
    else if (json_is_real(scalar))
        snprintf(text, sizeof text, "%.17g", json_real_value(scalar));
    else if (json_is_boolean(scalar))
        snprintf(text, sizeof text, "%s", json_is_true(scalar) ? "true" : "false");
    else
        return place_fail(e->place, "needs a text, not %s",
                          scalar == NULL          ? "AWS::NoValue"
                          : json_is_null(scalar)  ? "null"
                          : json_is_array(scalar) ? "a list"
                                                  : "an object");
    return evaluate_give(e, json_string(text), out);
}

int evaluate_check_variable(struct evaluator *e, const char *text) {
    for (const char *at = text; e->is_serverless && (at = strstr(at, "${")) != NULL; at++)
        if (strncmp(at, "${AWS::", 7) != 0)
            return place_fail(e->place,
                              "\"%.120s\" has a variable of the Serverless Framework, which alone knows its value "
                              "(serverless print)",
                              text);
    return LARDER_OK;
}

int evaluate_text(struct evaluator *e, json_t *node, json_t **out) {
    json_t *head = NULL;
    int result = evaluate_head(e, node, &head);
    if (result < 0)
        return result;
    result = evaluate_scalar_text(e, head, out);
    json_decref(head);
    if (result >= 0 && (result = evaluate_check_variable(e, json_string_value(*out))) < 0)
        json_decref(*out);
    return result;
}

/* ---- Fn::Sub --------------------------------------------------------------------------------- */

static int sub_is_name(const char *name) {
    return name[0] != 0 &&
           name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:._-")] == 0;
}

/* The text that a name between ${ and } stands for. */
static int sub_value(struct evaluator *e, json_t *variables, const char *name, json_t **out) {
    json_t *own = json_object_get(variables, name), *value = NULL;
    if (own != NULL)
        return evaluate_text(e, own, out);
    if (!sub_is_name(name) || (strchr(name, ':') != NULL && strncmp(name, "AWS::", 5) != 0))
        return place_fail(e->place,
                          "${%.80s} is no name of a template; if it is a variable of the Serverless Framework, that "
                          "alone knows its value",
                          name);
    if (strchr(name, '.') != NULL)
        return place_fail(e->place, "${%.80s}: only CloudFormation knows attributes of resources", name);
    int result = strcmp(name, "AWS::NoValue") == 0 ? place_fail(e->place, "${AWS::NoValue} has no text")
                                                   : evaluate_name(e, name, &value);
    if (result < 0)
        return result;
    result = evaluate_scalar_text(e, value, out);
    json_decref(value);
    return result;
}

/* Adds what stands for the ${...} at `at`; moves behind it. */
static int sub_variable(struct evaluator *e, json_t *variables, const char **at, struct sum *sum) {
    const char *name = *at + 2, *end = strchr(name, '}');
    char copy[256];
    json_t *value = NULL;
    if (end == NULL)
        return place_fail(e->place, "\"%.80s\" has no } behind its ${", *at);
    *at = end + 1;
    if (name[0] == '!') { /* X2 */
        int result = sum_add(e, sum, "${", 2);
        return result < 0 ? result : sum_add(e, sum, name + 1, (size_t)(end - name));
    }
    if ((size_t)(end - name) >= sizeof copy)
        return place_fail(e->place, "${%.80s... is longer than any name", name);
    memcpy(copy, name, (size_t)(end - name));
    copy[end - name] = 0;
    int result = sub_value(e, variables, copy, &value);
    if (result >= 0)
        result = sum_add_json(e, sum, value);
    json_decref(value);
    return result;
}

static int sub_text(struct evaluator *e, const char *text, json_t *variables, json_t **out) {
    struct sum sum = {NULL};
    int result = LARDER_OK;
    while (*text != 0 && result >= 0) {
        const char *dollar = strstr(text, "${");
        size_t bytes = dollar != NULL ? (size_t)(dollar - text) : strlen(text);
        result = sum_add(e, &sum, text, bytes);
        text += bytes;
        if (result >= 0 && dollar != NULL)
            result = sub_variable(e, variables, &text, &sum);
    }
    return sum_end(e, &sum, result, out);
}

/* A text, or [text, {name: value}]. */
int evaluate_sub(struct evaluator *e, json_t *argument, json_t **out) {
    if (json_is_string(argument))
        return sub_text(e, json_string_value(argument), NULL, out);
    int result = evaluate_arguments(e, argument, 1, 2, "a text, or a text and an object of variables");
    json_t *text = json_array_get(argument, 0), *variables = json_array_get(argument, 1);
    if (result >= 0 && (!json_is_string(text) || (variables != NULL && !json_is_object(variables))))
        result = place_fail(e->place, "takes a text, or a text and an object of variables");
    return result >= 0 ? sub_text(e, json_string_value(text), variables, out) : result;
}

/* ---- Others ---------------------------------------------------------------------------------- */

/* The elements of a list, as one text. */
static int join_list(struct evaluator *e, json_t *separator, json_t *list, json_t **out) {
    struct sum sum = {NULL};
    int result = LARDER_OK;
    for (size_t i = 0; i < json_array_size(list) && result >= 0; i++) {
        json_t *text = NULL;
        if (i > 0)
            result = sum_add_json(e, &sum, separator);
        if (result >= 0)
            result = evaluate_scalar_text(e, json_array_get(list, i), &text);
        if (result >= 0)
            result = sum_add_json(e, &sum, text);
        json_decref(text);
    }
    return sum_end(e, &sum, result, out);
}

int evaluate_join(struct evaluator *e, json_t *argument, json_t **out) {
    json_t *separator = NULL, *list = NULL;
    int result = evaluate_arguments(e, argument, 2, 2, "a separator and a list");
    if (result >= 0)
        result = evaluate_text_at(e, argument, 0, &separator);
    if (result >= 0)
        result = evaluate_list_at(e, argument, 1, &list);
    if (result >= 0) {
        result = join_list(e, separator, list, out);
        json_decref(list);
    }
    json_decref(separator);
    return result;
}

static int split_text(struct evaluator *e, const char *text, const char *separator, json_t **out) {
    json_t *list = json_array();
    int failed = list == NULL;
    while (text != NULL && !failed) {
        const char *next = strstr(text, separator);
        size_t bytes = next != NULL ? (size_t)(next - text) : strlen(text);
        failed = json_array_append_new(list, json_stringn(text, bytes)) != 0;
        text = next != NULL ? next + strlen(separator) : NULL;
    }
    if (!failed)
        return evaluate_give(e, list, out);
    json_decref(list);
    return place_fail(e->place, "out of memory, or the separator cuts a character");
}

int evaluate_split(struct evaluator *e, json_t *argument, json_t **out) {
    json_t *separator = NULL, *text = NULL;
    int result = evaluate_arguments(e, argument, 2, 2, "a separator and a text");
    if (result >= 0)
        result = evaluate_text_at(e, argument, 0, &separator);
    if (result >= 0 && json_string_length(separator) == 0)
        result = place_fail(e->place, "the separator is empty");
    if (result >= 0 && (result = evaluate_text_at(e, argument, 1, &text)) >= 0) {
        result = split_text(e, json_string_value(text), json_string_value(separator), out);
        json_decref(text);
    }
    json_decref(separator);
    return result;
}

int evaluate_base64(struct evaluator *e, json_t *argument, json_t **out) {
    json_t *text = NULL;
    int result = evaluate_text(e, argument, &text);
    if (result < 0)
        return result;
    size_t bytes = base64_text_bytes(json_string_length(text));
    char *encoded = malloc(bytes + 1);
    if (encoded != NULL) {
        base64_encode(json_string_value(text), json_string_length(text), encoded);
        result = evaluate_give_text(e, encoded, bytes, out);
    } else {
        result = evaluate_no_memory(e);
    }
    free(encoded);
    json_decref(text);
    return result;
}

int evaluate_to_json(struct evaluator *e, json_t *argument, json_t **out) {
    json_t *value = NULL;
    int result = evaluate_all(e, argument, &value);
    if (result < 0)
        return result;
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    result = text != NULL ? evaluate_give_text(e, text, strlen(text), out) : evaluate_no_memory(e);
    free(text);
    return result;
}
