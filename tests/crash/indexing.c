/* tests/crash/indexing.c - see indexing.h. */
#include "tests/crash/indexing.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/crash/world.h"

#define ALL_KEYS 1111

/* Acts run in children, too, where cr_assert() must not be used. */
static void must(int is_true) {
    if (is_true)
        return;
    fprintf(stderr, "scenario: %s\n", larder_error());
    abort();
}

static struct larder_table *table_of(struct larder *db) {
    struct larder_table *t;
    must(larder_table_open(db, WORLD_TABLE, &t) == LARDER_OK);
    return t;
}

void indexing_add(struct larder *db, int step) {
    (void)step;
    const struct larder_index_def def = {.name = "G9x", .partition = {"G1P", LARDER_S}, .sort = {"SK", LARDER_S}};
    must(larder_index_add(table_of(db), &def) == LARDER_OK);
}

void indexing_one_more(struct larder *db) {
    for (int n = 0; n < 7; n++)
        world_put(db, n, ALL_KEYS, 10, n < 2 ? world_now_s + 300 : 0);
    indexing_add(db, 0);
}

void indexing_drop(struct larder *db, int step) {
    (void)step;
    must(larder_index_drop(table_of(db), "G9x") == LARDER_OK);
}

/* ---- Keys of several attributes -------------------------------------------------------------- */

void indexing_add_joined(struct larder *db, int step) {
    (void)step;
    world_add_joined(db);
}

void indexing_joined_items(struct larder *db) {
    for (int n = 0; n < 12; n++)
        world_put(db, n, ALL_KEYS, 40, 0);
    world_add_joined(db);
}

void indexing_move(struct larder *db, int step) {
    (void)step;
    world_put(db, 7, 1121, 40, 0);
}

void indexing_update(struct larder *db, int step) {
    (void)step;
    must(world_update(db, 7, "SET N1P = :v", "attribute_exists(SK)", "P2") == LARDER_OK);
}

void indexing_leave(struct larder *db, int step) {
    (void)step;
    world_put(db, 7, 1101, 40, 0);
}

void indexing_transact(struct larder *db, int step) {
    (void)step;
    const struct world_action actions[] = {{.kind = LARDER_ACTION_PUT, .n = 7, .keys = 2121, .fill = 40},
                                           {.kind = LARDER_ACTION_PUT, .n = 50, .keys = ALL_KEYS, .fill = 40},
                                           {.kind = LARDER_ACTION_DELETE, .n = 3}};
    must(world_transact(db, actions, 3) == LARDER_OK);
}

void indexing_drop_joined(struct larder *db, int step) {
    (void)step;
    must(larder_index_drop(table_of(db), "J1x") == LARDER_OK);
}
