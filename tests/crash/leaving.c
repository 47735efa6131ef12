/* tests/crash/leaving.c - see leaving.h.
 *
 * Method   All items are of one partition, without index keys, and come in order: so each leaf but
 *          the last is full (leaf_capacity 4, scenario_base.c), and item number n is entry n % 4 of
 *          leaf n / 4. Three entries may be joined.
 */
#include "tests/crash/leaving.h"
#include "core/table/db.h"
#include "core/table/trim.h"
#include "tests/crash/world.h"
#include <stdio.h>
#include <stdlib.h>

#define FULL 4 /* entries of a full leaf */
#define LEAVES 12

static void put_leaves(struct larder *db, int leaves) {
    for (int n = 0; n < leaves * FULL; n++)
        world_put(db, n * WORLD_PARTITIONS, 0, 8, 0);
}

static void delete_entry(struct larder *db, int leaf, int entry) {
    if (world_delete(db, (leaf * FULL + entry) * WORLD_PARTITIONS) == LARDER_OK)
        return;
    fprintf(stderr, "leaving: %s\n", larder_error());
    abort();
}

static void halve(struct larder *db, int leaf) {
    delete_entry(db, leaf, 1);
    delete_entry(db, leaf, 2);
}

static int one_less(const struct facts *a, const struct facts *b) {
    return b->items + 1 == a->items && b->partitions == a->partitions && b->leaves + 1 == a->leaves;
}

/* ---- Emptied --------------------------------------------------------------------------------- */

void leaving_full_leaves(struct larder *db) {
    put_leaves(db, 2 * LEAVES);
}
void leaving_act_empty(struct larder *db, int step) {
    delete_entry(db, 1 + step / FULL * 2, step % FULL);
}
int leaving_node(const struct facts *a, const struct facts *b) {
    return one_less(a, b) && b->lists == a->lists && b->nodes + 1 == a->nodes;
}
int leaving_tall_node(const struct facts *a, const struct facts *b) {
    return leaving_node(a, b) && b->tall_nodes < a->tall_nodes;
}
void leaving_two_leaves(struct larder *db) {
    put_leaves(db, 2);
}
int leaving_head(const struct facts *a, const struct facts *b) {
    return one_less(a, b) && b->lists < a->lists;
}

/* ---- Merged ---------------------------------------------------------------------------------- */

/* The first one stays full: it is the head's. */
void leaving_half_leaves(struct larder *db) {
    put_leaves(db, LEAVES);
    for (int leaf = 1; leaf < LEAVES; leaf++)
        halve(db, leaf);
}
/* Only every second: the one after it goes. */
void leaving_act_merge(struct larder *db, int step) {
    delete_entry(db, 1 + step * 2, 0);
}
void leaving_act_merge_back(struct larder *db, int step) {
    (void)step;
    delete_entry(db, LEAVES - 1, 0);
}
void leaving_two_halves(struct larder *db) {
    put_leaves(db, 2);
    halve(db, 0);
    halve(db, 1);
}
void leaving_dead_entries(struct larder *db) {
    put_leaves(db, 4);
    delete_entry(db, 0, 1);
    halve(db, 1);
    delete_entry(db, 2, 1);
    delete_entry(db, 3, 1);
    delete_entry(db, 2, 0);
    delete_entry(db, 2, 2);
}
void leaving_act_trim(struct larder *db, int step) {
    struct writer *w;
    (void)step;
    if (writer_borrow(db, &w) || table_trim(w) == 0)
        abort();
    writer_end(w);
}
int leaving_trimmed(const struct facts *a, const struct facts *b) {
    return b->items == a->items && b->entries == a->entries && b->partitions == a->partitions &&
           b->used_bytes < a->used_bytes;
}
/* What is deleted next is entry 0 of leaf 1. */
void leaving_empty_head(struct larder *db) {
    put_leaves(db, LEAVES);
    for (int entry = 0; entry < FULL; entry++)
        delete_entry(db, 0, entry);
    delete_entry(db, 1, 1);
}
