/* sink.c - where the attributes of an item go. See sink.h.
 *
 * Picture  level[0] is the item; a map, list or set in it opens level[1], and so on. A member's
 *          hash is added to its level's sum; closing a level makes the sum the hash of one member
 *          of the level above.
 */
#include "sink.h"

#include <string.h>
#include <xxhash.h>

#include "rng.h"

static uint64_t sink_name_hash(const char *name, size_t bytes) {
    return name ? XXH3_64bits(name, bytes) : 0;
}

static void sink_member(struct sink *s, uint64_t name, uint64_t value) {
    struct sink_level *l = &s->level[s->depth];
    uint64_t place = l->type == LARDER_L ? l->count : name;
    l->sum += rng_mix(rng_mix(place) ^ value);
    l->count++;
}

static uint64_t sink_bytes_hash(enum larder_type type, const void *data, size_t bytes) {
    return XXH3_64bits_withSeed(data, bytes, (uint64_t)type);
}

static uint64_t sink_word_hash(enum larder_type type, uint64_t word) {
    return rng_mix(word ^ ((uint64_t)type << 56));
}

static void sink_descend(struct sink *s, uint64_t name, enum larder_type type) {
    if (s->depth + 1 < SINK_DEPTH_MAX)
        s->level[++s->depth] = (struct sink_level){.type = type, .name = name};
}

static void sink_ascend(struct sink *s) {
    struct sink_level *l = &s->level[s->depth--];
    sink_member(s, l->name, sink_word_hash(l->type, l->sum + rng_mix(l->count)));
}

void sink_open(struct sink *s, struct larder_builder *builder) {
    s->builder = builder;
    s->depth = 0;
    s->level[0] = (struct sink_level){.type = LARDER_M};
    if (builder)
        larder_builder_reset(builder);
}

void sink_s(struct sink *s, const char *name, const char *text) {
    sink_member(s, sink_name_hash(name, name ? strlen(name) : 0), sink_bytes_hash(LARDER_S, text, strlen(text)));
    /* larder_builder_finish() returns the first failure; so no add is checked here */
    if (s->builder)
        (void)larder_builder_add_s(s->builder, name, text);
}

void sink_n(struct sink *s, const char *name, int64_t value) {
    sink_member(s, sink_name_hash(name, name ? strlen(name) : 0), sink_word_hash(LARDER_N, (uint64_t)value));
    if (s->builder)
        (void)larder_builder_add_int(s->builder, name, value);
}

void sink_bool(struct sink *s, const char *name, bool is_true) {
    sink_member(s, sink_name_hash(name, name ? strlen(name) : 0), sink_word_hash(LARDER_BOOL, is_true));
    if (s->builder)
        (void)larder_builder_add_bool(s->builder, name, is_true);
}

void sink_null(struct sink *s, const char *name) {
    sink_member(s, sink_name_hash(name, name ? strlen(name) : 0), sink_word_hash(LARDER_NULL, 0));
    if (s->builder)
        (void)larder_builder_add_null(s->builder, name);
}

void sink_begin(struct sink *s, const char *name, enum larder_type type) {
    sink_descend(s, sink_name_hash(name, name ? strlen(name) : 0), type);
    if (s->builder)
        (void)larder_builder_begin(s->builder, name, type);
}

void sink_end(struct sink *s) {
    sink_ascend(s);
    if (s->builder)
        (void)larder_builder_end(s->builder);
}

uint64_t sink_fingerprint(const struct sink *s) {
    return rng_mix(s->level[0].sum + s->level[0].count);
}

static uint64_t sink_scalar_hash(const struct larder_value *v) {
    int64_t number;
    switch (v->type) {
    case LARDER_N: /* no number of the load is a fraction: 1 stands for any */
        return larder_value_int64(v, &number) == LARDER_OK ? sink_word_hash(LARDER_N, (uint64_t)number) : 1;
    case LARDER_BOOL:
        return sink_word_hash(LARDER_BOOL, v->is_true != 0);
    case LARDER_NULL:
        return sink_word_hash(LARDER_NULL, 0);
    default:
        return sink_bytes_hash(v->type, v->data, v->bytes);
    }
}

static bool sink_is_container(enum larder_type type) {
    return type == LARDER_M || type == LARDER_L || type == LARDER_SS || type == LARDER_NS || type == LARDER_BS;
}

/* Depth first, with one walk per level. An item deeper than any of the load is cut, which makes its
 * fingerprint wrong. */
uint64_t sink_fingerprint_item(const struct larder_item *item) {
    struct larder_iter walk[SINK_DEPTH_MAX];
    struct larder_member m;
    struct sink s;
    sink_open(&s, NULL);
    larder_iter_item(item, &walk[0]);
    for (;;) {
        if (larder_iter_next(&walk[s.depth], &m) != LARDER_OK) {
            if (s.depth == 0)
                return sink_fingerprint(&s);
            sink_ascend(&s);
        } else if (!sink_is_container(m.value.type)) {
            sink_member(&s, sink_name_hash(m.name, m.name_bytes), sink_scalar_hash(&m.value));
        } else if (s.depth + 1 < SINK_DEPTH_MAX) {
            sink_descend(&s, sink_name_hash(m.name, m.name_bytes), m.value.type);
            larder_iter_value(&m.value, &walk[s.depth]);
        }
    }
}
