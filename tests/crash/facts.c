/* tests/crash/facts.c - see facts.h. */
#include "tests/crash/facts.h"
#include "core/memory/heap.h"
#include "core/memory/heap_span.h"
#include "core/table/catalog.h"
#include "core/table/marks.h"
#include "index/skl.h"
#include "ttl/wheel.h"
#include <criterion/criterion.h>

static uint64_t array_buckets(uint64_t word) {
    return WORD_TAG(word);
}

static struct bucket_shm *array_at(const struct seg *s, uint64_t word) {
    return (struct bucket_shm *)(s->base + WORD_OFF(word));
}

/* Main buckets and spares. */
static uint64_t array_total(uint64_t word) {
    uint64_t buckets = array_buckets(word);
    return buckets ? buckets + buckets / 8 + 1 : 0;
}

static void count_list(const struct seg *s, uint64_t off, struct facts *f) {
    int is_head = 1;
    f->partitions++;
    while (off != 0) {
        uint64_t leaf_off = off;
        const struct block_shm *block = (const struct block_shm *)(s->base + off);
        if (block->kind == BLOCK_NODE) {
            f->lists += (uint64_t)is_head;
            f->nodes += !is_head;
            f->tall_nodes += !is_head && block->height > 2;
            leaf_off = ((const struct node_shm *)block)->leaf;
        }
        is_head = 0;
        const struct leaf_shm *leaf = (const struct leaf_shm *)(s->base + leaf_off);
        for (uint32_t i = 0; i < leaf->block.count; i++)
            f->entries += leaf_shm_kseq(leaf, leaf->block.count)[i] != 0;
        f->leaves++;
        off = leaf->next;
    }
}

static void count_stripe(const struct seg *s, const struct stripe_shm *stripe, int is_items, struct facts *f) {
    struct bucket_shm *array = array_at(s, stripe->array);
    *(is_items ? &f->item_buckets : &f->partition_buckets) += array_buckets(stripe->array);
    for (uint64_t b = 0; is_items && b < array_total(stripe->array); b++) {
        f->item_links += array[b].link != 0;
        f->item_link_sum += (b + 1) * array[b].link;
    }
    for (uint64_t b = 0; b < array_total(stripe->array); b++)
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            if (array[b].slot[i] == 0)
                continue;
            if (is_items)
                f->items++;
            else
                count_list(s, WORD_OFF(array[b].slot[i]), f);
        }
}

static void count_stripes(const struct seg *s, uint64_t off, int is_items, int is_ready, struct facts *f) {
    const struct stripe_shm *stripes = (const struct stripe_shm *)(s->base + off);
    if (off == 0)
        return;
    f->stripe_bytes += heap_block_bytes(s, off);
    for (uint32_t i = 0; is_ready && i < s->stripe_count; i++)
        count_stripe(s, &stripes[i], is_items, f);
}

static void count_timers(const struct seg *s, struct facts *f) {
    for (uint32_t i = 0; i < s->shard_count; i++)
        for (unsigned slot = 0; slot < WHEEL_LEVELS * WHEEL_SLOTS; slot++) {
            uint64_t off = wheel_shard(s, i)->slot[slot / WHEEL_SLOTS][slot % WHEEL_SLOTS];
            struct wheel_chunk chunk;
            for (; off != 0; off = chunk.next) {
                cr_assert(wheel_chunk_at(s, off, &chunk) == LARDER_OK);
                f->chunks++;
                f->timers += chunk.count;
                f->near_timers += slot < WHEEL_SLOTS ? chunk.count : 0;
            }
        }
}

static void count_marks(const struct seg *s, const struct table_shm *t, struct facts *f) {
    const struct marks_shm *m = marks_of(s, t);
    if (!m)
        return;
    f->stripe_bytes += heap_block_bytes(s, t->marks_off);
    for (uint64_t i = marks_hands(s); i < (marks_bytes(s) - sizeof *m) / sizeof *m->hand; i++)
        f->marks += (uint64_t)__builtin_popcountll(m->hand[i]);
}

struct facts facts_of(unsigned char *bytes) {
    const struct seg_shm *head = (const struct seg_shm *)bytes;
    struct seg s = {.base = bytes,
                    .bytes = head->size_bytes,
                    .shm = (struct seg_shm *)bytes,
                    .slots_off = head->slots_off,
                    .catalog_off = head->catalog_off,
                    .bins_off = head->bins_off,
                    .shards_off = head->shards_off,
                    .spans_off = head->spans_off,
                    .data_off = head->data_off,
                    .slot_count = head->slot_count,
                    .span_count = head->span_count,
                    .arena_count = head->arena_count,
                    .shard_count = head->shard_count,
                    .stripe_count = head->stripe_count};
    struct facts f = {.claimed_bytes = head->claimed_bytes};
    struct heap_totals totals;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        const struct table_shm *t = seg_table(&s, i);
        int is_ready = LIFE_STATE(t->life) == TABLE_READY;
        f.tables += (uint64_t)is_ready;
        f.drops += LIFE_STATE(t->life) == TABLE_DROPPING;
        f.restamps += is_ready && t->restamp != 0;
        count_stripes(&s, t->items_off, 1, is_ready, &f);
        count_stripes(&s, t->partitions_off, 0, is_ready, &f);
        count_marks(&s, t, &f);
    }
    count_timers(&s, &f);
    heap_totals(&s, &totals);
    f.used_bytes = totals.used_bytes;
    f.runs = totals.classes[CLASS_COUNT].blocks_used;
    for (uint32_t i = 0; i < span_claimed_count(&s); i++) {
        f.spans += seg_span(&s, i)->state != SPAN_FREE;
        f.free_runs += seg_span(&s, i)->state == SPAN_FREE && (i == 0 || seg_span(&s, i - 1)->state != SPAN_FREE);
    }
    for (uint32_t i = 0; i < s.slot_count; i++)
        f.slots += seg_slot(&s, i)->state != SLOT_FREE;
    return f;
}
