/* tests/api/check_damage_test.c - larder_check() finds what is broken.
 *
 * Goal     One thing at a time is damaged. larder_check() says LARDER_DAMAGED with errors > 0 and
 *          fitting words, on a read-write and on a read-only attachment, and changes nothing.
 * Method   Each row of a table damages a copy of the segment of check_kit.h through a mapping of
 *          its own, with the structures of core/segment/layout.h and the like.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/item/item.h"
#include "core/segment/layout.h"
#include "index/skl.h"
#include "larder.h"
#include "tests/api/check_kit.h"
#include "tests/support/expect.h"
#include "tests/support/slow.h"
#include "ttl/wheel.h"

TestSuite(check_damage, .timeout = 100 * SLOW_FACTOR);

/* ---- Where things are ------------------------------------------------------------------------ */

static void *at(const struct world *w, uint64_t off) {
    cr_assert(off >= sizeof(struct seg_shm) && off < SEGMENT_BYTES - 64, "offset %lu", off);
    return w->base + off;
}

static struct table_shm *table_of(const struct world *w) {
    return at(w, w->head->catalog_off);
}

static struct stripe_shm *stripe_of(const struct world *w, int is_partitions) {
    return at(w, is_partitions ? table_of(w)->partitions_off : table_of(w)->items_off);
}

/* A bucket slot in use. */
static shm_word *slot_of(const struct world *w, int is_partitions, uint32_t nth) {
    struct stripe_shm *stripe = stripe_of(w, is_partitions);
    for (unsigned s = 0; s < 2; s++, stripe++) {
        if (!stripe->array)
            continue;
        struct bucket_shm *bucket = at(w, WORD_OFF(stripe->array));
        for (uint32_t i = 0; i < (uint32_t)WORD_TAG(stripe->array) * BUCKET_SLOTS; i++) {
            shm_word *slot = &bucket[i / BUCKET_SLOTS].slot[i % BUCKET_SLOTS];
            if (*slot && nth-- == 0)
                return slot;
        }
    }
    cr_assert(0, "no slot is in use");
    abort(); /* not reached */
}

static struct item_head *item_of(const struct world *w, uint32_t nth) {
    return at(w, WORD_OFF(*slot_of(w, 0, nth)));
}

/* The head node of a list of some leaves. */
static struct node_shm *head_node(const struct world *w) {
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct node_shm *node = at(w, WORD_OFF(*slot_of(w, 1, i)));
        if (node->block.kind == BLOCK_NODE)
            return node;
    }
    cr_assert(0, "no list has nodes");
    abort(); /* not reached */
}

static shm_word *tower_of(struct node_shm *node) {
    return (shm_word *)((unsigned char *)(node + 1) + ((node->block.key_bytes + 7u) & ~7u));
}

static struct leaf_shm *leaf_of_head(const struct world *w) {
    return at(w, head_node(w)->leaf);
}

static struct span_shm *span_in(const struct world *w, uint32_t state) {
    struct span_shm *span = at(w, w->head->spans_off);
    while (span->state != state || (state == SPAN_SMALL && span->used < 2))
        span++;
    return span;
}

static struct span_shm *span_at(const struct world *w, uint64_t off) {
    return (struct span_shm *)at(w, w->head->spans_off) + (off - w->head->data_off) / SPAN_BYTES;
}

/* A bin with a span that has free blocks. */
static struct bin_shm *bin_of(const struct world *w) {
    struct bin_shm *bin = at(w, w->head->bins_off);
    while (bin->head == 0)
        bin++;
    return bin;
}

static shm_word *wheel_slot(const struct world *w) {
    struct wheel_shard_shm *shard = at(w, w->head->shards_off);
    shm_word *slot = &shard->slot[0][0];
    while (*slot == 0)
        slot++;
    return slot;
}

static struct wheel_chunk_shm *chunk_of(const struct world *w) {
    return at(w, *wheel_slot(w));
}

static struct slot_shm *free_slot(const struct world *w) {
    struct slot_shm *slot = at(w, w->head->slots_off);
    return slot + w->head->slot_count - 1;
}

/* ---- One thing at a time --------------------------------------------------------------------- */

static void slot_nowhere(struct world *w) {
    *slot_of(w, 0, 9) = WORD_MAKE(WORD_TAG(*slot_of(w, 0, 9)), SEGMENT_BYTES * UINT64_C(4));
}
static void slot_inside_a_block(struct world *w) {
    *slot_of(w, 0, 9) += 16;
}
static void slot_of_another(struct world *w) {
    *slot_of(w, 0, 9) = *slot_of(w, 0, 10);
}
static void slot_emptied(struct world *w) {
    *slot_of(w, 0, 9) = 0;
}
static void slot_tag(struct world *w) {
    *slot_of(w, 0, 9) ^= UINT64_C(1) << 50;
}
static void stripe_count(struct world *w) {
    stripe_of(w, 0)->count++;
}
static void stripe_array_nowhere(struct world *w) {
    stripe_of(w, 0)->array = WORD_MAKE(9, UINT64_C(1) << 44);
}
static void stripe_array_of_items(struct world *w) {
    stripe_of(w, 0)->array = WORD_MAKE(WORD_TAG(stripe_of(w, 0)->array), WORD_OFF(*slot_of(w, 0, 3)));
}
static void stripe_array_longer(struct world *w) {
    stripe_of(w, 0)->array += UINT64_C(200) << 48;
}
static void stripe_array_forgotten(struct world *w) {
    stripe_of(w, 0)->array = 0;
}
static void stripe_lock_of_nobody(struct world *w) {
    stripe_of(w, 0)->lock = 0x1234;
}
static void stripe_lock_of_a_free_slot(struct world *w) {
    stripe_of(w, 0)->lock = w->head->slot_count;
}
static void bucket_link_nowhere(struct world *w) {
    ((struct bucket_shm *)at(w, WORD_OFF(stripe_of(w, 0)->array)))->link = 60000;
}
static void bucket_link_circle(struct world *w) {
    ((struct bucket_shm *)at(w, WORD_OFF(stripe_of(w, 0)->array)))->link = 1;
}
static void item_hash(struct world *w) {
    item_of(w, 5)->hash_high ^= 1u << 14;
}
static void item_key(struct world *w) {
    item_key_area(item_of(w, 5))[0] ^= 1;
}
static void item_length(struct world *w) {
    item_of(w, 5)->bytes += 8;
}
static void item_length_huge(struct world *w) {
    item_of(w, 5)->bytes = 0xfffffff8;
}
static void item_attributes(struct world *w) {
    item_of(w, 5)->attr_count = 0xffff;
}
static void item_key_lengths(struct world *w) {
    item_of(w, 5)->sort_bytes = 0xffff;
}
static void item_kseq(struct world *w) {
    item_of(w, 5)->kseq += 1000;
}
static void item_kseq_none(struct world *w) {
    item_of(w, 5)->kseq = 0;
}
static void item_index_kseq(struct world *w) {
    item_index_slots(item_of(w, 5))->kseq += 1000;
}
static void item_index_ordinal(struct world *w) {
    item_index_slots(item_of(w, 5))->partition_attr = 4000;
}
static void item_indexes(struct world *w) {
    item_of(w, 5)->index_count = 200;
}
static void item_record(struct world *w) {
    struct item_head *h = item_of(w, 5);
    *(unsigned char *)(item_index_slots(h) + h->index_count) ^= 0x40; /* the first record's type */
}
static void item_expiry(struct world *w) {
    for (uint32_t i = 0; i < ITEMS; i++) {
        struct item_timed *timed = item_timed_at(item_of(w, i), item_of(w, i));
        if (timed && timed->armed_s) {
            timed->armed_s += 3;
            return;
        }
    }
}
static void leaf_order(struct world *w) {
    uint32_t *high = leaf_of_head(w)->hash_high, first = high[0];
    high[0] = high[1];
    high[1] = first;
}
static void leaf_entry_hash(struct world *w) {
    leaf_of_head(w)->hash_high[1] ^= 1u << 25;
}
static void leaf_entry_tag(struct world *w) {
    struct leaf_shm *leaf = leaf_of_head(w);
    leaf_shm_tag(leaf, leaf->block.count)[1] ^= 1;
}
static void leaf_entry_kseq(struct world *w) {
    struct leaf_shm *leaf = leaf_of_head(w);
    leaf_shm_kseq(leaf, leaf->block.count)[1] += 5000;
}
static void leaf_entry_dead(struct world *w) {
    struct leaf_shm *leaf = leaf_of_head(w);
    leaf_shm_kseq(leaf, leaf->block.count)[1] = 0;
}
static void leaf_entry_end(struct world *w) {
    struct leaf_shm *leaf = leaf_of_head(w);
    leaf_shm_end(leaf, leaf->block.count)[1] = 0xffff;
}
static void leaf_entries(struct world *w) {
    leaf_of_head(w)->block.count = 0xffff;
}
static void leaf_prefix_bytes(struct world *w) {
    leaf_of_head(w)->block.key_bytes = 0xfff0;
}
static void leaf_partition(struct world *w) {
    leaf_of_head(w)->block.hash++;
}
static void leaf_key_bytes(struct world *w) {
    struct leaf_shm *leaf = leaf_of_head(w);
    leaf_shm_text(leaf, leaf->block.count)[leaf->block.key_bytes - 1] ^= 1;
}
static void leaf_next_circle(struct world *w) {
    leaf_of_head(w)->next = (uint64_t)((unsigned char *)head_node(w) - w->base);
}
static void leaf_next_nowhere(struct world *w) {
    leaf_of_head(w)->next = SEGMENT_BYTES - 8;
}
static void leaf_next_none(struct world *w) {
    leaf_of_head(w)->next = 0;
}
static void node_leaf(struct world *w) {
    head_node(w)->leaf = WORD_OFF(*slot_of(w, 0, 1));
}
static void node_height(struct world *w) {
    head_node(w)->block.height = 0xff;
}
static void node_height_one(struct world *w) {
    head_node(w)->block.height = 1;
}
static void node_key_bytes(struct world *w) {
    head_node(w)->block.key_bytes = 0xfff8;
}
static void node_tower(struct world *w) {
    tower_of(head_node(w))[0] = 0;
}
static void node_tower_nowhere(struct world *w) {
    tower_of(head_node(w))[0] = UINT64_C(1) << 60;
}
static void node_low_bound(struct world *w) {
    struct node_shm *second = at(w, leaf_of_head(w)->next);
    memset(second + 1, 0, (second->block.key_bytes + 7u) & ~7u);
}
static void partition_slot(struct world *w) {
    *slot_of(w, 1, 0) = 0;
}
static void partition_slot_nowhere(struct world *w) {
    *slot_of(w, 1, 0) = WORD_MAKE(WORD_TAG(*slot_of(w, 1, 0)), 8);
}
static void partition_count(struct world *w) {
    stripe_of(w, 1)->count += 2;
}
static void partition_index(struct world *w) {
    ((struct block_shm *)at(w, WORD_OFF(*slot_of(w, 1, 0))))->index = 77;
}
static void partition_array(struct world *w) {
    stripe_of(w, 1)->array = WORD_MAKE(3, w->head->data_off);
}
static void partition_lock_of_nobody(struct world *w) {
    stripe_of(w, 1)->lock = 0x7000;
}
static void span_bit_set(struct world *w) {
    struct span_shm *span = span_at(w, w->head->data_off + (uint64_t)(bin_of(w)->head - 1) * SPAN_BYTES);
    for (unsigned i = 0; i < 384; i++)
        if (!(span->bitmap[i / 64] >> i % 64 & 1)) {
            span->bitmap[i / 64] |= UINT64_C(1) << i % 64;
            span->used++;
            return;
        }
}
static void span_bit_cleared(struct world *w) {
    struct span_shm *span = span_at(w, WORD_OFF(*slot_of(w, 0, 5)));
    span->bitmap[0] &= span->bitmap[0] - 1;
    span->used--;
    span->is_listed = 1;
}
static void span_bit_beyond(struct world *w) {
    span_in(w, SPAN_SMALL)->bitmap[SPAN_BITMAP_WORDS - 1] |= UINT64_C(1) << 63;
}
static void span_used(struct world *w) {
    span_in(w, SPAN_SMALL)->used ^= 1;
}
static void span_class(struct world *w) {
    span_in(w, SPAN_SMALL)->class_index = 200;
}
/* Only classes of items: the first span of a class may have the table's definition, without which
 * nothing else is seen. One of them is where no block of the other class begins. */
static void span_class_other(struct world *w) {
    uint64_t last = 0;
    for (uint32_t i = 0; i < 40; i++) {
        uint64_t off = WORD_OFF(*slot_of(w, 0, i)), inside = (off - w->head->data_off) % SPAN_BYTES;
        if (off > last && inside > 0 && inside < 4000)
            last = off;
    }
    span_at(w, last)->class_index ^= 1;
}
static void span_arena(struct world *w) {
    span_in(w, SPAN_SMALL)->arena = 9;
}
static void span_listed(struct world *w) {
    span_in(w, SPAN_SMALL)->is_listed ^= 1;
}
static void span_state(struct world *w) {
    span_in(w, SPAN_FREE)->state = 44;
}
static void span_freed(struct world *w) {
    span_at(w, WORD_OFF(*slot_of(w, 0, 5)))->state = SPAN_FREE;
}
static void span_tail_alone(struct world *w) {
    span_in(w, SPAN_FREE)->state = SPAN_TAIL;
}
static void span_run_alone(struct world *w) {
    struct span_shm *span = span_in(w, SPAN_FREE);
    span->next = 1;
    span->state = SPAN_RUN;
}
static void run_longer(struct world *w) {
    span_in(w, SPAN_RUN)->next++;
}
static void run_endless(struct world *w) {
    span_in(w, SPAN_RUN)->next = 0xffffffff;
}
static void run_empty(struct world *w) {
    span_in(w, SPAN_RUN)->next = 0;
}
static void bin_list_lost(struct world *w) {
    bin_of(w)->head = 0;
}
static void bin_list_nowhere(struct world *w) {
    bin_of(w)->head = 0x7fffffff;
}
static void bin_list_circle(struct world *w) {
    struct span_shm *span = span_at(w, w->head->data_off + (uint64_t)(bin_of(w)->head - 1) * SPAN_BYTES);
    span->next = bin_of(w)->head;
}
static void bin_list_foreign(struct world *w) {
    struct bin_shm *first = bin_of(w), *second = first + 1;
    while (second->head == 0)
        second++;
    first->head = second->head;
}
static void span_hint_too_high(struct world *w) {
    w->head->span_hint = w->head->span_count;
}
static void span_lock_of_nobody(struct world *w) {
    w->head->span_lock = 0x7000;
}
static void bin_lock_of_nobody(struct world *w) {
    bin_of(w)->lock = 0x7000;
}
static void wheel_slot_nowhere(struct world *w) {
    *wheel_slot(w) = SEGMENT_BYTES - 16;
}
static void wheel_slot_lost(struct world *w) {
    *wheel_slot(w) = 0;
}
static void wheel_slot_moved(struct world *w) {
    shm_word *slot = wheel_slot(w);
    slot[1] = slot[0];
    slot[0] = 0;
}
static void wheel_chunk_fill(struct world *w) {
    chunk_of(w)->fill = UINT64_C(0x0000ffff0000ffff);
}
static void wheel_chunk_circle(struct world *w) {
    chunk_of(w)->next = *wheel_slot(w);
}
static void wheel_entry_second(struct world *w) {
    chunk_of(w)->entry[0][1] ^= 0x10;
}
static void wheel_entry_hash(struct world *w) {
    chunk_of(w)->entry[0][0] ^= 1;
}
static void wheel_now(struct world *w) {
    ((struct wheel_shard_shm *)at(w, w->head->shards_off))->now_s = UINT64_C(1) << 40;
}
static void wheel_lock_of_nobody(struct world *w) {
    ((struct wheel_shard_shm *)at(w, w->head->shards_off))->lock = 0x7000;
}
static void schema_byte(struct world *w) {
    ((unsigned char *)at(w, table_of(w)->schema_off))[50] ^= 1;
}
static void schema_length(struct world *w) {
    ((uint32_t *)at(w, table_of(w)->schema_off))[3] = 0xfffffff8; /* schema_head.bytes */
}
static void schema_nowhere(struct world *w) {
    table_of(w)->schema_off = SEGMENT_BYTES * UINT64_C(2);
}
static void schema_lost(struct world *w) {
    table_of(w)->schema_off = 0;
}
static void catalog_items_nowhere(struct world *w) {
    table_of(w)->items_off = SEGMENT_BYTES - 64;
}
static void catalog_items_shared(struct world *w) {
    table_of(w)->items_off = table_of(w)->partitions_off;
}
static void catalog_state(struct world *w) {
    table_of(w)->life = (table_of(w)->life & ~UINT64_C(0xff)) | TABLE_CREATING;
}
static void catalog_state_none(struct world *w) {
    table_of(w)->life |= 0x70;
}
static void catalog_freed(struct world *w) {
    table_of(w)->life = (table_of(w)->life & ~UINT64_C(0xff)) | TABLE_FREE;
}
static void writer_step(struct world *w) {
    free_slot(w)->step[1].word_off = 4096;
}
static void writer_hand(struct world *w) {
    free_slot(w)->hand[3] = WORD_OFF(*slot_of(w, 0, 5));
}
static void writer_op(struct world *w) {
    free_slot(w)->op = OP_TABLE_DROP;
}
static void writer_stripe(struct world *w) {
    free_slot(w)->op_stripe_off = 64;
}

static const struct damage {
    const char *name, *word; /* word: one of the messages holds it */
    void (*damage)(struct world *w);
    int is_writable_only; /* only an attachment that may take the lock sees that it cannot be had */
} damages[] = {
#define ROW(function, word)                                                                                            \
    { #function, word, function, 0 }
    ROW(slot_nowhere, "item"),
    ROW(slot_inside_a_block, "no block is handed out"),
    ROW(slot_of_another, "twice"),
    ROW(slot_emptied, "H2"),
    ROW(slot_tag, "H1"),
    ROW(stripe_count, "H2"),
    ROW(stripe_array_nowhere, "bucket array"),
    ROW(stripe_array_of_items, "bucket array"),
    ROW(stripe_array_longer, "bucket array"),
    ROW(stripe_array_forgotten, "H2"),
    ROW(stripe_lock_of_nobody, "stripe lock"),
    ROW(stripe_lock_of_a_free_slot, "stripe lock"),
    ROW(bucket_link_nowhere, "H3"),
    ROW(bucket_link_circle, "H3"),
    ROW(item_hash, "hash"),
    ROW(item_key, "hash"),
    ROW(item_length, "sane"),
    ROW(item_length_huge, "sane"),
    ROW(item_attributes, "sane"),
    ROW(item_key_lengths, "sane"),
    ROW(item_kseq, "N1"),
    ROW(item_kseq_none, "key sequence"),
    ROW(item_index_kseq, "N1"),
    ROW(item_index_ordinal, "sane"),
    ROW(item_indexes, "sane"),
    ROW(item_record, "sane"),
    ROW(item_expiry, "W5"),
    ROW(leaf_entry_hash, "N2"),
    ROW(leaf_entry_tag, "N2"),
    ROW(leaf_order, "N2"),
    ROW(leaf_entry_kseq, "N2"),
    ROW(leaf_entry_dead, "N1"),
    ROW(leaf_entry_end, "F4"),
    ROW(leaf_entries, "F4"),
    ROW(leaf_prefix_bytes, "F4"),
    ROW(leaf_partition, "F4"),
    ROW(leaf_key_bytes, "index "),
    ROW(leaf_next_circle, "twice"),
    ROW(leaf_next_nowhere, "B1"),
    ROW(leaf_next_none, "index "),
    ROW(node_leaf, "leaf"),
    ROW(node_height, "B4"),
    ROW(node_height_one, "B"),
    ROW(node_key_bytes, "B4"),
    ROW(node_tower, "B2"),
    ROW(node_tower_nowhere, "B2"),
    ROW(node_low_bound, "B1"),
    ROW(partition_slot, "H2"),
    ROW(partition_slot_nowhere, "B4"),
    ROW(partition_count, "H2"),
    ROW(partition_index, "B4"),
    ROW(partition_array, "bucket array"),
    ROW(partition_lock_of_nobody, "partition lock"),
    ROW(span_bit_set, "nothing refers"),
    ROW(span_bit_cleared, "no block is handed out"),
    ROW(span_bit_beyond, "block 383 of"),
    ROW(span_used, "counts"),
    ROW(span_class, "class 200"),
    ROW(span_class_other, "no block is handed out"),
    ROW(span_arena, "arena 9"),
    ROW(span_listed, "listed"),
    ROW(span_state, "state 44"),
    ROW(span_freed, "no block is handed out"),
    ROW(span_tail_alone, "tail of no run"),
    ROW(span_run_alone, "nothing refers"),
    ROW(run_longer, "belongs to the run"),
    ROW(run_endless, "run at span"),
    ROW(run_empty, "run at span"),
    ROW(bin_list_lost, "list"),
    ROW(bin_list_nowhere, "list"),
    ROW(bin_list_circle, "list"),
    ROW(bin_list_foreign, "list"),
    ROW(bin_lock_of_nobody, "bin lock"),
    ROW(span_lock_of_nobody, "span lock"),
    ROW(span_hint_too_high, "hint"),
    ROW(wheel_slot_nowhere, "timer chunk"),
    ROW(wheel_slot_lost, "W5"),
    ROW(wheel_slot_moved, "W2"),
    ROW(wheel_chunk_fill, "W1"),
    ROW(wheel_chunk_circle, "twice"),
    ROW(wheel_entry_second, "W"),
    ROW(wheel_entry_hash, "W5"),
    ROW(wheel_now, "second"),
    {"wheel_lock_of_nobody", "shard lock", wheel_lock_of_nobody, 1},
    ROW(schema_byte, "table 0"),
    ROW(schema_length, "table 0"),
    ROW(schema_nowhere, "definition"),
    ROW(schema_lost, "table 0"),
    ROW(catalog_items_nowhere, "stripes of items"),
    ROW(catalog_items_shared, "stripes of partitions"),
    ROW(catalog_state, "neither free nor ready"),
    ROW(catalog_state_none, "neither free nor ready"),
    ROW(catalog_freed, "nothing refers"),
    ROW(writer_step, "something open"),
    ROW(writer_hand, "something open"),
    ROW(writer_op, "something open"),
    ROW(writer_stripe, "something open"),
#undef ROW
};

static void expect_damage(struct world *w, const struct damage *d, uint32_t flags) {
    struct larder *db = attach(w, flags);
    struct larder_check_report report;
    struct notes notes = {.word = d->word};
    int r = larder_check(db, &(struct larder_check_options){.note = take_note, .arg = &notes}, &report);
    cr_expect_eq(r, LARDER_DAMAGED, "%s, flags %u: %s, %s", d->name, flags, larder_result_name(r), report.first_error);
    cr_expect(report.errors > 0 && notes.lines == report.errors, "%s: %lu errors, %lu lines", d->name, report.errors,
              notes.lines);
    cr_expect_str_eq(report.first_error, notes.first);
    cr_expect(notes.has_word, "%s: no \"%s\" in %lu lines, the first: %s", d->name, d->word, report.errors,
              notes.first);
    larder_close(db);
}

Test(check_damage, every_damage_is_reported) {
    int fd = make_segment();
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++)
        for (uint32_t read_only = 0; read_only < 2; read_only++) {
            struct world w;
            if (read_only && damages[i].is_writable_only)
                continue;
            copy_segment(fd, &w);
            damages[i].damage(&w);
            expect_damage(&w, &damages[i], read_only ? LARDER_READ_ONLY : 0);
            drop_copy(&w);
        }
    close(fd);
}

/* ---- No damage ------------------------------------------------------------------------------- */

/* The read-only check stores nothing: it works on a read-only mapping, and the bytes stay the
 * same. */
Test(check_damage, read_only_check_changes_nothing) {
    struct world w, before;
    int fd = make_segment();
    copy_segment(fd, &w);
    stripe_count(&w);
    copy_segment(w.fd, &before);
    struct larder *db = attach(&w, LARDER_READ_ONLY);
    struct larder_check_report report;
    EXPECT(larder_check(db, NULL, &report), LARDER_DAMAGED);
    cr_assert_eq(memcmp(w.base, before.base, SEGMENT_BYTES), 0);
    larder_close(db);
    drop_copy(&before);
    drop_copy(&w);
    close(fd);
}
