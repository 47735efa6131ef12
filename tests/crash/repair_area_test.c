/* tests/crash/repair_area_test.c - random damage, structure by structure, and anywhere.
 *
 * Goal     After larder_repair() of any damage the segment is clean, every item that was not
 *          damaged is there and is found by all paths, timers fire, and new writes work. It never
 *          crashes or hangs.
 * Method   Each structure of core/segment/layout.h and the like gets random damage, many times,
 *          with a bound for the items that may be lost by it. Most areas can be rebuilt from
 *          others, so their bound is 0. Then damage anywhere at random.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/item/item_records.h"
#include "core/segment/seg_layout.h"
#include "index/skl.h"
#include "larder.h"
#include "tests/crash/repair_kit.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "ttl/wheel.h"

/* Long runs die at every store. A hang happens in a child, and children have a deadline of their
 * own. */
TestSuite(repair_area, .timeout = 900 * SLOW_FACTOR);

/* ---- 1. Area by area ------------------------------------------------------------------------- */

struct range {
    void *at;
    size_t bytes;
};

/* An area picks the range that is damaged next. */
struct area {
    const char *name;
    struct range (*pick)(const struct copy *c, struct rng *rng);
    int lost_per_word; /* items that may be lost by a damaged 8-byte word, besides `lost` */
    int lost;
    int may_lose_tables, may_change_content, may_refuse;
};

static struct range pick_head_words(const struct copy *c, struct rng *rng) {
    struct seg_shm *h = c->head;
    const struct range words[] = {{(void *)&h->claimed_bytes, 8}, {(void *)&h->catalog_lock, 4},
                                  {(void *)&h->expirer_lock, 4},  {(void *)&h->gate_lock, 4},
                                  {(void *)&h->span_lock, 4},     {(void *)&h->span_hint, 4}};
    return words[rng_below(rng, sizeof words / sizeof *words)];
}
static struct range pick_slots(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){at(c, c->head->slots_off), c->head->slot_count * sizeof(struct slot_shm)};
}
static struct range pick_catalog(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){at(c, c->head->catalog_off), LARDER_TABLES_MAX * sizeof(struct table_shm)};
}
static struct range pick_entry(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){table_shm(c, 0), sizeof(struct table_shm)};
}
static struct range pick_unused_entries(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){table_shm(c, 2), (LARDER_TABLES_MAX - 2) * sizeof(struct table_shm)};
}
static struct range pick_definition(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){at(c, table_shm(c, 0)->schema_off), 200};
}
/* all but the array word */
static struct range pick_stripe_caches(const struct copy *c, struct rng *rng) {
    struct stripe_shm *stripe = &stripes_of(c, 0)[rng_below(rng, STRIPES)];
    return rng_is_one_in(rng, 2)
               ? (struct range){stripe, offsetof(struct stripe_shm, array)}
               : (struct range){(void *)&stripe->writes, sizeof *stripe - offsetof(struct stripe_shm, writes)};
}
/* the bucket count in the array's word */
static struct range pick_array_size(const struct copy *c, struct rng *rng) {
    return (struct range){(uint8_t *)&stripes_of(c, 0)[rng_below(rng, STRIPES)].array + 6, 2};
}
static struct range pick_array_word(const struct copy *c, struct rng *rng) {
    return (struct range){(void *)&stripes_of(c, 0)[rng_below(rng, STRIPES)].array, 8};
}
static struct range pick_array(const struct copy *c, struct rng *rng) {
    const struct stripe_shm *stripe = &stripes_of(c, 0)[rng_below(rng, STRIPES)];
    return (struct range){at(c, WORD_OFF(stripe->array)), lines_of(stripe) * sizeof(struct bucket_shm)};
}
static struct range pick_link(const struct copy *c, struct rng *rng) {
    const struct stripe_shm *stripe = &stripes_of(c, 0)[rng_below(rng, STRIPES)];
    struct bucket_shm *array = at(c, WORD_OFF(stripe->array));
    return (struct range){(void *)&array[rng_below(rng, lines_of(stripe))].link, 8};
}
static struct range pick_slot_tag(const struct copy *c, struct rng *rng) {
    return (struct range){(uint8_t *)slot_of(c, 0, (uint32_t)rng_below(rng, ITEMS)) + 6, 2};
}
static struct range pick_item_head(const struct copy *c, struct rng *rng) {
    return (struct range){item_of(c, (uint32_t)rng_below(rng, ITEMS)), sizeof(struct item_head)};
}
/* version, expiry, timer, key sequence */
static struct range pick_item_stamps(const struct copy *c, struct rng *rng) {
    struct item_head *h = item_of(c, (uint32_t)rng_below(rng, ITEMS));
    struct item_timed *timed = item_timed_at(h, h);
    const struct range words[] = {{&h->version, 12}, {(uint8_t *)&h->ddb_ttl + 3, 1}, {timed, sizeof *timed}};
    return words[rng_below(rng, timed ? 3 : 2)];
}
static struct range pick_item_kseq(const struct copy *c, struct rng *rng) {
    struct item_head *h = item_of(c, (uint32_t)rng_below(rng, ITEMS));
    return (struct range){&item_index_slots(h)[rng_below(rng, 3)].kseq, 4};
}
static struct range pick_item_key(const struct copy *c, struct rng *rng) {
    struct item_head *h = item_of(c, (uint32_t)rng_below(rng, ITEMS));
    return (struct range){item_key_area(h), item_key_area_bytes(h)};
}
static struct range pick_item(const struct copy *c, struct rng *rng) {
    struct item_head *h = item_of(c, (uint32_t)rng_below(rng, ITEMS));
    return (struct range){h, h->bytes};
}
static struct range pick_partition_stripes(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){stripes_of(c, 1), STRIPES * sizeof(struct stripe_shm)};
}
static struct range pick_partition_array(const struct copy *c, struct rng *rng) {
    const struct stripe_shm *stripe = &stripes_of(c, 1)[rng_below(rng, STRIPES)];
    return (struct range){at(c, WORD_OFF(stripe->array)), lines_of(stripe) * sizeof(struct bucket_shm)};
}
/* A leaf or head node. */
static struct range pick_list(const struct copy *c, struct rng *rng) {
    shm_word *slot;
    do
        slot = slot_of(c, 1, (uint32_t)rng_below(rng, 500));
    while (!slot);
    return (struct range){at(c, WORD_OFF(*slot)), 48};
}
/* A node or leaf of a long list. */
static struct range pick_node(const struct copy *c, struct rng *rng) {
    for (;;) {
        struct node_shm *node = pick_list(c, rng).at;
        if (node->block.kind != BLOCK_NODE)
            continue;
        for (uint64_t hops = rng_below(rng, 5); hops > 0; hops--) {
            const struct leaf_shm *leaf = at(c, node->leaf);
            if (leaf->next)
                node = at(c, leaf->next);
        }
        struct leaf_shm *leaf = at(c, node->leaf);
        return rng_is_one_in(rng, 2) ? (struct range){node, 56}
                                     : (struct range){leaf, sizeof *leaf + leaf->block.count * LEAF_ENTRY_BYTES};
    }
}
static struct range pick_wheel(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){at(c, c->head->shards_off), c->head->shard_count * sizeof(struct wheel_shard_shm)};
}
static struct range pick_wheel_lock(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){at(c, c->head->shards_off), 24};
}
static struct range pick_chunk(const struct copy *c, struct rng *rng) {
    const struct wheel_shard_shm *shard = at(c, c->head->shards_off);
    for (;;) {
        uint64_t off = shard->slot[rng_below(rng, WHEEL_LEVELS)][rng_below(rng, WHEEL_SLOTS)];
        if (off)
            return (struct range){at(c, off), 80};
    }
}
static struct range pick_spans(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){spans_of(c), claimed_spans(c) * sizeof(struct span_shm)};
}
static struct range pick_spans_beyond(const struct copy *c, struct rng *rng) {
    (void)rng;
    uint32_t claimed = claimed_spans(c);
    return (struct range){spans_of(c) + claimed, (c->head->span_count - claimed) * sizeof(struct span_shm)};
}
static struct range pick_bins(const struct copy *c, struct rng *rng) {
    (void)rng;
    return (struct range){at(c, c->head->bins_off), c->head->arena_count * CLASS_COUNT * sizeof(struct bin_shm)};
}

static const struct area areas[] = {
    {"head words", pick_head_words, 0, 0, 0, 0, 0},
    {"slots", pick_slots, 0, 0, 0, 0, 0},
    {"catalog", pick_catalog, 0, ITEMS, 1, 0, 0},
    {"catalog entry", pick_entry, 0, ITEMS, 1, 0, 0},
    {"unused catalog entries", pick_unused_entries, 0, 0, 0, 0, 0},
    {"definition", pick_definition, 0, ITEMS, 1, 0, 0},
    {"stripe caches", pick_stripe_caches, 0, 0, 0, 0, 0},
    {"array size", pick_array_size, 0, 0, 0, 0, 0},
    {"array word", pick_array_word, 0, STRIPE_ITEMS, 0, 0, 0},
    {"array", pick_array, 1, 0, 0, 0, 0},
    {"bucket link", pick_link, 0, 0, 0, 0, 0},
    {"slot tag", pick_slot_tag, 0, 0, 0, 0, 0},
    {"item head", pick_item_head, 0, 1, 0, 0, 0},
    {"item stamps", pick_item_stamps, 0, 0, 0, 0, 0},
    {"item key sequence", pick_item_kseq, 0, 0, 0, 0, 0},
    {"item key", pick_item_key, 0, 1, 0, 0, 0},
    {"item", pick_item, 0, 1, 0, 1, 0},
    {"partition stripes", pick_partition_stripes, 0, 0, 0, 0, 0},
    {"partition array", pick_partition_array, 0, 0, 0, 0, 0},
    {"list", pick_list, 0, 0, 0, 0, 0},
    {"node", pick_node, 0, 0, 0, 0, 0},
    {"wheel", pick_wheel, 0, 0, 0, 0, 0},
    {"wheel lock and time", pick_wheel_lock, 0, 0, 0, 0, 0},
    {"timer chunk", pick_chunk, 0, 0, 0, 0, 0},
    {"spans", pick_spans, 0, 0, 0, 0, 0},
    {"spans beyond", pick_spans_beyond, 0, 0, 0, 0, 0},
    {"bins", pick_bins, 0, 0, 0, 0, 0},
};

/* Damages some bytes of a range; returns the 8-byte words that may have changed. */
static int damage(struct range range, struct rng *rng) {
    uint8_t *to = range.at;
    size_t bytes = (size_t)8 << rng_below(rng, 10), from; /* 8 to 4096 */
    if (rng_is_one_in(rng, 3)) {
        to[rng_below(rng, range.bytes)] ^= (uint8_t)(1u << rng_below(rng, 8));
        return 1;
    }
    if (bytes > range.bytes)
        bytes = range.bytes;
    from = (size_t)rng_below(rng, range.bytes - bytes + 1);
    if (rng_is_one_in(rng, 2))
        rng_bytes(rng, to + from, bytes);
    else
        memset(to + from, rng_is_one_in(rng, 2) ? 0 : 0xff, bytes);
    return (int)(bytes / 8 + 2);
}

/* What a range was, to say what was done to it. */
static void show_damage(const struct copy *c, struct range range, const uint8_t *before) {
    for (size_t i = 0; i < range.bytes && getenv("REPAIR_TEST_NOTES"); i++)
        if (((uint8_t *)range.at)[i] != before[i])
            fprintf(stderr, "  byte %zu at %zu: %02x -> %02x\n", i, (size_t)((uint8_t *)range.at - c->base) + i,
                    before[i], ((uint8_t *)range.at)[i]);
}

static void try_area(int fd, const struct area *area, uint64_t seed) {
    struct copy c = copy_of(fd, ITEMS);
    struct rng rng;
    rng_seed(&rng, seed);
    struct range range = area->pick(&c, &rng);
    uint8_t *before = malloc(range.bytes);
    memcpy(before, range.at, range.bytes);
    int words = damage(range, &rng);
    show_damage(&c, range, before);
    free(before);
    struct trial trial = {.copy = &c,
                          .lost_max = area->lost + words * area->lost_per_word,
                          .may_lose_tables = area->may_lose_tables,
                          .may_change_content = area->may_change_content,
                          .may_refuse = area->may_refuse,
                          .is_told = !area->may_lose_tables};
    judge(&trial, area->name, seed);
    drop_copy(&c);
}

Test(repair_area, every_structure) {
    uint64_t seed = rng_test_seed("repair areas");
    int fd = make_segment(ITEMS), rounds = is_long() ? 100 : SLOW_FACTOR > 1 ? 4 : 10;
    const char *only = getenv("REPAIR_TEST_AREA");
    for (size_t i = 0; i < sizeof areas / sizeof *areas; i++)
        for (int round = 0; round < rounds; round++)
            if (!only || strcmp(only, areas[i].name) == 0)
                try_area(fd, &areas[i], seed + (uint64_t)round);
    close(fd);
}

/* ---- 3. Anywhere ----------------------------------------------------------------------------- */

Test(repair_area, random_damage) {
    uint64_t seed = rng_test_seed("repair random");
    int fd = make_segment(ITEMS), rounds = is_long() ? 3000 : SLOW_FACTOR > 1 ? 60 : 250;
    for (int round = 0; round < rounds; round++) {
        struct copy c = copy_of(fd, ITEMS);
        struct rng rng;
        rng_seed(&rng, seed + (uint64_t)round);
        /* repair does not mend the geometry */
        for (uint64_t hits = 1 + rng_below(&rng, 12); hits > 0; hits--)
            damage((struct range){c.base + sizeof *c.head, c.head->claimed_bytes - sizeof *c.head}, &rng);
        struct trial trial = {
            .copy = &c, .lost_max = ITEMS, .may_lose_tables = 1, .may_change_content = 1, .may_refuse = 0};
        judge(&trial, "random", seed + (uint64_t)round);
        drop_copy(&c);
    }
    close(fd);
}
