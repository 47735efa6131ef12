/* expr/project.c - an item with what some document paths name.
 *
 * Idea     Paths are sorted as records are (struct expr's by_path), and paths with the same
 *          beginning are neighbours: a run of them. So one walk over a map meets its runs in order.
 *          A run of one path that ends here is a whole value, which is copied. Any other run is a
 *          map or list again.
 *          A container's lengths are not known before its contents: it is written behind room for
 *          the longest, and moved.
 * Source   Developer guide, "Projection expressions"; elements of lists keep their order and close
 *          up.
 * Tests    tests/unit/expr/expr_project_test.c
 */
#include <string.h>

#include "core/item/item_records.h"
#include "expr/expr.h"

#define PROJECT_ROOM (2 * ITEM_VARINT_BYTES_MAX) /* for a container's two lengths */

/* Neighbours in by_path that have the same first steps: numbers first .. end - 1. */
struct project_run {
    const struct expr *e;
    uint32_t first, end;
};

static const struct expr_step *step_at(const struct expr *e, uint32_t number, uint32_t depth) {
    return expr_steps(e, e->by_path[number]) + depth;
}

static int is_same_step(const struct expr_step *a, const struct expr_step *b) {
    return a->name.at && b->name.at ? item_compare_bytes(a->name, b->name) == 0
                                    : !a->name.at && !b->name.at && a->index == b->index;
}

/* The run at `first` whose paths have the same step `depth`. */
static struct project_run run_at(const struct project_run *in, uint32_t first, uint32_t depth) {
    struct project_run run = {in->e, first, first + 1};
    while (run.end < in->end && is_same_step(step_at(in->e, first, depth), step_at(in->e, run.end, depth)))
        run.end++;
    return run;
}

/* Whether the paths of a run end at this depth. */
static int is_end(const struct project_run *run, uint32_t depth) {
    return run->e->paths[run->e->by_path[run->first]].count == depth + 1;
}

static uint8_t *put_container(uint8_t *to, const struct larder_value *value, const struct project_run *run,
                              uint32_t depth);

/* Writes a member: its tag, its name as it is written (len 0 in a list), its value. NULL: nothing
 * of it is left. `at` .. `end` are all of it, the tag first. */
static uint8_t *put_member(uint8_t *to, const uint8_t *at, const uint8_t *end, struct bytes name_field,
                           const struct project_run *run, uint32_t depth) {
    struct larder_value value;
    if (is_end(run, depth))
        return item_put_bytes(to, at, (size_t)(end - at));
    unsigned type = item_tag_type(*at);
    if (type != LARDER_M && type != LARDER_L)
        return NULL;
    item_read_value(*at, at + 1 + name_field.len, &value);
    *to++ = *at;
    return put_container(item_put_bytes(to, name_field.at, name_field.len), &value, run, depth + 1);
}

/* The members of a map that the runs name; *count of them. */
static uint8_t *put_named(uint8_t *to, const struct larder_value *map, const struct project_run *all, uint32_t depth,
                          uint32_t *count) {
    const uint8_t *at = map->data, *end = at + map->bytes;
    uint32_t left = map->count;
    for (uint32_t first = all->first; first < all->end && left;) {
        const struct expr_step *step = step_at(all->e, first, depth);
        struct project_run run = run_at(all, first, depth);
        struct item_record r = item_record_at(at);
        int order = step->name.at ? item_compare_bytes(r.name, step->name) : 1;
        const uint8_t *next = item_skip_value(r.tag, r.value, end);
        if (order == 0) {
            uint8_t *put = put_member(to, at, next, r.name_field, &run, depth);
            *count += put != NULL;
            to = put ? put : to;
        }
        if (order >= 0)
            first = run.end;
        if (order <= 0) {
            at = next;
            left--;
        }
    }
    return to;
}

/* The same of a list. */
static uint8_t *put_indexed(uint8_t *to, const struct larder_value *list, const struct project_run *all, uint32_t depth,
                            uint32_t *count) {
    const uint8_t *at = list->data, *end = at + list->bytes;
    for (uint32_t first = all->first, index = 0; first < all->end && index < list->count; index++) {
        const struct expr_step *step = step_at(all->e, first, depth);
        const uint8_t *next = item_skip_value(*at, at + 1, end);
        if (step->name.at) /* indexes come first */
            break;
        if (step->index == index) {
            struct project_run run = run_at(all, first, depth);
            uint8_t *put = put_member(to, at, next, (struct bytes){NULL, 0}, &run, depth);
            *count += put != NULL;
            to = put ? put : to;
            first = run.end;
        }
        at = next;
    }
    return to;
}

/* Writes what follows tag and name of a map or list. NULL: nothing of it is left. */
static uint8_t *put_container(uint8_t *to, const struct larder_value *value, const struct project_run *run,
                              uint32_t depth) {
    uint8_t *members = to + PROJECT_ROOM;
    uint32_t count = 0;
    uint8_t *end = value->type == LARDER_M ? put_named(members, value, run, depth, &count)
                                           : put_indexed(members, value, run, depth, &count);
    size_t bytes = (size_t)(end - members);
    if (!count)
        return NULL;
    to = item_put_varint(item_put_varint(to, item_varint_bytes(count) + bytes), count);
    memmove(to, members, bytes);
    return to + bytes;
}

/* An attribute of the item. */
static uint8_t *put_attribute(uint8_t *to, const struct item_head *image, const struct project_run *run) {
    struct item_record r;
    struct larder_value value;
    uint32_t ordinal;
    if (item_find_record(image, step_at(run->e, run->first, 0)->name, &r, &ordinal) != LARDER_OK)
        return NULL;
    const uint8_t *at = r.name_field.at - 1, *end = item_read_record(image, at, &value);
    if (!item_tag_keys(r.tag))
        return put_member(to, at, end, r.name_field, run, 0);
    return is_end(run, 0) ? item_put_scalar_record(to, r.name_field, &value) : NULL;
}

/* Puts `bytes` of records that lie somewhere behind the head in their places. */
static void lay_out(struct item_head *h, const uint8_t *records, size_t bytes) {
    struct larder_value value;
    uint8_t *start = (uint8_t *)h, *at = start + item_lay_out(h, bytes);
    memmove(at, records, bytes);
    memset(at + bytes, 0, h->bytes - (size_t)(at + bytes - start));
    for (uint32_t i = 0; i < h->attr_count; i++) {
        struct item_record r = item_record_at(at);
        item_set_record_offset(h, i, (uint32_t)(at - start));
        at += item_read_record(h, at, &value) - at;
        item_set_ddb_bytes(h, item_ddb_bytes(h) + item_attr_ddb_bytes(r.name, &value));
    }
}

size_t expr_project(const struct expr *e, const struct item_head *image, void *to) {
    struct item_head *h = to;
    struct project_run all = {e, 0, e->path_count};
    /* no directory is longer */
    uint8_t *records = (uint8_t *)to + sizeof *h + sizeof(uint32_t) * image->attr_count, *at = records;
    memset(h, 0, sizeof *h);
    for (uint32_t first = 0; first < all.end;) {
        struct project_run run = run_at(&all, first, 0);
        uint8_t *put = put_attribute(at, image, &run);
        h->attr_count = (uint16_t)(h->attr_count + (put != NULL));
        at = put ? put : at;
        first = run.end;
    }
    lay_out(h, records, (size_t)(at - records));
    return h->bytes;
}
