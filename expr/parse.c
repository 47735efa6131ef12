/* expr/parse.c - conditions and operands: tokens become nodes.
 *
 * Idea     Operator precedence with two stacks. `stack` has operands and conditions that are ready,
 *          `open` what waits for more: an operator for its right side, a parenthesis for its end.
 *          A comparison takes its right side as soon as that is complete, so only AND, OR and NOT
 *          have a precedence. Whether "(a" begins an operand or a condition need not be known: what
 *          stands in parentheses says it when they close.
 * Rules    P1 The first token that cannot continue the text is the one that a syntax error names.
 *          P2 Two pairs of parentheses around the same thing are an error, which is found when the
 *             outer pair closes.
 *          P3 A function stands for a condition or an operand; which, says what follows it.
 * Tests    tests/unit/expr/expr_errors_test.c, tests/unit/expr/expr_truth_test.c
 */
#include "expr/parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"

const struct parse_function parse_functions[PARSE_FUNCTIONS] = {
    {"attribute_exists", PARSE_OF_CONDITION, 1, EXPR_ATTRIBUTE_EXISTS},
    {"attribute_not_exists", PARSE_OF_CONDITION, 1, EXPR_ATTRIBUTE_NOT_EXISTS},
    {"attribute_type", PARSE_OF_CONDITION, 2, EXPR_ATTRIBUTE_TYPE},
    {"begins_with", PARSE_OF_CONDITION, 2, EXPR_BEGINS_WITH},
    {"contains", PARSE_OF_CONDITION, 2, EXPR_CONTAINS},
    {"size", PARSE_OF_OPERAND, 1, EXPR_SIZE},
    {"if_not_exists", PARSE_OF_UPDATE, 2, EXPR_IF_NOT_EXISTS},
    {"list_append", PARSE_OF_UPDATE, 2, EXPR_LIST_APPEND},
};

/* ---- Errors ---------------------------------------------------------------------------------- */

const char *parse_label(enum expr_kind kind) {
    static const char *const labels[] = {"ConditionExpression", "FilterExpression", "KeyConditionExpression",
                                         "ProjectionExpression", "UpdateExpression"};
    return labels[kind];
}

int parse_shown(struct bytes run) {
    size_t bytes = run.len < PARSE_SHOWN_MAX ? run.len : PARSE_SHOWN_MAX;
    const void *end = run.at ? memchr(run.at, 0, bytes) : NULL;
    if (end)
        bytes = (size_t)((const uint8_t *)end - run.at);
    return (int)utf8_valid_bytes((const char *)run.at, bytes);
}

int parse_fail(const struct parse *p, const char *format, ...) {
    char text[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return err_set(LARDER_E_INVAL, "Invalid %s: %s", parse_label(p->kind), text);
}

int parse_unexpected(const struct parse *p, uint32_t token) {
    uint32_t last = p->token_count - 1, before = token ? token - 1 : 0, after = token < last ? token + 1 : last;
    struct bytes found = parse_text(p, token);
    size_t from = token ? p->tokens[before].at : 0;
    size_t to = (size_t)p->tokens[after].at + p->tokens[after].bytes;
    if (token == last)
        found = (struct bytes){(const uint8_t *)"<EOF>", 5};
    struct bytes near = {(const uint8_t *)p->text + from, to - from};
    return parse_fail(p, "Syntax error; token: \"%.*s\", near: \"%.*s\"", PARSE_SHOWN(found), PARSE_SHOWN(near));
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static uint32_t add_node(struct parse *p, enum parse_kind kind, unsigned op, uint32_t token) {
    p->nodes[p->node_count] = (struct parse_node){.kind = (uint8_t)kind, .op = (uint8_t)op, .token = (uint16_t)token};
    return p->node_count++;
}

static void push(struct parse *p, uint32_t node, int is_condition) {
    p->stack[p->stack_count++] = (struct parse_operand){.node = (uint16_t)node, .is_condition = (uint8_t)is_condition};
}

static int same_bytes(struct bytes a, struct bytes b) {
    return a.len == b.len && a.at && b.at && memcmp(a.at, b.at, a.len) == 0;
}

static struct bytes name_of(struct parse *p, uint32_t token) {
    struct bytes text = parse_text(p, token);
    if (parse_type(p, token) == LEX_NAME)
        return text;
    for (uint32_t i = 0; i < p->name_count; i++)
        if (same_bytes(p->names[i].placeholder, text)) {
            p->names[i].is_used = 1;
            return p->names[i].name;
        }
    return (struct bytes){NULL, 0};
}

static void add_part(struct parse *p, struct parse_node *path) {
    uint32_t token = p->at++;
    struct parse_part *part = &p->parts[p->part_count++];
    part->token = (uint16_t)token;
    part->name = parse_type(p, token) == LEX_NUMBER ? (struct bytes){NULL, 0} : name_of(p, token);
    p->roles[token] = PARSE_ROLE_PART;
    path->count++;
}

static int is_name(const struct parse *p) {
    unsigned type = parse_type(p, p->at);
    return type == LEX_NAME || type == LEX_PLACEHOLDER;
}

int parse_path(struct parse *p) {
    if (!is_name(p))
        return parse_unexpected(p, p->at);
    struct parse_node *path = &p->nodes[add_node(p, PARSE_PATH, 0, p->at)];
    path->first = (uint16_t)p->part_count;
    add_part(p, path);
    for (;;) {
        unsigned type = parse_type(p, p->at);
        if (type != LEX_DOT && type != LEX_LEFT)
            return LARDER_OK;
        p->at++;
        if (type == LEX_DOT ? !is_name(p) : parse_type(p, p->at) != LEX_NUMBER)
            return parse_unexpected(p, p->at);
        add_part(p, path);
        if (type == LEX_LEFT && parse_type(p, p->at++) != LEX_RIGHT)
            return parse_unexpected(p, p->at - 1);
    }
}

void parse_value(struct parse *p) {
    struct bytes text = parse_text(p, p->at);
    uint32_t node = add_node(p, PARSE_VALUE, 0, p->at++), i = 0;
    while (i < p->value_count && !same_bytes(p->placeholders[i], text))
        i++;
    if (i == p->value_count)
        p->placeholders[p->value_count++] = text;
    p->nodes[node].first = (uint16_t)i;
}

/* ---- Open operators -------------------------------------------------------------------------- */

enum parse_open_type {
    OPEN_NONE,
    OPEN_PAREN,
    OPEN_CALL,
    OPEN_IN,
    OPEN_BETWEEN, /* waits for its AND */
    OPEN_OR,      /* from here on in the order of precedence */
    OPEN_AND,
    OPEN_NOT,
    OPEN_TIGHT, /* these take their right side as soon as it is complete */
    OPEN_COMPARISON = OPEN_TIGHT,
    OPEN_BETWEEN_AND,
    OPEN_ARITHMETIC,
};

static unsigned top(const struct parse *p) {
    return p->open_count ? p->open[p->open_count - 1].type : OPEN_NONE;
}

static void open_at(struct parse *p, enum parse_open_type type, uint32_t token, uint32_t base, int is_operand) {
    p->open[p->open_count++] = (struct parse_open){
        .type = (uint8_t)type, .is_operand = (uint8_t)is_operand, .token = (uint16_t)token, .base = (uint16_t)base};
}

/* Opens an operator at the next token, whose first operand is the last one that was read. */
static void open_operator(struct parse *p, enum parse_open_type type) {
    p->roles[p->at] = PARSE_ROLE_OPERATOR;
    open_at(p, type, p->at, p->stack_count - 1, type >= OPEN_TIGHT);
    p->at++;
}

static unsigned function_of(struct bytes name) {
    unsigned i = 0;
    while (i < PARSE_FUNCTIONS &&
           !same_bytes((struct bytes){(const uint8_t *)parse_functions[i].name, strlen(parse_functions[i].name)}, name))
        i++;
    return i;
}

static uint32_t node_of_open(struct parse *p, const struct parse_open *open) {
    unsigned type = parse_type(p, open->token);
    switch (open->type) {
    case OPEN_CALL:
        return add_node(p, PARSE_CALL, function_of(parse_text(p, open->token)), open->token);
    case OPEN_IN:
        return add_node(p, PARSE_COMPARISON, EXPR_IN, open->token);
    case OPEN_BETWEEN_AND:
        return add_node(p, PARSE_COMPARISON, EXPR_BETWEEN, open->token);
    case OPEN_COMPARISON:
        return add_node(p, PARSE_COMPARISON, EXPR_EQ + (type - LEX_EQ), open->token);
    case OPEN_ARITHMETIC:
        return add_node(p, PARSE_ARITHMETIC, type == LEX_PLUS ? EXPR_PLUS : EXPR_MINUS, open->token);
    case OPEN_AND:
        return add_node(p, PARSE_AND, 0, open->token);
    case OPEN_OR:
        return add_node(p, PARSE_OR, 0, open->token);
    default:
        return add_node(p, PARSE_NOT, 0, open->token);
    }
}

/* Makes a node of the operator that was opened last and all its operands. */
static void reduce(struct parse *p) {
    const struct parse_open *open = &p->open[--p->open_count];
    uint32_t number = node_of_open(p, open);
    struct parse_node *node = &p->nodes[number];
    node->first = (uint16_t)p->child_count;
    node->count = (uint16_t)(p->stack_count - open->base);
    for (uint32_t i = open->base; i < p->stack_count; i++)
        p->children[p->child_count++] = p->stack[i].node;
    p->stack_count = open->base;
    if (open->type == OPEN_CALL) {
        p->roles[open->token] = PARSE_ROLE_CALL;
        p->node_of[open->token] = (uint16_t)number;
    }
    push(p, number, open->type != OPEN_CALL && open->type != OPEN_ARITHMETIC);
}

/* ---- The two states: an operand is expected, an operand was read ----------------------------- */

/* Whether only an operand may stand at the next token, no condition. */
static int is_operand_place(const struct parse *p) {
    switch (top(p)) {
    case OPEN_NONE:
        return p->kind == EXPR_UPDATE;
    case OPEN_PAREN:
        return p->open[p->open_count - 1].is_operand;
    case OPEN_OR:
    case OPEN_AND:
    case OPEN_NOT:
        return 0;
    default:
        return 1;
    }
}

/* Reads up to the end of a path or value. */
static int read_operand(struct parse *p) {
    for (;;) {
        int is_operand = is_operand_place(p), result;
        unsigned type = parse_type(p, p->at);
        if (type == LEX_OPEN) {
            open_at(p, OPEN_PAREN, p->at++, p->stack_count, is_operand);
        } else if (type == LEX_NOT && !is_operand) {
            p->roles[p->at] = PARSE_ROLE_OPERATOR;
            open_at(p, OPEN_NOT, p->at++, p->stack_count, 0);
        } else if (type == LEX_NAME && parse_type(p, p->at + 1) == LEX_OPEN) {
            open_at(p, OPEN_CALL, p->at, p->stack_count, 1);
            p->at += 2;
        } else if (type == LEX_VALUE) {
            parse_value(p);
            push(p, p->node_count - 1, 0);
            return LARDER_OK;
        } else {
            if ((result = parse_path(p)) == LARDER_OK)
                push(p, p->node_count - 1, 0);
            return result;
        }
    }
}

/* Makes what was read last a condition. False: it is an operand. */
static int take_condition(struct parse *p) {
    struct parse_operand *last = &p->stack[p->stack_count - 1];
    if (!last->is_condition && p->nodes[last->node].kind == PARSE_CALL)
        last->is_condition = p->nodes[last->node].is_condition = 1;
    return last->is_condition;
}

/* P2. */
static int close_paren(struct parse *p) {
    struct parse_operand *last = &p->stack[p->stack_count - 1];
    if (last->is_paren)
        return parse_fail(p, "The expression has redundant parentheses;");
    last->is_paren = 1;
    p->open_count--;
    p->at++;
    return LARDER_OK;
}

/* Closes AND, OR and NOT of at least this precedence. */
static void reduce_down_to(struct parse *p, unsigned type) {
    while (top(p) >= type && top(p) < OPEN_TIGHT)
        reduce(p);
}

/* What a step after an operand gives, beside LARDER_OK and errors: the operand or condition is at
 * its end, or another operand follows. */
enum { STEP_END = 1, STEP_OPERAND = 2 };

/* Inside a function, IN, BETWEEN, or parentheses around an operand. */
static int continue_operand(struct parse *p, unsigned type) {
    int is_sum = p->nodes[p->stack[p->stack_count - 1].node].kind == PARSE_ARITHMETIC;
    switch (top(p)) {
    case OPEN_CALL:
    case OPEN_IN:
        p->at++;
        if (type == LEX_COMMA)
            return STEP_OPERAND;
        if (type != LEX_CLOSE)
            return parse_unexpected(p, p->at - 1);
        reduce(p);
        return LARDER_OK;
    case OPEN_BETWEEN:
        if (type != LEX_AND)
            return parse_unexpected(p, p->at);
        p->at++;
        p->open[p->open_count - 1].type = OPEN_BETWEEN_AND;
        return STEP_OPERAND;
    default: /* OPEN_PAREN, OPEN_NONE */
        if ((type == LEX_PLUS || type == LEX_MINUS) && p->kind == EXPR_UPDATE && p->open_count <= 1 && !is_sum) {
            open_operator(p, OPEN_ARITHMETIC);
            return STEP_OPERAND;
        }
        if (top(p) == OPEN_NONE)
            return STEP_END;
        return type == LEX_CLOSE ? close_paren(p) : parse_unexpected(p, p->at);
    }
}

/* Where a condition may stand. */
static int continue_condition(struct parse *p, unsigned type) {
    int is_condition = p->stack[p->stack_count - 1].is_condition;
    if (!is_condition && (lex_is_comparator(type) || type == LEX_BETWEEN)) {
        open_operator(p, type == LEX_BETWEEN ? OPEN_BETWEEN : OPEN_COMPARISON);
        return STEP_OPERAND;
    }
    if (!is_condition && type == LEX_IN) {
        open_operator(p, OPEN_IN);
        return parse_type(p, p->at++) == LEX_OPEN ? STEP_OPERAND : parse_unexpected(p, p->at - 1);
    }
    if (type == LEX_CLOSE && top(p) == OPEN_PAREN)
        return close_paren(p);
    if (!take_condition(p))
        return parse_unexpected(p, p->at);
    if (type == LEX_AND || type == LEX_OR) {
        unsigned opened = type == LEX_AND ? OPEN_AND : OPEN_OR;
        reduce_down_to(p, opened);
        open_operator(p, opened);
        return STEP_OPERAND;
    }
    reduce_down_to(p, OPEN_OR);
    if (type == LEX_CLOSE && top(p) == OPEN_PAREN)
        return close_paren(p);
    return top(p) == OPEN_NONE ? STEP_END : parse_unexpected(p, p->at);
}

/* Reads one operand or condition: it is alone on the stack. */
static int parse_expression(struct parse *p) {
    p->stack_count = p->open_count = 0;
    for (;;) {
        int step = read_operand(p);
        while (step == LARDER_OK) {
            while (top(p) >= OPEN_TIGHT)
                reduce(p);
            unsigned type = parse_type(p, p->at);
            step = is_operand_place(p) ? continue_operand(p, type) : continue_condition(p, type);
        }
        if (step != STEP_OPERAND)
            return step == STEP_END ? LARDER_OK : step;
    }
}

int parse_condition(struct parse *p) {
    int result = parse_expression(p);
    if (result == LARDER_OK)
        p->root = p->stack[0].node;
    return result;
}

int parse_operand(struct parse *p) {
    return parse_expression(p);
}
