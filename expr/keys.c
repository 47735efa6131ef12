/* expr/keys.c - expressions and the keys of a table.
 *
 * Job      A key condition as one term for each key attribute; what other expressions may not do
 *          with keys.
 * Source   Developer guide, "Key condition expressions"; keys of several attributes:
 *          "Multi-attribute keys", and the dynamodb-conformance suite for its messages (October
 *          2026). Its one about HASH attributes ends as users quote it.
 * Tests    tests/unit/expr/expr_key_test.c
 */
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/item/item_records.h"
#include "expr/parse.h"

static int is_named(struct bytes name, const struct item_key_attr *key) {
    return name.len == key->name_bytes && memcmp(name.at, key->name, name.len) == 0;
}

static struct expr_key_term term_of(const struct expr *e, const struct expr_test *test) {
    const uint16_t *arguments = &e->arguments[test->first];
    const struct expr_operand *path = &e->operands[arguments[0]];
    struct expr_key_term term = {.name = expr_steps(e, path->path)[0].name, .op = test->op};
    term.low = e->operands[arguments[1]].value;
    term.high = e->operands[arguments[test->count - 1]].value;
    return term;
}

static const struct expr_test *test_of(const struct expr *e, const struct item_key_attr *key) {
    for (uint32_t i = 0; i < e->test_count; i++)
        if (is_named(term_of(e, &e->tests[i]).name, key))
            return &e->tests[i];
    return NULL;
}

static int refuse_missing(const struct item_key_attr *key) {
    struct bytes name = {(const uint8_t *)key->name, key->name_bytes};
    return err_set(LARDER_E_INVAL, "Query condition missed key schema element: %.*s", PARSE_SHOWN(name));
}

/* Of a partition key with several attributes. */
static int refuse_partition(const struct item_key_attr *key) {
    struct bytes name = {(const uint8_t *)key->name, key->name_bytes};
    return err_set(LARDER_E_INVAL, "HASH key attributes %.*s must have equality conditions specified in the query",
                   PARSE_SHOWN(name));
}

static int has_equality(const struct expr *e, const struct item_key_attr *key) {
    const struct expr_test *test = test_of(e, key);
    return test && test->op == EXPR_EQ;
}

/* The attributes of a sort key before the last one that has a condition must have equality. */
static int check_sort(const struct expr *e, const struct item_key_attr *keys, uint32_t count) {
    char names[ERR_TEXT_BYTES / 2] = "";
    size_t used = 0;
    uint32_t last = count;
    while (last > 0 && !test_of(e, &keys[last - 1]))
        last--;
    for (uint32_t i = 0; i + 1 < last; i++) {
        struct bytes name = {(const uint8_t *)keys[i].name, keys[i].name_bytes};
        if (!has_equality(e, &keys[i]) && used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%.*s", used ? ", " : "", PARSE_SHOWN(name));
    }
    if (!used)
        return LARDER_OK;
    struct bytes name = {(const uint8_t *)keys[last - 1].name, keys[last - 1].name_bytes};
    return err_set(LARDER_E_INVAL,
                   "RANGE key attributes %s must have equality conditions specified in the query because a condition "
                   "is present on key attribute %.*s",
                   names, PARSE_SHOWN(name));
}

static int check_value(const struct item_key_attr *key, const struct larder_value *value) {
    struct bytes name = {(const uint8_t *)key->name, key->name_bytes};
    if (value->type != key->type)
        return err_set(
            LARDER_E_INVAL,
            "One or more parameter values were invalid: Condition parameter type does not match schema type");
    if (!value->bytes)
        return err_set(LARDER_E_INVAL,
                       "One or more parameter values are not valid. The AttributeValue for a key attribute cannot "
                       "contain an empty %s value. Key: %.*s",
                       value->type == LARDER_S ? "string" : "binary", PARSE_SHOWN(name));
    return LARDER_OK;
}

/* Writes the terms in the order of the keys. */
static int put_terms(const struct expr *e, const struct item_key_attr *keys, uint32_t partition_count,
                     uint32_t key_count, struct expr_key_term *terms, uint32_t *count) {
    *count = 0;
    for (uint32_t i = 0; partition_count > 1 && i < partition_count; i++)
        if (!has_equality(e, &keys[i]))
            return refuse_partition(&keys[i]);
    int result = test_of(e, &keys[0]) ? check_sort(e, keys + partition_count, key_count - partition_count) : LARDER_OK;
    if (result != LARDER_OK)
        return result;
    for (uint32_t i = 0; i < key_count && *count < e->test_count; i++) {
        const struct expr_test *test = test_of(e, &keys[i]);
        if (!test) /* the attribute that has a condition is no key */
            return refuse_missing(&keys[i]);
        terms[(*count)++] = term_of(e, test);
    }
    return LARDER_OK;
}

int expr_key_terms(const struct expr *e, const struct larder_value *bound, const struct item_key_attr *keys,
                   uint32_t partition_count, uint32_t key_count, struct expr_key_term *terms, uint32_t *count) {
    struct expr_key_term made[EXPR_KEY_TERMS_MAX];
    uint32_t made_count;
    if (e->test_count > key_count)
        return err_set(LARDER_E_INVAL,
                       "The number of query conditions (%u) exceeds the number of key attributes defined in the "
                       "schema (%u)",
                       e->test_count, key_count);
    int result = put_terms(e, keys, partition_count, key_count, made, &made_count);
    for (uint32_t i = 0; i < made_count && result == LARDER_OK; i++) {
        result = check_value(&keys[i], &bound[made[i].low]);
        if (result == LARDER_OK)
            result = check_value(&keys[i], &bound[made[i].high]);
    }
    for (uint32_t i = 0; i < made_count && result == LARDER_OK; i++)
        if (made[i].op != EXPR_EQ && (i < partition_count || i + 1 < made_count))
            result = err_set(LARDER_E_INVAL, "Query key condition not supported");
    if (result != LARDER_OK)
        return result;
    memcpy(terms, made, made_count * sizeof *made);
    *count = made_count;
    return LARDER_OK;
}

/* ---- Other expressions ----------------------------------------------------------------------- */

static int is_key(struct bytes name, const struct bytes *keys, uint32_t key_count) {
    for (uint32_t i = 0; i < key_count; i++)
        if (name.len == keys[i].len && memcmp(name.at, keys[i].at, name.len) == 0)
            return 1;
    return 0;
}

static int check_updates(const struct expr *e, const struct bytes *keys, uint32_t key_count) {
    for (uint32_t i = 0; i < e->action_count; i++) {
        struct bytes name = expr_steps(e, e->actions[i].path)[0].name;
        if (is_key(name, keys, key_count))
            return err_set(LARDER_E_INVAL,
                           "One or more parameter values were invalid: Cannot update attribute %.*s. This attribute is "
                           "part of the key",
                           PARSE_SHOWN(name));
    }
    return LARDER_OK;
}

enum larder_sort_op expr_sort_op(const struct expr_key_term *term) {
    static const enum larder_sort_op ops[] = {[EXPR_EQ] = LARDER_SORT_EQ,
                                              [EXPR_LT] = LARDER_SORT_LT,
                                              [EXPR_LE] = LARDER_SORT_LE,
                                              [EXPR_GT] = LARDER_SORT_GT,
                                              [EXPR_GE] = LARDER_SORT_GE,
                                              [EXPR_BETWEEN] = LARDER_SORT_BETWEEN,
                                              [EXPR_BEGINS_WITH] = LARDER_SORT_BEGINS_WITH};
    return ops[term->op];
}

static int is_updated(const struct expr *e, uint32_t path) {
    for (uint32_t i = 0; i < e->action_count; i++)
        if (e->actions[i].path == path)
            return 1;
    return 0;
}

int expr_check_keys(const struct expr *e, const struct bytes *keys, uint32_t key_count, int is_query) {
    int is_filter = is_query && e->kind == EXPR_FILTER;
    for (uint32_t i = 0; i < e->path_count; i++) {
        struct bytes name = expr_steps(e, i)[0].name;
        if (e->paths[i].count < 2 || !is_key(name, keys, key_count) || is_updated(e, i))
            continue;
        return err_set(LARDER_E_INVAL,
                       "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: "
                       "Key: %.*s",
                       PARSE_SHOWN(name));
    }
    for (uint32_t i = 0; is_filter && i < e->path_count; i++) {
        struct bytes name = expr_steps(e, i)[0].name;
        if (is_key(name, keys, key_count))
            return err_set(LARDER_E_INVAL,
                           "Filter Expression can only contain non-primary key attributes: Primary key attribute: "
                           "%.*s",
                           PARSE_SHOWN(name));
    }
    return check_updates(e, keys, key_count);
}
