/* tests/crash/repair_harm.c - see repair_harm.h. */
#include <string.h>
#include <unistd.h>

#include "core/item/item_records.h"
#include "core/segment/seg_layout.h"
#include "index/skl.h"
#include "larder.h"
#include "tests/crash/repair_harm.h"
#include "ttl/wheel.h"

/* two slots, one block: one item is lost, as nothing refers to it any more */
void harm_duplicate(struct copy *c) {
    *slot_of(c, 0, 9) = *slot_of(c, 0, 10);
}

void harm_slot_emptied(struct copy *c) {
    *slot_of(c, 0, 9) = 0;
}

void harm_slot_nowhere(struct copy *c) {
    *slot_of(c, 0, 9) = WORD_MAKE(WORD_TAG(*slot_of(c, 0, 9)), SEGMENT_BYTES * UINT64_C(4));
}

void harm_image(struct copy *c) {
    struct item_head *h = item_of(c, 5);
    h->attr_count++;
}

/* "SK" becomes "TTL": sorted as before, and not a key of this table */
void harm_key_name(struct copy *c) {
    struct item_head *h = item_of(c, 5);
    uint8_t *bytes = (uint8_t *)h;
    for (uint32_t i = sizeof *h; i + 1 < h->bytes; i++)
        if (bytes[i] == (LARDER_S | ITEM_IN_SORT_KEY) && bytes[i + 1] == item_name_byte("SK", 2)) {
            bytes[i + 1] = item_name_byte("TTL", 3);
            return;
        }
}

void harm_array(struct copy *c) {
    stripes_of(c, 0)[0].array = 0;
}

void harm_all_links(struct copy *c) {
    for (uint32_t s = 0; s < STRIPES; s++) {
        struct bucket_shm *array = at(c, WORD_OFF(stripes_of(c, 0)[s].array));
        for (uint32_t i = 0; i < lines_of(&stripes_of(c, 0)[s]); i++)
            array[i].link = 1;
    }
}

void harm_expiry(struct copy *c) {
    uint32_t nth = 0;
    while (item_expiry_s(item_of(c, nth)) == 0)
        nth++;
    item_timed_at(item_of(c, nth), item_of(c, nth))->expiry_s += 1000;
}

struct item_head *timed_item_of(const struct copy *c, int is_timed) {
    uint32_t nth = 0;
    while (((item_of(c, nth)->flags & ITEM_TIMED) != 0) != is_timed)
        nth++;
    return item_of(c, nth);
}

void harm_timed(struct copy *c) {
    struct item_head *h = timed_item_of(c, 1);
    memset(item_timed_at(h, h), 0xff, sizeof(struct item_timed));
}

void harm_timed_never(struct copy *c) {
    struct item_head *h = timed_item_of(c, 1);
    memset(item_timed_at(h, h), 0, sizeof(struct item_timed));
}

void harm_timed_zero(struct copy *c) {
    struct item_head *h = timed_item_of(c, 1);
    item_timed_at(h, h)->zero = 7;
}

/* check takes it for an item that waits for the expirer: another damage shows */
void harm_generation(struct copy *c) {
    item_set_ttl_generation(timed_item_of(c, 0), 4000);
    c->head->span_lock = LOCK_WAITERS | 3;
}

void harm_hash(struct copy *c) {
    item_of(c, 3)->hash_high ^= 1u << 20;
}

void harm_version(struct copy *c) {
    item_of(c, 3)->version = 0;
}

void harm_writes(struct copy *c) { /* the next versions would be given twice */
    for (uint32_t s = 0; s < STRIPES; s++)
        stripes_of(c, 0)[s].writes = 1;
}

void harm_writes_high(struct copy *c) { /* the next would be 0 */
    for (uint32_t s = 0; s < STRIPES; s++)
        stripes_of(c, 0)[s].writes = UINT64_MAX;
}

void harm_kseqs(struct copy *c) {
    for (uint32_t i = 0; i < 10; i++)
        item_of(c, i)->kseq = 0;
}

void harm_span_class(struct copy *c) {
    uint64_t inside = 1;
    for (uint32_t nth = 0; inside != 0; nth++) {
        uint64_t off = (uint64_t)((const uint8_t *)item_of(c, nth) - c->base) - c->head->data_off;
        inside = off % SPAN_BYTES;
        if (inside == 0)
            spans_of(c)[off / SPAN_BYTES].class_index++;
    }
}

void harm_all_caches(struct copy *c) {
    memset(spans_of(c), 0, c->head->span_count * sizeof(struct span_shm));
    memset(at(c, c->head->bins_off), 0xff, c->head->arena_count * CLASS_COUNT * sizeof(struct bin_shm));
    memset(at(c, c->head->shards_off), 0xff, c->head->shard_count * sizeof(struct wheel_shard_shm));
    memset(stripes_of(c, 1), 0, STRIPES * sizeof(struct stripe_shm));
    c->head->span_hint = 0x7fffffff;
}

void harm_locks(struct copy *c) {
    c->head->gate_lock = 0x1234;
    c->head->catalog_lock = c->head->slot_count;
    c->head->expirer_lock = 7;
    c->head->span_lock = LOCK_WAITERS | 3;
    for (uint32_t s = 0; s < STRIPES; s++) {
        stripes_of(c, 0)[s].lock = s + 1;
        stripes_of(c, 1)[s].lock = 0x7fffffff;
    }
}

void harm_slots(struct copy *c) {
    struct slot_shm *slot = at(c, c->head->slots_off);
    for (uint32_t i = 0; i < c->head->slot_count; i++)
        slot[i].state = 77;
}

void harm_journals(struct copy *c) {
    struct slot_shm *slot = at(c, c->head->slots_off);
    for (uint32_t i = 0; i < 5; i++) {
        slot[i].state = SLOT_LIVE;
        slot[i].op = OP_ITEM;
        slot[i].op_stripe_off = c->head->data_off + 8 * i;
        slot[i].hand[i] = *slot_of(c, 0, i) & UINT64_C(0xffffffffffff);
        slot[i].step[0].word_off = 1;
    }
}

void harm_life(struct copy *c) { /* READY becomes FREE */
    table_shm(c, 0)->life &= ~UINT64_C(0xff);
}

void harm_definition(struct copy *c) {
    ((uint8_t *)at(c, table_shm(c, 0)->schema_off))[60] ^= 1;
}

void harm_claimed_low(struct copy *c) {
    c->head->claimed_bytes = c->head->data_off + SPAN_BYTES;
}

void harm_claimed_high(struct copy *c) {
    c->head->claimed_bytes = UINT64_MAX;
}

void harm_lists(struct copy *c) {
    for (uint32_t i = 0; i < 20; i++)
        if (slot_of(c, 1, i))
            memset(at(c, WORD_OFF(*slot_of(c, 1, i))), 0xaa, 24);
    harm_image(c);
}

void harm_heap(struct copy *c) {
    memset(spans_of(c), 0, claimed_spans(c) * sizeof(struct span_shm));
    *slot_of(c, 0, 3) = *slot_of(c, 0, 4);
}

void harm_array_sizes(struct copy *c) {
    for (uint32_t s = 0; s < STRIPES; s++)
        stripes_of(c, 0)[s].array += UINT64_C(2) << 48;
}

void harm_stripes(struct copy *c) { /* of the lists: repair builds them again elsewhere */
    table_shm(c, 0)->partitions_off += 24;
    harm_all_links(c);
}

void harm_locks_and_slots(struct copy *c) {
    harm_locks(c);
    harm_journals(c);
}
