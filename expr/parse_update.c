/* expr/parse_update.c - update and projection expressions: lists of actions and of paths.
 *
 * Tests    tests/unit/expr/expr_update_test.c, tests/unit/expr/expr_errors_test.c
 */
#include "expr/parse.h"

/* "a = :v", "a", "a :v". */
static int parse_action(struct parse *p, unsigned clause) {
    struct parse_action *action = &p->actions[p->action_count++];
    *action = (struct parse_action){
        .clause = (uint8_t)clause, .first = (uint16_t)p->node_count, .section = (uint16_t)(p->section_count - 1)};
    int result = parse_path(p);
    if (result == LARDER_OK && clause == EXPR_SET && parse_type(p, p->at++) != LEX_EQ)
        result = parse_unexpected(p, p->at - 1);
    if (result == LARDER_OK && clause > EXPR_REMOVE && parse_type(p, p->at) != LEX_VALUE)
        result = parse_unexpected(p, p->at);
    if (result == LARDER_OK && clause == EXPR_SET)
        result = parse_operand(p);
    else if (result == LARDER_OK && clause > EXPR_REMOVE)
        parse_value(p);
    action->end = (uint16_t)p->node_count;
    return result;
}

static int parse_section(struct parse *p) {
    unsigned type = parse_type(p, p->at);
    if (type < LEX_SET || type > LEX_DELETE)
        return parse_unexpected(p, p->at);
    struct parse_section *section = &p->sections[p->section_count++];
    *section = (struct parse_section){.clause = (uint8_t)(type - LEX_SET), .first = (uint16_t)p->at};
    int result;
    do {
        p->at++; /* the keyword, or a comma */
        result = parse_action(p, section->clause);
    } while (result == LARDER_OK && parse_type(p, p->at) == LEX_COMMA);
    section->end = (uint16_t)p->at;
    return result;
}

int parse_update(struct parse *p) {
    int result;
    do {
        result = parse_section(p);
    } while (result == LARDER_OK && parse_type(p, p->at) != LEX_END);
    return result;
}

int parse_projection(struct parse *p) {
    int result = parse_path(p);
    while (result == LARDER_OK && parse_type(p, p->at) == LEX_COMMA) {
        p->at++;
        result = parse_path(p);
    }
    return result;
}
