/* cli/json_item.c - DynamoDB JSON <-> items.
 *
 * Job      {"PK": {"S": "SHOP#1"}, "n": {"N": "17"}, ...} to builder calls and back. The builder
 *          judges the values (digits, sizes, nesting, duplicates in sets); this file judges the
 *          JSON around them.
 * Rules    J1 A value is an object with exactly one member, named S N B BOOL NULL M L SS NS or BS.
 *          J2 Numbers are strings, binaries strict base64, and NULL is true: nothing is guessed, no
 *             digits are lost.
 *          J3 {"Item": X} alone stands for X, unless X itself reads as a value: then it is an item
 *             with an attribute "Item".
 * Not here Syntax, duplicate members and UTF-8: jansson checks them (cli/json_text.c).
 * Tests    tests/unit/cli/json_item_test.c
 */
#include "cli/json_item.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/base64.h"
#include "cli/json_nul.h"

static const struct {
    const char *name;
    enum larder_type type;
} json_item_types[] = {
    {"S", LARDER_S}, {"N", LARDER_N}, {"B", LARDER_B},   {"BOOL", LARDER_BOOL}, {"NULL", LARDER_NULL},
    {"M", LARDER_M}, {"L", LARDER_L}, {"SS", LARDER_SS}, {"NS", LARDER_NS},     {"BS", LARDER_BS},
};
#define JSON_ITEM_TYPES (sizeof json_item_types / sizeof json_item_types[0])

/* 0: no such type. */
static unsigned json_item_type_of(const char *name) {
    for (size_t i = 0; i < JSON_ITEM_TYPES; i++) {
        if (strcmp(json_item_types[i].name, name) == 0)
            return json_item_types[i].type;
    }
    return 0;
}

static const char *json_item_type_name(enum larder_type type) {
    for (size_t i = 0; i < JSON_ITEM_TYPES; i++) {
        if (json_item_types[i].type == type)
            return json_item_types[i].name;
    }
    return "?";
}

/* ---- JSON to item ---------------------------------------------------------------------------- */

/* Makes a failure of the builder the problem at this place. */
static int json_item_refused(struct place *place, int result) {
    if (result < 0)
        place_fail(place, "%s", larder_error());
    return result;
}

/* Adds an S, N or B whose text or base64 is `json`. */
static int json_item_add_text(struct larder_builder *builder, const char *name, enum larder_type type,
                              const json_t *json, struct place *place) {
    if (!json_is_string(json))
        return place_fail(place, "%s takes a JSON string%s", json_item_type_name(type),
                          type == LARDER_N ? ", also for numbers: {\"N\": \"17\"}" : "");
    struct larder_value value = {.type = type, .data = json_string_value(json), .bytes = json_string_length(json)};
    void *decoded = NULL;
    if (type == LARDER_B) {
        decoded = malloc(base64_data_bytes_max(value.bytes) + 1);
        if (decoded == NULL) {
            place_fail(place, "out of memory");
            return LARDER_E_NO_MEMORY;
        }
        if (!base64_decode(value.data, value.bytes, decoded, &value.bytes)) {
            free(decoded);
            return place_fail(place, "B takes base64 with padding and without spaces");
        }
        value.data = decoded;
    }
    int result = larder_builder_add(builder, name, &value);
    free(decoded);
    return json_item_refused(place, result);
}

/* Adds an SS, NS or BS. */
static int json_item_add_set(struct larder_builder *builder, const char *name, enum larder_type type,
                             const json_t *json, struct place *place) {
    enum larder_type member = type == LARDER_SS ? LARDER_S : type == LARDER_NS ? LARDER_N : LARDER_B;
    if (!json_is_array(json))
        return place_fail(place, "%s takes a JSON array of strings", json_item_type_name(type));
    int result = larder_builder_begin(builder, name, type);
    for (size_t i = 0; result >= 0 && i < json_array_size(json); i++) {
        size_t mark = place_enter_index(place, i);
        result = json_item_add_text(builder, NULL, member, json_array_get(json, i), place);
        if (result < 0)
            return result;
        place_leave(place, mark);
    }
    if (result >= 0)
        result = larder_builder_end(builder);
    return json_item_refused(place, result);
}

static int json_item_add_value(struct larder_builder *builder, const char *name, const json_t *json,
                               struct place *place);

/* Adds the members of an object: of an M, or the attributes of the item itself. jansson's iterators
 * take a json_t that is not const, but change nothing. */
static int json_item_add_members(struct larder_builder *builder, const json_t *json, struct place *place) {
    json_t *object = (json_t *)json;
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const char *name = json_object_iter_key(at);
        size_t mark = place_enter_name(place, name), bytes;
        char *shown;
        int result = LARDER_OK;
        if (json_nul_is_in(name, json_object_iter_key_len(at), place, &shown, &bytes)) {
            result = json_item_refused(place, larder_builder_name(builder, shown, bytes));
            free(shown);
            name = NULL;
        }
        if (result >= 0)
            result = json_item_add_value(builder, name, json_object_iter_value(at), place);
        if (result < 0)
            return result;
        place_leave(place, mark);
    }
    return LARDER_OK;
}

static int json_item_add_elements(struct larder_builder *builder, const json_t *json, struct place *place) {
    for (size_t i = 0; i < json_array_size(json); i++) {
        size_t mark = place_enter_index(place, i);
        int result = json_item_add_value(builder, NULL, json_array_get(json, i), place);
        if (result < 0)
            return result;
        place_leave(place, mark);
    }
    return LARDER_OK;
}

/* Adds an M or L. The builder refuses values nested too deep, which also ends the recursion. */
static int json_item_add_nested(struct larder_builder *builder, const char *name, enum larder_type type,
                                const json_t *json, struct place *place) {
    if (type == LARDER_M ? !json_is_object(json) : !json_is_array(json))
        return place_fail(place, "%s takes a JSON %s", json_item_type_name(type),
                          type == LARDER_M ? "object" : "array");
    int result = json_item_refused(place, larder_builder_begin(builder, name, type));
    if (result < 0)
        return result;
    result =
        type == LARDER_M ? json_item_add_members(builder, json, place) : json_item_add_elements(builder, json, place);
    return result < 0 ? result : json_item_refused(place, larder_builder_end(builder));
}

/* Adds one value: {"S": "text"}. Recursive through M and L. */
static int json_item_add_value(struct larder_builder *builder, const char *name, const json_t *json,
                               struct place *place) {
    if (!json_is_object(json) || json_object_size(json) != 1)
        return place_fail(place, "a value is an object with exactly one member, its type, such as {\"S\": \"text\"}");
    void *member = json_object_iter((json_t *)json);
    const char *type_name = json_object_iter_key(member);
    const json_t *payload = json_object_iter_value(member);
    switch (json_item_type_of(type_name)) {
    case LARDER_S:
        return json_item_add_text(builder, name, LARDER_S, payload, place);
    case LARDER_N:
        return json_item_add_text(builder, name, LARDER_N, payload, place);
    case LARDER_B:
        return json_item_add_text(builder, name, LARDER_B, payload, place);
    case LARDER_BOOL:
        if (!json_is_boolean(payload))
            return place_fail(place, "BOOL takes true or false");
        return json_item_refused(place, larder_builder_add_bool(builder, name, json_is_true(payload)));
    case LARDER_NULL:
        if (!json_is_true(payload))
            return place_fail(place, "NULL takes true");
        return json_item_refused(place, larder_builder_add_null(builder, name));
    case LARDER_M:
        return json_item_add_nested(builder, name, LARDER_M, payload, place);
    case LARDER_L:
        return json_item_add_nested(builder, name, LARDER_L, payload, place);
    case LARDER_SS:
        return json_item_add_set(builder, name, LARDER_SS, payload, place);
    case LARDER_NS:
        return json_item_add_set(builder, name, LARDER_NS, payload, place);
    case LARDER_BS:
        return json_item_add_set(builder, name, LARDER_BS, payload, place);
    default:
        return place_fail(place, "\"%.40s\" is no type; types are S N B BOOL NULL M L SS NS BS", type_name);
    }
}

/* J3. Nesting is bounded by jansson's parser (2048). */
bool json_item_is_value(const json_t *json) {
    if (!json_is_object(json) || json_object_size(json) != 1)
        return false;
    void *member = json_object_iter((json_t *)json);
    const json_t *payload = json_object_iter_value(member);
    switch (json_item_type_of(json_object_iter_key(member))) {
    case 0:
        return false;
    case LARDER_M:
        if (!json_is_object(payload))
            return false;
        for (void *at = json_object_iter((json_t *)payload); at != NULL;
             at = json_object_iter_next((json_t *)payload, at)) {
            if (!json_item_is_value(json_object_iter_value(at)))
                return false;
        }
        return true;
    default: /* no type but M takes an object */
        return !json_is_object(payload);
    }
}

int json_item_build(struct larder_builder *builder, const json_t *json, const struct larder_item **out,
                    struct place *place) {
    const json_t *inner = json_is_object(json) && json_object_size(json) == 1 ? json_object_get(json, "Item") : NULL;
    size_t mark = place->path_bytes;
    if (inner != NULL && !json_item_is_value(inner)) {
        place_enter_name(place, "Item");
        json = inner;
    }
    if (!json_is_object(json))
        return place_fail(place, "an item is a JSON object: {\"name\": {\"S\": \"text\"}, ...}");
    larder_builder_reset(builder);
    int result = json_item_add_members(builder, json, place);
    if (result < 0)
        return result;
    place_leave(place, mark);
    return json_item_refused(place, larder_builder_finish(builder, out));
}

/* ---- Item to JSON ---------------------------------------------------------------------------- */

/* The text of an S, N or B. */
static json_t *json_item_text(const struct larder_value *value) {
    if (value->type == LARDER_S)
        return json_stringn(value->bytes > 0 ? value->data : "", value->bytes);
    if (value->type == LARDER_N) {
        char text[LARDER_NUMBER_TEXT_MAX];
        return larder_value_number(value, text) >= 0 ? json_string(text) : NULL;
    }
    size_t bytes = base64_text_bytes(value->bytes);
    char *text = malloc(bytes + 1);
    if (text == NULL)
        return NULL;
    base64_encode(value->data, value->bytes, text);
    json_t *json = json_stringn_nocheck(text, bytes);
    free(text);
    return json;
}

static json_t *json_item_value(const struct larder_value *value);

/* Members of an M, or with `item` the attributes of an item. */
static json_t *json_item_members(struct larder_iter *it) {
    json_t *object = json_object();
    struct larder_member member;
    int result = LARDER_OK;
    while (object != NULL && (result = larder_iter_next(it, &member)) == LARDER_OK) {
        if (json_object_setn_new(object, member.name, member.name_bytes, json_item_value(&member.value)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    if (result >= 0)
        return object;
    json_decref(object);
    return NULL;
}

/* Members of an L, SS, NS or BS: those of sets are plain strings. */
static json_t *json_item_elements(const struct larder_value *value) {
    json_t *array = json_array();
    struct larder_iter it;
    struct larder_member member;
    larder_iter_value(value, &it);
    while (array != NULL && larder_iter_next(&it, &member) == LARDER_OK) {
        json_t *element = value->type == LARDER_L ? json_item_value(&member.value) : json_item_text(&member.value);
        if (json_array_append_new(array, element) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *json_item_payload(const struct larder_value *value) {
    struct larder_iter it;
    switch (value->type) {
    case LARDER_BOOL:
        return json_boolean(value->is_true);
    case LARDER_NULL:
        return json_true();
    case LARDER_M:
        larder_iter_value(value, &it);
        return json_item_members(&it);
    case LARDER_L:
    case LARDER_SS:
    case LARDER_NS:
    case LARDER_BS:
        return json_item_elements(value);
    default:
        return json_item_text(value);
    }
}

static json_t *json_item_value(const struct larder_value *value) {
    json_t *object = json_object();
    if (object != NULL &&
        json_object_set_new(object, json_item_type_name(value->type), json_item_payload(value)) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

json_t *json_item_json(const struct larder_item *item) {
    struct larder_iter it;
    larder_iter_item(item, &it);
    return json_item_members(&it);
}
