/* cli/evaluate_name.c - what a name in a template stands for: parameters and pseudo parameters.
 *
 * Rules    N1 --parameter NAME=VALUE comes before a parameter's Default; AllowedValues judges both.
 *          N2 A parameter of a list type is a list: its text, cut at commas.
 *          N3 AWS::Region is $AWS_REGION or $AWS_DEFAULT_REGION, else us-east-1. AWS::AccountId is
 *             000000000000. AWS::StackName and AWS::StackId have no value: names of tables are made
 *             of it, so a guess would make a table that nobody looks for.
 *          N4 A parameter that names an entry of the parameter store has no value: its Default is
 *             the entry's name.
 * Sources  CloudFormation user guide, "Parameters", "Pseudo parameters reference".
 * Tests    tests/unit/cli/evaluate_test.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/evaluate.h"
#include "larder.h"

static const char *name_region(void) {
    static const char *const variables[] = {"AWS_REGION", "AWS_DEFAULT_REGION"};
    for (size_t i = 0; i < 2; i++) {
        const char *value = getenv(variables[i]);
        if (value != NULL && value[0] != 0)
            return value;
    }
    return "us-east-1";
}

/* N3 */
static int name_pseudo(struct evaluator *e, const char *name, json_t **out) {
    const char *value = strcmp(name, "AWS::Region") == 0      ? name_region()
                        : strcmp(name, "AWS::AccountId") == 0 ? "000000000000"
                        : strcmp(name, "AWS::Partition") == 0 ? "aws"
                        : strcmp(name, "AWS::URLSuffix") == 0 ? "amazonaws.com"
                                                              : NULL;
    if (strcmp(name, "AWS::NotificationARNs") == 0)
        return evaluate_give(e, json_array(), out);
    if (value != NULL)
        return evaluate_give(e, json_string(value), out);
    if (strcmp(name, "AWS::StackName") == 0 || strcmp(name, "AWS::StackId") == 0)
        return place_fail(e->place, "%s has no value here; give --parameter %s=VALUE", name, name);
    return place_fail(e->place, "there is no pseudo parameter %.80s", name);
}

/* N2 */
static int name_list(struct evaluator *e, const char *text, json_t **out) {
    json_t *list = json_array();
    int failed = list == NULL;
    while (text != NULL && !failed && *text != 0) {
        const char *comma = strchrnul(text, ','), *end = comma;
        while (text < end && *text == ' ')
            text++;
        while (end > text && end[-1] == ' ')
            end--;
        failed = json_array_append_new(list, json_stringn(text, (size_t)(end - text))) != 0;
        text = *comma != 0 ? comma + 1 : NULL;
    }
    if (!failed)
        return evaluate_give(e, list, out);
    json_decref(list);
    return evaluate_no_memory(e);
}

/* N1: whether AllowedValues has this text. */
static int name_check_allowed(struct evaluator *e, const char *name, const char *value, json_t *declared) {
    json_t *allowed = json_object_get(declared, "AllowedValues");
    char words[320] = "";
    size_t used = 0;
    for (size_t i = 0; i < json_array_size(allowed); i++) {
        json_t *text = NULL;
        if (evaluate_scalar_text(e, json_array_get(allowed, i), &text) < 0)
            return LARDER_E_INVAL;
        bool is_same = strcmp(json_string_value(text), value) == 0;
        if (used < sizeof words)
            used +=
                (size_t)snprintf(words + used, sizeof words - used, "%s%s", i > 0 ? ", " : "", json_string_value(text));
        json_decref(text);
        if (is_same)
            return LARDER_OK;
    }
    return json_array_size(allowed) == 0
               ? LARDER_OK
               : place_fail(e->place, "parameter %.80s is \"%.80s\"; allowed are %s", name, value, words);
}

/* A parameter of type Number is one, as strtod() sees it. */
static int name_check_number(struct evaluator *e, const char *name, const char *value, const char *type) {
    char *end;
    if (strcmp(type, "Number") != 0)
        return LARDER_OK;
    strtod(value, &end);
    return end > value && *end == 0
               ? LARDER_OK
               : place_fail(e->place, "parameter %.80s is \"%.80s\"; its type is Number", name, value);
}

static int name_parameter(struct evaluator *e, const char *name, json_t *declared, json_t **out) {
    const char *type = json_string_value(json_object_get(declared, "Type"));
    const struct evaluate_pair *given = evaluate_pair(e->given, name);
    json_t *value = json_object_get(declared, "Default"), *text = NULL;
    if (type == NULL)
        type = "String";
    if (given == NULL && (value == NULL || strncmp(type, "AWS::SSM::Parameter::Value", 26) == 0)) /* N4 */
        return place_fail(e->place, "parameter %.80s has no %s; give --parameter %.80s=VALUE", name,
                          value == NULL ? "Default" : "value here: it names an entry of the parameter store", name);
    int result =
        given != NULL ? evaluate_give(e, json_string(given->value), &text) : evaluate_scalar_text(e, value, &text);
    if (result < 0)
        return result;
    bool is_list = strstr(type, "List") != NULL;
    result = is_list ? LARDER_OK : name_check_allowed(e, name, json_string_value(text), declared);
    if (result >= 0)
        result = name_check_number(e, name, json_string_value(text), type);
    if (result >= 0)
        result = is_list ? name_list(e, json_string_value(text), out) : evaluate_give(e, json_incref(text), out);
    json_decref(text);
    return result;
}

int evaluate_name(struct evaluator *e, const char *name, json_t **out) {
    json_t *declared = json_object_get(e->parameters, name);
    int result = evaluate_step(e);
    if (result < 0)
        return result;
    if (declared != NULL)
        return name_parameter(e, name, declared, out);
    if (strncmp(name, "AWS::", 5) == 0) {
        const struct evaluate_pair *given = evaluate_pair(e->given, name);
        return given != NULL ? evaluate_give(e, json_string(given->value), out) : name_pseudo(e, name, out);
    }
    if (json_object_get(e->resources, name) != NULL)
        return place_fail(e->place, "\"%.80s\" is a resource: only CloudFormation knows what it is called", name);
    return place_fail(e->place, "there is no parameter \"%.80s\"", name);
}
