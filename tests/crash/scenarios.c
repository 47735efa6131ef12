/* tests/crash/scenarios.c - see scenarios.h. */
#include "tests/crash/scenarios.h"
#include "core/base/crash.h"
#include "core/memory/heap.h"
#include "core/memory/slot_map.h"
#include "core/table/db.h"
#include "core/table/trim.h"
#include "index/leaf.h"
#include "tests/crash/dead_timers.h"
#include "tests/crash/evicting.h"
#include "tests/crash/indexing.h"
#include "tests/crash/leaving.h"
#include "tests/crash/moving.h"
#include "tests/crash/transacting.h"
#include "tests/crash/world.h"
#include "tests/support/proc.h"
#include "tests/support/until.h"
#include "ttl/wheel.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern _Atomic uint32_t empty_test_piece; /* core/table/table_empty.c */

#define DEADLINE_MS 30000
#define ALL_KEYS 1111

/* Acts run in children, too, where cr_assert() must not be used. */
static void must(int is_true) {
    if (is_true)
        return;
    fprintf(stderr, "scenario: %s\n", larder_error());
    abort();
}

/* ---- Worlds ---------------------------------------------------------------------------------- */

static void some_items(struct larder *db) {
    for (int n = 0; n < 12; n++)
        world_put(db, n, ALL_KEYS, 40, 0);
}
static void one_item(struct larder *db) {
    world_put(db, 7, ALL_KEYS, 40, 0);
}
static void many_items(struct larder *db) {
    for (int n = 0; n < 60; n++)
        world_put(db, n, n % 3 ? ALL_KEYS : 10, 8, 0);
}
static void large_items(struct larder *db) { /* four to a span */
    for (int n = 0; n < 12; n++)
        world_put(db, n, 0, 3000, 0);
}
static void expiring_items(struct larder *db) {
    for (int n = 0; n < 4; n++)
        world_put(db, n, ALL_KEYS, 40, world_now_s + 300);
    for (int n = 4; n < 10; n++)
        world_put(db, n, ALL_KEYS, 40, 0);
    for (int n = 30; n < 33; n++)
        world_put(db, n, ALL_KEYS, 40, world_now_s + 2);
}

/* ---- Items ----------------------------------------------------------------------------------- */

static void touch(struct larder *db, int step) { /* a call that takes a slot and a stripe */
    (void)step;
    world_delete(db, 100);
}
static void put_50(struct larder *db, int step) {
    world_put(db, 50 + step, ALL_KEYS, 40, 0);
}
static void put_50_without_index(struct larder *db, int step) {
    (void)step;
    world_put(db, 50, 0, 40, 0);
}
static void put_7(struct larder *db, int keys, unsigned fill) {
    world_put(db, 7, keys, fill, 0);
}
static void act_overwrite_same(struct larder *db, int step) {
    (void)step;
    put_7(db, ALL_KEYS, 40);
}
static void act_overwrite_larger(struct larder *db, int step) {
    (void)step;
    put_7(db, ALL_KEYS, 700);
}
static void act_overwrite_smaller(struct larder *db, int step) {
    (void)step;
    put_7(db, ALL_KEYS, 0);
}
static void act_change_no_key(struct larder *db, int step) {
    (void)step;
    put_7(db, ALL_KEYS, 41);
}
static void act_change_1_key(struct larder *db, int step) {
    (void)step;
    put_7(db, 1113, 40);
}
static void act_change_2_keys(struct larder *db, int step) {
    (void)step;
    put_7(db, 1133, 40);
}
static void act_change_3_keys(struct larder *db, int step) {
    (void)step;
    put_7(db, 1333, 40);
}
static void act_change_4_keys(struct larder *db, int step) {
    (void)step;
    put_7(db, 3333, 40);
}
static void act_change_partition(struct larder *db, int step) {
    (void)step;
    put_7(db, 1112, 40);
}
static void act_leave_indexes(struct larder *db, int step) {
    (void)step;
    put_7(db, 0, 40);
}
static void item_without_index(struct larder *db) {
    some_items(db);
    put_7(db, 0, 40);
}
static void item_of_its_own(struct larder *db) { /* in a partition of its own */
    some_items(db);
    put_7(db, 9000, 40);
}
static void act_put_if(struct larder *db, int step) {
    (void)step;
    must(world_put_if(db, 7, 1113, 41, 0) == LARDER_OK);
}
static void act_put_if_refused(struct larder *db, int step) {
    (void)step;
    must(world_put_if(db, 7, 1113, 41, 1) == LARDER_CHANGED);
}
static void act_increment(struct larder *db, int step) {
    (void)step;
    world_increment(db, 7, "keys", 1000000); /* a longer one */
}
static void act_increment_key(struct larder *db, int step) {
    (void)step;
    world_increment(db, 7, "G2S", 5);
}
static void act_update(struct larder *db, int step) { /* within the table, and in two indexes */
    (void)step;
    must(world_update(db, 7, "SET G1P = :v, fresh = :v REMOVE G2P", "attribute_exists(SK)", "moved") == LARDER_OK);
}
static void act_update_new(struct larder *db, int step) {
    (void)step;
    must(world_update(db, 50, "SET G1P = :v", "attribute_not_exists(SK)", "made") == LARDER_OK);
}
static void act_update_refused(struct larder *db, int step) {
    (void)step;
    must(world_update(db, 7, "SET fresh = :v", "begins_with(SK, :v)", "other") == LARDER_REFUSED);
}
static void act_increment_new(struct larder *db, int step) {
    (void)step;
    world_increment(db, 50, "keys", 1);
}
static void delete_7(struct larder *db, int step) {
    (void)step;
    must(world_delete(db, 7) == LARDER_OK);
}
/* What one worker does in a row; each step is acknowledged before the next. */
static void act_several_writes(struct larder *db, int step) {
    switch (step) {
    case 0:
        world_put(db, 50, ALL_KEYS, 40, 0);
        break;
    case 1:
        world_put(db, 50, 1123, 60, world_now_s + 50);
        break;
    case 2:
        world_delete(db, 3);
        break;
    case 3:
        world_put(db, 3, 2222, 10, 0);
        break;
    case 4:
        world_delete(db, 50);
        break;
    default:
        world_put(db, 51, 0, 10, 0);
    }
}

static int one_more(const struct facts *a, const struct facts *b) {
    return b->items == a->items + 1;
}
static int one_less(const struct facts *a, const struct facts *b) {
    return b->items + 1 == a->items;
}
static int as_many(const struct facts *a, const struct facts *b) {
    return b->items == a->items && a->items > 0;
}

/* Every slot but that of this handle belonged to a dead process. The second process that comes must
 * recover one to get one. */
static void no_free_slot(struct larder *db) {
    some_items(db);
    for (uint32_t i = 0; i < db->seg.slot_count; i++)
        if (seg_slot(&db->seg, i)->state == SLOT_FREE)
            seg_slot(&db->seg, i)->state = SLOT_LIVE;
}
/* At the end of each call the slot goes back: it is one that must not be kept, or another thread
 * waits for it. */
static void act_give_back(struct larder *db, int step) {
    touch(db, step);
    db->writers.kept_slots = 0;
    touch(db, step); /* one that was kept */
    touch(db, step); /* one that is taken for the call */
    slot_bell_listen(&db->seg, 0);
    db->writers.kept_slots = db->seg.slot_count;
    touch(db, step);
}
static int slot_given_back(const struct facts *a, const struct facts *b) {
    return as_many(a, b) && b->slots == 0;
}
static int slots_were_dead(const struct facts *a, const struct facts *b) {
    return as_many(a, b) && a->slots > 50;
}

/* ---- Structures ------------------------------------------------------------------------------ */

static void put_more(struct larder *db, int step) {
    world_put(db, 60 + step, ALL_KEYS, 8, 0);
}
static void put_plain(struct larder *db, int step) {
    world_put(db, 60 + step, 0, 8, 0);
}
static void put_in_small_partition(struct larder *db, int step) {
    world_put(db, 60 + step, 9000, 8, 0);
}
static void delete_up(struct larder *db, int step) {
    must(world_delete(db, step) == LARDER_OK);
}
static int items_grew(const struct facts *a, const struct facts *b) {
    return one_more(a, b) && a->item_buckets > 0 && b->item_buckets > a->item_buckets;
}
static int partitions_grew(const struct facts *a, const struct facts *b) {
    return one_more(a, b) && a->partition_buckets > 1 && b->partition_buckets > a->partition_buckets;
}
static int partition_opened(const struct facts *a, const struct facts *b) {
    return one_more(a, b) && b->partitions > a->partitions && b->partition_buckets == a->partition_buckets;
}
static int partition_closed(const struct facts *a, const struct facts *b) {
    return one_less(a, b) && b->partitions < a->partitions && b->items > 0;
}
static int first_was_split(const struct facts *a, const struct facts *b) {
    return one_more(a, b) && b->lists > a->lists && b->nodes > a->nodes;
}
static int leaf_was_split(const struct facts *a, const struct facts *b) {
    return one_more(a, b) && b->lists == a->lists && b->nodes > a->nodes;
}
static int tall_was_made(const struct facts *a, const struct facts *b) {
    return leaf_was_split(a, b) && b->tall_nodes > a->tall_nodes;
}

/* ---- Spans ----------------------------------------------------------------------------------- */

static void put_large(struct larder *db, int step) {
    world_put(db, 20 + step, 0, 3000, 0);
}
static void put_span(struct larder *db, int step) { /* a block of one span */
    world_put(db, 20 + step, 0, 8300, 0);
}
static void put_huge(struct larder *db, int step) { /* of two */
    world_put(db, 20 + step, 0, 16500, 0);
}
static void small_and_huge(struct larder *db) {
    one_item(db);
    put_huge(db, 0);
}
static void delete_huge(struct larder *db, int step) {
    must(world_delete(db, 20 + step) == LARDER_OK);
}
static int span_taken(const struct facts *a, const struct facts *b) {
    return one_more(a, b) && b->spans > a->spans && b->runs == a->runs;
}
static int span_returned(const struct facts *a, const struct facts *b) {
    return one_less(a, b) && b->spans < a->spans && b->runs == a->runs;
}
static int run_taken(const struct facts *a, const struct facts *b) {
    return one_more(a, b) && b->runs == a->runs + 1;
}
static int run_returned(const struct facts *a, const struct facts *b) {
    return one_less(a, b) && b->runs + 1 == a->runs;
}
/* Between two free runs, so that three become one. */
static void runs_in_a_row(struct larder *db) {
    one_item(db);
    for (int n = 0; n < 4; n++)
        put_huge(db, n);
    delete_huge(db, 0);
    delete_huge(db, 2);
}
static void delete_between(struct larder *db, int step) {
    (void)step;
    delete_huge(db, 1);
}
static int runs_joined(const struct facts *a, const struct facts *b) {
    return one_less(a, b) && b->free_runs + 1 == a->free_runs;
}
/* What two sizes leave when they go: a bin keeps an empty span of each. */
static void kept_spans(struct larder *db) {
    some_items(db);
    put_large(db, 0);
    world_put(db, 22, 0, 5000, 0);
    must(world_delete(db, 20) == LARDER_OK && world_delete(db, 22) == LARDER_OK);
}
static void act_trim_spans(struct larder *db, int step) {
    struct writer *w;
    (void)step;
    must(writer_borrow(db, &w) == LARDER_OK && heap_trim(w) > 1);
    writer_end(w);
}
static int spans_trimmed(const struct facts *a, const struct facts *b) {
    return as_many(a, b) && b->spans + 1 < a->spans && b->used_bytes == a->used_bytes;
}
static void act_trim_arrays(struct larder *db, int step) {
    struct writer *w;
    (void)step;
    must(writer_borrow(db, &w) == LARDER_OK && table_trim(w) > 0);
    writer_end(w);
}
static void many_plain(struct larder *db) {
    for (int n = 0; n < 200; n++)
        world_put(db, n, 0, 0, 0);
}
/* So few that they are a small part of what their arrays have room for. */
static void few_of_many(struct larder *db) {
    many_plain(db);
    for (int n = 4; n < 200; n++)
        must(world_delete(db, n) == LARDER_OK);
}
/* a small array stays with its stripe, also when that is empty */
static void one_stays(struct larder *db) {
    some_items(db);
    for (int n = 1; n < 12; n++)
        must(world_delete(db, n) == LARDER_OK);
}
static int arrays_trimmed(const struct facts *a, const struct facts *b) {
    return as_many(a, b) && b->item_buckets < a->item_buckets;
}
static int array_cleared(const struct facts *a, const struct facts *b) {
    return one_less(a, b) && b->item_buckets < a->item_buckets;
}
static int has_no_spare_left(const struct larder *db) {
    const struct table_shm *table = seg_table(&db->seg, 0);
    const struct stripe_shm *stripes = (const struct stripe_shm *)(db->seg.base + table->items_off);
    for (uint32_t i = 0; i < db->seg.stripe_count; i++)
        if (WORD_TAG(stripes[i].array) > 12 && stripes[i].spares_used == WORD_TAG(stripes[i].array) / 8 + 1u)
            return 1;
    return 0;
}
/* All spares of an array are linked, and most of what is in it is gone. */
static void long_chains(struct larder *db) {
    int count = 0;
    while (count < 200 && !has_no_spare_left(db))
        world_put(db, count++, 0, 0, 0);
    for (int n = 0; n < count; n++)
        if (n % 3 == 0)
            must(world_delete(db, n) == LARDER_OK);
}
static void put_from_above(struct larder *db, int step) {
    world_put(db, step < 40 ? 239 - step : (step - 40) * 3, 0, 0, 0);
}
static int chain_cut(const struct facts *a, const struct facts *b) {
    return one_more(a, b) && b->item_buckets == a->item_buckets && b->item_links == a->item_links &&
           b->item_link_sum != a->item_link_sum;
}
static int memory_claimed(const struct facts *a, const struct facts *b) {
    return one_more(a, b) && b->claimed_bytes > a->claimed_bytes;
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void put_expiring(struct larder *db, int step) {
    world_put(db, 60 + step, ALL_KEYS, 40, world_now_s + 400);
}
static void put_sooner(struct larder *db, int step) {
    (void)step;
    world_put(db, 2, ALL_KEYS, 40, world_now_s + 20);
}
static void act_expire(struct larder *db, int step) { /* a bound leaves the purge out */
    (void)step;
    must(larder_expire(db, 100, NULL) == LARDER_OK);
}
static void act_purge(struct larder *db, int step) {
    (void)step;
    must(larder_expire(db, 0, NULL) == LARDER_OK);
}
static void moved_expiry(struct larder *db) {
    expiring_items(db);
    world_put(db, 30, ALL_KEYS, 40, world_now_s + 1000);
    world_delete(db, 31);
    world_delete(db, 32);
}
static void far_expiry(struct larder *db) {
    for (int n = 0; n < 3; n++)
        world_put(db, n, ALL_KEYS, 40, world_now_s + 300 + n);
}
/* The heap says that it is full after some blocks, until room was made (core/table/make_room.c). */
extern _Atomic int64_t heap_test_takes_left;
/* the one that it replaces has expired */
static void act_make_room_here(struct larder *db, int step) {
    (void)step;
    heap_test_takes_left = 0;
    world_put(db, 30, ALL_KEYS, 40, world_now_s + 400);
    heap_test_takes_left = -1;
}
/* The last store of a turn is that of the purge. Then the thread sleeps, so the number of stores is
 * always the same. */
static void act_expirer_thread(struct larder *db, int step) {
    (void)step;
    must(larder_expirer_start(db) == LARDER_OK);
    must(UNTIL((int64_t)(SHM_LOAD(&wheel_shard(&db->seg, 0)->purge) >> 32) == world_now_s, DEADLINE_MS));
    larder_expirer_stop(db);
}
/* in a chunk that has room */
static int timer_armed(const struct facts *a, const struct facts *b) {
    return one_more(a, b) && b->timers == a->timers + 1 && b->chunks == a->chunks;
}
static int chunk_added(const struct facts *a, const struct facts *b) {
    return one_more(a, b) && b->timers == a->timers + 1 && b->chunks == a->chunks + 1 && a->chunks > 0;
}
static int timer_rearmed(const struct facts *a, const struct facts *b) {
    return as_many(a, b) && b->timers == a->timers + 1;
}
static int three_expired(const struct facts *a, const struct facts *b) {
    return b->items + 3 == a->items && b->timers + 3 == a->timers;
}
static int three_made_room(const struct facts *a, const struct facts *b) {
    return three_expired(a, b) && b->tables == a->tables + 1;
}
/* Goes with others of its bucket that have expired. No timer is looked at. */
static int bucket_made_room(const struct facts *a, const struct facts *b) {
    return b->items <= a->items && b->items + 2 >= a->items && b->timers == a->timers + 1;
}
/* Timers of deleted items go; that of the moved item goes where it belongs. */
static int timer_moved(const struct facts *a, const struct facts *b) {
    return as_many(a, b) && b->timers == a->timers - 2 && b->timers > 0;
}
static int wheel_turned(const struct facts *a, const struct facts *b) {
    return as_many(a, b) && b->timers == a->timers && b->near_timers > a->near_timers;
}

/* ---- Tables ---------------------------------------------------------------------------------- */

static void act_create_table(struct larder *db, int step) {
    (void)step;
    struct larder_table_def def = {.name = "Second", .partition = {"id", LARDER_S}};
    must(larder_table_create(db, &def) == LARDER_OK);
}
/* at the second stripe array: the first goes back */
static void act_make_room(struct larder *db, int step) {
    heap_test_takes_left = 1;
    act_create_table(db, step);
    heap_test_takes_left = -1;
}
static void dropped_second(struct larder *db) {
    some_items(db);
    act_create_table(db, 0);
    must(larder_table_drop(db, "Second") == LARDER_OK);
    must(larder_expire(db, 0, NULL) == LARDER_OK);
}
/* its contents stay for now: see act_empty */
static void act_drop_table(struct larder *db, int step) {
    (void)step;
    must(larder_table_drop(db, WORLD_TABLE) == LARDER_OK);
}
static void few_items(struct larder *db) {
    for (int n = 0; n < 7; n++)
        world_put(db, n, ALL_KEYS, 10, n < 2 ? world_now_s + 300 : 0);
}
static void dropped_table(struct larder *db) {
    few_items(db);
    act_drop_table(db, 0);
}
/* and a free entry has stripes */
static void dropped_beside_free(struct larder *db) {
    act_create_table(db, 0);
    must(larder_table_drop(db, "Second") == LARDER_OK);
    must(larder_expire(db, 0, NULL) == LARDER_OK);
    dropped_table(db);
}
static void act_set_settings(struct larder *db, int step) {
    (void)step;
    char settings[300];
    memset(settings, 's', sizeof settings);
    settings[sizeof settings - 1] = 0;
    struct larder_table *t;
    must(larder_table_open(db, WORLD_TABLE, &t) == LARDER_OK);
    must(larder_settings_set(t, NULL, settings, sizeof settings) == LARDER_OK);
}
static void act_change_ttl(struct larder *db, int step) {
    (void)step;
    struct larder_table *t;
    must(larder_table_open(db, WORLD_TABLE, &t) == LARDER_OK && larder_ttl_set(t, "keys") == LARDER_OK);
}
static void act_set_removal(struct larder *db, int step) {
    (void)step;
    struct larder_table *t;
    must(larder_table_open(db, WORLD_TABLE, &t) == LARDER_OK);
    must(larder_removal_set(t, LARDER_REMOVAL_RETAIN) == LARDER_OK);
}

/* A child does it and dies at store k. What it leaves is the world of the next scenario. */
struct dying {
    struct larder *db;
    void (*act)(struct larder *db, int step);
    uint64_t k;
};
static int act_and_die(void *arg) {
    const struct dying *dying = arg;
    struct larder *db = world_open(larder_memfd(dying->db));
    shm_crash_arm(dying->k);
    dying->act(db, 0);
    return 0;
}
static void leave_half_done(struct larder *db, void (*act)(struct larder *db, int step), uint64_t k) {
    struct dying dying = {db, act, k};
    cr_assert(proc_is_signal(proc_run(act_and_die, &dying, DEADLINE_MS), SIGKILL));
}
static void half_restamped(struct larder *db) {
    few_items(db);
    leave_half_done(db, act_change_ttl, 200);
}
/* in many pieces; a bound leaves the purge out */
static void act_empty(struct larder *db, int step) {
    int r;
    (void)step;
    empty_test_piece = 5;
    while ((r = larder_expire(db, 100, NULL)) == LARDER_MORE)
        ;
    must(r == LARDER_OK);
}
static void half_dropped(struct larder *db) {
    dropped_table(db);
    leave_half_done(db, act_empty, 150);
}

static int table_created(const struct facts *a, const struct facts *b) {
    return b->tables == a->tables + 1 && b->stripe_bytes > a->stripe_bytes;
}
static int table_created_again(const struct facts *a, const struct facts *b) {
    return b->tables == a->tables + 1 && b->stripe_bytes == a->stripe_bytes;
}
static int table_dropped(const struct facts *a, const struct facts *b) {
    return a->tables == 1 && b->tables == 0 && b->drops == 1;
}
static int table_emptied(const struct facts *a, const struct facts *b) {
    return a->drops == 1 && b->drops == 0 && b->used_bytes < a->used_bytes;
}
static int table_created_beside(const struct facts *a, const struct facts *b) {
    return b->tables == a->tables + 1 && a->drops == 1 && b->drops == 1;
}
/* The dropped table is emptied first, and the new one has its stripes. */
static int table_created_after(const struct facts *a, const struct facts *b) {
    return table_created_again(a, b) && a->drops == 1 && b->drops == 0;
}
static int timers_purged(const struct facts *a, const struct facts *b) {
    return a->timers > 0 && b->timers == 0;
}
/* The dead slot is free again, the table gone. */
static int drop_resumed(const struct facts *a, const struct facts *b) {
    return a->slots == 1 && b->slots == 0 && table_emptied(a, b);
}
static int index_added(const struct facts *a, const struct facts *b) {
    return as_many(a, b) && b->partitions > a->partitions;
}
static int index_dropped(const struct facts *a, const struct facts *b) {
    return as_many(a, b) && b->partitions < a->partitions;
}
static int restamped(const struct facts *a, const struct facts *b) {
    return as_many(a, b) && a->restamps == 1 && b->restamps == 0 && a->slots == 1 && b->slots == 0;
}

/* ---- The list -------------------------------------------------------------------------------- */

const struct scenario scenarios[] = {
    {"attach_detach", some_items, touch, as_many, .is_unseen = 1},
    {"recover_a_slot", no_free_slot, touch, slots_were_dead, .is_unseen = 1},
    {"give_back_slot", some_items, act_give_back, slot_given_back, .is_unseen = 1},
    {"put_into_empty", NULL, put_50, one_more},
    {"put_new", some_items, put_50, one_more},
    {"put_without_index", some_items, put_50_without_index, one_more},
    {"overwrite_same", some_items, act_overwrite_same, as_many, .is_unseen = 1},
    {"overwrite_larger", some_items, act_overwrite_larger, as_many},
    {"overwrite_smaller", some_items, act_overwrite_smaller, as_many},
    {"change_no_key", some_items, act_change_no_key, as_many},
    {"change_1_key", some_items, act_change_1_key, as_many},
    {"change_2_keys", some_items, act_change_2_keys, as_many},
    {"change_3_keys", some_items, act_change_3_keys, as_many},
    {"change_4_keys", some_items, act_change_4_keys, as_many},
    {"change_partition", some_items, act_change_partition, as_many},
    {"leave_indexes", some_items, act_leave_indexes, as_many},
    {"join_indexes", item_without_index, act_overwrite_same, as_many},
    {"put_if", some_items, act_put_if, as_many},
    {"put_if_refused", some_items, act_put_if_refused, as_many, .is_unseen = 1},
    {"increment", some_items, act_increment, as_many},
    {"increment_key", some_items, act_increment_key, as_many},
    {"increment_new", some_items, act_increment_new, one_more},
    {"update", some_items, act_update, as_many},
    {"update_new", some_items, act_update_new, one_more},
    {"update_refused", some_items, act_update_refused, as_many, .is_unseen = 1},
    {"transact", transacting_tables, transacting_act, as_many},
    {"transact_refused", transacting_tables, transacting_act_refused, as_many, .is_unseen = 1},
    {"transact_new", transacting_empty_tables, transacting_act_new, transacting_all_came},
    {"transact_deletes", transacting_tables, transacting_act_deletes, transacting_three_less},
    {"delete_one", some_items, delete_7, one_less},
    {"delete_last", one_item, delete_7, one_less},
    {"several_writes", some_items, act_several_writes, one_more, .steps = 6},
    {"grow_items", some_items, put_plain, items_grew, .search_max = 150},
    {"grow_partitions", some_items, put_in_small_partition, partitions_grew, .search_max = 150},
    {"open_partition", some_items, put_in_small_partition, partition_opened, .search_max = 150},
    {"close_partition", item_of_its_own, delete_7, partition_closed},
    {"first_split", NULL, put_more, first_was_split, .search_max = 60},
    {"split_leaf", some_items, put_more, leaf_was_split, .search_max = 60},
    {"make_tall_node", some_items, put_more, tall_was_made, .search_max = 150},
    {"unlink_node", leaving_full_leaves, leaving_act_empty, leaving_node, .search_max = 3},
    {"unlink_tall_node", leaving_full_leaves, leaving_act_empty, leaving_tall_node, .search_max = 47},
    {"drop_head", leaving_two_leaves, leaving_act_empty, leaving_head, .search_max = 3},
    {"merge_leaves", leaving_half_leaves, leaving_act_merge, leaving_node},
    {"merge_tall_node", leaving_half_leaves, leaving_act_merge, leaving_tall_node, .search_max = 5},
    {"merge_back", leaving_half_leaves, leaving_act_merge_back, leaving_node},
    {"merge_last", leaving_two_halves, leaving_act_merge, leaving_head},
    {"merge_empty_head", leaving_empty_head, leaving_act_merge, leaving_node},
    {"trim_leaves", leaving_dead_entries, leaving_act_trim, leaving_trimmed, .is_unseen = 1},
    {"take_span", large_items, put_large, span_taken, .search_max = 12},
    {"return_span", large_items, delete_up, span_returned, .search_max = 12},
    {"take_run", one_item, put_huge, run_taken},
    {"return_run", small_and_huge, delete_huge, run_returned},
    {"join_runs", runs_in_a_row, delete_between, runs_joined},
    {"trim_spans", kept_spans, act_trim_spans, spans_trimmed, .is_unseen = 1},
    {"trim_arrays", few_of_many, act_trim_arrays, arrays_trimmed, .is_unseen = 1},
    {"trim_empty_arrays", one_stays, act_trim_arrays, arrays_trimmed, .is_unseen = 1},
    {"move_blocks", many_items, moving_act, moving_happened, .steps = MOVING_KINDS, .is_unseen = 1},
    {"move_run", moving_one_run, moving_act_run, moving_happened, .is_unseen = 1},
    {"empty_span", moving_sparse_spans, moving_act_compact, moving_has_compacted, .is_unseen = 1},
    {"clear_array", many_plain, delete_up, array_cleared, .search_max = 199},
    {"cut_chain", long_chains, put_from_above, chain_cut, .search_max = 106},
    {"claim_memory", one_item, put_span, memory_claimed, .search_max = 100},
    {"arm_timer", expiring_items, put_expiring, timer_armed, .search_max = 20},
    {"add_chunk", expiring_items, put_expiring, chunk_added, .search_max = 60},
    {"rearm_timer", expiring_items, put_sooner, timer_rearmed},
    {"expire", expiring_items, act_expire, three_expired, .clock_s = 5, .is_unseen = 1},
    {"fire_moved_timer", moved_expiry, act_expire, timer_moved, .clock_s = 5, .is_unseen = 1},
    {"turn_wheel", far_expiry, act_expire, wheel_turned, .clock_s = 290, .is_unseen = 1},
    {"purge", dropped_table, act_purge, timers_purged, .clock_s = 5, .is_unseen = 1},
    {"purge_full", dead_timers, dead_timers_act_expire, dead_timers_went, .clock_s = 290, .is_unseen = 1},
    {"make_room", expiring_items, act_make_room, three_made_room, .clock_s = 5},
    {"make_room_here", expiring_items, act_make_room_here, bucket_made_room, .clock_s = 5},
    {"make_room_purge", dead_timers, dead_timers_act_put, dead_timers_made_room},
    {"expirer_thread", expiring_items, act_expirer_thread, three_expired, .clock_s = 5, .is_unseen = 1},
    {"create_table", some_items, act_create_table, table_created},
    {"create_table_again", dropped_second, act_create_table, table_created_again},
    {"create_beside_drop", dropped_beside_free, act_create_table, table_created_beside},
    {"create_after_drop", dropped_table, act_create_table, table_created_after},
    {"drop_table", few_items, act_drop_table, table_dropped},
    {"empty_table", dropped_table, act_empty, table_emptied, .is_unseen = 1},
    {"resume_drop", half_dropped, act_empty, drop_resumed, .is_unseen = 1},
    {"add_index", few_items, indexing_add, index_added},
    {"joined_put", indexing_joined_items, put_50, one_more},
    {"joined_move", indexing_joined_items, indexing_move, as_many},
    {"joined_update", indexing_joined_items, indexing_update, as_many},
    {"joined_leave", indexing_joined_items, indexing_leave, as_many},
    {"joined_delete", indexing_joined_items, delete_7, one_less},
    {"joined_transact", indexing_joined_items, indexing_transact, as_many},
    {"joined_add_index", few_items, indexing_add_joined, index_added},
    {"joined_drop_index", indexing_joined_items, indexing_drop_joined, index_dropped},
    {"drop_index", indexing_one_more, indexing_drop, index_dropped},
    {"set_settings", some_items, act_set_settings, as_many},
    {"change_ttl", few_items, act_change_ttl, as_many},
    {"restamp", half_restamped, act_expire, restamped, .is_unseen = 1},
    {"set_eviction", some_items, evicting_act_set, as_many},
    {"evict", evicting_items, evicting_act, evicting_three_went, .steps = 3},
    {"publish_reads", evicting_items, evicting_act_publish, evicting_has_published, .is_unseen = 1},
    {"set_removal", some_items, act_set_removal, as_many},
};

size_t scenario_count(void) {
    return sizeof scenarios / sizeof *scenarios;
}
