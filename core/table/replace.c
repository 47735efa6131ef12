/* core/table/replace.c - see replace.h. */
#include "core/table/replace.h"

#include <string.h>

#include "core/item/item_records.h"
#include "core/item/num.h"
#include "core/memory/obstacle.h"
#include "core/table/change.h"

/* The one attribute that the update changes; len 0: it does more than that, or other things. */
static struct bytes attribute_of(const struct expr *e) {
    const struct expr_path *path = &e->paths[e->actions[0].path];
    int is_one = e->action_count == 1 && path->count == 1 && e->actions[0].clause != EXPR_DELETE &&
                 e->actions[0].clause != EXPR_REMOVE;
    return is_one ? e->steps[path->first].name : (struct bytes){NULL, 0};
}

/* A TTL attribute changes the expiry. */
static int is_ttl(const struct item_shape *shape, struct bytes name) {
    return shape->ttl_name && shape->ttl_name_bytes == name.len && memcmp(shape->ttl_name, name.at, name.len) == 0;
}

/* So does an attribute that is joined with others to an index's key: it changes more than its own
 * record. */
static int is_joined(const struct item_shape *shape, struct bytes name) {
    for (uint32_t i = 0; shape->joined_count && i < shape->index_count; i++) {
        const struct item_key_attr *keys[] = {&shape->indexes[i].partition, &shape->indexes[i].sort};
        for (uint32_t k = 0; k < 2; k++)
            for (uint32_t part = 0; keys[k]->more_count && part < item_key_count(keys[k]); part++) {
                const struct item_key_attr *attr = item_key_attr_at(keys[k], part);
                if (attr->name_bytes == name.len && memcmp(attr->name, name.at, name.len) == 0)
                    return 1;
            }
    }
    return 0;
}

static void begin_sum(struct item_sum *s, const struct larder_value *by) {
    s->only_int = 0;
    s->by_bytes = 0;
    if (num_to_int64(by->data, by->bytes, &s->by))
        return;
    memcpy(s->by_number, by->data, by->bytes);
    s->by_bytes = by->bytes;
}

/* What is wrong with a sum is said by the long way, in the service's words. */
static int add(const struct expr_update *u, struct bytes name, struct item_head *to) {
    const struct larder_value *by = &u->bound[u->e->operands[u->e->actions[0].operand].value];
    struct item_sum sum;
    if (by->type != LARDER_N)
        return LARDER_NOT_FOUND;
    begin_sum(&sum, by);
    int r = item_add(u->old, name, &sum, to);
    return r == LARDER_E_INVAL ? LARDER_NOT_FOUND : r;
}

static int set(struct writer *w, const struct expr_update *u, struct bytes name, size_t half, struct item_head *to) {
    struct larder_value value;
    size_t need;
    int r = expr_update_value(u, (uint8_t *)w->scratch + half, half, &value, &need);
    if (r == EXPR_TOO_SMALL || (r == LARDER_OK && half < u->old->bytes + value.bytes + ITEM_ADDED_BYTES_MAX)) {
        size_t image = u->old->bytes + (r == LARDER_OK ? value.bytes : 0) + ITEM_ADDED_BYTES_MAX;
        w->need_bytes = 2 * item_round8(need > image ? need : image) + 16;
        return OBSTACLE_SCRATCH;
    }
    return r == LARDER_OK ? item_replace(u->old, name, &value, to) : r;
}

static void begin_image(struct write *c, struct writer *w) {
    c->image = w->scratch;
    struct item_timed *timed = item_timed_at(c->image, c->image);
    if (timed)
        atomic_init(&timed->armed_s, 0); /* until arm() */
}

int replace_locked(struct writer *w, struct write *c, const struct expr_update *u, size_t half, struct item_sum *sum) {
    struct bytes name = attribute_of(u->e);
    if (!name.len || is_ttl(&c->view->shape, name) || is_joined(&c->view->shape, name) ||
        change_is_outdated(c->view, u->old))
        return LARDER_NOT_FOUND;
    if (half < u->old->bytes + (size_t)ITEM_ADDED_BYTES_MAX) {
        w->need_bytes = 2 * item_round8(u->old->bytes + (size_t)ITEM_ADDED_BYTES_MAX) + 16;
        return OBSTACLE_SCRATCH;
    }
    int r = sum                                   ? item_add(u->old, name, sum, w->scratch)
            : u->e->actions[0].clause == EXPR_SET ? set(w, u, name, half, w->scratch)
                                                  : add(u, name, w->scratch);
    if (r == LARDER_OK)
        begin_image(c, w);
    return r == LARDER_E_CORRUPT ? change_damaged(c->old_word) : r;
}
