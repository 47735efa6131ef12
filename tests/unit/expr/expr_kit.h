/* tests/unit/expr/expr_kit.h - what the suites of expressions (expr_*_test.c) share.
 *
 * Job      Items from short texts, and expressions compiled with names and values in such texts.
 * Items    {a: "text", n: -1.5, "odd name": b"bytes", t: true, z: null, m: {k: 1}, l: [1, "x"],
 *          ss: <"a", "b">, ns: <1, 2>, bs: <b"x">}. Names are quoted unless they are words, '#' and
 *          ':'. Texts have no escapes.
 * Names    "#a=attribute #b=other name"; a name ends before " #".
 */
#ifndef LARDER_TESTS_UNIT_EXPR_EXPR_KIT_H
#define LARDER_TESTS_UNIT_EXPR_EXPR_KIT_H

#include <criterion/criterion.h>

#include "expr/expr.h"
#include "larder.h"

extern struct priv *kit_arena;

/* .init and .fini of each suite. */
void kit_set_up(void);
void kit_tear_down(void);

/* The item, which lives until the end of the test. NULL text: NULL. */
const struct larder_item *kit_item(const char *text);

/* An expression with its request. */
struct kit_expr {
    struct expr *e;
    struct expr_name names[8];
    uint32_t name_count;
    const struct larder_item *values;
    struct larder_value bound[64];
};
/* LARDER_OK, or LARDER_E_INVAL with larder_error(). Compiles with the values; where that succeeds,
 * also without, and binds them. */
int kit_compile(struct kit_expr *x, enum expr_kind kind, const char *text, const char *names, const char *values);
/* kit_compile(), which must succeed. */
void kit_make(struct kit_expr *x, enum expr_kind kind, const char *text, const char *names, const char *values);
/* Whether a condition holds; the item as a builder's image and as one that a table stores. */
int kit_truth(const char *text, const char *item, const char *names, const char *values);

#endif
