/* expr/check_types.c - the types that operators and functions allow in literal operands.
 *
 * Job      A stored value of a wrong type makes a condition false. A value that came with the
 *          request is an error. These are the checks of both expr_compile(), which has nodes, and
 *          expr_bind(), which has a struct expr.
 * Tests    tests/unit/expr/expr_errors_test.c
 */
#include <stdio.h>
#include <string.h>

#include "core/item/item_records.h"
#include "core/item/num.h"
#include "expr/parse.h"

#define TYPE_BIT(type) (1u << (type))
#define ORDERED (TYPE_BIT(LARDER_S) | TYPE_BIT(LARDER_N) | TYPE_BIT(LARDER_B))
#define SETS (TYPE_BIT(LARDER_SS) | TYPE_BIT(LARDER_NS) | TYPE_BIT(LARDER_BS))
/* The service's own words, in its order. */
#define ANY_TYPE "{SS,M,DECIMAL,DOUBLESET,HDS,N,B,DICT,INTSET,BOOL,HD,BS,INT,DECIMALSET,NULL,FLOAT,FS,S,L,NS,DOUBLE}"
#define TYPE_NAMES "{N,BS,L,B,NULL,M,S,SS,NS,BOOL}"

const char *check_test_name(enum expr_test_op op) {
    static const char *const names[] = {"=",
                                        "<>",
                                        "<",
                                        "<=",
                                        ">",
                                        ">=",
                                        "BETWEEN",
                                        "IN",
                                        "attribute_exists",
                                        "attribute_not_exists",
                                        "attribute_type",
                                        "begins_with",
                                        "contains"};
    return names[op];
}

const char *check_operand_name(enum expr_operand_op op) {
    static const char *const names[] = {"", "", "size", "if_not_exists", "list_append", "+", "-"};
    return names[op];
}

static int refuse(enum expr_kind kind, const char *name, const char *type) {
    return parse_fail(&(struct parse){.kind = kind},
                      "Incorrect operand type for operator or function; operator or function: %s, operand type: %s",
                      name, type);
}

static int check_each(enum expr_kind kind, const char *name, unsigned allowed, const struct check_operand *operands,
                      uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (operands[i].type && !(allowed & TYPE_BIT(operands[i].type)))
            return refuse(kind, name, item_type_name(operands[i].type));
    return LARDER_OK;
}

/* "AttributeValue: {S:b}" */
static void show_bound(const struct larder_value *value, char *to, size_t bytes) {
    char number[LARDER_NUMBER_TEXT_MAX];
    struct bytes text = {value->data, value->bytes};
    if (value->type == LARDER_B) {
        snprintf(to, bytes, "AttributeValue: {B:java.nio.HeapByteBuffer[pos=0 lim=%zu cap=%zu]}", text.len, text.len);
        return;
    }
    if (value->type == LARDER_N)
        text = (struct bytes){(uint8_t *)number, num_decode(value->data, value->bytes, number)};
    snprintf(to, bytes, "AttributeValue: {%s:%.*s}", item_type_name(value->type), PARSE_SHOWN(text));
}

static int check_bounds(enum expr_kind kind, const struct larder_value *low, const struct larder_value *high) {
    char from[PARSE_SHOWN_MAX + 100], to[PARSE_SHOWN_MAX + 100];
    const char *rule = NULL;
    if (low->type != high->type)
        rule = "same data type for lower and upper bounds";
    else if (item_compare_bytes((struct bytes){low->data, low->bytes}, (struct bytes){high->data, high->bytes}) > 0)
        rule = "upper bound to be greater than or equal to lower bound";
    if (!rule)
        return LARDER_OK;
    show_bound(low, from, sizeof from);
    show_bound(high, to, sizeof to);
    return parse_fail(&(struct parse){.kind = kind},
                      "The BETWEEN operator requires %s; lower bound operand: %s, upper bound operand: %s", rule, from,
                      to);
}

static int is_type_name(const struct larder_value *value) {
    for (unsigned type = LARDER_S; type <= LARDER_BS; type++) {
        const char *name = item_type_name(type);
        if (strlen(name) == value->bytes && memcmp(name, value->data, value->bytes) == 0)
            return 1;
    }
    return 0;
}

static int check_type_name(enum expr_kind kind, const struct check_operand *operand) {
    if (operand->is_path)
        return refuse(kind, "attribute_type", ANY_TYPE);
    if (operand->type && operand->type != LARDER_S)
        return refuse(kind, "attribute_type", item_type_name(operand->type));
    if (!operand->value || is_type_name(operand->value))
        return LARDER_OK;
    struct bytes text = {operand->value->data, operand->value->bytes};
    return parse_fail(&(struct parse){.kind = kind},
                      "Invalid attribute type name found; type: %.*s, valid types: " TYPE_NAMES, PARSE_SHOWN(text));
}

int check_test_types(enum expr_kind kind, enum expr_test_op op, const struct check_operand *operands) {
    const char *name = check_test_name(op);
    int result;
    switch (op) {
    case EXPR_LT:
    case EXPR_LE:
    case EXPR_GT:
    case EXPR_GE:
        return check_each(kind, name, ORDERED, operands, 2);
    case EXPR_BETWEEN:
        result = check_each(kind, name, ORDERED, operands, 3);
        if (result != LARDER_OK || !operands[1].value || !operands[2].value)
            return result;
        return check_bounds(kind, operands[1].value, operands[2].value);
    case EXPR_BEGINS_WITH:
        return check_each(kind, name, TYPE_BIT(LARDER_S) | TYPE_BIT(LARDER_B), operands, 2);
    case EXPR_ATTRIBUTE_TYPE:
        return check_type_name(kind, &operands[1]);
    default:
        return LARDER_OK;
    }
}

int check_operand_types(enum expr_kind kind, enum expr_operand_op op, const struct check_operand *operands) {
    const char *name = check_operand_name(op);
    switch (op) {
    case EXPR_SIZE:
        return check_each(kind, name, ~(TYPE_BIT(LARDER_N) | TYPE_BIT(LARDER_BOOL) | TYPE_BIT(LARDER_NULL)), operands,
                          1);
    case EXPR_LIST_APPEND:
        return check_each(kind, name, TYPE_BIT(LARDER_L), operands, 2);
    case EXPR_PLUS:
    case EXPR_MINUS:
        return check_each(kind, name, TYPE_BIT(LARDER_N), operands, 2);
    default:
        return LARDER_OK;
    }
}

int check_action_type(enum expr_clause clause, const struct larder_value *value) {
    static const char *const long_names[] = {"",    "STRING", "NUMBER",     "BINARY",     "BOOLEAN",   "NULL",
                                             "MAP", "LIST",   "STRING_SET", "NUMBER_SET", "BINARY_SET"};
    unsigned allowed = clause == EXPR_ADD ? SETS | TYPE_BIT(LARDER_N) : SETS;
    const char *name = clause == EXPR_ADD ? "ADD" : "DELETE";
    if (allowed & TYPE_BIT(value->type))
        return LARDER_OK;
    return parse_fail(&(struct parse){.kind = EXPR_UPDATE},
                      "Incorrect operand type for operator or function; operator: %s, operand type: %s, typeSet: "
                      "ALLOWED_FOR_%s_OPERAND",
                      name, long_names[value->type], name);
}
