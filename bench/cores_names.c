/* bench/cores_names.c - see cores_names.h. */
#include "bench/cores_names.h"
#include "bench/fail.h"
#include "core/memory/htab.h"
#include "core/segment/layout.h"
#include "index/leaf.h"
#include <stdlib.h>
#include <string.h>

#define UNIT 16u /* blocks begin on a multiple */

enum block { UNKNOWN, ITEM, LIST, BUCKETS, DEFINITION, CHUNK };

struct names {
    const unsigned char *base;
    const struct seg_shm *head;
    const uint32_t *class_bytes;
    unsigned char *block; /* enum block by offset / UNIT */
    uint16_t count;
    char text[NAMES_MAX][48];
};

struct field {
    size_t off;
    const char *name;
};
/* In the order of their offsets; a field reaches to the next one. */
static const struct field head_fields[] = {{0, "state, geometry"},
                                           {offsetof(struct seg_shm, claimed_bytes), "claimed_bytes"},
                                           {offsetof(struct seg_shm, slots_off), "geometry"},
                                           {offsetof(struct seg_shm, slot_bell), "slot_bell"},
                                           {offsetof(struct seg_shm, slot_turn), "slot_turn, lock file"},
                                           {offsetof(struct seg_shm, catalog_lock), "catalog_lock"},
                                           {offsetof(struct seg_shm, expirer_lock), "expirer_lock"},
                                           {offsetof(struct seg_shm, gate_lock), "gate_lock"},
                                           {offsetof(struct seg_shm, expirer_beat), "expirer_beat"},
                                           {offsetof(struct seg_shm, moved_bytes), "counters"},
                                           {offsetof(struct seg_shm, span_lock), "span_lock"},
                                           {offsetof(struct seg_shm, span_hint), "span_hint, free_listed"},
                                           {offsetof(struct seg_shm, free_spans), "free_spans"},
                                           {offsetof(struct seg_shm, free_list), "free_list"},
                                           {0, NULL}};
static const struct field slot_fields[] = {{0, "state, pid, op"},
                                           {offsetof(struct slot_shm, locks), "locks"},
                                           {offsetof(struct slot_shm, hand), "hand"},
                                           {offsetof(struct slot_shm, step), "step"},
                                           {offsetof(struct slot_shm, puts), "counters"},
                                           {offsetof(struct slot_shm, map), "map, record_off"},
                                           {0, NULL}};
static const struct field stripe_fields[] = {{0, "lock"},
                                             {offsetof(struct stripe_shm, count), "count"},
                                             {offsetof(struct stripe_shm, seq), "seq"},
                                             {offsetof(struct stripe_shm, array), "array"},
                                             {offsetof(struct stripe_shm, writes), "writes"},
                                             {offsetof(struct stripe_shm, spares_used), "spares_used, moves, left"},
                                             {offsetof(struct stripe_shm, record_off), "record_off"},
                                             {0, NULL}};
static const struct field bin_fields[] = {{0, "lock"}, {offsetof(struct bin_shm, head), "head"}, {0, NULL}};
static const struct field span_fields[] = {
    {0, "state, used, list"}, {offsetof(struct span_shm, bitmap), "bitmap"}, {0, NULL}};
static const struct field table_fields[] = {{0, "life, schema, stripes"}, {0, NULL}};
static const struct field shard_fields[] = {{0, "lock"},
                                            {offsetof(struct wheel_shard_shm, now_s), "now_s, taken"},
                                            {offsetof(struct wheel_shard_shm, slot), "slot"},
                                            {0, NULL}};

struct names *names_new(const unsigned char *base, const uint32_t *class_bytes) {
    struct names *n = calloc(1, sizeof *n);
    if (!n)
        fail("no memory");
    n->base = base;
    n->class_bytes = class_bytes;
    n->head = (const struct seg_shm *)base;
    n->block = calloc(n->head->size_bytes / UNIT, 1);
    if (!n->block)
        fail("no memory");
    return n;
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

static const struct table_shm *table_of(const struct names *n, uint32_t i) {
    return (const struct table_shm *)(n->base + n->head->catalog_off) + i;
}

static const struct span_shm *span_of(const struct names *n, uint64_t off, uint32_t *number) {
    *number = (uint32_t)((off - n->head->data_off) / SPAN_BYTES);
    return (const struct span_shm *)(n->base + n->head->spans_off) + *number;
}

/* Where the block begins that the offset lies in. */
static uint64_t block_at(const struct names *n, uint64_t off) {
    uint32_t i;
    const struct span_shm *span = span_of(n, off, &i);
    uint64_t start = n->head->data_off + (uint64_t)i * SPAN_BYTES, inside = off - start;
    if (span->state == SPAN_SMALL && span->class_index < CLASS_COUNT)
        return off - inside % n->class_bytes[span->class_index];
    for (; i > 0 && span->state == SPAN_TAIL; i--, span--)
        start -= SPAN_BYTES;
    return start;
}

static void note(struct names *n, uint64_t off, enum block kind) {
    if (off >= n->head->data_off && off < n->head->size_bytes)
        n->block[off / UNIT] = (unsigned char)kind;
}

static void look_at_stripes(struct names *n, uint64_t stripes_off, enum block kind) {
    const struct stripe_shm *stripe = (const struct stripe_shm *)(n->base + stripes_off);
    for (uint32_t i = 0; stripes_off && i < n->head->stripe_count; i++) {
        uint64_t off = WORD_OFF(stripe[i].array), buckets = stripe[i].array >> 48;
        if (off == 0)
            continue;
        note(n, off, BUCKETS);
        const struct bucket_shm *bucket = (const struct bucket_shm *)(n->base + off);
        for (uint64_t b = 0; b < buckets + HTAB_SPARES(buckets); b++)
            for (unsigned k = 0; k < BUCKET_SLOTS; k++)
                note(n, WORD_OFF(bucket[b].slot[k]), kind);
    }
}

static void look_at_timers(struct names *n) {
    const struct wheel_shard_shm *shard = (const struct wheel_shard_shm *)(n->base + n->head->shards_off);
    for (uint32_t i = 0; i < n->head->shard_count; i++)
        for (unsigned k = 0; k < WHEEL_LEVELS * WHEEL_SLOTS; k++)
            for (uint64_t off = shard[i].slot[k / WHEEL_SLOTS][k % WHEEL_SLOTS]; off != 0;
                 memcpy(&off, n->base + off, sizeof off))
                note(n, off, CHUNK);
}

void names_look(struct names *n) {
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        const struct table_shm *t = table_of(n, i);
        look_at_stripes(n, t->items_off, ITEM);
        look_at_stripes(n, t->partitions_off, LIST);
        note(n, t->schema_off, DEFINITION);
    }
    look_at_timers(n);
}

/* ---- Names ----------------------------------------------------------------------------------- */

static uint16_t number_of(struct names *n, const char *structure, const char *field) {
    char text[sizeof *n->text];
    snprintf(text, sizeof text, field ? "%s: %s" : "%s", structure, field);
    for (uint16_t i = 0; i < n->count; i++)
        if (strcmp(n->text[i], text) == 0)
            return i;
    if (n->count == NAMES_MAX)
        fail("cores: more than %u names", NAMES_MAX);
    memcpy(n->text[n->count], text, sizeof text);
    return n->count++;
}

static uint16_t field_at(struct names *n, const char *structure, const struct field *fields, uint64_t off) {
    const struct field *f = fields;
    while (f[1].name && f[1].off <= off)
        f++;
    return number_of(n, structure, f->name);
}

/* The stripes that the offset lies in. NULL: none. */
static const char *stripes_at(const struct names *n, uint64_t off) {
    uint64_t bytes = (uint64_t)n->head->stripe_count * sizeof(struct stripe_shm);
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        const struct table_shm *t = table_of(n, i);
        if (t->items_off && off - t->items_off < bytes)
            return "item stripe";
        if (t->partitions_off && off - t->partitions_off < bytes)
            return "partition stripe";
    }
    return NULL;
}

static const char *block_name(const struct names *n, uint64_t off) {
    static const char *const names[] = {NULL, "item", NULL, "bucket", "definition", "timer chunk"};
    uint64_t start = block_at(n, off);
    const char *name = names[n->block[start / UNIT]];
    const struct block_shm *block = (const struct block_shm *)(n->base + start);
    return name ? name : block->kind == BLOCK_LEAF ? "leaf" : block->kind == BLOCK_NODE ? "node" : "item";
}

uint16_t names_at(struct names *n, uint64_t off) {
    const struct seg_shm *h = n->head;
    if (off < h->slots_off)
        return field_at(n, "head", head_fields, off);
    if (off < h->catalog_off)
        return field_at(n, "slot", slot_fields, (off - h->slots_off) % sizeof(struct slot_shm));
    if (off < h->bins_off)
        return field_at(n, "table", table_fields, 0);
    if (off < h->shards_off)
        return field_at(n, "bin", bin_fields, (off - h->bins_off) % sizeof(struct bin_shm));
    if (off < h->spans_off)
        return field_at(n, "timer shard", shard_fields, (off - h->shards_off) % sizeof(struct wheel_shard_shm));
    if (off < h->data_off)
        return field_at(n, "span", span_fields, (off - h->spans_off) % sizeof(struct span_shm));
    const char *stripes = stripes_at(n, off);
    return stripes ? field_at(n, stripes, stripe_fields, off % sizeof(struct stripe_shm))
                   : number_of(n, block_name(n, off), NULL);
}

const char *names_text(const struct names *n, uint16_t number) {
    return n->text[number];
}

int names_is_lock(const struct names *n, uint64_t off) {
    const struct seg_shm *h = n->head;
    if (off < h->slots_off)
        return off == offsetof(struct seg_shm, catalog_lock) || off == offsetof(struct seg_shm, expirer_lock) ||
               off == offsetof(struct seg_shm, gate_lock) || off == offsetof(struct seg_shm, span_lock);
    if (off >= h->bins_off && off < h->shards_off)
        return (off - h->bins_off) % sizeof(struct bin_shm) == 0;
    if (off >= h->shards_off && off < h->spans_off)
        return (off - h->shards_off) % sizeof(struct wheel_shard_shm) == 0;
    return off >= h->data_off && off % sizeof(struct stripe_shm) == 0 && stripes_at(n, off);
}
