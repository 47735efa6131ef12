/* cli/template_json.c - members of a template's objects, by kind; errors name the place.
 *
 * Job      Checks that cli/template.c would otherwise repeat for each field: is it there, is it of
 *          the right kind, is it an intrinsic function where a literal is needed.
 * Tests    tests/unit/cli/template_test.c
 */
#include "cli/template_json.h"

#include <string.h>
#include <strings.h>

#include "larder.h"

static const char *template_json_kind(const json_t *json) {
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    default:
        return "a number";
    }
}

/* Fails unless json is of this kind; the caller has entered its place. */
static int template_json_check(struct place *place, const json_t *json, json_type type, const char *kind) {
    if (json_typeof(json) != type)
        return place_fail(place, "needs %s, not %s", kind, template_json_kind(json));
    return LARDER_OK;
}

static int template_json_member(struct place *place, const json_t *object, const char *name, bool is_required,
                                json_type type, const char *kind, const json_t **out) {
    const json_t *json = json_object_get(object, name);
    if (json == NULL || json_is_null(json)) {
        if (is_required)
            return place_fail(place, "%s is missing", name);
        *out = NULL;
        return LARDER_OK;
    }
    size_t mark = place_enter_name(place, name);
    int result = template_json_check(place, json, type, kind);
    place_leave(place, mark);
    if (result >= 0)
        *out = json;
    return result;
}

int template_json_text(struct place *place, const json_t *object, const char *name, bool is_required,
                       const char **out) {
    const json_t *json = NULL;
    int result = template_json_member(place, object, name, is_required, JSON_STRING, "a string", &json);
    if (result >= 0)
        *out = json != NULL ? json_string_value(json) : NULL;
    return result;
}

int template_json_array(struct place *place, const json_t *object, const char *name, bool is_required,
                        const json_t **out) {
    return template_json_member(place, object, name, is_required, JSON_ARRAY, "an array", out);
}

int template_json_object(struct place *place, const json_t *object, const char *name, bool is_required,
                         const json_t **out) {
    return template_json_member(place, object, name, is_required, JSON_OBJECT, "an object", out);
}

/* YAML 1.1 has three words for each truth, and their case does not count. */
static bool template_json_is_word(const char *text, const char *a, const char *b, const char *c) {
    return text != NULL && (strcasecmp(text, a) == 0 || strcasecmp(text, b) == 0 || strcasecmp(text, c) == 0);
}

int template_json_flag(struct place *place, const json_t *object, const char *name, bool is_required, bool *out) {
    const json_t *json = json_object_get(object, name);
    if (json == NULL || json_is_null(json))
        return is_required ? place_fail(place, "%s is missing", name) : LARDER_OK;
    const char *text = json_string_value(json);
    if (json_is_true(json) || template_json_is_word(text, "true", "yes", "on")) {
        *out = true;
        return LARDER_OK;
    }
    if (json_is_false(json) || template_json_is_word(text, "false", "no", "off")) {
        *out = false;
        return LARDER_OK;
    }
    size_t mark = place_enter_name(place, name);
    int result = template_json_check(place, json, JSON_TRUE, "true or false");
    if (result >= 0)
        result = place_fail(place, "is \"%.40s\"; allowed are true and false", text);
    place_leave(place, mark);
    return result;
}

int template_json_object_at(struct place *place, const json_t *array, size_t i, const json_t **out) {
    const json_t *json = json_array_get(array, i);
    size_t mark = place_enter_index(place, i);
    int result = template_json_check(place, json, JSON_OBJECT, "an object");
    place_leave(place, mark);
    if (result >= 0)
        *out = json;
    return result;
}

int template_json_text_at(struct place *place, const json_t *array, size_t i, const char **out) {
    const json_t *json = json_array_get(array, i);
    size_t mark = place_enter_index(place, i);
    int result = template_json_check(place, json, JSON_STRING, "a string");
    place_leave(place, mark);
    if (result >= 0)
        *out = json_string_value(json);
    return result;
}
