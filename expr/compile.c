/* expr/compile.c - from text to a struct expr: the steps in their order, and the last of them.
 *
 * Idea     Tests are numbered as they stand in the text. Where a test goes on when it is true, and
 *          when it is false, is handed down from the root: "x AND y" gives y its own two targets,
 *          and x the first test of y and its own false target. Parents come after their children in
 *          the array of nodes, so a loop from its end hands down all of them.
 * Memory   Two blocks: the arrays of struct parse, freed before the end, and the result.
 * Tests    tests/unit/expr/expr_truth_test.c, tests/unit/expr/expr_update_test.c
 */
#include <stdatomic.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/priv.h"
#include "core/item/item_names.h"
#include "core/item/item_records.h"
#include "expr/parse.h"
#include "expr/usual.h"

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Takes arrays one after the other from a block. With at NULL it only counts. */
struct carve {
    uint8_t *at;
    size_t used;
};

static void *carve(struct carve *c, size_t count, size_t each) {
    void *taken = c->at ? c->at + c->used : NULL;
    c->used += item_round8(count * each);
    return taken;
}

static void carve_parse(struct carve *c, struct parse *p, size_t count) {
    p->tokens = carve(c, count, sizeof *p->tokens);
    p->roles = carve(c, count, sizeof *p->roles);
    p->node_of = carve(c, count, sizeof *p->node_of);
    p->nodes = carve(c, count, sizeof *p->nodes);
    p->parts = carve(c, count, sizeof *p->parts);
    p->children = carve(c, count, sizeof *p->children);
    p->placeholders = carve(c, count, sizeof *p->placeholders);
    p->bound = carve(c, count, sizeof *p->bound);
    p->stack = carve(c, count, sizeof *p->stack);
    p->open = carve(c, count, sizeof *p->open);
    p->actions = carve(c, count, sizeof *p->actions);
    p->sections = carve(c, count, sizeof *p->sections);
    p->by_path = carve(c, count, sizeof *p->by_path);
    p->numbers = carve(c, count, sizeof *p->numbers);
    p->targets = carve(c, count, sizeof *p->targets);
}

/* ---- The result ------------------------------------------------------------------------------ */

/* The same arrays, to be written. */
struct made {
    struct expr *e;
    struct expr_step *steps;
    struct expr_path *paths;
    struct bytes *values;
    struct expr_operand *operands;
    uint16_t *arguments;
    struct expr_test *tests;
    struct expr_usual *usual;
    struct expr_action *actions;
    uint16_t *by_path;
    uint8_t *texts;
    uint32_t argument_count;
};

static int is_test(const struct parse_node *node) {
    return node->kind == PARSE_COMPARISON || (node->kind == PARSE_CALL && node->is_condition);
}

static size_t text_bytes(const struct parse *p) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < p->part_count; i++)
        bytes += p->parts[i].name.at ? p->parts[i].name.len : 0;
    for (uint32_t i = 0; i < p->value_count; i++)
        bytes += p->placeholders[i].len;
    return bytes;
}

/* The counts are upper limits, but close to what is needed. */
static void carve_made(struct carve *c, const struct parse *p, struct made *m) {
    uint32_t paths = 0, tests = 0, operands = 0;
    for (uint32_t i = 0; i < p->node_count; i++) {
        paths += p->nodes[i].kind == PARSE_PATH;
        tests += is_test(&p->nodes[i]) != 0;
        operands += p->nodes[i].kind <= PARSE_CALL || p->nodes[i].kind == PARSE_ARITHMETIC;
    }
    m->e = carve(c, 1, sizeof *m->e);
    m->steps = carve(c, p->part_count, sizeof *m->steps);
    m->paths = carve(c, paths, sizeof *m->paths);
    m->values = carve(c, p->value_count, sizeof *m->values);
    m->operands = carve(c, p->kind == EXPR_PROJECTION ? 0 : operands, sizeof *m->operands);
    m->arguments = carve(c, tests ? p->child_count : 0, sizeof *m->arguments);
    m->tests = carve(c, tests, sizeof *m->tests);
    m->usual = carve(c, p->kind <= EXPR_KEY_CONDITION ? tests : 0, sizeof *m->usual);
    m->actions = carve(c, p->action_count, sizeof *m->actions);
    m->by_path = carve(c, p->kind == EXPR_PROJECTION ? paths : p->action_count, sizeof *m->by_path);
    m->texts = carve(c, text_bytes(p), 1);
}

static struct bytes put_text(struct made *m, struct bytes text) {
    struct bytes copy = {m->texts, text.len};
    memcpy(m->texts, text.at, text.len);
    m->texts += text.len;
    return copy;
}

static uint32_t index_of(struct bytes digits) {
    uint32_t index = 0;
    for (size_t i = 0; i < digits.len; i++)
        index = index * 10 + (uint32_t)(digits.at[i] - '0');
    return index;
}

static void put_path(const struct parse *p, const struct parse_node *node, struct made *m) {
    m->paths[m->e->path_count++] = (struct expr_path){.first = node->first, .count = node->count};
    for (uint32_t i = node->first; i < (uint32_t)node->first + node->count; i++) {
        const struct parse_part *part = &p->parts[i];
        if (!part->name.at) {
            m->steps[i] = (struct expr_step){.index = index_of(parse_text(p, part->token))};
            continue;
        }
        uint8_t byte = item_name_byte(part->name.at, part->name.len);
        m->steps[i] = (struct expr_step){
            .name = put_text(m, part->name), .name_byte = byte, .name_key = (uint8_t)item_name_key(part->name, byte)};
    }
}

static struct expr_operand operand_of(const struct parse *p, const struct parse_node *node, const struct made *m) {
    struct expr_operand operand = {.op = EXPR_OF_PATH, .path = (uint16_t)(m->e->path_count - 1)};
    if (node->kind == PARSE_PATH)
        return operand;
    if (node->kind == PARSE_VALUE)
        return (struct expr_operand){.op = EXPR_OF_VALUE, .value = node->first};
    uint16_t left = p->numbers[p->children[node->first]];
    operand = (struct expr_operand){.op = node->op, .left = left};
    if (node->kind == PARSE_CALL)
        operand.op = parse_functions[node->op].op;
    if (node->count > 1)
        operand.right = p->numbers[p->children[node->first + 1]];
    if (operand.op == EXPR_IF_NOT_EXISTS)
        operand.path = m->operands[left].path;
    return operand;
}

/* The operator with its sides exchanged. */
static unsigned mirrored(unsigned op) {
    static const uint8_t other[] = {[EXPR_EQ] = EXPR_EQ, [EXPR_NE] = EXPR_NE, [EXPR_LT] = EXPR_GT,
                                    [EXPR_LE] = EXPR_GE, [EXPR_GT] = EXPR_LT, [EXPR_GE] = EXPR_LE};
    return other[op];
}

static void put_test(const struct parse *p, const struct parse_node *node, struct made *m) {
    struct expr_test *test = &m->tests[m->e->test_count++];
    unsigned op = node->kind == PARSE_CALL ? parse_functions[node->op].op : node->op;
    *test = (struct expr_test){.op = (uint8_t)op, .first = (uint16_t)m->argument_count, .count = node->count};
    for (uint32_t i = 0; i < node->count; i++)
        m->arguments[m->argument_count++] = p->numbers[p->children[node->first + i]];
    uint16_t *sides = &m->arguments[test->first];
    if (p->kind == EXPR_KEY_CONDITION && op <= EXPR_GE && m->operands[sides[0]].op != EXPR_OF_PATH) {
        uint16_t value = sides[0];
        sides[0] = sides[1];
        sides[1] = value;
        test->op = (uint8_t)mirrored(op);
    }
}

/* Gives each node its number: of the operand or test that it becomes. AND, OR and NOT have that of
 * their first test. Paths of a projection, and those that an update changes, are no operands. */
static void put_nodes(struct parse *p, struct made *m) {
    uint32_t action = 0;
    for (uint32_t i = 0; i < p->node_count; i++) {
        const struct parse_node *node = &p->nodes[i];
        int is_target = action < p->action_count && p->actions[action].first == i;
        action += (uint32_t)is_target;
        if (node->kind == PARSE_PATH)
            put_path(p, node, m);
        if (is_target || p->kind == EXPR_PROJECTION) {
            p->numbers[i] = (uint16_t)(m->e->path_count - 1);
        } else if (is_test(node)) {
            p->numbers[i] = m->e->test_count;
            put_test(p, node, m);
        } else if (node->kind >= PARSE_AND) {
            p->numbers[i] = p->numbers[p->children[node->first]];
        } else {
            p->numbers[i] = m->e->operand_count;
            m->operands[m->e->operand_count++] = operand_of(p, node, m);
        }
    }
}

static void put_jumps(struct parse *p, struct made *m) {
    uint16_t(*targets)[2] = p->targets;
    targets[p->root][0] = EXPR_FALSE;
    targets[p->root][1] = EXPR_TRUE;
    for (uint32_t i = p->root + 1; i > 0; i--) {
        const struct parse_node *node = &p->nodes[i - 1];
        const uint16_t *children = &p->children[node->first], *own = targets[i - 1];
        if (is_test(node)) {
            memcpy(m->tests[p->numbers[i - 1]].next, own, sizeof *targets);
        } else if (node->kind == PARSE_NOT) {
            targets[children[0]][0] = own[1];
            targets[children[0]][1] = own[0];
        } else if (node->kind >= PARSE_AND) {
            memcpy(targets[children[0]], own, sizeof *targets);
            memcpy(targets[children[1]], own, sizeof *targets);
            targets[children[0]][node->kind == PARSE_AND] = p->numbers[children[1]];
        }
    }
    m->e->start = p->numbers[p->root];
}

static int is_usual(const struct made *m, const struct expr_test *test) {
    static const uint8_t ops[EXPR_CONTAINS + 1] = {[EXPR_EQ... EXPR_BETWEEN] = 1,
                                                   [EXPR_BEGINS_WITH] = 1,
                                                   [EXPR_ATTRIBUTE_EXISTS... EXPR_ATTRIBUTE_NOT_EXISTS] = 1};
    const struct expr_operand *first = &m->operands[m->arguments[test->first]];
    int is = ops[test->op] && first->op == EXPR_OF_PATH && m->paths[first->path].count == 1;
    for (uint32_t i = 1; i < test->count; i++)
        is &= m->operands[m->arguments[test->first + i]].op == EXPR_OF_VALUE;
    return is;
}

/* What makes evaluating simpler. */
static void put_forms(struct made *m) {
    uint32_t count = m->e->test_count;
    m->e->is_chain = m->e->start == 0;
    for (uint32_t i = 0; i < count; i++) {
        struct expr_test *test = &m->tests[i];
        test->is_usual = (uint8_t)is_usual(m, test);
        if (test->is_usual)
            usual_prepare(m->e, test, &m->usual[i]);
        if (test->next[0] != EXPR_FALSE || test->next[1] != (i + 1 < count ? i + 1 : EXPR_TRUE))
            m->e->is_chain = 0;
    }
}

static void put_actions(const struct parse *p, struct made *m) {
    for (uint32_t i = 0; i < p->action_count; i++) {
        const struct parse_action *a = &p->actions[i];
        struct expr_action *action = &m->actions[m->e->action_count++];
        *action = (struct expr_action){.clause = a->clause, .path = p->numbers[a->first]};
        if (a->clause != EXPR_REMOVE) {
            action->first = p->numbers[a->first + 1];
            action->operand = p->numbers[a->end - 1];
        }
    }
}

/* Threads may compile at once. */
static uint64_t next_number(void) {
    static _Atomic uint64_t numbers;
    return atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed) + 1;
}

static void put_all(struct parse *p, struct made *m) {
    struct expr *e = m->e;
    e->number = next_number();
    e->kind = p->kind;
    e->steps = m->steps;
    e->paths = m->paths;
    e->values = m->values;
    e->operands = m->operands;
    e->arguments = m->arguments;
    e->tests = m->tests;
    e->usual = m->usual;
    e->actions = m->actions;
    e->by_path = m->by_path;
    for (uint32_t i = 0; i < p->value_count; i++)
        m->values[e->value_count++] = put_text(m, p->placeholders[i]);
    put_nodes(p, m);
    put_actions(p, m);
    if (p->kind <= EXPR_KEY_CONDITION) {
        put_jumps(p, m);
        put_forms(m);
    } else
        memcpy(m->by_path, p->by_path, sizeof *m->by_path * (p->kind == EXPR_UPDATE ? e->action_count : e->path_count));
}

static int make(struct priv *priv, struct parse *p, struct expr **out) {
    struct made m = {.argument_count = 0};
    struct carve c = {NULL, 0};
    carve_made(&c, p, &m);
    size_t bytes = c.used;
    c = (struct carve){priv_alloc(priv, bytes), 0};
    if (!c.at)
        return LARDER_E_NO_MEMORY;
    carve_made(&c, p, &m);
    m.e->bytes = (uint32_t)bytes;
    put_all(p, &m);
    *out = m.e;
    return LARDER_OK;
}

/* ---- All steps ------------------------------------------------------------------------------- */

static int parse_all(struct parse *p) {
    int result = p->kind == EXPR_UPDATE       ? parse_update(p)
                 : p->kind == EXPR_PROJECTION ? parse_projection(p)
                                              : parse_condition(p);
    if (result == LARDER_OK && parse_type(p, p->at) != LEX_END)
        result = parse_unexpected(p, p->at);
    return result;
}

static int check_text(const struct parse *p) {
    if (!p->bytes)
        return parse_fail(p, "The expression can not be empty;");
    if (p->bytes > EXPR_TEXT_BYTES_MAX)
        return parse_fail(p, "Expression size has exceeded the maximum allowed size; expression size: %zu", p->bytes);
    size_t valid = utf8_valid_bytes(p->text, p->bytes);
    if (valid < p->bytes)
        return parse_fail(p, "The expression is not valid UTF-8 from byte %zu on", valid);
    return LARDER_OK;
}

int expr_compile(struct priv *priv, enum expr_kind kind, const char *text, size_t bytes, struct expr_name *names,
                 uint32_t name_count, const struct larder_item *values, struct expr **out) {
    struct parse p = {
        .kind = kind, .text = text, .bytes = bytes, .names = names, .name_count = name_count, .values = values};
    struct carve c = {NULL, 0};
    int result = check_text(&p);
    if (result != LARDER_OK)
        return result;
    carve_parse(&c, &p, bytes + 1);
    void *block = priv_alloc(priv, c.used);
    if (!block)
        return LARDER_E_NO_MEMORY;
    c = (struct carve){block, 0};
    carve_parse(&c, &p, bytes + 1);
    p.token_count = lex(text, bytes, p.tokens);
    result = parse_all(&p);
    if (result == LARDER_OK)
        result = check_expression(&p);
    if (result == LARDER_OK)
        result = make(priv, &p, out);
    priv_free(priv, block);
    return result;
}

void expr_free(struct priv *priv, struct expr *e) {
    priv_free(priv, e);
}
