/* core/table/expression.c - larder_prepare(), and the values of a prepared expression. See
 * expression.h.
 *
 * Tests    tests/api/write_test.c
 */
#include "core/table/expression.h"

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

static int take_names(const struct larder_expr_name *names, uint32_t count, struct expr_name *to) {
    for (uint32_t i = 0; i < count; i++)
        to[i] = (struct expr_name){bytes_of(names[i].placeholder), bytes_of(names[i].attribute), 0};
    return expr_check_placeholders(to, count, NULL);
}

static int compile(struct priv *priv, enum larder_expr_kind kind, const char *text,
                   const struct larder_expr_name *names, uint32_t name_count, struct expr **out) {
    struct expr_name *taken = priv_alloc(priv, name_count * sizeof *taken + 1);
    if (!taken)
        return LARDER_E_NO_MEMORY;
    int r = take_names(names, name_count, taken);
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

int expression_bind(const struct larder_expr *expr, unsigned allowed, const char *what,
                    const struct larder_item *values, struct expression_values *bound) {
    const struct expr *e = expr->compiled;
    if (!(allowed >> e->kind & 1))
        return err_set(LARDER_E_INVAL, "%s was prepared as another kind of expression", what);
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
