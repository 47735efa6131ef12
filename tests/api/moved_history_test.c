/* tests/api/moved_history_test.c - gets and conditional puts while items are moved and evicted.
 *
 * Goal     Moving an item is no write: larder_put_if() of a key that nobody else writes never says
 *          LARDER_CHANGED, and no get misses the item or sees an older one. Of keys that several
 *          write, each number is written once. An evicted item is a deleted one: it does not come
 *          back, and the next put_if creates it.
 * Method   Registers: a get, then a put_if of the next number. A register's writers note the number
 *          before they write it (begun) and after (done). So a read has at least what was done
 *          when it began, and at most what was begun when it ended: with one writer for each
 *          number, that is linearizability. Meanwhile the main thread fills the segment with small
 *          items, deletes most of them and puts large ones, which takes moving; or it keeps an
 *          evicting table full.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(moved_history, .timeout = 200 * SLOW_FACTOR);

#define SEGMENT_BYTES (8u << 20)
#define STRIPES 64
#define WRITERS 2
#define OWN 200u  /* registers of each writer */
#define COMMON 4u /* of all */
#define REGISTERS (WRITERS * OWN + COMMON)
#define COMMON_FROM (WRITERS * OWN)
#define ROUNDS (SLOW_FACTOR > 1 ? 3 : 8)
#define LARGE_BYTES 60000u
#define FILL_MAX 700u

struct shared {
    struct larder *db;
    struct larder_table *registers, *filler;
    int may_vanish; /* registers are evicted */
    _Atomic int is_over;
    _Atomic uint64_t writes, reads, vanished, changed;
    struct {
        _Atomic int64_t begun, done;
    } of[REGISTERS];
};

struct client {
    struct shared *s;
    struct larder_builder *b;
    struct larder_page *page;
    struct rng rng;
    uint32_t number;
    char failure[160];
};

static void open_client(struct client *c, struct shared *s, uint32_t number) {
    *c = (struct client){.s = s, .number = number};
    EXPECT(larder_builder_new(s->db, &c->b), LARDER_OK);
    EXPECT(larder_page_new(s->db, &c->page), LARDER_OK);
    rng_seed(&c->rng, rng_test_seed("moved_history") + number);
}

static void close_client(struct client *c) {
    larder_page_free(c->page);
    larder_builder_free(c->b);
    cr_expect(c->failure[0] == 0, "%s", c->failure);
}

/* Threads do not assert: the first failure ends all. */
static int fails(struct client *c, const char *what, uint32_t n, int r, int64_t value) {
    if (!c->failure[0])
        snprintf(c->failure, sizeof c->failure, "register %u, number %lld: %s: %s: %s", n, (long long)value, what,
                 larder_result_name(r), larder_error());
    c->s->is_over = 1;
    return 0;
}

static struct larder_key key_of(uint32_t n, char text[16]) {
    snprintf(text, 16, "r%u", n);
    return (struct larder_key){.partition = larder_str(text)};
}

static int64_t number_in(const struct larder_item *item) {
    struct larder_value v;
    int64_t n = -1;
    if (item && (larder_item_get(item, "n", &v) || larder_value_int64(&v, &n)))
        return -2;
    return n;
}

static void raise_to(_Atomic int64_t *word, int64_t value) {
    int64_t seen = *word;
    while (seen < value && !atomic_compare_exchange_weak(word, &seen, value))
        ;
}

/* Reads the register into the page. *value -1: it is not there. */
static int read_register(struct client *c, uint32_t n, int64_t *value) {
    char text[16];
    const struct larder_key key = key_of(n, text);
    int64_t least = c->s->of[n].done;
    int r = larder_get(c->s->registers, &key, c->page);
    int64_t most = c->s->of[n].begun;
    *value = r == LARDER_OK ? number_in(larder_page_item(c->page, 0)) : -1;
    c->s->reads++;
    if (r < 0)
        return fails(c, "get", n, r, *value);
    if (r == LARDER_NOT_FOUND) {
        c->s->vanished += least > 0;
        return least <= 0 || c->s->may_vanish || fails(c, "an item is gone", n, r, least);
    }
    return (*value >= least && *value <= most) || fails(c, "a wrong number", n, r, *value);
}

static const struct larder_item *item_of(struct client *c, uint32_t n, int64_t value) {
    static const char fill[FILL_MAX];
    const struct larder_item *item = NULL;
    char text[16];
    const struct larder_key key = key_of(n, text);
    larder_builder_reset(c->b);
    larder_builder_add(c->b, "id", &key.partition);
    larder_builder_add_int(c->b, "n", value);
    larder_builder_add_b(c->b, "fill", fill, (uint32_t)rng_below(&c->rng, FILL_MAX));
    return larder_builder_finish(c->b, &item) == LARDER_OK ? item : NULL;
}

/* One more than there is. A register of one's own changes only by eviction. */
static int count_one(struct client *c, uint32_t n) {
    struct shared *s = c->s;
    int64_t value;
    if (!read_register(c, n, &value))
        return 0;
    int64_t next = (value < 0 ? s->of[n].done : value) + 1;
    const struct larder_item *old = value < 0 ? NULL : larder_page_item(c->page, 0), *item = item_of(c, n, next);
    int64_t begun = s->of[n].begun;
    if (n < COMMON_FROM || begun < next)
        raise_to(&s->of[n].begun, next);
    int r = larder_put_if(s->registers, item, old, c->page);
    if (r == LARDER_OK) {
        raise_to(&s->of[n].done, next);
        s->writes++;
        return 1;
    }
    if (r == LARDER_E_FULL && !s->may_vanish)
        return 1; /* the main thread fills the segment */
    if (r != LARDER_CHANGED)
        return fails(c, "put_if", n, r, next);
    s->changed++;
    if (n >= COMMON_FROM)
        return 1;
    if (s->may_vanish && value >= 0 && larder_page_item(c->page, 0) == NULL)
        return 1; /* evicted in between */
    return fails(c, "changed, and nobody wrote", n, r, next);
}

static void *write_registers(void *arg) {
    struct client *c = arg;
    while (!c->s->is_over) {
        int is_common = !c->s->may_vanish && rng_is_one_in(&c->rng, 8);
        uint32_t n = is_common ? COMMON_FROM + (uint32_t)rng_below(&c->rng, COMMON)
                               : c->number * OWN + (uint32_t)rng_below(&c->rng, OWN);
        if (!count_one(c, n))
            break;
    }
    return NULL;
}

static void *read_registers(void *arg) {
    struct client *c = arg;
    int64_t value;
    while (!c->s->is_over && read_register(c, (uint32_t)rng_below(&c->rng, REGISTERS), &value))
        ;
    return NULL;
}

/* ---- The main thread ------------------------------------------------------------------------- */

static int put_filler(struct client *c, uint32_t n, uint32_t bytes) {
    static const char fill[LARGE_BYTES];
    const struct larder_item *item;
    char text[16];
    snprintf(text, sizeof text, "f%u", n);
    larder_builder_reset(c->b);
    larder_builder_add_s(c->b, "id", text);
    larder_builder_add_b(c->b, "fill", fill, bytes);
    EXPECT(larder_builder_finish(c->b, &item), LARDER_OK);
    return larder_put(c->s->filler, item, NULL);
}

static void forget_filler(struct client *c, uint32_t n) {
    char text[16];
    snprintf(text, sizeof text, "f%u", n);
    int r = larder_delete(c->s->filler, &(struct larder_key){.partition = larder_str(text)}, NULL);
    cr_assert(r == LARDER_OK || r == LARDER_NOT_FOUND, "%s", larder_error());
}

/* Small items, of which a tenth stays; large ones; none. */
static void let_move(struct client *c) {
    uint32_t small = 0, large = 0, from = 1000000;
    uint32_t bytes = 100 + (uint32_t)rng_below(&c->rng, 500);
    while (!c->s->is_over && put_filler(c, small, bytes) == LARDER_OK)
        small++;
    for (uint32_t n = 0; n < small; n++)
        if (n % 10 != 0)
            forget_filler(c, n);
    while (!c->s->is_over && put_filler(c, from + large, LARGE_BYTES) == LARDER_OK)
        large++;
    for (uint32_t n = 0; n < large; n++)
        forget_filler(c, from + n);
    for (uint32_t n = 0; n < small; n += 10)
        forget_filler(c, n);
    cr_assert(c->s->is_over || large > 40, "%u large items", large);
}

/* Twice as much as the segment takes. */
static void let_evict(struct client *c) {
    uint32_t bytes = 100 + (uint32_t)rng_below(&c->rng, 500);
    for (uint32_t n = 0; n < 2 * SEGMENT_BYTES / (bytes + 100) && !c->s->is_over; n++)
        EXPECT(put_filler(c, n, bytes), LARDER_OK);
}

static struct larder_table *make(struct larder *db, const char *name, enum larder_eviction eviction) {
    const struct larder_table_def def = {.name = name, .partition = {"id", LARDER_S}, .eviction = eviction};
    struct larder_table *t;
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    EXPECT(larder_table_open(db, name, &t), LARDER_OK);
    return t;
}

static void run(struct shared *s, void (*disturb)(struct client *c)) {
    static struct client client[WRITERS + 2];
    pthread_t thread[WRITERS + 1];
    struct client *mine = &client[WRITERS + 1];
    struct larder_check_report report;
    for (uint32_t i = 0; i < WRITERS + 2; i++)
        open_client(&client[i], s, i);
    for (uint32_t i = 0; i < WRITERS + 1; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, i < WRITERS ? write_registers : read_registers, &client[i]), 0);
    for (int round = 0; round < ROUNDS && !s->is_over; round++)
        disturb(mine);
    s->is_over = 1;
    for (uint32_t i = 0; i < WRITERS + 1; i++)
        pthread_join(thread[i], NULL);
    for (uint32_t n = 0; n < REGISTERS; n++) { /* at rest: the last number that was written */
        int64_t value;
        if (read_register(mine, n, &value) && value >= 0)
            cr_expect_eq(value, s->of[n].done, "register %u", n);
    }
    for (uint32_t i = 0; i < WRITERS + 2; i++)
        close_client(&client[i]);
    EXPECT(larder_check(s->db, NULL, &report), LARDER_OK);
    cr_expect_eq(report.leaked_blocks, 0);
}

static struct larder_segment_stats stats_of(struct larder *db) {
    struct larder_segment_stats stats;
    EXPECT(larder_segment_stats(db, &stats), LARDER_OK);
    return stats;
}

static void say(const struct shared *s, const struct larder_segment_stats *stats) {
    fprintf(stderr, "%llu writes, %llu reads, %llu changed, %llu not there; %llu KB moved, %llu items evicted\n",
            (unsigned long long)s->writes, (unsigned long long)s->reads, (unsigned long long)s->changed,
            (unsigned long long)s->vanished, (unsigned long long)stats->moved_bytes >> 10,
            (unsigned long long)stats->counters.evicted);
}

Test(moved_history, while_items_are_moved) {
    static struct shared s;
    s.db = testseg_open(SEGMENT_BYTES, STRIPES);
    s.registers = make(s.db, "Registers", LARDER_EVICTION_NONE);
    s.filler = make(s.db, "Filler", LARDER_EVICTION_NONE);
    run(&s, let_move);
    struct larder_segment_stats stats = stats_of(s.db);
    say(&s, &stats);
    cr_expect_gt(stats.moved_bytes, UINT64_C(1) << 20);
    cr_expect_gt(s.writes, 1000);
    larder_close(s.db);
}

Test(moved_history, while_items_are_evicted) {
    static struct shared s;
    s.db = testseg_open(SEGMENT_BYTES, STRIPES);
    s.may_vanish = 1;
    s.registers = make(s.db, "Registers", LARDER_EVICTION_SIEVE);
    s.filler = make(s.db, "Filler", LARDER_EVICTION_SIEVE);
    run(&s, let_evict);
    struct larder_segment_stats stats = stats_of(s.db);
    say(&s, &stats);
    cr_expect_gt(stats.counters.evicted, 1000);
    cr_expect_gt(s.vanished, 0, "no register was evicted");
    cr_expect_gt(s.writes, 1000);
    larder_close(s.db);
}
