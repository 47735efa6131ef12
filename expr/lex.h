/* expr/lex.h - the tokens of an expression.
 *
 * Job      Splits text into tokens. Every text has tokens: what no token can begin with is a
 *          LEX_BAD. The last one is LEX_END.
 * Rules    L1 Keywords are keywords in every kind of expression, in any case of their letters.
 *          L2 An identifier begins with a letter, then letters, digits, '_'.
 *          L3 A number is 0, or digits that do not begin with 0: "[01]" has two numbers.
 * Tests    tests/unit/expr/expr_errors_test.c
 */
#ifndef LARDER_EXPR_LEX_H
#define LARDER_EXPR_LEX_H

#include <stddef.h>
#include <stdint.h>

enum lex_type {
    LEX_END,
    LEX_BAD,
    LEX_NAME,        /* identifier */
    LEX_PLACEHOLDER, /* #n */
    LEX_VALUE,       /* :v */
    LEX_NUMBER,
    LEX_EQ, /* in the order of enum expr_test_op */
    LEX_NE,
    LEX_LT,
    LEX_LE,
    LEX_GT,
    LEX_GE,
    LEX_OPEN, /* ( ) [ ] , . + - */
    LEX_CLOSE,
    LEX_LEFT,
    LEX_RIGHT,
    LEX_COMMA,
    LEX_DOT,
    LEX_PLUS,
    LEX_MINUS,
    LEX_AND,
    LEX_OR,
    LEX_NOT,
    LEX_BETWEEN,
    LEX_IN,
    LEX_SET, /* in the order of enum expr_clause */
    LEX_REMOVE,
    LEX_ADD,
    LEX_DELETE,
};

struct lex_token {
    uint16_t at, bytes; /* in the text */
    uint8_t type;       /* enum lex_type */
};

static inline int lex_is_comparator(unsigned type) {
    return type >= LEX_EQ && type <= LEX_GE;
}

/* Writes the tokens of a text of at most UINT16_MAX bytes; `tokens` has room for bytes + 1. Returns
 * their number, LEX_END included. */
uint32_t lex(const char *text, size_t bytes, struct lex_token *tokens);

#endif
