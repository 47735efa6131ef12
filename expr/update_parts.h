/* expr/update_parts.h - what the files of expr/update.h share.
 *
 * Tests    tests/unit/expr/expr_apply_test.c
 */
#ifndef LARDER_EXPR_UPDATE_PARTS_H
#define LARDER_EXPR_UPDATE_PARTS_H

#include "core/item/item_records.h"
#include "expr/update.h"

/* Why there is no value. Found early, said only if an action needs the value: so the second
 * operand of if_not_exists() may be missing. */
enum update_trouble {
    UPDATE_FINE,
    UPDATE_MISSING,
    UPDATE_WRONG_TYPE,
    UPDATE_OVERFLOW,
    UPDATE_UNDERFLOW,
    UPDATE_DAMAGED,
    UPDATE_ITEM_TOO_LARGE,
    UPDATE_TOO_DEEP,
    UPDATE_WRONG_PATH
};

/* The value of an operand. */
struct update_value {
    struct larder_value value;
    uint8_t trouble;               /* enum update_trouble */
    uint8_t number[NUM_BYTES_MAX]; /* of a sum */
};

/* The caller's buffer, from its beginning. */
struct update_room {
    uint8_t *at;
    size_t used, room;
};

/* Takes 8-aligned bytes; NULL: there are not enough. `used` counts them even so. */
static inline void *update_take(struct update_room *b, size_t bytes) {
    size_t from = b->used;
    b->used += item_round8(bytes);
    return b->at && b->used <= b->room ? b->at + from : NULL;
}

/* LARDER_E_INVAL or LARDER_E_CORRUPT, with its text; LARDER_OK for UPDATE_FINE. */
int update_say(enum update_trouble trouble);
enum update_trouble update_of_sum(enum num_sum result);

/* update_values.c: the values of all operands. LARDER_OK; EXPR_TOO_SMALL: b->used is what is
 * needed; else as expr_update(). */
int update_find_values(const struct expr_update *u, struct update_room *b, struct update_value **values);

/* update_sets.c: the body of a set (what follows tag and name) with the members of both, or with
 * those of `set` that are not in `other`. Both have the same type. *count: members. */
uint8_t *update_put_union(uint8_t *to, const struct larder_value *set, const struct larder_value *other);
uint8_t *update_put_rest(uint8_t *to, const struct larder_value *set, const struct larder_value *other,
                         uint32_t *count);

/* update_sets.c: moves the members that end at `end` behind the lengths of a container, which
 * begin at `to`; the members were written at to + UPDATE_LENGTHS. Returns the container's end. */
#define UPDATE_LENGTHS (2 * ITEM_VARINT_BYTES_MAX)
uint8_t *update_close(uint8_t *to, const uint8_t *end, uint32_t count);

#endif
