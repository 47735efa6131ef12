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

#include "expr/by_path.h"

#define PROJECT_ROOM (2 * ITEM_VARINT_BYTES_MAX) /* for a container's two lengths */

static uint8_t *put_container(uint8_t *to, const struct larder_value *value, const struct path_run *run,
                              uint32_t depth);

/* Writes a member: its tag, its name as it is written (len 0 in a list), its value. NULL: nothing
 * of it is left. `at` .. `end` are all of it, the tag first. */
static uint8_t *put_member(uint8_t *to, const uint8_t *at, const uint8_t *end, struct bytes name_field,
                           const struct path_run *run, uint32_t depth) {
    struct larder_value value;
    if (path_is_end(run, depth))
        return item_put_bytes(to, at, (size_t)(end - at));
    unsigned type = item_tag_type(*at);
    if (type != LARDER_M && type != LARDER_L)
        return NULL;
    item_read_value(*at, at + 1 + name_field.len, &value);
    *to++ = *at;
    return put_container(item_put_bytes(to, name_field.at, name_field.len), &value, run, depth + 1);
}

/* The members of a map that the runs name; *count of them. */
static uint8_t *put_named(uint8_t *to, const struct larder_value *map, const struct path_run *all, uint32_t depth,
                          uint32_t *count) {
    const uint8_t *at = map->data, *end = at + map->bytes;
    uint32_t left = map->count;
    for (uint32_t first = all->first; first < all->end && left;) {
        const struct expr_step *step = path_step(all->e, first, depth);
        struct path_run run = path_run_at(all, first, depth);
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
static uint8_t *put_indexed(uint8_t *to, const struct larder_value *list, const struct path_run *all, uint32_t depth,
                            uint32_t *count) {
    const uint8_t *at = list->data, *end = at + list->bytes;
    for (uint32_t first = all->first, index = 0; first < all->end && index < list->count; index++) {
        const struct expr_step *step = path_step(all->e, first, depth);
        const uint8_t *next = item_skip_value(*at, at + 1, end);
        if (step->name.at) /* indexes come first */
            break;
        if (step->index == index) {
            struct path_run run = path_run_at(all, first, depth);
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
static uint8_t *put_container(uint8_t *to, const struct larder_value *value, const struct path_run *run,
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
static uint8_t *put_attribute(uint8_t *to, const struct item_head *image, const struct path_run *run) {
    struct item_record r;
    struct larder_value value;
    uint32_t ordinal;
    if (item_find_record(image, path_step(run->e, run->first, 0)->name, &r, &ordinal) != LARDER_OK)
        return NULL;
    const uint8_t *at = r.name_field.at - 1, *end = item_read_record(image, at, &value);
    if (!item_tag_keys(r.tag))
        return put_member(to, at, end, r.name_field, run, 0);
    return path_is_end(run, 0) ? item_put_scalar_record(to, r.name_field, &value) : NULL;
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
    struct path_run all = path_run_all(e);
    /* no directory is longer */
    uint8_t *records = (uint8_t *)to + sizeof *h + sizeof(uint32_t) * image->attr_count, *at = records;
    memset(h, 0, sizeof *h);
    for (uint32_t first = 0; first < all.end;) {
        struct path_run run = path_run_at(&all, first, 0);
        uint8_t *put = put_attribute(at, image, &run);
        h->attr_count = (uint16_t)(h->attr_count + (put != NULL));
        at = put ? put : at;
        first = run.end;
    }
    lay_out(h, records, (size_t)(at - records));
    return h->bytes;
}
