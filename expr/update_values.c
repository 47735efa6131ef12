/* expr/update_values.c - the values that SET actions set: +, -, if_not_exists(), list_append().
 *
 * Idea     Operands come before those that refer to them. So one loop finds all values, without
 *          recursion. A value that cannot be found is a trouble, which is said if an action comes
 *          to need it.
 * Sources  Messages: the list of reasons in the API reference of TransactWriteItems, and suites
 *          that were run against the service. Of a sum: "Number overflow", also if it is only too
 *          long (ScyllaDB's test_number.py).
 * Tests    tests/unit/expr/expr_apply_test.c
 */
#include "core/base/err.h"
#include "expr/update_parts.h"

/* Lists that are made, in all. The lists of an item that may be stored take half of it. */
#define LISTS_BYTES_MAX (2 * (size_t)ITEM_IMAGE_BYTES_MAX)

#define TOO_DEEP                                                                                                       \
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"

int update_say(enum update_trouble trouble) {
    static const char *const texts[] = {
        [UPDATE_MISSING] = "The provided expression refers to an attribute that does not exist in the item",
        [UPDATE_WRONG_TYPE] = "An operand in the update expression has an incorrect data type",
        [UPDATE_OVERFLOW] = "Number overflow. Attempting to store a number with magnitude larger than supported range",
        [UPDATE_UNDERFLOW] =
            "Number underflow. Attempting to store a number with magnitude smaller than supported range",
        [UPDATE_DAMAGED] = "the item is damaged: an attribute that the update reads or changes is not valid",
        [UPDATE_ITEM_TOO_LARGE] = "Item size to update has exceeded the maximum allowed size",
        [UPDATE_TOO_DEEP] = TOO_DEEP,
        [UPDATE_WRONG_PATH] = "The document path provided in the update expression is invalid for update",
    };
    if (trouble == UPDATE_FINE)
        return LARDER_OK;
    return err_set(trouble == UPDATE_DAMAGED ? LARDER_E_CORRUPT : LARDER_E_INVAL, "%s", texts[trouble]);
}

enum update_trouble update_of_sum(enum num_sum result) {
    return result == NUM_SUM_OK          ? UPDATE_FINE
           : result == NUM_SUM_TOO_SMALL ? UPDATE_UNDERFLOW
           : result == NUM_SUM_NO_NUMBER ? UPDATE_DAMAGED
                                         : UPDATE_OVERFLOW;
}

static enum update_trouble find_path(const struct expr_update *u, uint32_t path, struct larder_value *out) {
    int result = expr_find(u->e, path, u->old, out);
    return result == LARDER_OK ? UPDATE_FINE : result == LARDER_NOT_FOUND ? UPDATE_MISSING : UPDATE_DAMAGED;
}

/* The first trouble of two operands, or their wrong type. */
static enum update_trouble trouble_of(const struct update_value *left, const struct update_value *right,
                                      enum larder_type type) {
    if (left->trouble || right->trouble)
        return left->trouble ? left->trouble : right->trouble;
    return left->value.type == type && right->value.type == type ? UPDATE_FINE : UPDATE_WRONG_TYPE;
}

static enum update_trouble sum(int is_minus, const struct larder_value *left, const struct larder_value *right,
                               struct update_value *out) {
    size_t bytes = 0;
    enum num_sum result =
        (is_minus ? num_subtract : num_add)(left->data, left->bytes, right->data, right->bytes, out->number, &bytes);
    out->value = item_encoded_number(out->number, bytes);
    return update_of_sum(result);
}

/* The members of two lists, one behind the other. */
static enum update_trouble append(const struct larder_value *left, const struct larder_value *right,
                                  struct update_room *b, struct larder_value *out) {
    size_t bytes = left->bytes + right->bytes;
    *out = (struct larder_value){.type = LARDER_L, .bytes = bytes, .count = left->count + right->count};
    if (bytes > LISTS_BYTES_MAX)
        return UPDATE_ITEM_TOO_LARGE;
    uint8_t *to = update_take(b, bytes);
    if (b->used > 2 * LISTS_BYTES_MAX)
        return UPDATE_ITEM_TOO_LARGE;
    if (to)
        item_put_bytes(item_put_bytes(to, left->data, left->bytes), right->data, right->bytes);
    else
        out->bytes = out->count = 0; /* it is only counted how much is needed */
    out->data = to;
    return UPDATE_FINE;
}

static enum update_trouble find_value(const struct expr_update *u, struct update_room *b, struct update_value *values,
                                      uint32_t number) {
    const struct expr_operand *o = &u->e->operands[number];
    struct update_value *out = &values[number];
    const struct update_value *left = &values[o->left], *right = &values[o->right];
    enum update_trouble trouble;
    switch (o->op) {
    case EXPR_OF_VALUE:
        out->value = u->bound[o->value];
        return UPDATE_FINE;
    case EXPR_IF_NOT_EXISTS:
        trouble = find_path(u, o->path, &out->value);
        if (trouble != UPDATE_MISSING)
            return trouble;
        out->value = right->value;
        return right->trouble;
    case EXPR_LIST_APPEND:
        trouble = trouble_of(left, right, LARDER_L);
        return trouble ? trouble : append(&left->value, &right->value, b, &out->value);
    case EXPR_PLUS:
    case EXPR_MINUS:
        trouble = trouble_of(left, right, LARDER_N);
        return trouble ? trouble : sum(o->op == EXPR_MINUS, &left->value, &right->value, out);
    default:
        return find_path(u, o->path, &out->value);
    }
}

int update_find_values(const struct expr_update *u, struct update_room *b, struct update_value **values) {
    const struct expr *e = u->e;
    struct update_value *made = *values = update_take(b, sizeof *made * e->operand_count);
    if (!made)
        return EXPR_TOO_SMALL;
    for (uint32_t i = 0; i < e->operand_count; i++)
        made[i].trouble = (uint8_t)find_value(u, b, made, i);
    for (uint32_t i = 0; i < e->action_count; i++) {
        const struct expr_action *action = &e->actions[i];
        if (action->clause == EXPR_SET && made[action->operand].trouble)
            return update_say(made[action->operand].trouble);
    }
    return b->used <= b->room ? LARDER_OK : EXPR_TOO_SMALL;
}
