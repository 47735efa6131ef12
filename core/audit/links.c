/* core/audit/links.c - see links.h. */
#include "core/audit/links.h"
#include "core/base/err.h"
#include "core/table/catalog.h"
#include "core/table/db.h"

#define TRIES 8

static uint64_t first_not_taken(const struct htab *t, const struct stripe_shm *stripe) {
    uint64_t words[HTAB_CHAIN_MAX], array = SHM_LOAD(&stripe->array);
    if (array != 0 && heap_block_bytes(t->seg, WORD_OFF(array)) == 0)
        return WORD_OFF(array);
    for (uint32_t b = 0, buckets = htab_bucket_count(t, stripe); b < buckets; b++) {
        int count = htab_bucket_slots(t, stripe, b, words, HTAB_CHAIN_MAX);
        for (int i = 0; i < count; i++)
            if (heap_block_bytes(t->seg, WORD_OFF(words[i])) == 0)
                return WORD_OFF(words[i]);
    }
    return 0;
}

static int check_stripe(const struct htab *t, const struct stripe_shm *stripe) {
    for (int tries = 0; tries < TRIES; tries++) {
        uint64_t seq = SHM_LOAD(&stripe->seq), off = first_not_taken(t, stripe);
        if (off == 0)
            return LARDER_OK;
        if (SHM_LOAD(&stripe->seq) == seq)
            return err_set(LARDER_E_CORRUPT, "block %llu is in use, and the heap calls it free",
                           (unsigned long long)off);
    }
    return LARDER_OK; /* it is written too fast: old and new words were seen together */
}

int links_check(struct larder *db) {
    const struct table_view *v;
    int r = LARDER_OK;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX && r == LARDER_OK; i++) {
        struct table_shm *shm = seg_table(&db->seg, i);
        if (LIFE_STATE(SHM_LOAD(&shm->life)) != TABLE_READY || table_view_by_ordinal(db, i, &v) != LARDER_OK)
            continue;
        if (heap_block_bytes(&db->seg, v->schema_off) == 0 && view_is_current(v))
            r = err_set(LARDER_E_CORRUPT, "block %llu is in use, and the heap calls it free",
                        (unsigned long long)v->schema_off);
        for (uint32_t s = 0; s < v->items.stripe_count && r == LARDER_OK; s++)
            r = check_stripe(&v->items, &v->items.stripes[s]);
    }
    return r;
}
