/* core/audit/stats.c - numbers for people: segment, size classes, tables, slots.
 *
 * Tests    tests/api/stats_test.c
 */
#include "core/base/err.h"
#include "core/base/reserved.h"
#include "core/base/wait.h"
#include "core/memory/heap_span.h"
#include "core/memory/hooks.h"
#include "core/memory/record.h"
#include "core/segment/live.h"
#include "core/segment/stopped.h"
#include "core/table/catalog.h"
#include "core/table/db.h"
#include "core/table/marks.h"

static void add_counters(struct larder_counters *sum, const struct slot_shm *slot) {
    sum->puts += SHM_LOAD_RELAXED(&slot->puts);
    sum->deletes += SHM_LOAD_RELAXED(&slot->deletes);
    sum->expired += SHM_LOAD_RELAXED(&slot->expired);
    sum->lock_waits += SHM_LOAD_RELAXED(&slot->lock_waits);
    sum->recoveries += SHM_LOAD_RELAXED(&slot->recoveries);
    sum->undone += SHM_LOAD_RELAXED(&slot->undone);
    sum->finished += SHM_LOAD_RELAXED(&slot->finished);
}

int larder_segment_stats(struct larder *db, struct larder_segment_stats *out) {
    struct heap_totals totals;
    if (ERR_IS_NULL(db) || ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    int r = db_check(db);
    if (r)
        return r;
    memset(out, 0, sizeof *out);
    heap_totals(&db->seg, &totals);
    out->size_bytes = db->seg.bytes;
    uint64_t claimed = SHM_LOAD(&db->seg.shm->claimed_bytes);
    out->claimed_bytes = claimed - (db->seg.data_off - seg_descriptors_end(&db->seg, claimed));
    out->free_bytes = totals.free_bytes;
    out->used_bytes = totals.used_bytes;
    out->private_bytes = priv_bytes(db->priv);
    out->slots_max = db->seg.slot_count;
    out->stripe_count = db->seg.stripe_count;
    out->counters.evicted = SHM_LOAD_RELAXED(&db->seg.shm->evicted);
    out->moved_bytes = SHM_LOAD_RELAXED(&db->seg.shm->moved_bytes);
    out->full_count = SHM_LOAD_RELAXED(&db->seg.shm->full_count);
    out->full_bytes = SHM_LOAD_RELAXED(&db->seg.shm->full_bytes);
    out->format_version = db->seg.shm->format_version;
    memcpy(out->uuid, db->seg.shm->uuid, sizeof out->uuid);
    for (uint32_t i = 0; i < db->seg.slot_count; i++) {
        out->slots_used += SHM_LOAD(&seg_slot(&db->seg, i)->state) != SLOT_FREE;
        add_counters(&out->counters, seg_slot(&db->seg, i));
    }
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        out->table_count += LIFE_STATE(SHM_LOAD(&seg_table(&db->seg, i)->life)) == TABLE_READY;
    RESERVED_FILL(&out->counters);
    RESERVED_FILL(out);
    return LARDER_OK;
}

int larder_class_stats(struct larder *db, struct larder_class_stats *out, uint32_t capacity, uint32_t *count) {
    struct heap_totals totals;
    if (ERR_IS_NULL(db) || ERR_IS_NULL(count) || (capacity && ERR_IS_NULL(out)))
        return LARDER_E_INVAL;
    int r = db_check(db);
    if (r)
        return r;
    heap_totals(&db->seg, &totals);
    for (uint32_t i = 0; i < CLASS_COUNT + 1 && i < capacity; i++) {
        out[i] = totals.classes[i];
        RESERVED_FILL(&out[i]);
    }
    *count = CLASS_COUNT + 1;
    return LARDER_OK;
}

/* Bytes of the blocks that a stripe's slots link, and of its bucket array. Not inlined: its words
 * would stay on the stack. */
static __attribute__((noinline)) void add_stripe(const struct table_view *v, struct stripe_shm *stripe,
                                                 struct larder_table_stats *out) {
    uint64_t words[HTAB_CHAIN_MAX], array = SHM_LOAD(&stripe->array);
    out->item_count += SHM_LOAD_RELAXED(&stripe->count);
    out->bucket_bytes += array ? heap_block_bytes(v->items.seg, WORD_OFF(array)) : 0;
    for (uint32_t b = 0, buckets = htab_bucket_count(&v->items, stripe); b < buckets; b++) {
        int n = htab_bucket_slots(&v->items, stripe, b, words, HTAB_CHAIN_MAX);
        for (int i = 0; i < n; i++)
            out->item_bytes += heap_block_bytes(v->items.seg, WORD_OFF(words[i]));
    }
}

/* *out is private memory: a failure half way must not show. */
static int table_stats(struct larder_table *t, const struct table_view *v, struct larder_table_stats *out) {
    for (uint32_t i = 0; i < v->items.stripe_count; i++) {
        uint64_t partitions_array = SHM_LOAD(&v->partitions.stripes[i].array);
        add_stripe(v, &v->items.stripes[i], out);
        out->bucket_bytes += partitions_array ? heap_block_bytes(v->items.seg, WORD_OFF(partitions_array)) : 0;
    }
    out->index_count = v->def.index_count + 1;
    const struct marks_shm *marks = marks_of(v->items.seg, v->shm); /* also if it evicts no more */
    if (marks) {
        out->evicted = SHM_LOAD_RELAXED(&marks->evicted);
        out->evicted_bytes = SHM_LOAD_RELAXED(&marks->evicted_bytes);
        out->evicted_age = SHM_LOAD_RELAXED(&marks->age);
    }
    return core_hooks->timer_stats(t->db, v->ordinal, &out->wheel_entries);
}

int larder_table_stats(struct larder_table *t, struct larder_table_stats *out) {
    if (ERR_IS_NULL(t) || ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    struct larder_table_stats stats = {0};
    struct epoch_use *use = views_visit(t->db);
    if (!use)
        return LARDER_E_NO_MEMORY;
    const struct table_view *v;
    int r = table_view(t, &v);
    if (r == LARDER_OK)
        r = table_judge(t, v, table_stats(t, v, &stats));
    views_depart(t->db, use);
    RESERVED_FILL(&stats);
    if (r == LARDER_OK)
        *out = stats;
    return r;
}

/* `out` is zeroed. */
static int table_index_stats(struct larder_table *t, struct larder_index_stats *out, uint32_t *count) {
    const struct table_view *v;
    int r = table_view(t, &v);
    if (r)
        return r;
    *count = v->def.index_count + 1;
    return core_hooks->index_stats(v, out, *count);
}

int larder_index_stats(struct larder_table *t, struct larder_index_stats *out, uint32_t capacity, uint32_t *count) {
    uint32_t made_count = 0;
    if (ERR_IS_NULL(t) || ERR_IS_NULL(count) || (capacity && ERR_IS_NULL(out)))
        return LARDER_E_INVAL;
    /* Private memory, not the stack: 26 of them are 9 KB. */
    struct larder_index_stats *made = priv_alloc(db_priv(t->db), (LARDER_INDEXES_MAX + 1) * sizeof *made);
    struct epoch_use *use = made ? views_visit(t->db) : NULL;
    int r = use ? table_index_stats(t, made, &made_count) : LARDER_E_NO_MEMORY;
    if (use)
        views_depart(t->db, use);
    for (uint32_t i = 0; r == LARDER_OK && i < made_count && i < capacity; i++) {
        out[i] = made[i];
        RESERVED_FILL(&out[i]);
    }
    priv_free(db_priv(t->db), made);
    if (r == LARDER_OK)
        *count = made_count;
    return r;
}

/* A lock that the slot notes counts if it has it. */
static void count_lock(struct larder *db, uint32_t id, uint64_t off, struct larder_slot_stats *out) {
    lock_word *lock = off ? seg_word(&db->seg, off) : NULL;
    if (lock && lock_owner(lock) == (int)id && out->lock_count < sizeof out->lock_kinds / sizeof *out->lock_kinds)
        out->lock_kinds[out->lock_count++] = lock_kind(&db->seg, off);
}

static void slot_locks(struct larder *db, uint32_t id, struct larder_slot_stats *out) {
    struct slot_shm *slot = seg_slot(&db->seg, id);
    uint32_t entries = 0;
    for (unsigned i = 0; i < SLOT_LOCKS; i++)
        count_lock(db, id, SHM_LOAD(&slot->locks[i]), out);
    const struct record_shm *record = record_at(&db->seg, SHM_LOAD(&slot->record_off), &entries);
    for (uint32_t i = 0; record && i < entries; i++)
        if (i == 0 || SHM_LOAD(&record->entry[i].stripe_off) != SHM_LOAD(&record->entry[i - 1].stripe_off))
            count_lock(db, id, SHM_LOAD(&record->entry[i].stripe_off), out);
    if (out->lock_count == 0)
        return;
    uint64_t now_ns = wait_now_ns(), since_ns = SHM_LOAD(&slot->lock_since_ns);
    out->lock_held_ns = now_ns > since_ns ? now_ns - since_ns : 0;
}

int larder_slot_stats(struct larder *db, struct larder_slot_stats *out, uint32_t capacity, uint32_t *count) {
    if (ERR_IS_NULL(db) || ERR_IS_NULL(count) || (capacity && ERR_IS_NULL(out)))
        return LARDER_E_INVAL;
    int r = db_check(db);
    if (r)
        return r;
    uint32_t used = 0;
    for (uint32_t i = 0; i < db->seg.slot_count; i++) {
        struct slot_shm *slot = seg_slot(&db->seg, i);
        if (SHM_LOAD(&slot->state) == SLOT_FREE || used++ >= capacity)
            continue;
        struct larder_slot_stats *s = &out[used - 1];
        memset(s, 0, sizeof *s);
        s->slot = i;
        s->pid = SHM_LOAD_RELAXED(&slot->pid);
        s->started_s = SHM_LOAD_RELAXED(&slot->started_s);
        s->is_alive = live_is_held(&db->seg, i) != 0;
        s->is_expirer = lock_owner(&db->seg.shm->expirer_lock) == (int)i;
        add_counters(&s->counters, slot);
        slot_locks(db, i, s);
        s->is_stopped =
            used > 1 && s[-1].pid == s->pid ? s[-1].is_stopped : s->is_alive && stopped_is(&db->seg, s->pid);
        RESERVED_FILL(&s->counters);
        RESERVED_FILL(s);
    }
    *count = used;
    return LARDER_OK;
}
