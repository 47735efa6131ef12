/* tests/unit/expr/expr_errors_test.c - what the service refuses, and in which words.
 *
 * Goal     Each message has a row, and where two things are wrong, the service's first one is said.
 * Sources  DL: dynalite's test/query.js, scan.js, updateItem.js, getItem.js, which were run against
 *          the service.
 *          SC: ScyllaDB's test/alternator, which its authors run against the service.
 *          KV: KeyValueStore's expression tester, compared word by word with DynamoDB Local 3.3.1.
 *          DG: developer guide.
 * Method   Each row is compiled with its values, and again without them and then bound: the words
 *          must be the same.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/priv.h"
#include "tests/unit/expr/expr_kit.h"

TestSuite(expr_errors, .init = kit_set_up, .fini = kit_tear_down);

struct row {
    enum expr_kind kind;
    const char *text, *names, *values;
    const char *message;
    const char *source;
};

#define C EXPR_CONDITION
#define F EXPR_FILTER
#define U EXPR_UPDATE
#define P EXPR_PROJECTION
#define SYNTAX(kind, token, near) "Invalid " kind "Expression: Syntax error; token: \"" token "\", near: \"" near "\""
#define ANY_TYPE "{SS,M,DECIMAL,DOUBLESET,HDS,N,B,DICT,INTSET,BOOL,HD,BS,INT,DECIMALSET,NULL,FLOAT,FS,S,L,NS,DOUBLE}"
#define TYPE(kind, op, type)                                                                                           \
    "Invalid " kind "Expression: Incorrect operand type for operator or function; operator or function: " op           \
    ", operand type: " type
#define OVERLAP(word, one, two)                                                                                        \
    "Invalid UpdateExpression: Two document paths " word                                                               \
    " with each other; must remove or rewrite one of these paths; path one: " one ", path two: " two
#define DISTINCT(op, path)                                                                                             \
    "Invalid ConditionExpression: The first operand must be distinct from the remaining operands for this operator "   \
    "or function; operator: " op ", first operand: " path
#define CLAUSE(clause, type)                                                                                           \
    "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: " clause                     \
    ", operand type: " type ", typeSet: ALLOWED_FOR_" clause "_OPERAND"

static const struct row rows[] = {
    /* the text as a whole */
    {C, "", NULL, NULL, "Invalid ConditionExpression: The expression can not be empty;", "DL"},
    {EXPR_KEY_CONDITION, "", NULL, NULL, "Invalid KeyConditionExpression: The expression can not be empty;", "DL"},
    {F, "", NULL, NULL, "Invalid FilterExpression: The expression can not be empty;", "DL"},
    {P, "", NULL, NULL, "Invalid ProjectionExpression: The expression can not be empty;", "DL"},
    {U, "", NULL, NULL, "Invalid UpdateExpression: The expression can not be empty;", "DL"},
    /* syntax: the token, and the text from the one before to the one after */
    {F, "things are not gonna be ok", NULL, NULL, SYNTAX("Filter", "are", "things are not"), "DL"},
    {F, "a > 4", NULL, NULL, SYNTAX("Filter", "4", "> 4"), "DL"},
    {F, "(size(a))[0] > a", NULL, NULL, SYNTAX("Filter", "[", ")[0"), "DL"},
    {C, "   ", NULL, NULL, SYNTAX("Condition", "<EOF>", "   "), "KV"},
    {C, "a", NULL, NULL, SYNTAX("Condition", "<EOF>", "a"), "SC"},
    {C, "a =", NULL, NULL, SYNTAX("Condition", "<EOF>", "="), "KV"},
    {C, "a = b c", NULL, NULL, SYNTAX("Condition", "c", "b c"), "KV"},
    {C, "a = b = c", NULL, NULL, SYNTAX("Condition", "=", "b = c"), "KV"},
    {C, "(a = b) = c", NULL, NULL, SYNTAX("Condition", "=", ") = c"), "KV"},
    {C, "(a = b", NULL, NULL, SYNTAX("Condition", "<EOF>", "b"), "KV"},
    {C, "a = b)", NULL, NULL, SYNTAX("Condition", ")", "b)"), "KV"},
    {C, "(a)", NULL, NULL, SYNTAX("Condition", "<EOF>", ")"), "KV"},
    {C, "a and b = c", NULL, NULL, SYNTAX("Condition", "and", "a and b"), "KV"},
    {C, "a IN ()", NULL, NULL, SYNTAX("Condition", ")", "()"), "SC"},
    {C, "a IN b", NULL, NULL, SYNTAX("Condition", "b", "IN b"), "KV"},
    {C, "a BETWEEN b OR c", NULL, NULL, SYNTAX("Condition", "OR", "b OR c"), "KV"},
    {C, "a BETWEEN b AND NOT c", NULL, NULL, SYNTAX("Condition", "NOT", "AND NOT c"), "KV"},
    {C, "attribute_exists()", NULL, NULL, SYNTAX("Condition", ")", "()"), "KV"},
    {C, "contains(a, b = c)", NULL, NULL, SYNTAX("Condition", "=", "b = c"), "KV"},
    {C, "a != b", NULL, NULL, SYNTAX("Condition", "!", "a !="), "SC"},
    {C, "a[b] = c", NULL, NULL, SYNTAX("Condition", "b", "[b]"), "KV"},
    {C, "a[-1] = c", NULL, NULL, SYNTAX("Condition", "-", "[-1"), "KV"},
    {C, "a[01] = c", NULL, NULL, SYNTAX("Condition", "1", "01]"), "KV"},
    {C, "a[0 = c", NULL, NULL, SYNTAX("Condition", "=", "0 = c"), "KV"},
    {C, "a. = c", NULL, NULL, SYNTAX("Condition", "=", ". = c"), "KV"},
    {C, "_a = b", NULL, NULL, SYNTAX("Condition", "_", "_a"), "KV: a name begins with a letter"},
    {C, "# = b", NULL, NULL, SYNTAX("Condition", "#", "# ="), "KV"},
    {C, "a = :", NULL, NULL, SYNTAX("Condition", ":", "= :"), "KV"},
    {C, "set = b", NULL, NULL, SYNTAX("Condition", "set", "set ="), "KV: keywords are no names"},
    {C, "in = b", NULL, NULL, SYNTAX("Condition", "in", "in ="), "KV"},
    {C, "\xc3\xa9 = b", NULL, NULL, SYNTAX("Condition", "\xc3\xa9", "\xc3\xa9 ="), "KV"},
    {C, "a = b + c", NULL, NULL, SYNTAX("Condition", "+", "b + c"), "KV"},
    {P, "a, ", NULL, NULL, SYNTAX("Projection", "<EOF>", ", "), "KV"},
    {P, "a b", NULL, NULL, SYNTAX("Projection", "b", "a b"), "KV"},
    {P, "a.:b", NULL, NULL, SYNTAX("Projection", ":b", ".:b"), "KV"},
    {U, "a = b", NULL, NULL, SYNTAX("Update", "a", "a ="), "KV"},
    {U, "SET a", NULL, NULL, SYNTAX("Update", "<EOF>", "a"), "KV"},
    {U, "SET a = b + c + d", NULL, NULL, SYNTAX("Update", "+", "c + d"), "KV"},
    {U, "SET a = f(b + c)", NULL, NULL, SYNTAX("Update", "+", "b + c"), "KV"},
    {U, "SET a = b > c", NULL, NULL, SYNTAX("Update", ">", "b > c"), "KV"},
    {U, "SET a = b, ", NULL, NULL, SYNTAX("Update", "<EOF>", ", "), "KV"},
    {U, "REMOVE a = b", NULL, NULL, SYNTAX("Update", "=", "a = b"), "KV"},
    {U, "ADD a b", NULL, NULL, SYNTAX("Update", "b", "a b"), "KV"},
    {U, "DELETE a", NULL, NULL, SYNTAX("Update", "<EOF>", "a"), "KV"},
    {U, "SET a = :v AND b = :v", NULL, "{:v: 1}", SYNTAX("Update", "AND", ":v AND b"), "KV"},
    /* parentheses */
    {C, "((a = b))", NULL, NULL, "Invalid ConditionExpression: The expression has redundant parentheses;", "SC"},
    {C, "((a)) = b", NULL, NULL, "Invalid ConditionExpression: The expression has redundant parentheses;", "DL"},
    {C, "((a = b)) blah", NULL, NULL, "Invalid ConditionExpression: The expression has redundant parentheses;",
     "KV: before a later syntax error"},
    {U, "SET a = ((b))", NULL, NULL, "Invalid UpdateExpression: The expression has redundant parentheses;", "KV"},
    /* functions */
    {C, "dog(a) = b", NULL, NULL, "Invalid ConditionExpression: Invalid function name; function: dog", "DL"},
    {C, "Size(a) = b", NULL, NULL, "Invalid ConditionExpression: Invalid function name; function: Size",
     "SC: their case matters"},
    {C, "if_not_exists(a, a) = b", NULL, NULL,
     "Invalid ConditionExpression: The function is not allowed in a condition expression; function: if_not_exists",
     "SC"},
    {U, "SET a = size(b)", NULL, NULL,
     "Invalid UpdateExpression: The function is not allowed in an update expression; function: size", "KV"},
    {U, "SET a = list_append(list_append(:v, :w), :v)", NULL, "{:v: [1], :w: [2]}",
     "Invalid UpdateExpression: The function is not allowed to be used this way in an expression; function: "
     "list_append",
     "SU test_update_expression_function_nesting"},
    {U, "SET a = list_append(b, list_append(b))", NULL, NULL,
     "Invalid UpdateExpression: The function is not allowed to be used this way in an expression; function: "
     "list_append",
     "SU the same, before operands are counted"},
    {C, "size(a)", NULL, NULL,
     "Invalid ConditionExpression: The function is not allowed to be used this way in an expression; function: size",
     "SC"},
    {C, "NOT size(a)", NULL, NULL,
     "Invalid ConditionExpression: The function is not allowed to be used this way in an expression; function: size",
     "DL"},
    {C, "(size(a)) AND a = b", NULL, NULL,
     "Invalid ConditionExpression: The function is not allowed to be used this way in an expression; function: size",
     "DL"},
    {C, "attribute_exists(a) < :v", NULL, "{:v: 1}",
     "Invalid ConditionExpression: The function is not allowed to be used this way in an expression; function: "
     "attribute_exists",
     "SC"},
    {C, "contains(a, begins_with(b, c))", NULL, NULL,
     "Invalid ConditionExpression: The function is not allowed to be used this way in an expression; function: "
     "begins_with",
     "DL"},
    {C, "size(a, b) = c", NULL, NULL,
     "Invalid ConditionExpression: Incorrect number of operands for operator or function; operator or function: size, "
     "number of operands: 2",
     "SC"},
    {C, "attribute_type(a)", NULL, NULL,
     "Invalid ConditionExpression: Incorrect number of operands for operator or function; operator or function: "
     "attribute_type, number of operands: 1",
     "DL"},
    {U, "SET a = list_append(b)", NULL, NULL,
     "Invalid UpdateExpression: Incorrect number of operands for operator or function; operator or function: "
     "list_append, number of operands: 1",
     "DL"},
    {C, "attribute_exists(:v)", NULL, "{:v: 1}",
     "Invalid ConditionExpression: Operator or function requires a document path; operator or function: "
     "attribute_exists",
     "SC"},
    {U, "SET a = if_not_exists(:v, a)", NULL, "{:v: 1}",
     "Invalid UpdateExpression: Operator or function requires a document path; operator or function: if_not_exists",
     "DL"},
    /* names and indexes */
    {C, "abort = :v", NULL, "{:v: 1}",
     "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: abort", "DL"},
    {P, "a.b, c.Status", NULL, NULL,
     "Invalid ProjectionExpression: Attribute name is a reserved keyword; reserved keyword: Status", "DL"},
    {U, "SET a = b, NAME = c", NULL, NULL,
     "Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: NAME", "DL"},
    {C, "a[2147483648] = b", NULL, NULL,
     "Invalid ConditionExpression: List index is not within the allowable range; index: [2147483648]", "KV"},
    {C, "a[99999999999] = b", NULL, NULL,
     "Invalid ConditionExpression: List index is not within the allowable range; index: [99999999999]", "KV"},
    {C, "a = #n", NULL, NULL,
     "Invalid ConditionExpression: An expression attribute name used in the document path is not defined; attribute "
     "name: #n",
     "DL"},
    {C, "a = :v", NULL, "{:w: 1}",
     "Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute value: "
     ":v",
     "DL"},
    {U, "SET a = :v", NULL, NULL,
     "Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute value: :v",
     "DL"},
    /* the same operand twice */
    {C, "a = a", NULL, NULL, DISTINCT("=", "[a]"), "DL"},
    {C, "#a.b[1] <> a.#b[1]", "#a=a #b=b", NULL, DISTINCT("<>", "[a, b, [1]]"), "DL"},
    {C, "contains(a, a)", NULL, NULL, DISTINCT("contains", "[a]"), "SC"},
    {C, "a IN (b, a)", NULL, NULL, DISTINCT("IN", "[a]"), "KV"},
    {C, "a BETWEEN b AND a", NULL, NULL, DISTINCT("BETWEEN", "[a]"), "KV"},
    /* types of literals in conditions */
    {F, "size(:v) = :v", NULL, "{:v: 1}", TYPE("Filter", "size", "N"), "SC: scylladb issue 14592"},
    {F, "size(size(a)) = :v", NULL, "{:v: 1}", TYPE("Filter", "size", "N"), "SC: scylladb issue 14592"},
    {F, "size(:v) = a", NULL, "{:v: true}", TYPE("Filter", "size", "BOOL"), "DL"},
    {C, "a < :v", NULL, "{:v: [1]}", TYPE("Condition", "<", "L"), "SC"},
    {C, ":v >= a", NULL, "{:v: null}", TYPE("Condition", ">=", "NULL"), "SC"},
    {C, "a BETWEEN :v AND :v", NULL, "{:v: [1]}", TYPE("Condition", "BETWEEN", "L"), "SC"},
    {C, "begins_with(a, :v)", NULL, "{:v: 2}", TYPE("Condition", "begins_with", "N"), "SC"},
    {C, "begins_with(size(a), :v)", NULL, "{:v: \"x\"}", TYPE("Condition", "begins_with", "N"), "DL"},
    {C, "attribute_type(a, b)", NULL, NULL, TYPE("Condition", "attribute_type", ANY_TYPE), "DL, KV"},
    {C, "attribute_type(a, size(b))", NULL, NULL, TYPE("Condition", "attribute_type", "N"), "KV"},
    {C, "attribute_type(a, :v)", NULL, "{:v: 1}", TYPE("Condition", "attribute_type", "N"), "DL"},
    {C, "attribute_type(a, :v)", NULL, "{:v: \"DOG\"}",
     "Invalid ConditionExpression: Invalid attribute type name found; type: DOG, valid types: "
     "{N,BS,L,B,NULL,M,S,SS,NS,BOOL}",
     "SC, KV"},
    {C, "a BETWEEN :v AND :w", NULL, "{:v: 1, :w: \"a\"}",
     "Invalid ConditionExpression: The BETWEEN operator requires same data type for lower and upper bounds; lower "
     "bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:a}",
     "DL"},
    {C, "a BETWEEN :v AND :w", NULL, "{:v: \"b\", :w: \"a\"}",
     "Invalid ConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower "
     "bound; lower bound operand: AttributeValue: {S:b}, upper bound operand: AttributeValue: {S:a}",
     "DL"},
    {C, "a BETWEEN :v AND :w", NULL, "{:v: b\"b\", :w: b\"a\"}",
     "Invalid ConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower "
     "bound; lower bound operand: AttributeValue: {B:java.nio.HeapByteBuffer[pos=0 lim=1 cap=1]}, upper bound operand: "
     "AttributeValue: {B:java.nio.HeapByteBuffer[pos=0 lim=1 cap=1]}",
     "KV"},
    /* updates */
    {U, "SET a = b REMOVE c SET d = e", NULL, NULL,
     "Invalid UpdateExpression: The \"SET\" section can only be used once in an update expression;", "DL"},
    {U, "DELETE a :v DELETE b :v", NULL, "{:v: <1>}",
     "Invalid UpdateExpression: The \"DELETE\" section can only be used once in an update expression;", "DL"},
    {U, "SET a = b, a = c", NULL, NULL, OVERLAP("overlap", "[a]", "[a]"), "DL"},
    {U, "REMOVE #1.b[3].c, a.b[3].#4[2]", "#1=a #4=c", NULL,
     OVERLAP("overlap", "[a, b, [3], c]", "[a, b, [3], c, [2]]"), "DL"},
    {U, "REMOVE a.b.c, a.b", NULL, NULL, OVERLAP("overlap", "[a, b, c]", "[a, b]"), "DL"},
    {U, "REMOVE a[3].b, a.c", NULL, NULL, OVERLAP("conflict", "[a, [3], b]", "[a, c]"), "DL"},
    {U, "SET a = list_append(:v, b)", NULL, "{:v: 1}", TYPE("Update", "list_append", "N"), "DL"},
    {U, "SET a = b + :v", NULL, "{:v: \"x\"}", TYPE("Update", "+", "S"), "DL"},
    {U, "SET a = :v - b", NULL, "{:v: <1>}", TYPE("Update", "-", "NS"), "DL"},
    {U, "ADD a :v", NULL, "{:v: \"x\"}", CLAUSE("ADD", "STRING"), "KV"},
    {U, "ADD a :v", NULL, "{:v: {}}", CLAUSE("ADD", "MAP"), "KV"},
    {U, "DELETE a :v", NULL, "{:v: 1}", CLAUSE("DELETE", "NUMBER"), "KV"},
    {U, "DELETE a :v", NULL, "{:v: [1]}", CLAUSE("DELETE", "LIST"), "KV"},
    {U, "SET a = if_not_exists(b, b)", NULL, NULL,
     "Invalid UpdateExpression: The first operand must be distinct from the remaining operands for this operator or "
     "function; operator: if_not_exists, first operand: [b]",
     "KV"},
    /* projections */
    {P, "a, b.c, a", NULL, NULL,
     "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite one of these "
     "paths; path one: [a], path two: [a]",
     "DL"},
    {P, "a.b, a[0]", NULL, NULL,
     "Invalid ProjectionExpression: Two document paths conflict with each other; must remove or rewrite one of these "
     "paths; path one: [a, b], path two: [a, [0]]",
     "DL"},
    /* the first of several errors */
    {C, "abort = dog(b)", NULL, NULL,
     "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: abort",
     "KV: as it stands in the text"},
    {C, "dog(abort) = b", NULL, NULL, "Invalid ConditionExpression: Invalid function name; function: dog",
     "KV: as it stands in the text"},
    {C, "a = :v AND abort = b", NULL, NULL,
     "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: abort",
     "KV: before undefined values"},
    {C, "size(a) AND a = #n", NULL, NULL,
     "Invalid ConditionExpression: The function is not allowed to be used this way in an expression; function: size",
     "DL: before undefined names"},
    {C, "a < :v AND b = #n", NULL, "{:v: true}", TYPE("Condition", "<", "BOOL"), "KV: from left to right"},
    {U, "SET a = :v, a = b", NULL, NULL, OVERLAP("overlap", "[a]", "[a]"), "KV: before undefined values"},
    {U, "SET a = :v REMOVE #n", NULL, NULL,
     "Invalid UpdateExpression: An expression attribute name used in the document path is not defined; attribute "
     "name: #n",
     "KV: names before values"},
    {U, "SET a = :v, b = :w", NULL, NULL,
     "Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute value: :w",
     "KV: the last action first"},
};

/* Rows whose first error is not the one that binding finds later. */
static int is_bound_in_other_order(const struct row *row) {
    return strstr(row->source, "left to right") || strstr(row->source, "last action first");
}

Test(expr_errors, each_has_its_words) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct kit_expr x;
        if (is_bound_in_other_order(row)) {
            struct expr *e;
            cr_expect_eq(expr_compile(kit_arena, row->kind, row->text, strlen(row->text), NULL, 0,
                                      kit_item(row->values ? row->values : "{}"), &e),
                         LARDER_E_INVAL, "%s", row->text);
        } else
            cr_expect_eq(kit_compile(&x, row->kind, row->text, row->names, row->values), LARDER_E_INVAL, "%s",
                         row->text);
        cr_expect_str_eq(larder_error(), row->message, "%s (%s)\n  is  %s\n  not %s", row->text, row->source,
                         larder_error(), row->message);
    }
}

static int compiles(enum expr_kind kind, const char *text) {
    struct expr *e;
    int result = expr_compile(kit_arena, kind, text, strlen(text), NULL, 0, NULL, &e);
    if (result == LARDER_OK)
        expr_free(kit_arena, e);
    return result == LARDER_OK;
}

/* DG, "Quotas": 4 KB, before names are put in. SC: test_limits.py. */
Test(expr_errors, text_of_4096_bytes) {
    char text[4098];
    memset(text, ' ', sizeof text);
    memcpy(text, "a = b", 5);
    text[4096] = 0;
    cr_assert(compiles(EXPR_CONDITION, text));
    text[4096] = ' ', text[4097] = 0;
    cr_assert(!compiles(EXPR_CONDITION, text));
    cr_assert_str_eq(larder_error(), "Invalid ConditionExpression: Expression size has exceeded the maximum allowed "
                                     "size; expression size: 4097");
}

/* DG, "Quotas": 300 operators and functions. SC: test_condition_expression.py says the words; the
 * count is always 301. BETWEEN and IN are one operator each. */
Test(expr_errors, three_hundred_operators) {
    char text[4097], *at = stpcpy(text, "a=b");
    for (int i = 1; i < 150; i++)
        at = stpcpy(at, " OR a=b");
    stpcpy(at, " ");
    cr_assert(compiles(EXPR_CONDITION, text)); /* 299 */
    char one_more[4200], two_more[4200];
    snprintf(one_more, sizeof one_more, "NOT %s", text);
    snprintf(two_more, sizeof two_more, "NOT NOT %s", text);
    cr_assert(compiles(EXPR_CONDITION, one_more)); /* 300 */
    cr_assert(!compiles(EXPR_CONDITION, two_more));
    cr_assert_str_eq(larder_error(),
                     "Invalid ConditionExpression: The expression contains too many operators; operator count: 301");
    snprintf(one_more, sizeof one_more, "%sOR a=b OR a=b OR a=b", text);
    cr_assert(!compiles(EXPR_CONDITION, one_more));
    cr_assert(strstr(larder_error(), "operator count: 301"));
}

/* DG, "Quotas": IN takes 100 operands. */
Test(expr_errors, a_hundred_operands_of_in) {
    char text[2048], *at = stpcpy(text, "a IN (");
    for (int i = 0; i < 100; i++)
        at += sprintf(at, "%sb%d", i ? ", " : "", i);
    stpcpy(at, ")");
    cr_assert(compiles(EXPR_FILTER, text));
    stpcpy(at, ", c)");
    cr_assert(!compiles(EXPR_FILTER, text));
    cr_assert_str_eq(larder_error(), "Invalid FilterExpression: The IN operator is provided with too many operands; "
                                     "number of operands: 101");
}

/* SC: test_projection_expression.py: 32 levels, the attribute included. */
Test(expr_errors, paths_of_32_steps) {
    char text[256], *at = stpcpy(text, "a");
    for (int i = 1; i < 32; i++)
        at = stpcpy(at, i % 2 ? ".b" : "[1]");
    cr_assert(compiles(EXPR_PROJECTION, text));
    stpcpy(at, ".b");
    cr_assert(!compiles(EXPR_PROJECTION, text));
    cr_assert_str_eq(larder_error(), "Invalid ProjectionExpression: The document path has too many nesting levels; "
                                     "nesting levels: 33");
}

/* Nesting takes no stack, whatever the text. */
Test(expr_errors, deep_nesting) {
    char text[4097];
    for (const char *const *part = (const char *const[]){"(", "NOT ", "(a=b AND ", "size(", "a[0].", NULL}; *part;
         part++) {
        size_t bytes = strlen(*part), count = 4096 / bytes;
        for (size_t i = 0; i < count; i++)
            memcpy(text + i * bytes, *part, bytes);
        text[count * bytes] = 0;
        cr_assert(!compiles(EXPR_CONDITION, text));
        cr_assert(strstr(larder_error(), "Syntax error"), "%s", larder_error());
    }
}

/* Not every byte is text. */
Test(expr_errors, text_that_is_not_utf8) {
    cr_assert(!compiles(EXPR_CONDITION, "a = \xff"));
    cr_assert_str_eq(larder_error(), "Invalid ConditionExpression: The expression is not valid UTF-8 from byte 4 on");
}

/* Private memory that runs out is an error, and nothing is kept. */
Test(expr_errors, nothing_stays_after_a_refusal) {
    uint64_t before = priv_bytes(kit_arena);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!rows[i].names && !rows[i].values)
            compiles(rows[i].kind, rows[i].text);
    cr_assert_eq(priv_bytes(kit_arena), before);
}
