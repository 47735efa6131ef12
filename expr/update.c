/* expr/update.c - an update expression applied to an item.
 *
 * Idea     The new item is the old one, written once more from its first record to its last. Paths
 *          of actions are sorted as records are (expr/by_path.h), so the walk meets each action at
 *          its place. A map or list on the way to an action is written in the same way; everything
 *          else is copied.
 *          The size is that of the old item, with the attributes changed that have actions.
 * Rules    P1 to P3 of expr/update.h.
 * Sources  ScyllaDB's suites test_update_expression.py and test_returnvalues.py, which were run
 *          against the service, and the developer guide, "Update expressions".
 * Tests    tests/unit/expr/expr_apply_test.c
 */
#include <string.h>

#include "expr/by_path.h"
#include "expr/update_parts.h"

/* An item that is being written. */
struct apply {
    const struct expr_update *u;
    const struct update_value *values;
    uint8_t *to;
    size_t ddb_bytes;
    uint32_t attr_count;
    enum update_trouble trouble; /* the first one */
};

/* Nothing is written; the first trouble stays. */
static uint32_t give_up(struct apply *a, enum update_trouble trouble) {
    if (!a->trouble)
        a->trouble = trouble;
    return 0;
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* Tag and name; no name in a list. */
static void put_head(struct apply *a, unsigned tag, struct bytes name) {
    *a->to++ = (uint8_t)tag;
    if (name.at)
        a->to = item_put_name(a->to, name);
}

/* A whole member. Returns 1, the number of members written. */
static uint32_t put_value(struct apply *a, struct bytes name, const struct larder_value *value) {
    unsigned tag = value->type <= LARDER_B ? item_scalar_tag(value->type, value->bytes) : value->type;
    put_head(a, tag, name);
    if (value->type <= LARDER_B)
        a->to = item_put_scalar(a->to, tag, value->data, value->bytes);
    else if (value->type == LARDER_BOOL)
        *a->to++ = value->is_true != 0;
    else if (value->type != LARDER_NULL) {
        a->to = item_put_varint(a->to, item_varint_bytes(value->count) + value->bytes);
        a->to = item_put_bytes(item_put_varint(a->to, value->count), value->data, value->bytes);
    }
    return 1;
}

/* Developer guide, "ADD - updating numbers and sets": a value that is missing is made. */
static uint32_t put_added(struct apply *a, struct bytes name, const struct larder_value *old,
                          const struct larder_value *by) {
    uint8_t number[NUM_BYTES_MAX];
    size_t bytes = 0;
    if (!old)
        return put_value(a, name, by);
    if (old->type != by->type)
        return give_up(a, UPDATE_WRONG_TYPE);
    if (by->type == LARDER_N) {
        enum num_sum result = num_add(old->data, old->bytes, by->data, by->bytes, number, &bytes);
        struct larder_value sum = item_encoded_number(number, bytes);
        return result == NUM_SUM_OK ? put_value(a, name, &sum) : give_up(a, update_of_sum(result));
    }
    put_head(a, old->type, name);
    a->to = update_put_union(a->to, old, by);
    return 1;
}

/* "DELETE - removing elements from a set": a set that is empty then goes. */
static uint32_t put_without(struct apply *a, struct bytes name, const struct larder_value *old,
                            const struct larder_value *others) {
    uint8_t *start = a->to;
    uint32_t count;
    if (!old)
        return 0;
    if (old->type != others->type)
        return give_up(a, UPDATE_WRONG_TYPE);
    put_head(a, old->type, name);
    a->to = update_put_rest(a->to, old, others, &count);
    if (!count)
        a->to = start;
    return count != 0;
}

/* What an action makes of a member. old: NULL if it is missing. Returns the members written. */
static uint32_t put_action(struct apply *a, const struct expr_action *action, struct bytes name,
                           const struct larder_value *old) {
    const struct expr_operand *operand = &a->u->e->operands[action->operand];
    switch (action->clause) {
    case EXPR_SET:
        return put_value(a, name, &a->values[action->operand].value);
    case EXPR_ADD:
        return put_added(a, name, old, &a->u->bound[operand->value]);
    case EXPR_DELETE:
        return put_without(a, name, old, &a->u->bound[operand->value]);
    default:
        return 0;
    }
}

/* ---- Walking --------------------------------------------------------------------------------- */

/* A map or list on the way is not there, or is something else. Of an item that does not exist
 * nothing can be removed, which is no error (test_nested_attribute_remove_from_missing_item). */
static uint32_t refuse_path(struct apply *a, const struct path_run *run) {
    const struct expr *e = a->u->e;
    int is_removal = 1;
    for (uint32_t i = run->first; i < run->end; i++) {
        enum expr_clause clause = e->actions[e->by_path[i]].clause;
        is_removal &= clause == EXPR_REMOVE || clause == EXPR_DELETE;
    }
    return !a->u->old && is_removal ? 0 : give_up(a, UPDATE_WRONG_PATH);
}

static uint32_t put_named(struct apply *a, const struct larder_value *map, const struct path_run *all, uint32_t depth);
static uint32_t put_indexed(struct apply *a, const struct larder_value *list, const struct path_run *all,
                            uint32_t depth);

/* What the actions of a run make of a member. Returns the members written. */
static uint32_t put_run(struct apply *a, const struct path_run *run, uint32_t depth, struct bytes name,
                        const struct larder_value *old) {
    const struct expr *e = a->u->e;
    if (path_is_end(run, depth))
        return put_action(a, &e->actions[e->by_path[run->first]], name, old);
    int is_named = path_step(e, run->first, depth + 1)->name.at != NULL;
    if (!old || old->type != (is_named ? LARDER_M : LARDER_L))
        return refuse_path(a, run);
    put_head(a, old->type, name);
    uint8_t *lengths = a->to;
    a->to += UPDATE_LENGTHS;
    uint32_t count = (is_named ? put_named : put_indexed)(a, old, run, depth + 1);
    a->to = update_close(lengths, a->to, count);
    return 1;
}

/* Members of a map: those of the old map that no run names, and what the runs make. Returns how
 * many were written. */
static uint32_t put_named(struct apply *a, const struct larder_value *map, const struct path_run *all, uint32_t depth) {
    const uint8_t *at = map->data, *end = at + map->bytes;
    uint32_t left = map->count, count = 0, first = all->first;
    while (left || first < all->end) {
        struct larder_value value;
        struct item_record r = {.tag = 0};
        int order = left ? -1 : 1;
        if (left)
            r = item_record_at(at);
        if (left && first < all->end)
            order = item_compare_bytes(r.name, path_step(all->e, first, depth)->name);
        const uint8_t *next = left ? item_read_value(r.tag, r.value, &value) : end;
        if (order < 0) {
            a->to = item_put_bytes(a->to, at, (size_t)(next - at));
            count++;
        } else {
            struct path_run run = path_run_at(all, first, depth);
            count += put_run(a, &run, depth, path_step(all->e, first, depth)->name, order ? NULL : &value);
            first = run.end;
        }
        if (order <= 0) {
            at = next;
            left--;
        }
    }
    return count;
}

/* The same of a list. Behind its end elements are appended in the order of their indexes. */
static uint32_t put_indexed(struct apply *a, const struct larder_value *list, const struct path_run *all,
                            uint32_t depth) {
    const struct bytes no_name = {NULL, 0};
    const uint8_t *at = list->data;
    uint32_t count = 0, first = all->first;
    for (uint32_t index = 0; index < list->count; index++) {
        struct larder_value value;
        const uint8_t *next = item_read_value(*at, at + 1, &value);
        if (first < all->end && path_step(all->e, first, depth)->index == index) {
            struct path_run run = path_run_at(all, first, depth);
            count += put_run(a, &run, depth, no_name, &value);
            first = run.end;
        } else {
            a->to = item_put_bytes(a->to, at, (size_t)(next - at));
            count++;
        }
        at = next;
    }
    while (first < all->end) {
        struct path_run run = path_run_at(all, first, depth);
        count += put_run(a, &run, depth, no_name, NULL);
        first = run.end;
    }
    return count;
}

/* ---- The item -------------------------------------------------------------------------------- */

/* Size of an attribute as DynamoDB counts it. False: it is not valid, or nested too deep. */
static int measure(struct bytes name, const struct larder_value *value, size_t *bytes) {
    struct item_measure m;
    if (value->type < LARDER_M)
        *bytes = item_attr_ddb_bytes(name, value);
    else if (item_measure_container(value, &m) && m.levels < LARDER_NESTING_MAX)
        *bytes = name.len + m.ddb_bytes;
    else
        return 0;
    return 1;
}

/* An attribute with actions. old: NULL if it is missing. */
static void put_attribute(struct apply *a, const struct path_run *run, const struct larder_value *old) {
    struct bytes name = path_step(a->u->e, run->first, 0)->name;
    const uint8_t *start = a->to;
    struct larder_value value;
    size_t before = 0, after = 0;
    uint32_t count = put_run(a, run, 0, name, old);
    if (count && !a->trouble) {
        struct item_record r = item_record_at(start);
        item_read_value(r.tag, r.value, &value);
        if (!measure(name, &value, &after))
            give_up(a, UPDATE_TOO_DEEP);
    }
    if (old && !measure(name, old, &before))
        give_up(a, UPDATE_DAMAGED);
    a->attr_count += count - (old != NULL);
    a->ddb_bytes += after - before;
}

/* Copies the records from *run to `at`. */
static void put_passed(struct apply *a, const uint8_t **run, const uint8_t *at) {
    a->to = item_put_bytes(a->to, *run, (size_t)(at - *run));
    *run = at;
}

/* As put_named(), of the item's own records. Key attributes become full records. */
static void put_attributes(struct apply *a, const struct item_head *base) {
    const struct path_run all = path_run_all(a->u->e);
    const uint8_t *at = item_first_record(base), *run = at, *next = at;
    uint32_t first = 0, left = base->attr_count;
    while (left || first < all.end) {
        struct larder_value value;
        struct item_record r = {.tag = 0};
        int order = left ? -1 : 1;
        if (left) {
            r = item_record_at(at);
            next = item_read_record(base, at, &value);
        }
        if (left && first < all.end)
            order = item_compare_bytes(r.name, path_step(all.e, first, 0)->name);
        if (order >= 0) {
            struct path_run changed = path_run_at(&all, first, 0);
            put_passed(a, &run, at);
            put_attribute(a, &changed, order ? NULL : &value);
            first = changed.end;
        } else if (item_tag_keys(r.tag)) {
            put_passed(a, &run, at);
            a->to = item_put_scalar_record(a->to, r.name_field, &value);
        }
        if (order <= 0) {
            run = order == 0 || item_tag_keys(r.tag) ? next : run;
            at = next;
            left--;
        }
    }
    put_passed(a, &run, at);
}

/* No fewer than the records of the new item, and what is in use while they are written. */
static size_t records_bytes_max(const struct expr_update *u, const struct update_value *values,
                                const struct item_head *base) {
    const struct expr *e = u->e;
    /* lengths of two keys; of containers that are open */
    size_t bytes = base->bytes + 2 * ITEM_VARINT_BYTES_MAX + UPDATE_LENGTHS * (EXPR_PATH_STEPS_MAX + 1);
    for (uint32_t i = 0; i < e->action_count; i++) {
        const struct expr_action *action = &e->actions[i];
        const struct expr_path *path = &e->paths[action->path];
        const struct larder_value *value = &values[action->operand].value;
        /* each container on the way may get longer lengths */
        bytes += UPDATE_LENGTHS * path->count;
        if (action->clause == EXPR_SET || action->clause == EXPR_ADD)
            bytes += 2 + ITEM_VARINT_BYTES_MAX + expr_steps(e, action->path)[path->count - 1].name.len +
                     UPDATE_LENGTHS + NUM_BYTES_MAX + value->bytes;
    }
    return bytes;
}

/* Puts head and directory before the records. */
static void lay_out(struct item_head *h, const struct apply *a, const uint8_t *records) {
    size_t bytes = (size_t)(a->to - records);
    uint8_t *start = (uint8_t *)h;
    memset(h, 0, sizeof *h);
    h->attr_count = (uint16_t)a->attr_count;
    uint8_t *at = start + item_lay_out(h, bytes);
    memmove(at, records, bytes);
    memset(at + bytes, 0, h->bytes - (size_t)(at + bytes - start));
    const uint8_t *next = at, *end = at + bytes;
    for (uint32_t i = 0; i < h->attr_count && next; i++) {
        item_set_record_offset(h, i, (uint32_t)(next - start));
        next = item_skip_record(next, end);
    }
    item_set_ddb_bytes(h, a->ddb_bytes);
}

static int is_adding(const struct expr *e) {
    for (uint32_t i = 0; i < e->action_count; i++)
        if (e->actions[i].clause == EXPR_SET || e->actions[i].clause == EXPR_ADD)
            return 1;
    return 0;
}

static int make_image(struct apply *a, const struct item_head *base, struct item_head *h) {
    uint8_t *records = (uint8_t *)h + sizeof *h + sizeof(uint32_t) * ((size_t)base->attr_count + a->u->e->action_count);
    a->to = records;
    a->ddb_bytes = item_ddb_bytes(base);
    a->attr_count = base->attr_count;
    put_attributes(a, base);
    if (!a->trouble && (a->ddb_bytes > LARDER_ITEM_BYTES_MAX || a->attr_count > ITEM_ATTRS_MAX))
        give_up(a, UPDATE_ITEM_TOO_LARGE);
    if (!a->trouble)
        lay_out(h, a, records);
    return update_say(a->trouble);
}

int expr_update(const struct expr_update *u, void *buffer, size_t room, const struct item_head **image, size_t *need) {
    const struct item_head *base = u->old ? u->old : u->keys;
    struct update_room b = {buffer, 0, room};
    struct update_value *values;
    if (!u->old && !is_adding(u->e))
        return LARDER_NOT_FOUND;
    int result = update_find_values(u, &b, &values);
    if (result < 0)
        return result;
    size_t image_bytes = sizeof *base + sizeof(uint32_t) * ((size_t)base->attr_count + u->e->action_count) + 8;
    image_bytes += values ? records_bytes_max(u, values, base) : 2 * (size_t)base->bytes;
    struct item_head *h = update_take(&b, image_bytes);
    *need = b.used;
    if (!h || result != LARDER_OK)
        return EXPR_TOO_SMALL;
    struct apply a = {.u = u, .values = values};
    result = make_image(&a, base, h);
    if (result == LARDER_OK)
        *image = h;
    return result;
}

int expr_update_value(const struct expr_update *u, void *buffer, size_t room, struct larder_value *out, size_t *need) {
    struct update_room b = {buffer, 0, room};
    struct update_value *values;
    int result = update_find_values(u, &b, &values);
    *need = b.used;
    if (result == LARDER_OK)
        *out = values[u->e->actions[0].operand].value;
    return result;
}
