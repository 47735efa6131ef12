/* tests/crash/ground.c - see ground.h. */
#include "tests/crash/ground.h"
#include "core/table/db.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

static void find_owners(struct ground *g, const struct seg *s) {
    uint32_t count = g->where.counts[DAMAGE_ITEM];
    g->owner = calloc(count + 1, sizeof *g->owner);
    for (uint32_t i = 0; i < count; i++) {
        const struct damage_extent *x = &g->where.extents[DAMAGE_ITEM][i];
        struct owner *o = &g->owner[g->owners];
        o->off = x->off;
        o->end = x->off + x->bytes;
        o->n = past_number_of((const struct larder_item *)(s->base + x->off), &o->table);
        g->owners += o->n >= 0 && o->n < PAST_ITEMS; /* the judge does not ask for others */
    }
}

struct ground *ground_new(unsigned number) {
    struct ground *g = calloc(1, sizeof *g);
    past_make(number, &g->past);
    struct larder *db = past_attach(&g->past, g->past.memfd, LARDER_READ_ONLY);
    cr_assert(db, "%s", larder_error());
    g->where.claimed_bytes = SHM_LOAD(&db->seg.shm->claimed_bytes);
    damage_find(&g->where, &db->seg);
    find_owners(g, &db->seg);
    larder_close(db);
    return g;
}

void ground_free(struct ground *g) {
    for (int c = 0; c < DAMAGE_CLASSES; c++)
        free(g->where.extents[c]);
    close(g->past.memfd);
    free(g->owner);
    free(g);
}

const struct owner *owner_of(const struct ground *g, uint64_t off) {
    for (uint32_t i = 0; i < g->owners; i++)
        if (off >= g->owner[i].off && off < g->owner[i].end)
            return &g->owner[i];
    return NULL;
}
