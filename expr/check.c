/* expr/check.c - what the service checks after an expression was parsed.
 *
 * Order    Several passes over the whole expression; each stops at its first error.
 *            1 by tokens  reserved words, list indexes, names of functions and where they stand,
 *                         their number of operands, the number of operators
 *            2 by nodes   placeholders, then what an operator demands of its operands, then types
 *          An update takes its sections one after the other in pass 1, and its actions from the
 *          last to the first in pass 2; between them come the paths that it changes.
 *          Sources: tests/unit/expr/expr_errors_test.c.
 * Tests    tests/unit/expr/expr_errors_test.c
 */
#include <string.h>

#include "core/base/err.h"
#include "core/item/item_records.h"
#include "expr/parse.h"
#include "expr/reserved_words.h"

/* ---- Pass 1 ---------------------------------------------------------------------------------- */

static int is_index_allowed(struct bytes digits) {
    static const char largest[] = "2147483647"; /* EXPR_INDEX_MAX */
    size_t most = sizeof largest - 1;
    return digits.len < most || (digits.len == most && digits.at && memcmp(digits.at, largest, most) <= 0);
}

static int check_part(const struct parse *p, uint32_t token) {
    struct bytes text = parse_text(p, token);
    if (parse_type(p, token) == LEX_NUMBER && !is_index_allowed(text))
        return parse_fail(p, "List index is not within the allowable range; index: [%.*s]", PARSE_SHOWN(text));
    if (parse_type(p, token) == LEX_NAME && reserved_word((const char *)text.at, text.len))
        return parse_fail(p, "Attribute name is a reserved keyword; reserved keyword: %.*s", PARSE_SHOWN(text));
    return LARDER_OK;
}

static int check_operand_count(const struct parse *p, const struct parse_node *call) {
    const struct parse_function *f = &parse_functions[call->op];
    if (call->count == f->operands)
        return LARDER_OK;
    return parse_fail(p,
                      "Incorrect number of operands for operator or function; operator or function: %s, number of "
                      "operands: %u",
                      f->name, call->count);
}

static int is_list_append(const struct parse_node *node) {
    return node->kind == PARSE_CALL && node->op != PARSE_NO_FUNCTION &&
           parse_functions[node->op].op == EXPR_LIST_APPEND && parse_functions[node->op].set == PARSE_OF_UPDATE;
}

/* The service does not append to what list_append() made. if_not_exists() may stand there. */
static int check_nesting(const struct parse *p, const struct parse_node *call) {
    for (uint32_t i = 0; i < call->count; i++)
        if (is_list_append(call) && is_list_append(parse_child(p, call, i)))
            return parse_fail(p, "The function is not allowed to be used this way in an expression; function: %s",
                              parse_functions[call->op].name);
    return LARDER_OK;
}

static int check_function(const struct parse *p, uint32_t token) {
    const struct parse_node *call = &p->nodes[p->node_of[token]];
    struct bytes name = parse_text(p, token);
    int is_update = p->kind == EXPR_UPDATE;
    if (call->op == PARSE_NO_FUNCTION)
        return parse_fail(p, "Invalid function name; function: %.*s", PARSE_SHOWN(name));
    unsigned set = parse_functions[call->op].set;
    if (is_update != (set == PARSE_OF_UPDATE))
        return parse_fail(p, "The function is not allowed in %s expression; function: %.*s",
                          is_update ? "an update" : "a condition", PARSE_SHOWN(name));
    if (is_update)
        return check_nesting(p, call); /* its operands are counted in pass 2 */
    if (call->is_condition != (set == PARSE_OF_CONDITION))
        return parse_fail(p, "The function is not allowed to be used this way in an expression; function: %.*s",
                          PARSE_SHOWN(name));
    return check_operand_count(p, call);
}

static int check_tokens(const struct parse *p, uint32_t first, uint32_t end, uint32_t *operators) {
    int result = LARDER_OK;
    for (uint32_t i = first; i < end && result == LARDER_OK; i++) {
        if (p->roles[i] == PARSE_ROLE_PART)
            result = check_part(p, i);
        else if (p->roles[i] == PARSE_ROLE_CALL)
            result = check_function(p, i);
        *operators += p->roles[i] == PARSE_ROLE_CALL || p->roles[i] == PARSE_ROLE_OPERATOR;
        if (result == LARDER_OK && *operators > EXPR_OPERATORS_MAX)
            result =
                parse_fail(p, "The expression contains too many operators; operator count: %u", EXPR_OPERATORS_MAX + 1);
    }
    return result;
}

/* ---- Pass 2 ---------------------------------------------------------------------------------- */

static int check_names(const struct parse *p, const struct parse_node *path) {
    for (uint32_t i = 0; i < path->count; i++) {
        const struct parse_part *part = &p->parts[path->first + i];
        struct bytes text = parse_text(p, part->token);
        if (!part->name.at && parse_type(p, part->token) == LEX_PLACEHOLDER)
            return parse_fail(p,
                              "An expression attribute name used in the document path is not defined; attribute name: "
                              "%.*s",
                              PARSE_SHOWN(text));
        /* It would be written into an item, whose lengths of names have 16 bits. */
        if (p->kind == EXPR_UPDATE && part->name.len > LARDER_ATTRIBUTE_NAME_MAX)
            return err_set(LARDER_E_INVAL,
                           "ExpressionAttributeNames contains invalid value: Attribute name is too large, must be less "
                           "than 65536 bytes for key %.*s",
                           PARSE_SHOWN(text));
    }
    return LARDER_OK;
}

static int check_path(const struct parse *p, const struct parse_node *path) {
    int result = check_names(p, path);
    if (result == LARDER_OK && path->count > EXPR_PATH_STEPS_MAX)
        result = parse_fail(p, "The document path has too many nesting levels; nesting levels: %u", path->count);
    return result;
}

int check_find_value(enum expr_kind kind, const struct larder_item *values, struct bytes placeholder,
                     struct larder_value *out) {
    const struct item_head *h = item_head(values);
    struct item_record r;
    uint32_t ordinal;
    int result = h ? item_find_record(h, placeholder, &r, &ordinal) : LARDER_NOT_FOUND;
    if (result == LARDER_OK && !item_take_record_value(h, &r, (const uint8_t *)h + h->bytes, out))
        result = LARDER_E_CORRUPT;
    if (result == LARDER_E_CORRUPT)
        return err_set(result, "the item of expression attribute values is damaged");
    if (result == LARDER_NOT_FOUND)
        return parse_fail(&(struct parse){.kind = kind},
                          "An expression attribute value used in expression is not defined; attribute value: %.*s",
                          PARSE_SHOWN(placeholder));
    return LARDER_OK;
}

static int check_value(struct parse *p, const struct parse_node *node) {
    if (!p->values || p->bound[node->first].type)
        return LARDER_OK;
    return check_find_value(p->kind, p->values, p->placeholders[node->first], &p->bound[node->first]);
}

static int compare_parts(const struct parse *p, const struct parse_part *a, const struct parse_part *b) {
    if (a->name.at && b->name.at)
        return item_compare_bytes(a->name, b->name);
    if (a->name.at || b->name.at)
        return a->name.at ? 1 : -1;
    struct bytes x = parse_text(p, a->token), y = parse_text(p, b->token);
    return x.len != y.len ? (x.len > y.len) - (x.len < y.len) : memcmp(x.at, y.at, x.len);
}

int check_compare_paths(const struct parse *p, const struct parse_node *a, const struct parse_node *b) {
    for (uint32_t i = 0; i < a->count && i < b->count; i++) {
        int order = compare_parts(p, &p->parts[a->first + i], &p->parts[b->first + i]);
        if (order)
            return order;
    }
    return (a->count > b->count) - (a->count < b->count);
}

/* "[a, b, [3]]" */
void check_show_path(const struct parse *p, const struct parse_node *path, char *to, size_t bytes) {
    size_t used = 1, room = bytes - 8;
    to[0] = '[';
    for (uint32_t i = 0; i < path->count; i++) {
        const struct parse_part *part = &p->parts[path->first + i];
        struct bytes text = part->name.at ? part->name : parse_text(p, part->token);
        size_t shown = (size_t)parse_shown(text);
        if (used + shown + 6 > room)
            break;
        used = (size_t)(stpcpy(to + used, i ? ", " : "") - to);
        used = (size_t)(stpcpy(to + used, part->name.at ? "" : "[") - to);
        memcpy(to + used, text.at, shown);
        used = (size_t)(stpcpy(to + used + shown, part->name.at ? "" : "]") - to);
    }
    memcpy(to + used, "]", 2);
}

/* The first operand and another one are the same path. */
static int check_distinct(const struct parse *p, const struct parse_node *node, const char *name) {
    const struct parse_node *first = parse_child(p, node, 0);
    char text[2 * PARSE_SHOWN_MAX];
    for (uint32_t i = 1; i < node->count && first->kind == PARSE_PATH; i++) {
        const struct parse_node *other = parse_child(p, node, i);
        if (other->kind != PARSE_PATH || check_compare_paths(p, first, other) != 0)
            continue;
        check_show_path(p, first, text, sizeof text);
        return parse_fail(p,
                          "The first operand must be distinct from the remaining operands for this operator or "
                          "function; operator: %s, first operand: %s",
                          name, text);
    }
    return LARDER_OK;
}

/* The first operands of a node, at most three, as far as they are known. */
static void find_types(const struct parse *p, const struct parse_node *node, struct check_operand *operands) {
    for (uint32_t i = 0; i < 3 && i < node->count; i++) {
        const struct parse_node *child = parse_child(p, node, i);
        operands[i] = (struct check_operand){.is_path = child->kind == PARSE_PATH};
        if (child->kind == PARSE_VALUE && p->bound[child->first].type) {
            operands[i].value = &p->bound[child->first];
            operands[i].type = operands[i].value->type;
        } else if (child->kind == PARSE_CALL && parse_functions[child->op].op == EXPR_SIZE &&
                   parse_functions[child->op].set == PARSE_OF_OPERAND)
            operands[i].type = LARDER_N;
    }
}

static int check_comparison(const struct parse *p, const struct parse_node *node) {
    struct check_operand operands[3];
    if (node->op == EXPR_IN && node->count - 1u > EXPR_IN_MAX)
        return parse_fail(p, "The IN operator is provided with too many operands; number of operands: %u",
                          node->count - 1u);
    int result = check_distinct(p, node, check_test_name(node->op));
    find_types(p, node, operands);
    return result == LARDER_OK ? check_test_types(p->kind, node->op, operands) : result;
}

static int check_call(const struct parse *p, const struct parse_node *node) {
    const struct parse_function *f = &parse_functions[node->op];
    struct check_operand operands[3];
    int result = p->kind == EXPR_UPDATE ? check_operand_count(p, node) : LARDER_OK;
    int is_test = f->set == PARSE_OF_CONDITION;
    int is_path_needed =
        is_test ? f->op == EXPR_ATTRIBUTE_EXISTS || f->op == EXPR_ATTRIBUTE_NOT_EXISTS : f->op == EXPR_IF_NOT_EXISTS;
    if (result == LARDER_OK && is_path_needed && parse_child(p, node, 0)->kind != PARSE_PATH)
        result = parse_fail(p, "Operator or function requires a document path; operator or function: %s", f->name);
    if (result == LARDER_OK && (is_test || f->op == EXPR_IF_NOT_EXISTS))
        result = check_distinct(p, node, f->name);
    if (result != LARDER_OK)
        return result;
    find_types(p, node, operands);
    return is_test ? check_test_types(p->kind, f->op, operands) : check_operand_types(p->kind, f->op, operands);
}

static int check_arithmetic(const struct parse *p, const struct parse_node *node) {
    struct check_operand operands[3];
    find_types(p, node, operands);
    return check_operand_types(p->kind, node->op, operands);
}

static int check_node(struct parse *p, const struct parse_node *node) {
    switch (node->kind) {
    case PARSE_PATH:
        return check_path(p, node);
    case PARSE_VALUE:
        return check_value(p, node);
    case PARSE_COMPARISON:
        return check_comparison(p, node);
    case PARSE_CALL:
        return check_call(p, node);
    case PARSE_ARITHMETIC:
        return check_arithmetic(p, node);
    default:
        return LARDER_OK;
    }
}

static int check_nodes(struct parse *p, uint32_t first, uint32_t end) {
    int result = LARDER_OK;
    for (uint32_t i = first; i < end && result == LARDER_OK; i++)
        result = check_node(p, &p->nodes[i]);
    return result;
}

/* ---- Updates --------------------------------------------------------------------------------- */

static const char *const clause_names[] = {"SET", "REMOVE", "ADD", "DELETE"};

/* Pass 1 of all sections with the clause of section `first`, the first one of its kind. */
static int check_sections_like(const struct parse *p, uint32_t first, uint32_t *operators) {
    uint32_t count = 0;
    int result = LARDER_OK;
    for (uint32_t i = first; i < p->section_count && result == LARDER_OK; i++) {
        if (p->sections[i].clause != p->sections[first].clause)
            continue;
        count++;
        result = check_tokens(p, p->sections[i].first, p->sections[i].end, operators);
    }
    if (result == LARDER_OK && count > 1)
        result = parse_fail(p, "The \"%s\" section can only be used once in an update expression;",
                            clause_names[p->sections[first].clause]);
    return result;
}

static int check_sections(const struct parse *p) {
    uint32_t operators = 0;
    unsigned seen = 0;
    int result = LARDER_OK;
    for (uint32_t i = 0; i < p->section_count && result == LARDER_OK; i++) {
        if (!(seen & 1u << p->sections[i].clause))
            result = check_sections_like(p, i, &operators);
        seen |= 1u << p->sections[i].clause;
    }
    return result;
}

static int check_action(struct parse *p, const struct parse_action *action) {
    const struct parse_node *value = &p->nodes[action->end - 1];
    int result = check_nodes(p, action->first, action->end);
    if (result == LARDER_OK && action->clause >= EXPR_ADD && p->bound[value->first].type)
        result = check_action_type(action->clause, &p->bound[value->first]);
    return result;
}

static int check_update(struct parse *p) {
    int result = check_sections(p);
    for (uint32_t i = 0; i < p->action_count && result == LARDER_OK; i++)
        result = check_names(p, &p->nodes[p->actions[i].first]);
    if (result == LARDER_OK)
        result = check_paths(p);
    for (uint32_t i = p->action_count; i > 0 && result == LARDER_OK; i--)
        for (uint32_t k = p->actions[i - 1].first; k < p->actions[i - 1].end && result == LARDER_OK; k++)
            if (p->nodes[k].kind == PARSE_PATH)
                result = check_names(p, &p->nodes[k]);
    for (uint32_t i = p->action_count; i > 0 && result == LARDER_OK; i--)
        result = check_action(p, &p->actions[i - 1]);
    return result;
}

int check_expression(struct parse *p) {
    uint32_t operators = 0;
    if (p->kind == EXPR_UPDATE)
        return check_update(p);
    int result = check_tokens(p, 0, p->token_count, &operators);
    if (result == LARDER_OK)
        result = check_nodes(p, 0, p->node_count);
    if (result == LARDER_OK && p->kind == EXPR_PROJECTION)
        result = check_paths(p);
    if (result == LARDER_OK && p->kind == EXPR_KEY_CONDITION)
        result = check_key_condition(p);
    return result;
}
