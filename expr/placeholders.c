/* expr/placeholders.c - "#n" and ":v" by themselves: their form, and whether all were used.
 *
 * Note     Where a message lists several placeholders the service has them in the order of a Java
 *          HashSet, and so has this.
 * Tests    tests/unit/expr/expr_names_test.c
 */
#include <string.h>

#include "core/base/err.h"
#include "core/item/item_records.h"
#include "expr/parse.h"

static int is_placeholder(struct bytes text, char first) {
    if (text.len < 2 || text.at[0] != (uint8_t)first)
        return 0;
    for (size_t i = 1; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
            return 0;
    }
    return 1;
}

static int check_form(const char *map, struct bytes key, char first) {
    if (key.len > EXPR_NAME_KEY_BYTES_MAX)
        return err_set(LARDER_E_INVAL,
                       "%s contains invalid key: The expression attribute map contains a key that is too long; size of "
                       "key: %zu",
                       map, key.len);
    if (!is_placeholder(key, first))
        return err_set(LARDER_E_INVAL, "%s contains invalid key: Syntax error; key: \"%.*s\"", map, PARSE_SHOWN(key));
    return LARDER_OK;
}

int expr_check_placeholders(const struct expr_name *names, uint32_t name_count, const struct larder_item *values) {
    struct larder_iter it;
    struct larder_member member;
    int result = LARDER_OK;
    for (uint32_t i = 0; i < name_count && result == LARDER_OK; i++) {
        result = check_form("ExpressionAttributeNames", names[i].placeholder, '#');
        if (result == LARDER_OK && !names[i].name.len)
            result = err_set(LARDER_E_INVAL,
                             "ExpressionAttributeNames contains invalid value: Empty attribute name for key %.*s",
                             PARSE_SHOWN(names[i].placeholder));
    }
    larder_iter_item(values, &it);
    while (result == LARDER_OK && (result = larder_iter_next(&it, &member)) == LARDER_OK)
        result = check_form("ExpressionAttributeValues",
                            (struct bytes){(const uint8_t *)member.name, member.name_bytes}, ':');
    return result == LARDER_NOT_FOUND ? LARDER_OK : result;
}

/* ---- Unused ---------------------------------------------------------------------------------- */

/* Of an ASCII text: String.hashCode(), spread as HashMap does. */
static uint32_t java_hash(struct bytes text) {
    uint32_t hash = 0;
    for (size_t i = 0; i < text.len; i++)
        hash = hash * 31 + text.at[i];
    return hash ^ hash >> 16;
}

/* Slots of a HashSet that was made from so many elements. */
static uint32_t java_slots(uint32_t count) {
    uint32_t wanted = count * 4 / 3 + 1, slots = 16;
    while (slots < wanted)
        slots *= 2;
    return slots;
}

static int is_used(const struct expr *const *expressions, uint32_t count, struct bytes placeholder) {
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < expressions[i]->value_count; k++)
            if (item_compare_bytes(expressions[i]->values[k], placeholder) == 0)
                return 1;
    return 0;
}

/* Placeholders in order of their slots: the next one after `last`, which is a slot and a number. */
struct unused {
    struct bytes found;
    uint64_t last, next;
};

static void offer(struct unused *u, struct bytes key, uint32_t number, uint32_t slots) {
    uint64_t place = (uint64_t)(java_hash(key) & (slots - 1)) << 32 | (number + 1);
    if (place > u->last && place < u->next) {
        u->next = place;
        u->found = key;
    }
}

static void offer_names(struct unused *u, const struct expr_name *names, uint32_t name_count) {
    for (uint32_t i = 0; i < name_count; i++)
        if (!names[i].is_used)
            offer(u, names[i].placeholder, i, java_slots(name_count));
}

static void offer_values(struct unused *u, const struct expr *const *expressions, uint32_t count,
                         const struct larder_item *values) {
    struct larder_iter it;
    struct larder_member member;
    larder_iter_item(values, &it);
    for (uint32_t i = 0; larder_iter_next(&it, &member) == LARDER_OK; i++) {
        struct bytes key = {(const uint8_t *)member.name, member.name_bytes};
        if (!is_used(expressions, count, key))
            offer(u, key, i, java_slots(larder_item_count(values)));
    }
}

/* As many as a message has room for. */
static int add_key(char *text, size_t bytes, struct bytes key) {
    size_t used = strlen(text), shown = (size_t)parse_shown(key);
    if (used + shown + 3 > bytes)
        return 0;
    char *at = stpcpy(text + used, used ? ", " : "");
    memcpy(at, key.at, shown);
    at[shown] = 0;
    return 1;
}

int expr_check_unused(const struct expr *const *expressions, uint32_t count, const struct expr_name *names,
                      uint32_t name_count, const struct larder_item *values) {
    char keys[ERR_TEXT_BYTES - 100];
    for (int is_value = 0; is_value < 2; is_value++) {
        struct unused u = {.last = 0};
        keys[0] = 0;
        for (;;) {
            u.next = UINT64_MAX;
            if (is_value)
                offer_values(&u, expressions, count, values);
            else
                offer_names(&u, names, name_count);
            if (u.next == UINT64_MAX || !add_key(keys, sizeof keys, u.found))
                break;
            u.last = u.next;
        }
        if (keys[0])
            return err_set(LARDER_E_INVAL, "Value provided in ExpressionAttribute%s unused in expressions: keys: {%s}",
                           is_value ? "Values" : "Names", keys);
    }
    return LARDER_OK;
}
