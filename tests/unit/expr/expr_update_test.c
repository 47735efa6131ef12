/* tests/unit/expr/expr_update_test.c - what an update expression compiles to.
 *
 * Source   Developer guide, "Using update expressions in DynamoDB".
 * Method   The compiled form as a text: one action a line, operands by name.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/expr/expr_kit.h"

TestSuite(expr_update, .init = kit_set_up, .fini = kit_tear_down);

static char *show_path(char *to, const struct expr *e, uint32_t path) {
    const struct expr_step *steps = expr_steps(e, path);
    for (uint32_t i = 0; i < e->paths[path].count; i++)
        to += steps[i].name.at
                  ? sprintf(to, "%s%.*s", i ? "." : "", (int)steps[i].name.len, (const char *)steps[i].name.at)
                  : sprintf(to, "[%u]", steps[i].index);
    return to;
}

static char *show_operand(char *to, const struct expr *e, uint32_t first, uint32_t number) {
    const struct expr_operand *operand = &e->operands[number];
    static const char *const names[] = {"", "", "size", "if_not_exists", "list_append", "plus", "minus"};
    cr_assert(number >= first, "an operand of another action");
    if (operand->op == EXPR_OF_PATH)
        return show_path(to, e, operand->path);
    if (operand->op == EXPR_OF_VALUE)
        return to + sprintf(to, "%.*s", (int)e->values[operand->value].len, (const char *)e->values[operand->value].at);
    cr_assert(operand->left < number && operand->right < number);
    to += sprintf(to, "%s(", names[operand->op]);
    to =
        operand->op == EXPR_IF_NOT_EXISTS ? show_path(to, e, operand->path) : show_operand(to, e, first, operand->left);
    to += sprintf(to, ", ");
    to = show_operand(to, e, first, operand->right);
    return to + sprintf(to, ")");
}

static const char *show(const struct expr *e) {
    static char text[2048];
    static const char *const clauses[] = {"SET", "REMOVE", "ADD", "DELETE"};
    char *to = text;
    for (uint32_t i = 0; i < e->action_count; i++) {
        const struct expr_action *a = &e->actions[i];
        to += sprintf(to, "%s%s ", i ? "; " : "", clauses[a->clause]);
        to = show_path(to, e, a->path);
        if (a->clause == EXPR_REMOVE)
            continue;
        to += sprintf(to, " ");
        to = show_operand(to, e, a->first, a->operand);
    }
    to += sprintf(to, " |");
    for (uint32_t i = 0; i < e->action_count; i++)
        to += sprintf(to, " %u", e->by_path[i]);
    return text;
}

static const char values[] = "{:v: 1, :w: 2, :l: [1], :s: <\"x\">}";

static const struct row {
    const char *text, *shown;
} rows[] = {
    {"SET a = :v", "SET a :v | 0"},
    {"set a=b", "SET a b | 0"},
    {"SET a = b + :v, c.d[3] = :w - e[0].f", "SET a plus(b, :v); SET c.d[3] minus(:w, e[0].f) | 0 1"},
    {"SET a = (b + :v)", "SET a plus(b, :v) | 0"},
    {"SET a = (b) + (:v)", "SET a plus(b, :v) | 0"},
    {"SET a = if_not_exists(a, :v)", "SET a if_not_exists(a, :v) | 0"},
    {"SET a = if_not_exists(b, if_not_exists(c.d, :v)) + :w",
     "SET a plus(if_not_exists(b, if_not_exists(c.d, :v)), :w) | 0"},
    {"SET a = list_append(if_not_exists(a, :l), :l)", "SET a list_append(if_not_exists(a, :l), :l) | 0"},
    {"SET a = list_append(:l, if_not_exists(b, :l))", "SET a list_append(:l, if_not_exists(b, :l)) | 0"},
    {"REMOVE a, b[1], b[0], c.d", "REMOVE a; REMOVE b[1]; REMOVE b[0]; REMOVE c.d | 0 2 1 3"},
    {"ADD n :v, tags :s", "ADD n :v; ADD tags :s | 0 1"},
    {"DELETE tags :s", "DELETE tags :s | 0"},
    {"REMOVE z SET y = :v, x = y ADD w :v DELETE v :s",
     "REMOVE z; SET y :v; SET x y; ADD w :v; DELETE v :s | 4 3 2 1 0"},
    {"SET #n.a = :v, m.#n = :w", "SET odd name.a :v; SET m.odd name :w | 1 0"},
    {"SET ab = :v, a.z = :v, a.b.c = :v, a.b.a = :v, aa = :v",
     "SET ab :v; SET a.z :v; SET a.b.c :v; SET a.b.a :v; SET aa :v | 3 2 1 4 0"},
    {"REMOVE a[10], a[9], a[2].b, a[2].a", "REMOVE a[10]; REMOVE a[9]; REMOVE a[2].b; REMOVE a[2].a | 3 2 1 0"},
};

Test(expr_update, compiled_forms) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kit_expr x;
        kit_make(&x, EXPR_UPDATE, rows[i].text, "#n=odd name", values);
        cr_expect_str_eq(show(x.e), rows[i].shown, "%s\n  is  %s\n  not %s", rows[i].text, show(x.e), rows[i].shown);
    }
}

/* The same placeholder is the same value. */
Test(expr_update, values_are_numbered_once) {
    struct kit_expr x;
    kit_make(&x, EXPR_UPDATE, "SET a = :v, b = :w, c = :v + :w", NULL, values);
    cr_assert_eq(x.e->value_count, 2);
    cr_assert_eq(x.bound[0].type, LARDER_N);
}

/* Developer guide, "Working with items": key attributes cannot be updated; expr_errors_test.c has
 * the sources. */
Test(expr_update, keys) {
    struct kit_expr x;
    const struct bytes keys[] = {{(const uint8_t *)"pk", 2}, {(const uint8_t *)"sk", 2}};
    kit_make(&x, EXPR_UPDATE, "SET a = pk, pk2 = :v", NULL, values);
    cr_assert_eq(expr_check_keys(x.e, keys, 2, 0), LARDER_OK);
    kit_make(&x, EXPR_UPDATE, "SET a = :v REMOVE sk", NULL, values);
    cr_assert_eq(expr_check_keys(x.e, keys, 2, 0), LARDER_E_INVAL);
    cr_assert_str_eq(larder_error(), "One or more parameter values were invalid: Cannot update attribute sk. This "
                                     "attribute is part of the key");
    kit_make(&x, EXPR_UPDATE, "SET a = sk.b, pk = :v", NULL, values);
    cr_assert_eq(expr_check_keys(x.e, keys, 2, 0), LARDER_E_INVAL);
    cr_assert_str_eq(larder_error(), "Key attributes must be scalars; list random access '[]' and map lookup '.' are "
                                     "not allowed: Key: sk");
    kit_make(&x, EXPR_FILTER, "a = :v OR pk = :v", NULL, values);
    cr_assert_eq(expr_check_keys(x.e, keys, 2, 0), LARDER_OK);
    cr_assert_eq(expr_check_keys(x.e, keys, 2, 1), LARDER_E_INVAL);
    cr_assert_str_eq(larder_error(), "Filter Expression can only contain non-primary key attributes: Primary key "
                                     "attribute: pk");
}
