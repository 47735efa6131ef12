/* core/table/schema.c - from the bytes of a definition to a table_view.
 *
 * Job      Lays a view, its arrays and its copy of the bytes out in one private block. Resolves
 *          what every call would otherwise look up: key attributes per index, projections, the
 *          definition that describe returns.
 * Picture  struct table_view | index_def[all] | index_def[active] | item_index_shape[all] |
 *          included[] | more key_def[] | more item_key_attr[] | projected[] | bytes
 *          All strings of the view point into the bytes at the end.
 * Tests    tests/unit/table/schema_test.c
 */
#include "core/table/schema.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/priv.h"
#include "core/item/item_names.h"

/* Attributes that every projection keeps: the table's keys and the first ones of the index's. */
#define SCHEMA_KEYS_MAX 4u

/* Where the arrays of a view lie, from its start. */
struct view_layout {
    size_t all, active, shapes, included, more, more_attrs, projected, copy, end;
};

static struct view_layout layout_of(const struct schema_head *head) {
    size_t indexes = head->index_count, included = head->included_count, more = head->more_count;
    struct view_layout at = {.all = item_round8(sizeof(struct table_view))};
    at.active = at.all + indexes * sizeof(struct larder_index_def);
    at.shapes = at.active + indexes * sizeof(struct larder_index_def);
    at.included = at.shapes + indexes * sizeof(struct item_index_shape);
    at.more = at.included + included * sizeof(const char *);
    at.more_attrs = at.more + more * sizeof(struct larder_key_def);
    at.projected = at.more_attrs + more * sizeof(struct item_key_attr);
    at.copy = at.projected + (indexes * SCHEMA_KEYS_MAX + more + included) * sizeof(struct bytes);
    at.end = at.copy + schema_block_bytes(head);
    return at;
}
_Static_assert(sizeof(struct larder_index_def) % 8 == 0 && sizeof(struct item_index_shape) % 8 == 0 &&
                   sizeof(struct bytes) % 8 == 0 && sizeof(const char *) % 8 == 0 &&
                   sizeof(struct larder_key_def) % 8 == 0 && sizeof(struct item_key_attr) % 8 == 0,
               "the arrays of a view stay aligned");

struct table_view *schema_view_new(struct priv *p, const struct schema_head *head, struct schema_head **copy) {
    struct view_layout at = layout_of(head);
    struct table_view *v = priv_alloc(p, at.end);
    if (v)
        *copy = (struct schema_head *)((uint8_t *)v + at.copy);
    return v;
}

static struct item_key_attr key_attr(const struct larder_key_def *key) {
    size_t bytes = key->name ? strlen(key->name) : 0;
    return (struct item_key_attr){.name = key->name,
                                  .name_bytes = (uint32_t)bytes,
                                  .type = key->type,
                                  .name_byte = item_name_byte(key->name, bytes)};
}

/* The same of an index's key, whose further attributes go to *more, which moves on. */
static struct item_key_attr index_key(const struct larder_key_def *key, const struct larder_key_def *others,
                                      uint32_t count, struct item_key_attr **more) {
    struct item_key_attr attr = key_attr(key);
    attr.more_count = (uint8_t)count;
    attr.more = count ? *more : NULL;
    for (uint32_t i = 0; i < count; i++)
        *(*more)++ = key_attr(&others[i]);
    return attr;
}

static int compare_names(const void *a, const void *b) {
    const struct bytes *x = a, *y = b;
    size_t shared = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->at, y->at, shared);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Adds a name, unless it is NULL or already there. */
static uint32_t add_name(struct bytes *names, uint32_t count, const char *name) {
    if (!name)
        return count;
    struct bytes added = {.at = (const uint8_t *)name, .len = strlen(name)};
    for (uint32_t i = 0; i < count; i++)
        if (compare_names(&names[i], &added) == 0)
            return count;
    names[count] = added;
    return count + 1;
}

/* The attributes that a page of this index keeps, sorted. `names` has room for the keys and all
 * included ones. */
static uint32_t project(const struct larder_table_def *table, const struct larder_index_def *def, struct bytes *names) {
    uint32_t count = add_name(names, 0, table->partition.name);
    count = add_name(names, count, table->sort.name);
    count = add_name(names, count, def->partition.name);
    count = add_name(names, count, def->sort.name);
    for (uint32_t i = 0; i < def->partition_more_count; i++)
        count = add_name(names, count, def->partition_more[i].name);
    for (uint32_t i = 0; i < def->sort_more_count; i++)
        count = add_name(names, count, def->sort_more[i].name);
    for (uint32_t i = 0; i < def->included_count; i++)
        count = add_name(names, count, def->included[i]);
    qsort(names, count, sizeof *names, compare_names);
    return count;
}

/* A dead index has the empty name as its partition key. No item has that, so no image enters the
 * index. */
static const struct item_index_shape dead_shape = {.name = "", .partition = {.name = ""}, .sort = {.name = ""}};

/* Fills all that goes by ordinal. Returns the number of active indexes. */
static uint32_t fill_indexes(struct table_view *v, const struct view_layout *at, uint32_t index_count) {
    struct larder_index_def *all = (struct larder_index_def *)((uint8_t *)v + at->all);
    struct larder_index_def *active = (struct larder_index_def *)((uint8_t *)v + at->active);
    struct item_index_shape *shapes = (struct item_index_shape *)((uint8_t *)v + at->shapes);
    struct bytes *projected = (struct bytes *)((uint8_t *)v + at->projected);
    struct item_key_attr *more = (struct item_key_attr *)((uint8_t *)v + at->more_attrs);
    uint32_t active_count = 0;
    for (uint32_t i = 0; i < index_count; i++) {
        shapes[i] = dead_shape;
        if (v->index_state[i] == INDEX_DEAD)
            continue;
        shapes[i] = (struct item_index_shape){.name = all[i].name, .is_lenient = v->index_state[i] == INDEX_FILLING};
        shapes[i].partition = index_key(&all[i].partition, all[i].partition_more, all[i].partition_more_count, &more);
        shapes[i].sort = index_key(&all[i].sort, all[i].sort_more, all[i].sort_more_count, &more);
        v->shape.joined_count += (all[i].partition_more_count != 0) + (all[i].sort_more_count != 0);
        v->index_def[i] = &all[i];
        if (all[i].projection != LARDER_PROJECT_ALL) {
            v->projected[i] = projected;
            v->projected_count[i] = project(&v->def, &all[i], projected);
            projected += v->projected_count[i];
        }
        if (v->index_state[i] == INDEX_ACTIVE)
            active[active_count++] = all[i];
    }
    v->shape.indexes = shapes;
    v->shape.index_count = index_count;
    v->def.indexes = active_count ? active : NULL;
    return active_count;
}

/* Rule D2: checks the definition with all its indexes, filling ones too, as if a caller gave it.
 * `live` has room for all. */
static int check_again(const struct schema_parts *parts, uint32_t index_count, struct larder_index_def *live) {
    struct larder_table_def def = parts->def;
    def.indexes = live;
    for (uint32_t i = 0; i < index_count; i++)
        if (parts->state[i] != INDEX_DEAD)
            live[def.index_count++] = parts->index[i];
    if (schema_check(&def) == LARDER_OK)
        return LARDER_OK;
    return err_set(LARDER_E_CORRUPT, "a table's definition in the segment is not allowed: %.300s", larder_error());
}

int schema_view_fill(struct table_view *v, const struct schema_head *copy) {
    struct view_layout at = layout_of(copy);
    struct schema_parts parts = {.index = (struct larder_index_def *)((uint8_t *)v + at.all),
                                 .state = v->index_state,
                                 .included = (const char **)((uint8_t *)v + at.included),
                                 .more = (struct larder_key_def *)((uint8_t *)v + at.more)};
    int result = schema_decode(copy, &parts);
    /* The array of active indexes serves the check first: it is filled in later. */
    if (result == LARDER_OK)
        result = check_again(&parts, copy->index_count, (struct larder_index_def *)((uint8_t *)v + at.active));
    if (result != LARDER_OK)
        return result;
    v->source = copy;
    v->has_bad_settings = parts.has_bad_settings;
    v->birth = copy->birth;
    v->ttl_generation = copy->ttl_generation;
    v->def = parts.def;
    v->def.index_count = fill_indexes(v, &at, copy->index_count);
    v->shape.partition = key_attr(&v->def.partition);
    v->shape.sort = key_attr(&v->def.sort);
    v->shape.ttl_name = v->def.ttl_attribute;
    v->shape.ttl_name_bytes = v->def.ttl_attribute ? (uint32_t)strlen(v->def.ttl_attribute) : 0;
    return LARDER_OK;
}

int schema_is_same(const struct schema_head *a, const struct schema_head *b) {
    return a->bytes == b->bytes && a->more_count == b->more_count && a->removal == b->removal &&
           a->eviction == b->eviction && a->index_count == b->index_count && a->settings_bytes == b->settings_bytes &&
           memcmp(a + 1, b + 1, schema_block_bytes(a) - sizeof *a) == 0;
}
