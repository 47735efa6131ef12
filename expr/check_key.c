/* expr/check_key.c - what a key condition may say, whatever the keys of the table are.
 *
 * Job      A key condition is parsed as a condition. It may only be terms joined by AND, each of
 *          them one attribute, an operator that an index can use, and values.
 * Order    As the service looks at them: a node before its children, from left to right.
 * Source   Messages: dynalite's suites; of two conditions on a key, the dynamodb-conformance suite.
 * Tests    tests/unit/expr/expr_key_test.c
 */
#include "core/base/err.h"
#include "core/item/item_records.h"
#include "expr/parse.h"

static int refuse_operator(const char *name) {
    return err_set(LARDER_E_INVAL, "Invalid operator used in KeyConditionExpression: %s", name);
}

/* An operand of a term; *path is the path that the term has so far. */
static int check_operand(const struct parse_node *node, const struct parse_node **path) {
    if (node->kind == PARSE_CALL)
        return err_set(LARDER_E_INVAL, "KeyConditionExpressions cannot contain nested operations");
    if (node->kind != PARSE_PATH)
        return LARDER_OK;
    if (*path)
        return err_set(LARDER_E_INVAL,
                       "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition");
    if (node->count > 1)
        return err_set(LARDER_E_INVAL, "KeyConditionExpressions cannot have conditions on nested attributes");
    *path = node;
    return LARDER_OK;
}

/* A comparison or function. */
static int check_term(const struct parse *p, const struct parse_node *node, const struct parse_node **path) {
    int is_call = node->kind == PARSE_CALL, result = LARDER_OK;
    unsigned op = is_call ? parse_functions[node->op].op : node->op;
    const char *name = check_test_name(op);
    *path = NULL;
    if (op == EXPR_NE || op == EXPR_IN || (is_call && op != EXPR_BEGINS_WITH))
        return refuse_operator(name);
    if ((op == EXPR_BETWEEN || is_call) && parse_child(p, node, 0)->kind != PARSE_PATH)
        return err_set(
            LARDER_E_INVAL,
            "Invalid condition in KeyConditionExpression: %s operator must have the key attribute as its first operand",
            name);
    for (uint32_t i = 0; i < node->count && result == LARDER_OK; i++)
        result = check_operand(parse_child(p, node, i), path);
    if (result == LARDER_OK && !*path)
        result = err_set(LARDER_E_INVAL, "Invalid condition in KeyConditionExpression: No key attribute specified");
    return result;
}

static int check_once(const struct parse *p, const struct parse_node *path, const struct parse_node **paths,
                      uint32_t *count) {
    for (uint32_t i = 0; i < *count; i++)
        if (check_compare_paths(p, paths[i], path) == 0)
            return err_set(LARDER_E_INVAL, "Invalid KeyConditionExpression: KeyConditionExpressions must only contain "
                                           "one condition per key");
    if (*count < EXPR_OPERATORS_MAX)
        paths[(*count)++] = path;
    return LARDER_OK;
}

int check_key_condition(struct parse *p) {
    const struct parse_node *paths[EXPR_OPERATORS_MAX], *path;
    uint32_t path_count = 0;
    p->stack_count = 0;
    p->stack[p->stack_count++].node = (uint16_t)p->root;
    while (p->stack_count) {
        const struct parse_node *node = &p->nodes[p->stack[--p->stack_count].node];
        if (node->kind == PARSE_OR || node->kind == PARSE_NOT)
            return refuse_operator(node->kind == PARSE_OR ? "OR" : "NOT");
        if (node->kind == PARSE_AND) {
            p->stack[p->stack_count++].node = p->children[node->first + 1];
            p->stack[p->stack_count++].node = p->children[node->first];
            continue;
        }
        int result = check_term(p, node, &path);
        if (result == LARDER_OK)
            result = check_once(p, path, paths, &path_count);
        if (result != LARDER_OK)
            return result;
    }
    return LARDER_OK;
}
