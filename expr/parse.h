/* expr/parse.h - an expression between its text and its compiled form.
 *
 * Job      What the steps of expr_compile() share: the tokens, and the nodes that were made of
 *          them.
 * Picture  "a = :v AND size(b[0]) > c":
 *            nodes   0 a   1 :v   2 =(0,1)   3 b[0]   4 size(3)   5 c   6 >(4,5)   7 AND(2,6)
 *          A node comes after its children, and those that stand further left come first. So a loop
 *          over the nodes visits them in the order in which the service checks operands, and the
 *          reverse loop visits parents first. Nothing recurses: a text of 4096 bytes can nest a
 *          thousand NOTs, and threads may have 16 KB of stack.
 *          Checks that depend on a token alone go by tokens, from left to right: `roles`.
 * Files    lex.c, parse.c, parse_update.c, check.c, check_types.c, check_paths.c, check_key.c,
 *          compile.c, in the order in which they are called.
 * Tests    tests/unit/expr/, tests/fuzz/expr_parse_fuzz.c
 */
#ifndef LARDER_EXPR_PARSE_H
#define LARDER_EXPR_PARSE_H

#include "expr/expr.h"
#include "expr/lex.h"

enum parse_kind {
    PARSE_PATH,
    PARSE_VALUE,
    PARSE_CALL,       /* a function of its children */
    PARSE_COMPARISON, /* of two children, BETWEEN of three, IN of two and more: `op` */
    PARSE_ARITHMETIC, /* EXPR_PLUS, EXPR_MINUS */
    PARSE_AND,
    PARSE_OR,
    PARSE_NOT,
};

struct parse_node {
    uint8_t kind; /* enum parse_kind */
    /* COMPARISON: enum expr_test_op. CALL: place in parse_functions[]. ARITHMETIC: enum
     * expr_operand_op */
    uint8_t op;
    uint8_t is_condition; /* CALL: stands where a condition is expected */
    uint16_t token;       /* operator, name of the function; first token of a path or value */
    uint16_t first;       /* PATH: in parts. Others: in children. VALUE: number of the value */
    uint16_t count;
};

/* A step of a path: a name, "#n" or a list index. */
struct parse_part {
    uint16_t token;
    struct bytes name; /* resolved; at NULL: an index, or "#n" that is not defined */
};

enum parse_role { PARSE_ROLE_NONE, PARSE_ROLE_PART, PARSE_ROLE_CALL, PARSE_ROLE_OPERATOR };

enum parse_function_set { PARSE_OF_CONDITION = 1, PARSE_OF_OPERAND = 2, PARSE_OF_UPDATE = 4 };

struct parse_function {
    const char *name;
    uint8_t set;      /* enum parse_function_set */
    uint8_t operands; /* how many it has */
    uint8_t op;       /* enum expr_test_op or enum expr_operand_op */
};
#define PARSE_FUNCTIONS 8u
#define PARSE_NO_FUNCTION PARSE_FUNCTIONS
extern const struct parse_function parse_functions[PARSE_FUNCTIONS];

/* An entry of the parser's stack of operands. */
struct parse_operand {
    uint16_t node;
    uint8_t is_condition;
    uint8_t is_paren; /* stands in parentheses, with nothing else */
};

/* An open operator: what waits for its right operand or its closing parenthesis. */
struct parse_open {
    uint8_t type;       /* enum parse_open_type, parse.c */
    uint8_t is_operand; /* only an operand may stand here */
    uint16_t token;
    uint16_t base; /* of its operands on the other stack */
};

/* An action of an update expression: nodes first .. end - 1, of which the first is its path. */
struct parse_action {
    uint8_t clause; /* enum expr_clause */
    uint16_t first, end;
    uint16_t section; /* number of its SET, REMOVE, ADD or DELETE */
};

struct parse_section {
    uint8_t clause;
    uint16_t first, end; /* tokens */
};

/* All arrays have a place for each token. */
struct parse {
    enum expr_kind kind;
    const char *text;
    size_t bytes;
    struct expr_name *names;
    uint32_t name_count;
    const struct larder_item *values; /* NULL: not known yet */

    struct lex_token *tokens;
    uint8_t *roles;    /* enum parse_role, of each token */
    uint16_t *node_of; /* ROLE_CALL: its node */
    struct parse_node *nodes;
    struct parse_part *parts;
    uint16_t *children;
    struct bytes *placeholders;  /* of the values */
    struct larder_value *bound;  /* type 0: not looked up yet */
    struct parse_operand *stack; /* operands */
    struct parse_open *open;
    struct parse_action *actions;
    struct parse_section *sections;
    uint16_t *by_path;      /* expr.h */
    uint16_t *numbers;      /* compile.c: what each node became */
    uint16_t (*targets)[2]; /* compile.c: struct expr_test's next, of each node */

    uint32_t token_count, at; /* the next token */
    uint32_t node_count, part_count, child_count, value_count, stack_count, open_count, action_count, section_count;
    uint32_t root; /* node of a condition */
};

static inline unsigned parse_type(const struct parse *p, uint32_t token) {
    return p->tokens[token].type;
}
static inline struct bytes parse_text(const struct parse *p, uint32_t token) {
    return (struct bytes){(const uint8_t *)p->text + p->tokens[token].at, p->tokens[token].bytes};
}
static inline const struct parse_node *parse_child(const struct parse *p, const struct parse_node *node, uint32_t i) {
    return &p->nodes[p->children[node->first + i]];
}

/* LARDER_E_INVAL with "Invalid ...Expression: " and the text. */
int parse_fail(const struct parse *p, const char *format, ...) __attribute__((format(printf, 2, 3), cold));
/* "FilterExpression" */
const char *parse_label(enum expr_kind kind);
/* As many bytes of a name or text as a message shows: whole characters, no NUL. */
#define PARSE_SHOWN_MAX 150
#define PARSE_SHOWN(run) parse_shown(run), (run).at ? (const char *)(run).at : ""
int parse_shown(struct bytes run);

/* parse.c: the syntax error at a token. */
int parse_unexpected(const struct parse *p, uint32_t token);
/* Reads a path at the next token. Makes a node. */
int parse_path(struct parse *p);
/* The value at the next token, a LEX_VALUE. Makes a node. */
void parse_value(struct parse *p);
/* Reads a condition, or an operand of an update: up to the first token that cannot continue it. */
int parse_condition(struct parse *p);
int parse_operand(struct parse *p);
/* parse_update.c */
int parse_update(struct parse *p);
int parse_projection(struct parse *p);

/* The steps after parsing: LARDER_OK or LARDER_E_INVAL, LARDER_E_CORRUPT (values). */
int check_expression(struct parse *p);
int check_paths(struct parse *p);
int check_key_condition(struct parse *p);
/* check.c: compares two paths; 0: the same. */
int check_compare_paths(const struct parse *p, const struct parse_node *a, const struct parse_node *b);
/* check.c: a path as messages show it, "[a, b, [3]]". */
void check_show_path(const struct parse *p, const struct parse_node *path, char *to, size_t bytes);

/* ---- Types of literal operands: check_types.c ------------------------------------------------ */

/* An operand as far as it is known without an item. */
struct check_operand {
    unsigned type; /* enum larder_type; 0: not known */
    int is_path;
    const struct larder_value *value; /* of a placeholder, else NULL */
};

/* Operands of a test, of size(), list_append(), + or -. */
int check_test_types(enum expr_kind kind, enum expr_test_op op, const struct check_operand *operands);
int check_operand_types(enum expr_kind kind, enum expr_operand_op op, const struct check_operand *operands);
/* The value of ADD or DELETE. */
int check_action_type(enum expr_clause clause, const struct larder_value *value);
const char *check_test_name(enum expr_test_op op);
const char *check_operand_name(enum expr_operand_op op);

/* Finds a placeholder in the item of values (NULL: none): LARDER_OK, LARDER_E_INVAL, not defined,
 * or LARDER_E_CORRUPT. */
int check_find_value(enum expr_kind kind, const struct larder_item *values, struct bytes placeholder,
                     struct larder_value *out);

#endif
