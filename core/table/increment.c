/* core/table/increment.c - larder_increment(), larder_increment_n(): a number of an item, counted
 * up by one call.
 *
 * Idea     The update "ADD name :by" (core/table/action.c), without a text: the compiled form is
 *          made here. Only the messages are larder_increment()'s own.
 * Tests    tests/api/increment_test.c, tests/crash/scenarios.c (increment ..)
 */
#include <string.h>

#include "core/base/err.h"
#include "core/item/num.h"
#include "core/table/action.h"

/* "ADD name :by", compiled, but for the name. */
static const struct expr_path the_path = {.count = 1};
static const struct expr_operand the_value = {.op = EXPR_OF_VALUE};
static const struct expr_action the_action = {.clause = EXPR_ADD};
static const uint16_t by_path = 0;
static const struct expr addition = {.kind = EXPR_UPDATE,
                                     .path_count = 1,
                                     .value_count = 1,
                                     .operand_count = 1,
                                     .action_count = 1,
                                     .paths = &the_path,
                                     .operands = &the_value,
                                     .actions = &the_action,
                                     .by_path = &by_path};

static int increment(struct larder_table *t, const struct larder_key *key, const char *name, struct item_sum *sum) {
    /* the byte of a listed name is for expr_find(), which this does not come to */
    struct expr_step step = {.name = {(const uint8_t *)name, strlen(name)}};
    struct expr compiled = addition;
    struct larder_expr update;
    struct larder_value by; /* the long way sets it: action.c */
    struct larder_action action;
    struct act act;
    compiled.steps = &step;
    update.compiled = &compiled;
    action.kind = LARDER_ACTION_UPDATE;
    action.table = t;
    action.key = *key;
    action.condition = NULL;
    action.update = &update;
    action.returns = LARDER_RETURNS_NONE;
    action.returns_on_refusal = 0;
    act.action = &action;
    act.update.all = &by;
    act.sum = sum;
    write_begin(&act.write, NULL, t, NULL);
    return action_run(&act);
}

LARDER_API int larder_increment(struct larder_table *t, const struct larder_key *key, const char *name, int64_t by,
                                int64_t *value) {
    if (ERR_IS_NULL(t) || ERR_IS_NULL(key) || ERR_IS_NULL(name))
        return LARDER_E_INVAL;
    struct item_sum sum;
    sum.by = by;
    sum.by_bytes = 0;
    sum.only_int = value != NULL;
    int r = increment(t, key, name, &sum);
    if (r == LARDER_OK && value)
        *value = sum.sum;
    return r;
}

LARDER_API int larder_increment_n(struct larder_table *t, const struct larder_key *key, const char *name,
                                  const char *decimal, char *sum) {
    if (ERR_IS_NULL(t) || ERR_IS_NULL(key) || ERR_IS_NULL(name) || ERR_IS_NULL(decimal))
        return LARDER_E_INVAL;
    struct item_sum s;
    s.only_int = 0;
    int r = num_encode(decimal, strlen(decimal), s.by_number, &s.by_bytes);
    if (r == LARDER_OK && num_to_int64(s.by_number, s.by_bytes, &s.by))
        s.by_bytes = 0;
    if (r == LARDER_OK)
        r = increment(t, key, name, &s);
    if (r == LARDER_OK && sum)
        num_decode(s.number, s.bytes, sum);
    return r;
}
