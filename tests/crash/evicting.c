/* tests/crash/evicting.c - see evicting.h. */
#include "tests/crash/evicting.h"
#include "core/table/db.h"
#include "core/table/evict.h"
#include "tests/crash/world.h"
#include <stdio.h>
#include <stdlib.h>

#define KEYS 1111 /* of all indexes */

static void must(int is_true) {
    if (is_true)
        return;
    fprintf(stderr, "evicting: %s\n", larder_error());
    abort();
}

static struct larder_table *world_table(struct larder *db) {
    struct larder_table *t;
    must(larder_table_open(db, WORLD_TABLE, &t) == LARDER_OK);
    return t;
}
void evicting_act_set(struct larder *db, int step) {
    (void)step;
    must(larder_eviction_set(world_table(db), LARDER_EVICTION_SIEVE) == LARDER_OK);
}
void evicting_items(struct larder *db) {
    for (int n = 0; n < 12; n++)
        world_put(db, n, KEYS, 40, 0);
    evicting_act_set(db, 0);
    for (int n = 0; n < 5; n++)
        world_put(db, n, KEYS, 40, 0); /* again: used */
}
/* One item goes, as before a put that found no memory. */
extern _Atomic uint32_t evict_test_batch;
void evicting_act(struct larder *db, int step) {
    struct writer *w;
    int is_blocked;
    (void)step;
    evict_test_batch = 1;
    must(writer_borrow(db, &w) == LARDER_OK);
    must(table_evict(w, 1, &is_blocked) > 0);
    writer_end(w);
    evict_test_batch = 0;
}
int evicting_three_went(const struct facts *a, const struct facts *b) {
    return b->items + 3 == a->items;
}
void evicting_act_publish(struct larder *db, int step) {
    struct larder_page *page;
    (void)step;
    must(larder_page_new(db, &page) == LARDER_OK);
    for (int n = 5; n < 9; n++)
        must(world_get(db, n, page) == LARDER_OK);
    must(larder_expire(db, 100, NULL) == LARDER_OK);
    larder_page_free(page);
}
int evicting_has_published(const struct facts *a, const struct facts *b) {
    return b->items == a->items && b->marks >= a->marks + 3; /* two places may share one */
}
