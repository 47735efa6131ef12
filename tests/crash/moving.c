/* tests/crash/moving.c - see moving.h. */
#include "tests/crash/moving.h"
#include "core/memory/heap_span.h"
#include "core/table/compact.h"
#include "core/table/db.h"
#include "core/table/move.h"
#include "index/skl.h"
#include "tests/crash/world.h"
#include <stdio.h>
#include <stdlib.h>

static void must(int is_true) {
    if (is_true)
        return;
    fprintf(stderr, "moving: %s\n", larder_error());
    abort();
}

static int is_same(const struct facts *a, const struct facts *b) {
    return b->items == a->items && b->entries == a->entries && b->timers == a->timers && b->leaves == a->leaves &&
           b->nodes == a->nodes && b->item_buckets == a->item_buckets && b->partition_buckets == a->partition_buckets;
}

/* ---- Each kind of block ---------------------------------------------------------------------- */

static struct stripe_shm *stripe_in_use(struct larder *db, uint64_t stripes_off) {
    struct stripe_shm *stripes = seg_at(&db->seg, stripes_off, sizeof *stripes);
    for (uint32_t i = 0; i < db->seg.stripe_count; i++)
        if (SHM_LOAD(&stripes[i].array) != 0 && SHM_LOAD(&stripes[i].count) > 0)
            return &stripes[i];
    abort();
}

/* The first block in the stripe's buckets; has_node: that is a head. */
static uint64_t block_of(struct larder *db, uint64_t stripes_off, int has_node) {
    struct stripe_shm *stripes = seg_at(&db->seg, stripes_off, sizeof *stripes);
    for (uint32_t i = 0; i < db->seg.stripe_count; i++) {
        uint64_t word = SHM_LOAD(&stripes[i].array);
        struct bucket_shm *array = word ? seg_at(&db->seg, WORD_OFF(word), sizeof *array) : NULL;
        for (uint32_t k = 0; array && k < WORD_TAG(word) * BUCKET_SLOTS; k++) {
            uint64_t off = WORD_OFF(SHM_LOAD(&array[k / BUCKET_SLOTS].slot[k % BUCKET_SLOTS]));
            if (off && (!has_node || block_read(db->seg.base + off).kind == BLOCK_NODE))
                return off;
        }
    }
    abort();
}

static uint64_t find_block(struct larder *db, int kind) {
    const struct table_shm *table = seg_table(&db->seg, 0);
    uint64_t items_off = SHM_LOAD(&table->items_off), partitions_off = SHM_LOAD(&table->partitions_off);
    switch (kind) {
    case 0:
        return block_of(db, items_off, 0);
    case 1:
        return WORD_OFF(SHM_LOAD(&stripe_in_use(db, items_off)->array));
    case 2:
        return WORD_OFF(SHM_LOAD(&stripe_in_use(db, partitions_off)->array));
    default:
        break;
    }
    uint64_t head_off = block_of(db, partitions_off, 1);
    const struct node_shm *head = (const struct node_shm *)(db->seg.base + head_off);
    uint64_t leaf_off = SHM_LOAD(&head->leaf);
    if (kind < 5)
        return kind == 3 ? head_off : leaf_off;
    return SHM_LOAD(&((const struct leaf_shm *)(db->seg.base + leaf_off))->next);
}

static int try_move(struct larder *db, uint64_t off) {
    struct writer *w;
    must(writer_borrow(db, &w) == LARDER_OK);
    w->avoid_from = span_index(&db->seg, off);
    w->avoid_count = 1;
    w->moves_to_free = 1;
    int is_moved = move_block(w, off);
    w->avoid_count = 0;
    writer_end(w);
    return is_moved;
}

static void move(struct larder *db, uint64_t off) {
    must(try_move(db, off) && heap_block_bytes(&db->seg, off) == 0);
}

void moving_act(struct larder *db, int step) {
    move(db, find_block(db, step));
}

void moving_act_beside(struct larder *db, int step) {
    (void)try_move(db, find_block(db, step));
}

int moving_happened(const struct facts *a, const struct facts *b) {
    return is_same(a, b) && b->used_bytes == a->used_bytes;
}

/* ---- Sparse spans, runs ---------------------------------------------------------------------- */

#define LARGE 2500 /* bytes of payload: six to a span */

void moving_sparse_spans(struct larder *db) {
    for (int n = 0; n < 12; n++)
        world_put(db, n, 0, LARGE, 0);
    for (int n = 0; n < 12; n++)
        if (n % 6 > 1)
            must(world_delete(db, n) == LARDER_OK);
}

void moving_act_compact(struct larder *db, int step) {
    struct writer *w;
    (void)step;
    must(writer_borrow(db, &w) == LARDER_OK);
    must(table_compact_spans(w, 1) == 1);
    writer_end(w);
}

int moving_has_compacted(const struct facts *a, const struct facts *b) {
    return is_same(a, b) && b->used_bytes == a->used_bytes && b->spans < a->spans;
}

void moving_one_run(struct larder *db) {
    world_put(db, 7, 1111, 40, 0);
    world_put(db, 20, 0, 8300, 0);
}

void moving_act_run(struct larder *db, int step) {
    uint32_t i = 0;
    (void)step;
    while (SHM_LOAD(&seg_span(&db->seg, i)->state) != SPAN_RUN)
        must(++i < span_claimed_count(&db->seg));
    move(db, span_off(&db->seg, i));
}
