/* tests/fuzz/json_item_fuzz.c - DynamoDB JSON: to an item, and back.
 *
 * Goal     Any text is an item or a readable error. An item prints as the same values, and what is
 *          printed is the same item again, to the byte.
 * Method   Two oracles that know jansson and DynamoDB's rules and nothing of items: is_item() says
 *          what must be accepted and what refused, is_same() compares the JSON that came in with
 *          the JSON that is printed.
 */
#include <jansson.h>

#include "cli/base64.h"
#include "cli/json_item.h"
#include "cli/json_text.h"
#include "core/item/num.h"
#include "tests/fuzz/fuzz.h"

#define LEVELS_MAX 31

/* The type and payload of {"S": "text"}; NULL if this is not a value. */
static const char *type_of(const json_t *json, const json_t **payload) {
    void *member = json_is_object(json) && json_object_size(json) == 1 ? json_object_iter((json_t *)json) : NULL;
    *payload = member ? json_object_iter_value(member) : NULL;
    return member ? json_object_iter_key(member) : NULL;
}

/* ---- Oracle 1: is this an item --------------------------------------------------------------- */

static int is_number(const json_t *json, uint8_t *to, size_t *bytes) {
    return json_is_string(json) &&
           num_encode(json_string_value(json), json_string_length(json), to, bytes) == LARDER_OK;
}

/* Counts 3 bytes per 4 characters, less the padding; false if it is not base64. */
static int is_base64(const json_t *json, size_t *bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!json_is_string(json) || json_string_length(json) % 4)
        return 0;
    const char *text = json_string_value(json);
    size_t length = json_string_length(json), padding = 0;
    while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
        padding++;
    unsigned last = 0;
    for (size_t i = 0; i < length - padding; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit)
            return 0;
        last = (unsigned)(digit - digits);
    }
    *bytes = length / 4 * 3 - padding;
    /* unused bits are 0 */
    return !(padding == 1 && last & 3) && !(padding == 2 && last & 15);
}

/* An S, N or B and its size as DynamoDB counts it; numbers count as they are stored (larder.h). */
static int is_scalar(const char *type, const json_t *payload, size_t *size) {
    uint8_t number[NUM_BYTES_MAX];
    if (strcmp(type, "N") == 0)
        return is_number(payload, number, size);
    if (strcmp(type, "B") == 0)
        return is_base64(payload, size);
    *size = json_string_length(payload);
    return strcmp(type, "S") == 0 && json_is_string(payload);
}

static int is_same_scalar(const char *type, const json_t *a, const json_t *b) {
    uint8_t x[NUM_BYTES_MAX], y[NUM_BYTES_MAX];
    size_t x_bytes, y_bytes;
    if (!json_is_string(a) || !json_is_string(b))
        return 0;
    if (strcmp(type, "N") == 0)
        return is_number(a, x, &x_bytes) && is_number(b, y, &y_bytes) && x_bytes == y_bytes && !memcmp(x, y, x_bytes);
    return json_string_length(a) == json_string_length(b) &&
           !memcmp(json_string_value(a), json_string_value(b), json_string_length(a));
}

static int is_set(const char *element, const json_t *payload, size_t *size) {
    *size = 0;
    for (size_t i = 0; i < json_array_size(payload); i++) {
        size_t bytes;
        if (!is_scalar(element, json_array_get(payload, i), &bytes))
            return 0;
        *size += bytes;
        for (size_t k = 0; k < i; k++)
            if (is_same_scalar(element, json_array_get(payload, i), json_array_get(payload, k)))
                return 0;
    }
    return json_array_size(payload) > 0;
}

static int is_value(const json_t *json, int level, size_t *size);

static int are_members(const json_t *object, int level, size_t *size) {
    json_t *at = (json_t *)object;
    for (void *i = json_object_iter(at); i; i = json_object_iter_next(at, i)) {
        size_t name = json_object_iter_key_len(i), bytes;
        if (name < 1 || name > LARDER_ATTRIBUTE_NAME_MAX || !is_value(json_object_iter_value(i), level, &bytes))
            return 0;
        *size += name + bytes;
    }
    return 1;
}

static int is_nested(const char *type, const json_t *payload, int level, size_t *size) {
    int is_map = type[0] == 'M';
    if (level > LEVELS_MAX || !(is_map ? json_is_object(payload) : json_is_array(payload)))
        return 0;
    *size = 3 + (is_map ? json_object_size(payload) : json_array_size(payload));
    if (is_map)
        return are_members(payload, level, size);
    for (size_t i = 0; i < json_array_size(payload); i++) {
        size_t bytes;
        if (!is_value(json_array_get(payload, i), level, &bytes))
            return 0;
        *size += bytes;
    }
    return 1;
}

/* `level`: maps and lists around it. */
static int is_value(const json_t *json, int level, size_t *size) {
    const json_t *payload;
    const char *type = type_of(json, &payload);
    *size = 1;
    if (!type)
        return 0;
    if (strcmp(type, "BOOL") == 0)
        return json_is_boolean(payload);
    if (strcmp(type, "NULL") == 0)
        return json_is_true(payload);
    if (strcmp(type, "M") == 0 || strcmp(type, "L") == 0)
        return is_nested(type, payload, level + 1, size);
    if (strcmp(type, "SS") == 0 || strcmp(type, "NS") == 0 || strcmp(type, "BS") == 0)
        return is_set((char[]){type[0], 0}, payload, size);
    return is_scalar(type, payload, size);
}

static int is_item(const json_t *json, size_t *size) {
    *size = 0;
    return json_is_object(json) && are_members(json, 0, size) && *size <= LARDER_ITEM_BYTES_MAX;
}

/* ---- Oracle 2: is this the same item --------------------------------------------------------- */

static int is_same(const json_t *a, const json_t *b);

static int are_same_members(const json_t *a, const json_t *b) {
    json_t *at = (json_t *)a;
    if (!json_is_object(b) || json_object_size(a) != json_object_size(b))
        return 0;
    for (void *i = json_object_iter(at); i; i = json_object_iter_next(at, i)) {
        const json_t *there = json_object_getn(b, json_object_iter_key(i), json_object_iter_key_len(i));
        if (!there || !is_same(json_object_iter_value(i), there))
            return 0;
    }
    return 1;
}

static int is_same_set(const char *element, const json_t *a, const json_t *b) {
    for (size_t i = 0; i < json_array_size(a); i++) {
        int is_there = 0;
        for (size_t k = 0; k < json_array_size(b) && !is_there; k++)
            is_there = is_same_scalar(element, json_array_get(a, i), json_array_get(b, k));
        if (!is_there)
            return 0;
    }
    return json_array_size(a) == json_array_size(b);
}

static int is_same(const json_t *a, const json_t *b) {
    const json_t *x, *y;
    const char *type = type_of(a, &x), *other = type_of(b, &y);
    if (!type || !other || strcmp(type, other) != 0)
        return 0;
    if (strcmp(type, "M") == 0)
        return are_same_members(x, y);
    if (strcmp(type, "L") == 0) {
        for (size_t i = 0; i < json_array_size(x); i++)
            if (!is_same(json_array_get(x, i), json_array_get(y, i)))
                return 0;
        return json_array_size(x) == json_array_size(y);
    }
    if (strcmp(type, "BOOL") == 0 || strcmp(type, "NULL") == 0)
        return json_equal((json_t *)x, (json_t *)y);
    if (strlen(type) == 2)
        return is_same_set((char[]){type[0], 0}, x, y);
    return is_same_scalar(type, x, y);
}

/* ---- There and back -------------------------------------------------------------------------- */

/* Prints, parses and builds again: the same image. */
static void check_print(const struct larder_item *item, const json_t *came) {
    static struct larder_builder *kept;
    const struct larder_item *again;
    struct place place = {.path_bytes = 0};
    json_error_t error;
    json_t *printed = json_item_json(item);
    FUZZ_CHECK(printed && are_same_members(came, printed), "other values are printed than came");
    char *text = json_dumps(printed, JSON_COMPACT);
    json_t *parsed = json_loads(text, JSON_TEXT_ITEM, &error);
    FUZZ_CHECK(parsed, "%s: %s", error.text, text);
    /* An item with one attribute called Item that looks like an item must not lose it (rule J3 of
     * json_item.c). */
    int r = json_item_build(fuzz_builder(&kept), parsed, &again, &place);
    FUZZ_CHECK(r == LARDER_OK, "%s: %s", place.problem, text);
    FUZZ_CHECK(item_head(item)->bytes == item_head(again)->bytes && !memcmp(item, again, item_head(item)->bytes),
               "another item: %s", text);
    free(text);
    json_decref(parsed);
    json_decref(printed);
}

/* The item inside {"Item": {...}}, unless that reads as an attribute called Item. */
static const json_t *unwrap(const json_t *json, int *is_ambiguous) {
    size_t size;
    const json_t *inner = json_is_object(json) && json_object_size(json) == 1 ? json_object_get(json, "Item") : NULL;
    const json_t *payload;
    *is_ambiguous = 0;
    if (!inner || is_value(inner, 0, &size))
        return json;
    /* one member that is named like a type, but is not a value */
    *is_ambiguous = type_of(inner, &payload) != NULL;
    return inner;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct larder_builder *kept;
    const struct larder_item *item;
    struct place place = {.path_bytes = 0};
    json_error_t error;
    json_t *json = json_loadb((const char *)data, size, JSON_TEXT_ITEM, &error);
    if (!json)
        return 0;
    int is_ambiguous;
    size_t bytes;
    const json_t *meant = unwrap(json, &is_ambiguous);
    int is_legal = is_item(meant, &bytes), r = json_item_build(fuzz_builder(&kept), json, &item, &place);
    if (!is_ambiguous)
        FUZZ_CHECK((r == LARDER_OK) == is_legal, "taken: %d, %s", r, place.problem);
    if (r != LARDER_OK) {
        FUZZ_CHECK(r == LARDER_E_INVAL, "%d", r);
        fuzz_check_message(place.problem);
    } else {
        FUZZ_CHECK(item_is_sane(item, item_head(item)->bytes), "the image is not sane");
        if (!is_ambiguous) {
            FUZZ_CHECK(larder_item_size(item) == bytes, "%zu bytes, not %zu", larder_item_size(item), bytes);
            check_print(item, meant);
        }
    }
    json_decref(json);
    return 0;
}
