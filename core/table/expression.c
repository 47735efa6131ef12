/* core/table/expression.c - larder_prepare(), and the values of a prepared expression. See
 * expression.h.
 *
 * Tests    tests/api/write_test.c
 */
#include "core/table/expression.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/table/db.h"

/* ---- Preparing ------------------------------------------------------------------------------- */

static const enum expr_kind kinds[] = {[LARDER_EXPR_CONDITION] = EXPR_CONDITION,
                                       [LARDER_EXPR_FILTER] = EXPR_FILTER,
                                       [LARDER_EXPR_UPDATE] = EXPR_UPDATE,
                                       [LARDER_EXPR_PROJECTION] = EXPR_PROJECTION,
                                       [LARDER_EXPR_KEY_CONDITION] = EXPR_KEY_CONDITION};
#define KINDS (sizeof kinds / sizeof *kinds)

static struct bytes bytes_of(const char *text) {
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

struct placed {
    const char *placeholder;
    uint32_t number;
};

static int by_placeholder(const void *a, const void *b) {
    const struct placed *x = a, *y = b;
    int order = strcmp(x->placeholder, y->placeholder);
    return order ? order : (x->number > y->number) - (x->number < y->number);
}

/* DynamoDB's names are a map, so there none comes twice. */
static int check_twice(struct priv *priv, const struct larder_expr_name *names, uint32_t count) {
    struct placed *sorted = priv_alloc(priv, count * sizeof *sorted + 1);
    int r = sorted ? LARDER_OK : LARDER_E_NO_MEMORY;
    for (uint32_t i = 0; i < count && r == LARDER_OK; i++)
        sorted[i] = (struct placed){names[i].placeholder, i};
    if (r == LARDER_OK)
        qsort(sorted, count, sizeof *sorted, by_placeholder);
    for (uint32_t i = 1; i < count && r == LARDER_OK; i++)
        if (strcmp(sorted[i - 1].placeholder, sorted[i].placeholder) == 0)
            r = err_set(LARDER_E_INVAL, "larder_prepare: names[%u] and names[%u] have the same placeholder \"%.40s\"",
                        sorted[i - 1].number, sorted[i].number, sorted[i].placeholder);
    priv_free(priv, sorted);
    return r;
}

/* Developer guide, "Expression parameters": 2 MB of names and values. The values, which come later,
 * are an item. */
static int check_size(const struct expr_name *names, uint32_t count) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += names[i].placeholder.len + names[i].name.len;
    if (bytes > EXPR_SUBSTITUTION_BYTES_MAX)
        return err_set(LARDER_E_INVAL,
                       "larder_prepare: the names and their placeholders have %zu bytes; %u are allowed", bytes,
                       EXPR_SUBSTITUTION_BYTES_MAX);
    return LARDER_OK;
}

static int take_names(struct priv *priv, const struct larder_expr_name *names, uint32_t count, struct expr_name *to) {
    for (uint32_t i = 0; i < count; i++)
        to[i] = (struct expr_name){bytes_of(names[i].placeholder), bytes_of(names[i].attribute), 0};
    int r = check_size(to, count);
    if (r == LARDER_OK)
        r = expr_check_placeholders(to, count, NULL);
    return r == LARDER_OK && count > 1 ? check_twice(priv, names, count) : r;
}

static int compile(struct priv *priv, enum larder_expr_kind kind, const char *text,
                   const struct larder_expr_name *names, uint32_t name_count, struct expr **out) {
    struct expr_name *taken = priv_alloc(priv, name_count * sizeof *taken + 1);
    if (!taken)
        return LARDER_E_NO_MEMORY;
    int r = take_names(priv, names, name_count, taken);
    if (r == LARDER_OK)
        r = expr_compile(priv, kinds[kind], text, strlen(text), taken, name_count, NULL, out);
    priv_free(priv, taken);
    return r;
}

static int prepare(struct larder *db, const struct prepared_key *key, struct larder_expr **out) {
    struct priv *priv = db_priv(db);
    struct larder_expr *expr = priv_alloc(priv, sizeof *expr + key->bytes);
    if (!expr)
        return LARDER_E_NO_MEMORY;
    expr->priv = priv;
    expr->kind = key->kind;
    expr->hash = key->hash;
    expr->key_bytes = key->bytes;
    atomic_init(&expr->users, 1);
    prepared_key_copy(key, expr->key);
    int r = compile(priv, key->kind, key->text, key->names, key->name_count, &expr->compiled);
    if (r) {
        priv_free(priv, expr);
        return r;
    }
    prepared_keep(&db->prepared, key, expr);
    *out = expr;
    return LARDER_OK;
}

LARDER_API int larder_prepare(struct larder *db, enum larder_expr_kind kind, const char *text,
                              const struct larder_expr_name *names, uint32_t name_count, struct larder_expr **out) {
    if (ERR_IS_NULL(db) || ERR_IS_NULL(text) || (name_count && ERR_IS_NULL(names)) || ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    if (kind < LARDER_EXPR_CONDITION || kind >= KINDS)
        return err_set(LARDER_E_INVAL, "larder_prepare: kind is %d; enum larder_expr_kind has those that are allowed",
                       (int)kind);
    struct prepared_key key = {.kind = kind, .text = text, .names = names, .name_count = name_count};
    for (uint32_t i = 0; i < name_count; i++)
        if (!names[i].placeholder || !names[i].attribute)
            return err_set(LARDER_E_INVAL, "larder_prepare: names[%u] has no placeholder or no attribute", i);
    prepared_key_make(&key);
    struct larder_expr *kept = prepared_find(&db->prepared, &key);
    if (kept)
        *out = kept;
    return kept ? LARDER_OK : prepare(db, &key, out);
}

LARDER_API void larder_expr_free(struct larder_expr *expr) {
    if (!expr || atomic_fetch_sub_explicit(&expr->users, 1, memory_order_acq_rel) != 1)
        return;
    expr_free(expr->priv, expr->compiled);
    priv_free(expr->priv, expr);
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* Messages say which parameter an expression is, so one that is another's would have wrong ones. */
static int refuse_kind(const struct larder_expr *expr, enum larder_expr_kind kind, const char *what) {
    static const char *const names[KINDS] = {[LARDER_EXPR_CONDITION] = "LARDER_EXPR_CONDITION",
                                             [LARDER_EXPR_FILTER] = "LARDER_EXPR_FILTER",
                                             [LARDER_EXPR_UPDATE] = "LARDER_EXPR_UPDATE",
                                             [LARDER_EXPR_PROJECTION] = "LARDER_EXPR_PROJECTION",
                                             [LARDER_EXPR_KEY_CONDITION] = "LARDER_EXPR_KEY_CONDITION"};
    return err_set(LARDER_E_INVAL, "%s was prepared as another kind of expression, %s; it has to be %s", what,
                   names[expr->kind], names[kind]);
}

int expression_bind(const struct larder_expr *expr, enum larder_expr_kind kind, const char *what,
                    const struct larder_item *values, struct expression_values *bound) {
    const struct expr *e = expr->compiled;
    if (expr->kind != kind)
        return refuse_kind(expr, kind, what);
    bound->all = bound->few;
    if (e->value_count > EXPRESSION_FEW)
        bound->all = priv_alloc(expr->priv, e->value_count * sizeof *bound->all);
    if (!bound->all)
        return LARDER_E_NO_MEMORY;
    int r = expr_bind(e, values, bound->all);
    if (r)
        expression_unbind(expr, bound);
    return r;
}

void expression_unbind(const struct larder_expr *expr, struct expression_values *bound) {
    if (expr && bound->all && bound->all != bound->few)
        priv_free(expr->priv, bound->all);
    bound->all = NULL;
}
