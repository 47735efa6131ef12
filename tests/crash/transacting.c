/* tests/crash/transacting.c - items of two tables change at once: acts and worlds of scenarios. */
#include "tests/crash/transacting.h"
#include "tests/crash/world.h"
#include <stdio.h>
#include <stdlib.h>

#define ALL_KEYS 1111

/* Acts run in children, too, where cr_assert() must not be used. */
static void must(int is_true) {
    if (is_true)
        return;
    fprintf(stderr, "transacting: %s\n", larder_error());
    abort();
}

void transacting_tables(struct larder *db) {
    for (int n = 0; n < 12; n++)
        world_put(db, n, ALL_KEYS, 40, 0);
    world_make_other(db);
    for (int n = 0; n < 6; n++)
        world_put_other(db, n, ALL_KEYS, 40);
}
void transacting_empty_tables(struct larder *db) {
    world_make_other(db);
}
/* Index keys change, an item comes and will expire, one goes, one is made longer. */
static const struct world_action changes[] = {
    {.kind = LARDER_ACTION_PUT, .n = 7, .keys = 3333, .fill = 41},
    {.kind = LARDER_ACTION_UPDATE, .is_other = 1, .n = 2, .update = "SET G1P = N1P REMOVE fill"},
    {.kind = LARDER_ACTION_DELETE, .n = 3, .condition = "attribute_exists(PK)"},
    {.kind = LARDER_ACTION_PUT, .is_other = 1, .n = 50, .keys = ALL_KEYS, .fill = 30, .expires_s = 1500},
    {.kind = LARDER_ACTION_CHECK, .n = 4, .condition = "attribute_exists(PK)"},
    {.kind = LARDER_ACTION_CHECK, .is_other = 1, .n = 4, .condition = "attribute_not_exists(PK)"},
};
void transacting_act(struct larder *db, int step) {
    (void)step;
    must(world_transact(db, changes, 4) == LARDER_OK);
}
void transacting_act_refused(struct larder *db, int step) {
    (void)step;
    must(world_transact(db, changes, 6) == LARDER_REFUSED);
}
/* The first items of all stripes. */
void transacting_act_new(struct larder *db, int step) {
    struct world_action puts[WORLD_ACTIONS];
    (void)step;
    for (int i = 0; i < WORLD_ACTIONS; i++)
        puts[i] = (struct world_action){.kind = LARDER_ACTION_PUT, .is_other = i % 2, .n = i, .keys = i % 2 ? 11 : 0};
    must(world_transact(db, puts, WORLD_ACTIONS) == LARDER_OK);
}
void transacting_act_deletes(struct larder *db, int step) {
    static const struct world_action deletes[] = {{.kind = LARDER_ACTION_DELETE, .n = 1},
                                                  {.kind = LARDER_ACTION_DELETE, .n = 7},
                                                  {.kind = LARDER_ACTION_DELETE, .is_other = 1, .n = 1}};
    (void)step;
    must(world_transact(db, deletes, 3) == LARDER_OK);
}
int transacting_three_less(const struct facts *a, const struct facts *b) {
    return b->items + 3 == a->items;
}
int transacting_all_came(const struct facts *a, const struct facts *b) {
    return a->items == 0 && b->items == WORLD_ACTIONS;
}
