/* expr/bind.c - the values of a compiled expression.
 *
 * Job      Finds each placeholder in an item of values, and checks the types of literal operands.
 * Tests    tests/unit/expr/expr_errors_test.c
 */
#include "core/item/item_records.h"
#include "expr/parse.h"

static struct check_operand known_of(const struct expr *e, const struct larder_value *bound, uint32_t number) {
    const struct expr_operand *operand = &e->operands[number];
    struct check_operand known = {.is_path = operand->op == EXPR_OF_PATH};
    if (operand->op == EXPR_OF_VALUE) {
        known.value = &bound[operand->value];
        known.type = known.value->type;
    } else if (operand->op == EXPR_SIZE)
        known.type = LARDER_N;
    return known;
}

static int bind_operand(const struct expr *e, const struct larder_value *bound, uint32_t number) {
    const struct expr_operand *operand = &e->operands[number];
    if (operand->op < EXPR_SIZE || operand->op == EXPR_IF_NOT_EXISTS)
        return LARDER_OK;
    struct check_operand known[2] = {known_of(e, bound, operand->left), known_of(e, bound, operand->right)};
    return check_operand_types(e->kind, operand->op, known);
}

/* A comparison of an attribute with an S or N: any of them may have one. */
static int is_simple(const struct expr *e, const struct larder_value *bound, const struct expr_test *test) {
    return test->is_usual && test->op <= EXPR_GE &&
           bound[e->operands[e->arguments[test->first + 1]].value].type <= LARDER_N;
}

static int bind_test(const struct expr *e, const struct larder_value *bound, const struct expr_test *test) {
    if (is_simple(e, bound, test))
        return LARDER_OK;
    struct check_operand known[3] = {{0}};
    int result = LARDER_OK;
    for (uint32_t i = 0; i < test->count && result == LARDER_OK; i++) {
        uint32_t number = e->arguments[test->first + i];
        result = bind_operand(e, bound, number);
        if (i < 3)
            known[i] = known_of(e, bound, number);
    }
    return result == LARDER_OK ? check_test_types(e->kind, test->op, known) : result;
}

static int bind_action(const struct expr *e, const struct larder_value *bound, const struct expr_action *action) {
    int result = LARDER_OK;
    if (action->clause == EXPR_REMOVE)
        return LARDER_OK;
    for (uint32_t i = action->first; i <= action->operand && result == LARDER_OK; i++)
        result = bind_operand(e, bound, i);
    if (result == LARDER_OK && action->clause >= EXPR_ADD)
        result = check_action_type(action->clause, &bound[e->operands[action->operand].value]);
    return result;
}

/* The value of the n-th attribute of a builder's item, if that is this placeholder, and a short
 * text or number: few values mostly stand in the order of their use. 0: it has to be looked
 * for. */
static int take_nth(const struct item_head *h, uint32_t n, struct bytes placeholder, struct larder_value *out) {
    if (!h || item_is_walked(h) || n >= h->attr_count || placeholder.len >= ITEM_NAME_LISTED)
        return 0;
    const uint8_t *start = (const uint8_t *)h, *end = start + h->bytes;
    size_t offset = item_get_offset(item_directory(h), h->flags & ITEM_WIDE, n);
    const uint8_t *record = start + offset, *value = record + 2 + placeholder.len;
    if (offset + 2 + placeholder.len > h->bytes || record[1] != placeholder.len || record[0] < ITEM_SHORT_N ||
        !item_is_same_name(record + 2, placeholder.at, placeholder.len))
        return 0;
    int is_text = record[0] >= ITEM_SHORT_S;
    size_t bytes = record[0] ^ (is_text ? ITEM_SHORT_S : ITEM_SHORT_N);
    if (bytes > (size_t)(end - value))
        return 0;
    *out = (struct larder_value){
        .type = is_text ? LARDER_S : LARDER_N, .data = value, .bytes = bytes, .count = is_text ? 0 : ITEM_N_IS_ENCODED};
    return 1;
}

int expr_bind(const struct expr *e, const struct larder_item *values, struct larder_value *bound) {
    int result = LARDER_OK;
    for (uint32_t i = 0; i < e->value_count && result == LARDER_OK; i++)
        if (!take_nth(item_head(values), i, e->values[i], &bound[i]))
            result = check_find_value(e->kind, values, e->values[i], &bound[i]);
    for (uint32_t i = 0; i < e->test_count && result == LARDER_OK; i++)
        result = bind_test(e, bound, &e->tests[i]);
    for (uint32_t i = e->action_count; i > 0 && result == LARDER_OK; i--)
        result = bind_action(e, bound, &e->actions[i - 1]);
    return result;
}
