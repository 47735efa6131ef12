/* tests/unit/expr/expr_key_test.c - key conditions.
 *
 * Sources  DL: dynalite's test/query.js, which was run against the service. SC: ScyllaDB's
 *          test/alternator/test_key_condition_expression.py. DG: developer guide, "Key condition
 *          expressions" and "Multi-attribute keys".
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/expr/expr_kit.h"

TestSuite(expr_key, .init = kit_set_up, .fini = kit_tear_down);

#define KEY(text, kind)                                                                                                \
    { .name = (text), .name_bytes = sizeof(text) - 1, .type = (kind) }
/* One partition and one sort key; two and three of an index with keys of several attributes. */
static const struct item_key_attr simple[] = {KEY("p", LARDER_S), KEY("c", LARDER_N)};
static const struct item_key_attr several[] = {KEY("h1", LARDER_S), KEY("h2", LARDER_N), KEY("r1", LARDER_S),
                                               KEY("r2", LARDER_S), KEY("r3", LARDER_N)};
static const char values[] = "{:p: \"x\", :c: 3, :d: 5, :b: b\"x\", :e: \"\"}";

struct row {
    const char *text;
    int is_several;
    const char *terms; /* NULL: refused */
    const char *message, *source;
};

#define BAD_OPERATOR "Invalid operator used in KeyConditionExpression: "
#define MANY "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"
#define NESTED "KeyConditionExpressions cannot contain nested operations"
#define PATHS "KeyConditionExpressions cannot have conditions on nested attributes"
#define ONCE "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key"
#define NO_KEY "Invalid condition in KeyConditionExpression: No key attribute specified"
#define FIRST " operator must have the key attribute as its first operand"
#define MORE(conditions, attributes)                                                                                   \
    "The number of query conditions (" #conditions                                                                     \
    ") exceeds the number of key attributes defined in the schema (" #attributes ")"
#define HASH(name) "HASH key attributes " name " must have equality conditions specified in the query"
#define RANGE(names, name)                                                                                             \
    "RANGE key attributes " names                                                                                      \
    " must have equality conditions specified in the query because a condition is present on key attribute " name
#define UNSUPPORTED "Query key condition not supported"
#define WRONG_TYPE "One or more parameter values were invalid: Condition parameter type does not match schema type"

static const struct row rows[] = {
    {"p = :p", 0, "p = :p", NULL, "DG"},
    {":p = p", 0, "p = :p", NULL, "DL"},
    {"c = :c AND p = :p", 0, "p = :p, c = :c", NULL, "SC: in any order"},
    {"((c=:c) AND (p=:p))", 0, "p = :p, c = :c", NULL, "SC: parentheses"},
    {"p = :p AND c < :c", 0, "p = :p, c < :c", NULL, "SC"},
    {"p = :p AND :c < c", 0, "p = :p, c > :c", NULL, "DL: the other way round"},
    {"p = :p AND :c >= c", 0, "p = :p, c <= :c", NULL, "DL"},
    {"p = :p AND c BETWEEN :c AND :d", 0, "p = :p, c BETWEEN :c :d", NULL, "SC"},
    {"#p = :p AND #c >= :c", 0, "p = :p, c >= :c", NULL, "SC"},
    {"c <> :c AND p = :p", 0, NULL, BAD_OPERATOR "<>", "DL, SC"},
    {"c IN (:c) AND p = :p", 0, NULL, BAD_OPERATOR "IN", "DL, SC"},
    {"c = :c OR p = :p", 0, NULL, BAD_OPERATOR "OR", "DL, SC"},
    {"NOT c = :c AND p = :p", 0, NULL, BAD_OPERATOR "NOT", "DL, SC"},
    {"p = :p AND attribute_exists(c)", 0, NULL, BAD_OPERATOR "attribute_exists", "DL, SC"},
    {"contains(a.d, p)", 0, NULL, BAD_OPERATOR "contains", "DL"},
    {"a > b and size(b) > c or a > c", 0, NULL, BAD_OPERATOR "OR", "DL: the outermost first"},
    {":p between size(p) and size(c) and c > :c", 0, NULL, "Invalid condition in KeyConditionExpression: BETWEEN" FIRST,
     "DL"},
    {"begins_with(:p, p) and c > :c", 0, NULL, "Invalid condition in KeyConditionExpression: begins_with" FIRST, "DL"},
    {"size(b) > a AND a.b > b AND b > c", 0, NULL, NESTED, "DL"},
    {"a > size(b.d)", 0, NULL, NESTED, "DL"},
    {"a between size(b) and size(a)", 0, NULL, NESTED, "DL"},
    {"b > a.b", 0, NULL, MANY, "DL"},
    {"b between c[1] and d", 0, NULL, MANY, "DL"},
    {"a between b and size(a)", 0, NULL, MANY, "DL"},
    {"begins_with(a, b)", 0, NULL, MANY, "DL"},
    {"b.d > a AND c.d > e.f", 0, NULL, PATHS, "DL"},
    {"b[0] > a", 0, NULL, PATHS, "DL"},
    {"p = :p AND a.b < :c", 0, NULL, PATHS, "SC"},
    {":c > :d AND a < :d", 0, NULL, NO_KEY, "DL"},
    {"b > :c AND b < :c and c = :c and d = :c", 0, NULL, ONCE, "DL"},
    {"(a > :c and b > :c) and (b > :c and c > :c)", 0, NULL, ONCE, "DL"},
    {"(a > :c and b > :c) and (c > :c and d > :c) and (e > :c and f > :c)", 0, NULL, MORE(6, 2), "SC"},
    {"p=:p AND c<:c AND a<:c", 0, NULL, MORE(3, 2), "SC"},
    {"a=:c AND b=:c AND c=:c AND d=:c AND e=:c AND f=:c AND g=:c AND h=:c AND i=:c", 0, NULL, MORE(9, 2), "SC"},
    {"a BETWEEN :c AND :d", 0, NULL, "Query condition missed key schema element: p", "DL"},
    {"p = :p AND a < :c", 0, NULL, "Query condition missed key schema element: c", "SC"},
    {"p > :p", 0, NULL, UNSUPPORTED, "DG: equality on the partition key"},
    {"begins_with(p, :p) AND c = :c", 0, NULL, UNSUPPORTED, "DG"},
    {"p = :c", 0, NULL, WRONG_TYPE, "SC"},
    {"p = :p AND c = :p", 0, NULL, WRONG_TYPE, "SC"},
    {"p = :p AND begins_with(c, :p)", 0, NULL, WRONG_TYPE, "SC: no begins_with of a number"},
    {"p = :e", 0, NULL,
     "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "
     "string value. Key: p",
     "DG"},
    {"h2 = :c AND h1 = :p", 1, "h1 = :p, h2 = :c", NULL, "DG: clauses in any order"},
    {"h1 = :p AND h2 = :c AND r1 = :p AND r2 = :p AND r3 > :d", 1, "h1 = :p, h2 = :c, r1 = :p, r2 = :p, r3 > :d", NULL,
     "DG: the last one a range"},
    {"begins_with(r1, :p) AND h1 = :p AND h2 = :c", 1, "h1 = :p, h2 = :c, r1 begins_with :p", NULL, "DG"},
    {"h1 = :p AND r1 = :p", 1, NULL, HASH("h2"), "DG: every partition attribute"},
    {"r1 = :p", 1, NULL, HASH("h1"), "DG: every partition attribute"},
    {"h1 = :p AND h2 = :c AND r2 = :p", 1, NULL, RANGE("r1", "r2"), "SC: no gap"},
    {"h1 = :p AND h2 = :c AND r1 = :p AND r3 = :c", 1, NULL, RANGE("r2", "r3"), "SC: no gap"},
    {"h1 = :p AND h2 = :c AND r3 = :c", 1, NULL, RANGE("r1, r2", "r3"), "SC: no gap"},
    {"h1 = :p AND h2 = :c AND r1 > :p AND r2 = :p", 1, NULL, RANGE("r1", "r2"), "SC: only the last one a range"},
    {"h1 = :p AND h2 = :c AND begins_with(r1, :p) AND r3 > :c", 1, NULL, RANGE("r1, r2", "r3"), "SC: both faults"},
    {"h1 = :p AND h2 > :c", 1, NULL, HASH("h2"), "DG: equality on the partition key"},
    {"h1 = :p AND h2 = :c AND a = :c", 1, NULL, "Query condition missed key schema element: r1", "SC: no key"},
    {"h1=:p AND h2=:c AND r1=:p AND r2=:p AND r3=:d AND a=:c", 1, NULL, MORE(6, 5), "SC"},
};

static const char *show(const struct expr *e, const struct expr_key_term *terms, uint32_t count) {
    static char text[512];
    static const char *const ops[] = {"=", "", "<", "<=", ">", ">=", "BETWEEN"};
    char *to = text;
    for (uint32_t i = 0; i < count; i++) {
        struct bytes low = e->values[terms[i].low], high = e->values[terms[i].high];
        to += sprintf(to, "%s%.*s %s %.*s", i ? ", " : "", (int)terms[i].name.len, (const char *)terms[i].name.at,
                      terms[i].op == EXPR_BEGINS_WITH ? "begins_with" : ops[terms[i].op], (int)low.len,
                      (const char *)low.at);
        if (terms[i].op == EXPR_BETWEEN)
            to += sprintf(to, " %.*s", (int)high.len, (const char *)high.at);
    }
    return text;
}

Test(expr_key, terms) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct kit_expr x;
        struct expr_key_term terms[EXPR_KEY_TERMS_MAX];
        uint32_t count = 0;
        int result = kit_compile(&x, EXPR_KEY_CONDITION, row->text, "#p=p #c=c", values);
        if (result == LARDER_OK)
            result = row->is_several ? expr_key_terms(x.e, x.bound, several, 2, 5, terms, &count)
                                     : expr_key_terms(x.e, x.bound, simple, 1, 2, terms, &count);
        cr_expect_eq(result, row->terms ? LARDER_OK : LARDER_E_INVAL, "%s: %s", row->text, larder_error());
        if (row->terms && result == LARDER_OK)
            cr_expect_str_eq(show(x.e, terms, count), row->terms, "%s: %s", row->text, show(x.e, terms, count));
        else
            cr_expect_str_eq(larder_error(), row->message, "%s (%s)\n  is  %s\n  not %s", row->text, row->source,
                             larder_error(), row->message);
    }
}

/* What a key condition says of an item is what the terms say: for callers that filter with it. */
Test(expr_key, truth) {
    struct kit_expr x;
    kit_make(&x, EXPR_KEY_CONDITION, "p = :p AND :c < c", NULL, values);
    cr_assert_eq(expr_truth(x.e, x.bound, item_head(kit_item("{p: \"x\", c: 4}"))), 1);
    cr_assert_eq(expr_truth(x.e, x.bound, item_head(kit_item("{p: \"x\", c: 3}"))), 0);
}
