/* expr/truth.c - whether a condition, filter or key condition holds for an item.
 *
 * Idea     Tests are a program: each says which one follows. What is missing in the item makes a
 *          test false, but for "<>" and attribute_not_exists(), which it makes true.
 * Source   Developer guide, "Comparison operator and function reference"; the rules that it leaves
 *          open: tests/unit/expr/expr_truth_test.c.
 * Tests    tests/unit/expr/expr_truth_test.c, tests/fuzz/expr_truth_fuzz.c
 */
#include <string.h>

#include "core/item/item_records.h"
#include "core/item/num.h"
#include "expr/expr.h"
#include "expr/usual.h"
#include "expr/value.h"

struct truth {
    const struct expr *e;
    const struct larder_value *bound;
    const struct item_head *image;
    const uint16_t *arguments; /* of the test */
};

/* An operand's value, and the place for a number that size() made. */
struct truth_operand {
    struct larder_value value;
    uint8_t number[NUM_BYTES_MAX];
};

static int value_of(const struct truth *t, const struct expr_operand *operand, struct larder_value *out) {
    if (operand->op == EXPR_OF_PATH)
        return expr_find(t->e, operand->path, t->image, out);
    *out = t->bound[operand->value];
    return LARDER_OK;
}

/* LARDER_OK, LARDER_NOT_FOUND, LARDER_E_CORRUPT. */
static int take(const struct truth *t, uint32_t i, struct truth_operand *out) {
    const struct expr_operand *operand = &t->e->operands[t->arguments[i]];
    if (operand->op != EXPR_SIZE)
        return value_of(t, operand, &out->value);
    int result = value_of(t, &t->e->operands[operand->left], &out->value);
    int64_t size = result == LARDER_OK ? value_size(&out->value) : 0;
    if (result != LARDER_OK || size < 0)
        return result == LARDER_OK ? LARDER_NOT_FOUND : result;
    size_t bytes = num_encode_int64(size, out->number);
    out->value =
        (struct larder_value){.type = LARDER_N, .data = out->number, .bytes = bytes, .count = ITEM_N_IS_ENCODED};
    return LARDER_OK;
}

static int holds_order(unsigned op, int order) {
    switch (op) {
    case EXPR_LT:
        return order < 0;
    case EXPR_LE:
        return order <= 0;
    case EXPR_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

/* Two operands that are there. */
static int holds_pair(unsigned op, const struct larder_value *a, const struct larder_value *b) {
    int order;
    const char *name;
    switch (op) {
    case EXPR_EQ:
        return value_is_same(a, b);
    case EXPR_NE:
        return !value_is_same(a, b);
    case EXPR_ATTRIBUTE_TYPE:
        name = item_type_name(a->type);
        return b->type == LARDER_S && b->bytes == strlen(name) && memcmp(name, b->data, b->bytes) == 0;
    case EXPR_BEGINS_WITH:
        return value_begins_with(a, b);
    case EXPR_CONTAINS:
        return value_contains(a, b);
    default:
        return value_compare(a, b, &order) && holds_order(op, order);
    }
}

/* The other operands of BETWEEN and IN. */
static int holds_many(const struct truth *t, const struct expr_test *test, const struct larder_value *first) {
    struct truth_operand other;
    int is_between = test->op == EXPR_BETWEEN;
    for (uint32_t i = 1; i < test->count; i++) {
        unsigned op = !is_between ? EXPR_EQ : i == 1 ? EXPR_GE : EXPR_LE;
        int result = take(t, i, &other);
        if (result < 0)
            return result;
        int holds = result == LARDER_OK && holds_pair(op, first, &other.value);
        if (holds != is_between)
            return holds;
    }
    return is_between;
}

static int holds(const struct truth *t, const struct expr_test *test) {
    struct truth_operand first, second;
    first.value.type = second.value.type = LARDER_NULL;
    int result = take(t, 0, &first);
    if (test->op == EXPR_ATTRIBUTE_EXISTS || test->op == EXPR_ATTRIBUTE_NOT_EXISTS)
        return result < 0 ? result : (result == LARDER_OK) == (test->op == EXPR_ATTRIBUTE_EXISTS);
    if (result == LARDER_OK && (test->op == EXPR_BETWEEN || test->op == EXPR_IN))
        return holds_many(t, test, &first.value);
    if (result == LARDER_OK)
        result = take(t, 1, &second);
    if (result == LARDER_NOT_FOUND)
        return test->op == EXPR_NE;
    return result < 0 ? result : holds_pair(test->op, &first.value, &second.value);
}

int expr_test_holds(const struct expr *e, const struct larder_value *bound, const struct item_head *image,
                    const struct expr_test *test) {
    struct truth t = {.e = e, .bound = bound, .image = image, .arguments = &e->arguments[test->first]};
    return holds(&t, test);
}

static inline int holds_usually(const struct expr *e, const struct larder_value *bound, const struct item_head *image,
                                const struct expr_test *test) {
    struct usual u;
    return item_is_walked(image) && usual_of(e, bound, test, &u) ? usual_holds(&u, image) : USUAL_UNKNOWN;
}

int expr_truth(const struct expr *e, const struct larder_value *bound, const struct item_head *image) {
    uint32_t at = e->start;
    while (at < EXPR_FALSE) {
        const struct expr_test *test = &e->tests[at];
        int result = image && test->is_usual ? holds_usually(e, bound, image, test) : USUAL_UNKNOWN;
        if (result == USUAL_UNKNOWN)
            result = expr_test_holds(e, bound, image, test);
        if (result < 0)
            return result;
        at = test->next[result];
    }
    return at == EXPR_TRUE;
}
