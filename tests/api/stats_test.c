/* tests/api/stats_test.c - the numbers of larder_segment_stats(), _class_stats(), _table_stats()
 * and _slot_stats().
 *
 * Goal     The numbers agree with each other (used and free make up what is claimed, classes and
 *          tables add up to what is used) and with what was written: items, entries, partitions,
 *          timers, counters, slots. They go back to where they were.
 * Method   Known writes, then the sums, on the writing attachment and on a read-only one.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(stats, .timeout = 60 * SLOW_FACTOR);

#define MIB (UINT64_C(1) << 20)
#define SPAN_BYTES 16384u
#define CLASSES_MAX 64u
#define SLOTS_MAX 256u

struct fixture {
    struct larder *db, *reader;
    struct larder_table *t, *read;
    struct larder_builder *b;
    int64_t now_s;
};

static int64_t clock_s(void *arg) {
    return *(int64_t *)arg;
}

static void begin(struct fixture *f, uint64_t bytes) {
    const struct larder_index_def indexes[] = {
        {.name = "byKind", .partition = {"kind", LARDER_S}, .sort = {"rank", LARDER_N}},
        {.name = "byRare", .partition = {"rare", LARDER_S}},
    };
    const struct larder_table_def def = {.name = "table",
                                         .partition = {"pk", LARDER_S},
                                         .sort = {"sk", LARDER_N},
                                         .indexes = indexes,
                                         .index_count = 2,
                                         .ttl_attribute = "expires"};
    *f = (struct fixture){.db = testseg_open(bytes, 8), .now_s = 1000};
    larder_set_clock(f->db, clock_s, &f->now_s);
    f->reader = testseg_attach(f->db, LARDER_READ_ONLY);
    EXPECT(larder_table_create(f->db, &def), LARDER_OK);
    EXPECT(larder_table_open(f->db, "table", &f->t), LARDER_OK);
    EXPECT(larder_table_open(f->reader, "table", &f->read), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->b), LARDER_OK);
}

static void end(struct fixture *f) {
    struct larder_check_report report;
    EXPECT(larder_check(f->db, NULL, &report), LARDER_OK);
    larder_close(f->reader);
    larder_close(f->db);
}

/* Item n: one of 10 partitions, of 4 kinds, every 8th rare, every 5th expires. */
static int try_put(struct fixture *f, unsigned n, size_t fill) {
    static const char zeros[100000];
    const struct larder_item *item;
    char text[16];
    larder_builder_reset(f->b);
    snprintf(text, sizeof text, "p%u", n % 10);
    larder_builder_add_s(f->b, "pk", text);
    larder_builder_add_int(f->b, "sk", n);
    snprintf(text, sizeof text, "k%u", n % 4);
    larder_builder_add_s(f->b, "kind", text);
    larder_builder_add_int(f->b, "rank", n % 7);
    if (n % 8 == 0)
        larder_builder_add_s(f->b, "rare", "one for all");
    if (n % 5 == 0)
        larder_builder_add_int(f->b, "expires", 5000 + n);
    larder_builder_add_b(f->b, "fill", zeros, fill);
    int r = larder_builder_finish(f->b, &item);
    return r ? r : larder_put(f->t, item, NULL);
}

static void put(struct fixture *f, unsigned n, size_t fill) {
    EXPECT(try_put(f, n, fill), LARDER_OK);
}

static int delete (struct fixture *f, unsigned n) {
    char pk[16], sk[16];
    snprintf(pk, sizeof pk, "p%u", n % 10);
    snprintf(sk, sizeof sk, "%u", n);
    const struct larder_key key = {larder_str(pk), larder_num(sk)};
    return larder_delete(f->t, &key, NULL);
}

static struct larder_segment_stats segment(struct larder *db) {
    struct larder_segment_stats s;
    EXPECT(larder_segment_stats(db, &s), LARDER_OK);
    return s;
}

static struct larder_table_stats table(struct larder_table *t) {
    struct larder_table_stats s;
    EXPECT(larder_table_stats(t, &s), LARDER_OK);
    return s;
}

/* All of a table's indexes, table order first. */
static uint32_t indexes_of(struct larder_table *t, struct larder_index_stats out[LARDER_INDEXES_MAX + 1]) {
    uint32_t count = 0;
    EXPECT(larder_index_stats(t, out, LARDER_INDEXES_MAX + 1, &count), LARDER_OK);
    return count;
}

/* ---- Sums ------------------------------------------------------------------------------------ */

/* What holds for every segment at rest. */
static void expect_sums(struct larder *db) {
    struct larder_segment_stats s = segment(db);
    struct larder_class_stats classes[CLASSES_MAX];
    uint32_t count = 0;
    uint64_t used = 0, spans = 0, last = 0;
    EXPECT(larder_class_stats(db, classes, CLASSES_MAX, &count), LARDER_OK);
    cr_assert(count > 10 && count < CLASSES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct larder_class_stats *c = &classes[i];
        int is_runs = i + 1 == count;
        cr_assert_eq(c->block_bytes == 0, is_runs, "runs come last");
        cr_assert(is_runs || c->block_bytes > last, "classes rise");
        cr_assert(is_runs || c->blocks_used + c->blocks_free == c->spans * (SPAN_BYTES / c->block_bytes));
        cr_assert(!is_runs || (c->blocks_free == 0 && c->blocks_used <= c->spans));
        used += is_runs ? c->spans * SPAN_BYTES : c->blocks_used * c->block_bytes;
        spans += c->spans;
        last = c->block_bytes;
    }
    cr_assert_eq(used, s.used_bytes);
    cr_assert_leq(spans * SPAN_BYTES, s.used_bytes + s.free_bytes);
    cr_assert_leq(s.claimed_bytes, s.size_bytes);
    uint64_t head = s.claimed_bytes - s.used_bytes - s.free_bytes; /* what comes before the spans */
    cr_assert(head > 0 && head < s.claimed_bytes && head < MIB, "%lu bytes of head", head);
}

/* The table's parts are what was added to the segment since it was empty, except chunks of
 * timers. */
static void expect_table_in_segment(struct fixture *f, uint64_t used_before) {
    struct larder_table_stats t = table(f->t);
    uint64_t sum = t.item_bytes + t.bucket_bytes, used = segment(f->db).used_bytes - used_before;
    struct larder_index_stats indexes[LARDER_INDEXES_MAX + 1];
    cr_assert_eq(indexes_of(f->t, indexes), t.index_count);
    for (uint32_t i = 0; i < t.index_count; i++)
        sum += indexes[i].bytes;
    cr_assert(sum <= used && used - sum <= t.wheel_entries * 16 * 64 + 64 * 1024, "%lu of %lu bytes", sum, used);
    cr_assert(t.wheel_entries > 0 || sum == used, "%lu of %lu bytes", sum, used);
}

Test(stats, empty_segment) {
    struct larder *db = testseg_open(8 * MIB, 8);
    struct larder_segment_stats s = segment(db);
    cr_assert(s.size_bytes == 8 * MIB && s.stripe_count == 8 && s.format_version == 3);
    cr_assert(s.table_count == 0 && s.used_bytes == 0 && s.free_bytes > 0);
    cr_assert(s.slots_max == 128 && s.slots_used == 1, "%u of %u slots", s.slots_used, s.slots_max);
    cr_assert(s.private_bytes > 0);
    cr_assert(s.counters.puts == 0 && s.counters.deletes == 0 && s.counters.recoveries == 0);
    expect_sums(db);
    larder_close(db);
}

Test(stats, sums_hold_while_a_table_fills_and_empties) {
    static const size_t fills[] = {0, 10, 500, 3000, 9000, 40000};
    struct fixture f;
    begin(&f, 64 * MIB);
    uint64_t used = segment(f.db).used_bytes;
    for (unsigned n = 0; n < 600; n++) {
        put(&f, n, fills[n % 6]);
        if (n % 50 == 0) {
            expect_sums(f.db);
            expect_sums(f.reader);
            expect_table_in_segment(&f, used);
        }
    }
    for (unsigned n = 0; n < 600; n++) {
        EXPECT(delete (&f, n), LARDER_OK);
        if (n % 50 == 0)
            expect_sums(f.db);
    }
    struct larder_table_stats t = table(f.t);
    cr_assert(t.item_count == 0 && t.item_bytes == 0);
    struct larder_check_report report;
    EXPECT(larder_table_drop(f.db, "table"), LARDER_OK);
    /* the drop is over: its thread changes the sums */
    EXPECT(larder_check(f.db, NULL, &report), LARDER_OK);
    expect_sums(f.db);
    cr_assert_eq(segment(f.db).table_count, 0);
    end(&f);
}

Test(stats, segments_of_all_sizes) {
    static const uint64_t sizes[] = {4 * MIB, 63 * MIB, 64 * MIB, 255 * MIB, 256 * MIB, 4096 * MIB};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct fixture f;
        begin(&f, sizes[i]);
        cr_assert_eq(segment(f.db).size_bytes, sizes[i]);
        for (unsigned n = 0; n < 100; n++)
            put(&f, n, n * 10);
        struct larder_segment_stats s = segment(f.db);
        struct larder_class_stats classes[CLASSES_MAX];
        uint32_t count;
        uint64_t used = 0;
        EXPECT(larder_class_stats(f.db, classes, CLASSES_MAX, &count), LARDER_OK);
        for (uint32_t c = 0; c < count; c++)
            used += classes[c].block_bytes ? classes[c].blocks_used * classes[c].block_bytes
                                           : classes[c].spans * SPAN_BYTES;
        cr_assert_eq(used, s.used_bytes);
        cr_assert_leq(s.used_bytes + s.free_bytes, s.claimed_bytes);
        end(&f);
    }
}

/* ---- Tables ---------------------------------------------------------------------------------- */

static void expect_table(struct larder_table *t, uint64_t items, uint64_t rare, uint64_t timers) {
    struct larder_table_stats s = table(t);
    cr_assert_eq(s.item_count, items);
    cr_assert(items == 0 ? s.item_bytes == 0 : s.item_bytes >= items * 100, "%lu bytes", s.item_bytes);
    cr_assert_eq(s.wheel_entries, timers);
    cr_assert_eq(s.index_count, 3);
    struct larder_index_stats indexes[LARDER_INDEXES_MAX + 1];
    cr_assert_eq(indexes_of(t, indexes), 3);
    cr_assert_str_eq(indexes[0].name, "");
    cr_assert_str_eq(indexes[1].name, "byKind");
    cr_assert_str_eq(indexes[2].name, "byRare");
    cr_assert_eq(indexes[0].entries, items);
    cr_assert_eq(indexes[1].entries, items);
    cr_assert_eq(indexes[2].entries, rare);
    cr_assert_eq(indexes[0].partitions, items ? 10 : 0);
    cr_assert_eq(indexes[1].partitions, items ? 4 : 0);
    cr_assert_eq(indexes[2].partitions, rare ? 1 : 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(indexes[i].bytes > 0, indexes[i].entries > 0);
}

Test(stats, table_counts_what_was_written) {
    struct fixture f;
    begin(&f, 32 * MIB);
    expect_table(f.t, 0, 0, 0);
    for (unsigned n = 0; n < 1000; n++)
        put(&f, n, 20);
    for (int i = 0; i < 2; i++)
        expect_table(i ? f.read : f.t, 1000, 125, 200);
    for (unsigned n = 0; n < 1000; n += 10)
        put(&f, n, 300); /* replaced: the same keys, the same second */
    expect_table(f.t, 1000, 125, 200);
    for (unsigned n = 0; n < 1000; n++)
        if (n % 20)
            EXPECT(delete (&f, n), LARDER_OK);
    struct larder_table_stats s = table(f.t);
    struct larder_index_stats indexes[LARDER_INDEXES_MAX + 1];
    (void)indexes_of(f.t, indexes);
    cr_assert(s.item_count == 50 && indexes[0].entries == 50 && indexes[1].entries == 50);
    cr_assert_eq(indexes[2].entries, 25, "multiples of 40");
    f.now_s = 10000;
    uint64_t removed = 0;
    EXPECT(larder_expire(f.db, 0, &removed), LARDER_OK);
    cr_assert_eq(removed, 50, "all that is left expires");
    expect_table(f.t, 0, 0, 0);
    end(&f);
}

Test(stats, expired_items_count_until_their_memory_is_back) {
    struct fixture f;
    begin(&f, 8 * MIB);
    for (unsigned n = 0; n < 100; n += 5)
        put(&f, n, 20);
    f.now_s = 10000;
    cr_assert_eq(table(f.t).item_count, 20);
    EXPECT(larder_expire(f.db, 0, NULL), LARDER_OK);
    cr_assert_eq(table(f.t).item_count, 0);
    cr_assert_eq(segment(f.db).counters.expired, 20);
    end(&f);
}

/* ---- Counters and slots ---------------------------------------------------------------------- */

Test(stats, counters_count_what_was_done) {
    struct fixture f;
    begin(&f, 8 * MIB);
    for (unsigned n = 0; n < 30; n++)
        put(&f, n, 10);
    put(&f, 3, 10);
    for (unsigned n = 0; n < 7; n++)
        EXPECT(delete (&f, n), LARDER_OK);
    EXPECT(delete (&f, 3), LARDER_NOT_FOUND);
    const struct larder_item *item;
    larder_builder_reset(f.b);
    larder_builder_add_s(f.b, "pk", "no sort key");
    EXPECT(larder_builder_finish(f.b, &item), LARDER_OK);
    EXPECT(larder_put(f.t, item, NULL), LARDER_E_INVAL);
    for (int i = 0; i < 2; i++) {
        struct larder_segment_stats s = segment(i ? f.reader : f.db);
        cr_assert_eq(s.counters.puts, 31);
        cr_assert_eq(s.counters.deletes, 7);
        cr_assert(s.counters.expired == 0 && s.counters.recoveries == 0 && s.counters.undone == 0);
    }
    larder_close(f.reader);
    struct larder *other = testseg_attach(f.db, 0);
    larder_close(f.db);
    cr_assert_eq(segment(other).counters.puts, 31, "they outlive their process");
    larder_close(other);
}

struct child {
    struct fixture *f;
    _Atomic int *has_put;
};

static int put_and_wait(void *arg) {
    struct child *c = arg;
    PROC_CHECK(try_put(c->f, 1, 10) == LARDER_OK);
    *c->has_put = 1;
    pause();
    return 0;
}

static const struct larder_slot_stats *slot_of(const struct larder_slot_stats *slots, uint32_t count, pid_t pid) {
    for (uint32_t i = 0; i < count; i++)
        if (slots[i].pid == pid)
            return &slots[i];
    return NULL;
}

Test(stats, slots_tell_who_is_there) {
    struct larder_slot_stats slots[SLOTS_MAX];
    struct fixture f;
    struct child c = {.f = &f};
    uint32_t count;
    begin(&f, 8 * MIB);
    uint64_t now_s = (uint64_t)time(NULL);
    c.has_put = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)c.has_put, MAP_FAILED);
    pid_t pid = proc_fork(put_and_wait, &c);
    cr_assert(UNTIL(*c.has_put, 20000));
    for (int i = 0; i < 2; i++) {
        EXPECT(larder_slot_stats(i ? f.reader : f.db, slots, SLOTS_MAX, &count), LARDER_OK);
        cr_assert_eq(count, segment(f.db).slots_used);
        const struct larder_slot_stats *mine = slot_of(slots, count, getpid()), *its = slot_of(slots, count, pid);
        cr_assert(mine && its && mine->slot != its->slot);
        cr_assert(mine->is_alive && its->is_alive && !mine->is_expirer && !its->is_expirer);
        cr_assert(its->started_s + 60 >= now_s && its->started_s <= now_s + 60);
        cr_assert(its->counters.puts == 1 && its->lock_count == 0 && its->lock_held_ns == 0);
    }
    uint32_t used = count;
    slots[1].pid = 4711;
    EXPECT(larder_slot_stats(f.db, slots, 1, &count), LARDER_OK);
    cr_assert(count == used && slots[1].pid == 4711, "how many there are; no more are written than there is room for");
    proc_kill(pid);
    EXPECT(larder_slot_stats(f.db, slots, SLOTS_MAX, &count), LARDER_OK);
    cr_assert(slot_of(slots, count, pid) && !slot_of(slots, count, pid)->is_alive);
    struct larder_check_report report;
    EXPECT(larder_check(f.db, NULL, &report), LARDER_OK);
    cr_assert_eq(report.dead_slots, 1);
    EXPECT(larder_slot_stats(f.db, slots, SLOTS_MAX, &count), LARDER_OK);
    cr_assert_null(slot_of(slots, count, pid));
    cr_assert_eq(segment(f.db).counters.puts, 1, "what it did stays counted");
    cr_assert_eq(segment(f.db).counters.recoveries, 1);
    end(&f);
}

Test(stats, expirer_is_named) {
    struct larder_slot_stats slots[SLOTS_MAX];
    struct fixture f;
    uint32_t count;
    begin(&f, 8 * MIB);
    EXPECT(larder_expirer_start(f.db), LARDER_OK);
    int is_named = 0;
    for (uint64_t end_ms = until_deadline(10000); !is_named && until_now_ms() < end_ms; until_pause()) {
        EXPECT(larder_slot_stats(f.db, slots, SLOTS_MAX, &count), LARDER_OK);
        for (uint32_t i = 0; i < count; i++)
            is_named |= slots[i].is_expirer && slots[i].pid == getpid();
    }
    cr_assert(is_named);
    larder_expirer_stop(f.db);
    EXPECT(larder_slot_stats(f.db, slots, SLOTS_MAX, &count), LARDER_OK);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(slots[i].is_expirer, 0);
    end(&f);
}

/* ---- Capacity and misuse --------------------------------------------------------------------- */

Test(stats, small_arrays_are_not_overrun) {
    struct larder_class_stats classes[3] = {{0}, {0}, {.block_bytes = 4711}};
    struct larder_slot_stats slot = {.pid = 4711};
    struct fixture f;
    uint32_t count = 99;
    begin(&f, 8 * MIB);
    struct larder_class_stats all[CLASSES_MAX];
    EXPECT(larder_class_stats(f.db, all, CLASSES_MAX, &count), LARDER_OK);
    uint32_t there = count;
    EXPECT(larder_class_stats(f.db, classes, 2, &count), LARDER_OK);
    cr_assert(count == there && there > 2 && classes[0].block_bytes > 0 && classes[2].block_bytes == 4711);
    EXPECT(larder_class_stats(f.db, classes, 0, &count), LARDER_OK);
    cr_assert_eq(count, there);
    EXPECT(larder_class_stats(f.db, NULL, 0, &count), LARDER_OK);
    cr_assert_eq(count, there);
    EXPECT(larder_slot_stats(f.db, &slot, 0, &count), LARDER_OK);
    cr_assert(count == 1 && slot.pid == 4711);
    struct larder_index_stats one[2] = {{.entries = 0}, {.entries = 4711}};
    EXPECT(larder_index_stats(f.t, one, 1, &count), LARDER_OK);
    cr_assert(count == 3 && one[0].name[0] == 0 && one[1].entries == 4711);
    struct larder_table_stats untouched = {.item_count = 4711};
    EXPECT(larder_table_drop(f.db, "table"), LARDER_OK);
    EXPECT(larder_table_stats(f.t, &untouched), LARDER_E_NO_TABLE);
    cr_assert_eq(untouched.item_count, 4711, "outputs are written on success only");
    end(&f);
}

Test(stats, private_memory_comes_and_goes) {
    struct larder *db = testseg_open(8 * MIB, 8);
    struct larder_builder *b;
    static char text[300000];
    uint64_t before = segment(db).private_bytes;
    for (int round = 0; round < 5; round++) {
        EXPECT(larder_builder_new(db, &b), LARDER_OK);
        EXPECT(larder_builder_add_b(b, "a", text, sizeof text), LARDER_OK);
        cr_assert_geq(segment(db).private_bytes, before + sizeof text);
        larder_builder_free(b);
        cr_assert_leq(segment(db).private_bytes, before);
    }
    larder_close(db);
}
