/* tests/api/threads_test.c - one handle, many threads. The suite of the thread sanitizer.
 *
 * Goal     Any call may be made from any thread at any time. Every read shows whole items, under
 *          the keys they have (promise 3). A page is a snapshot. Each of the writes that race for
 *          one key is replaced or deleted once, and by one thread.
 * Method   Four threads in the test's own process, the only one that the sanitizer watches.
 *          tests/support/history.h judges reads of keys with one writer. Keys with many writers:
 *          each item that is put has a number of its own, and the thread that replaces or deletes
 *          it gets it back. Snapshots: items in a ring, of which the lowest always becomes the
 *          highest, so any moment shows consecutive numbers. The writer waits until every reader
 *          has read once between two moves, which is slow enough for the tries that a page has.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/support/history.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(threads, .timeout = 100 * SLOW_FACTOR);

#define SEGMENT_BYTES (32u << 20)
#define THREADS 4u
/* rounds of a build that takes longer for each */
#define FEWER (SLOW_IS_TSAN ? 8u : SLOW_FACTOR > 1 ? 3u : 1u)
#define WAIT_MS 60000

/* The threads of a test report here; the test's own thread asserts. */
struct team {
    struct larder *db;
    struct history *h;
    uint64_t seed;
    _Atomic uint32_t next, is_over;
    char failure[256];
    _Atomic uint32_t has_failed;
};

static void team_fails(struct team *team, const char *what) {
    uint32_t none = 0;
    if (atomic_compare_exchange_strong(&team->has_failed, &none, 1))
        snprintf(team->failure, sizeof team->failure, "%s", what);
    atomic_store(&team->is_over, 1);
}

static void team_run(struct team *team, void *(*run)(void *arg)) {
    pthread_t thread[THREADS];
    for (uint32_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, run, team), 0);
    for (uint32_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(thread[i], NULL), 0);
    cr_assert(!team->has_failed, "%s", team->failure);
}

static void must_be_clean(struct larder *db) {
    struct larder_check_report report;
    cr_assert_eq(larder_check(db, NULL, &report), LARDER_OK, "%s", larder_error());
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0);
}

/* ---- Keys with one writer -------------------------------------------------------------------- */

#define OWN_KEYS 16u

static void *write_own_and_look(void *arg) {
    struct team *team = arg;
    struct history_client c;
    uint32_t me = atomic_fetch_add(&team->next, 1);
    const char *what = history_attach(&c, team->h, team->db) ? "attach" : NULL;
    rng_seed(&c.rng, team->seed + me);
    for (uint32_t i = 0; i < 3000 / FEWER && !what && !atomic_load(&team->is_over); i++) {
        if (history_write(&c, me * OWN_KEYS + (uint32_t)rng_below(&c.rng, OWN_KEYS)))
            what = larder_error();
        else if (i % 8 == 0)
            what = history_look(&c);
        if (rng_is_one_in(&c.rng, 100))
            (void)larder_expire(team->db, 8, NULL);
    }
    if (what)
        team_fails(team, what);
    history_detach(&c);
    return NULL;
}

Test(threads, share_a_handle) {
    int fd;
    struct history_client c;
    struct team team = {.db = testseg_open(SEGMENT_BYTES, 4), .seed = rng_test_seed("threads")};
    team.h = history_new(THREADS * OWN_KEYS, team.seed, &fd);
    team.h->fill_max = 4000;
    cr_assert_eq(history_table_create(team.db), LARDER_OK);
    /* also sets the clock, before the threads do */
    cr_assert_eq(history_attach(&c, team.h, team.db), LARDER_OK);
    team_run(&team, write_own_and_look);
    const char *what = history_look(&c);
    cr_assert(what == NULL, "%s", what);
    must_be_clean(team.db);
    larder_close(team.db);
    history_free(team.h);
}

/* ---- Keys with many writers ------------------------------------------------------------------ */

#define RACED_KEYS 6u
#define NUMBERS_MAX (1u << 16)

/* What became of each number that was put. */
static _Atomic uint8_t came[NUMBERS_MAX], went[NUMBERS_MAX];

struct racer {
    struct team *team;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    struct rng rng;
};

static struct larder_key raced_key(char text[16], uint32_t key) {
    snprintf(text, 16, "key%u", key);
    return (struct larder_key){.partition = larder_str(text)};
}

static int put_number(struct racer *r, uint32_t key, uint32_t number) {
    const struct larder_item *item;
    char pk[16], group[16], fill[1024];
    size_t bytes = number * 37 % sizeof fill;
    memset(fill, (int)(number & 0xff), sizeof fill);
    snprintf(group, sizeof group, "group%u", number % 3);
    (void)raced_key(pk, key);
    larder_builder_reset(r->b);
    larder_builder_add_s(r->b, "PK", pk);
    larder_builder_add_s(r->b, "group", group);
    larder_builder_add_int(r->b, "number", number);
    larder_builder_add_b(r->b, "fill", fill, bytes);
    int result = larder_builder_finish(r->b, &item);
    return result ? result : larder_put(r->t, item, r->page);
}

/* The number of an item that is whole; UINT32_MAX if it is not. `group`: the one it must be in, -1
 * for any. */
static uint32_t number_of(const struct larder_item *item, int group) {
    struct larder_value number, fill, text;
    int64_t n;
    char expected[16];
    if (larder_item_get(item, "number", &number) || larder_item_get(item, "fill", &fill) ||
        larder_item_get(item, "group", &text) || larder_value_int64(&number, &n) || n < 0 || n >= NUMBERS_MAX)
        return UINT32_MAX;
    snprintf(expected, sizeof expected, "group%u", (unsigned)n % 3);
    if (text.bytes != strlen(expected) || memcmp(text.data, expected, text.bytes) != 0 ||
        fill.bytes != (size_t)n * 37 % 1024 || (group >= 0 && (int)(n % 3) != group))
        return UINT32_MAX;
    for (size_t i = 0; i < fill.bytes; i++)
        if (((const unsigned char *)fill.data)[i] != (n & 0xff))
            return UINT32_MAX;
    return (uint32_t)n;
}

/* The page has what a put replaced or a delete deleted: no other thread may get the same. */
static const char *take_leave(struct racer *r) {
    if (larder_page_count(r->page) == 0)
        return NULL;
    uint32_t number = number_of(larder_page_item(r->page, 0), -1);
    if (number == UINT32_MAX)
        return "what was replaced is not whole";
    return atomic_fetch_add(&went[number], 1) ? "a write was replaced or deleted twice" : NULL;
}

static const char *read_groups(struct racer *r) {
    char group[16];
    uint32_t which = (uint32_t)rng_below(&r->rng, 3);
    snprintf(group, sizeof group, "group%u", which);
    struct larder_query_spec spec = {.index = "byGroup", .partition = larder_str(group)};
    if (larder_query(r->t, &spec, r->page))
        return larder_error();
    for (uint32_t i = 0; i < larder_page_count(r->page); i++) {
        uint32_t number = number_of(larder_page_item(r->page, i), (int)which);
        if (number == UINT32_MAX)
            return "an item is under a key that it does not have, or not whole";
        if (!atomic_load(&came[number]))
            return "an item is seen that was never put";
    }
    return larder_page_count(r->page) > RACED_KEYS ? "an item is in a page twice" : NULL;
}

static const char *race_once(struct racer *r) {
    char text[16];
    uint32_t key = (uint32_t)rng_below(&r->rng, RACED_KEYS), number = atomic_fetch_add(&r->team->next, 1);
    struct larder_key k = raced_key(text, key);
    int result;
    switch (rng_below(&r->rng, 5)) {
    case 0:
        result = larder_delete(r->t, &k, r->page);
        return result == LARDER_OK ? take_leave(r) : result == LARDER_NOT_FOUND ? NULL : larder_error();
    case 1:
        result = larder_get(r->t, &k, r->page);
        if (result == LARDER_OK && number_of(larder_page_item(r->page, 0), -1) == UINT32_MAX)
            return "an item is not whole";
        return result < 0 ? larder_error() : NULL;
    case 2:
        return read_groups(r);
    default:
        atomic_store(&came[number], 1); /* before it can be seen */
        return put_number(r, key, number) ? larder_error() : take_leave(r);
    }
}

static void *race(void *arg) {
    struct team *team = arg;
    struct racer r = {.team = team};
    const char *what = NULL;
    if (larder_table_open(team->db, "Raced", &r.t) || larder_builder_new(team->db, &r.b) ||
        larder_page_new(team->db, &r.page))
        what = larder_error();
    rng_seed(&r.rng, team->seed + atomic_fetch_add(&team->next, 1));
    while (!what && !atomic_load(&team->is_over) && atomic_load(&team->next) < NUMBERS_MAX / FEWER - THREADS)
        what = race_once(&r);
    if (what)
        team_fails(team, what);
    return NULL;
}

Test(threads, race_for_the_same_keys) {
    const struct larder_index_def index = {.name = "byGroup", .partition = {"group", LARDER_S}};
    const struct larder_table_def def = {
        .name = "Raced", .partition = {"PK", LARDER_S}, .indexes = &index, .index_count = 1};
    struct team team = {.db = testseg_open(SEGMENT_BYTES, 2), .seed = rng_test_seed("threads")};
    struct racer r = {.team = &team};
    cr_assert_eq(larder_table_create(team.db, &def), LARDER_OK);
    team_run(&team, race);
    cr_assert_eq(larder_table_open(team.db, "Raced", &r.t), LARDER_OK);
    cr_assert_eq(larder_page_new(team.db, &r.page), LARDER_OK);
    for (uint32_t key = 0; key < RACED_KEYS; key++) {
        char text[16];
        struct larder_key k = raced_key(text, key);
        if (larder_delete(r.t, &k, r.page) == LARDER_OK)
            cr_assert(take_leave(&r) == NULL);
    }
    for (uint32_t number = 0; number < NUMBERS_MAX; number++)
        cr_assert(came[number] == went[number], "write %u was lost: put %u times, replaced or deleted %u times", number,
                  came[number], went[number]);
    must_be_clean(team.db);
    larder_close(team.db);
}

/* ---- Snapshots ------------------------------------------------------------------------------- */

#define RING 12u
#define READERS (THREADS - 1u)

static struct ring {
    struct team *team;
    _Atomic uint32_t reads[READERS]; /* pages each reader has finished */
    _Atomic uint32_t lowest;         /* written by the mover after each move */
} ring;

static int put_in_ring(struct larder_table *t, struct larder_builder *b, uint32_t number) {
    const struct larder_item *item;
    char pk[16];
    snprintf(pk, sizeof pk, "item%u", number % RING);
    larder_builder_reset(b);
    larder_builder_add_s(b, "PK", pk);
    larder_builder_add_s(b, "ring", "the ring");
    larder_builder_add_int(b, "place", number);
    int r = larder_builder_finish(b, &item);
    return r ? r : larder_put(t, item, NULL);
}

/* Each reader has begun and finished a page since the last move, so no page meets more than two
 * moves. */
static int readers_have_read(const uint32_t *before) {
    for (uint32_t i = 0; i < READERS; i++)
        if (atomic_load(&ring.reads[i]) == before[i])
            return 0;
    return 1;
}

static const char *move(struct larder_table *t, struct larder_builder *b) {
    uint32_t before[READERS];
    for (uint32_t number = RING; number < RING + 4000 / FEWER; number++) {
        for (uint32_t i = 0; i < READERS; i++)
            before[i] = atomic_load(&ring.reads[i]);
        if (put_in_ring(t, b, number)) /* number - RING leaves, number comes: the same item */
            return larder_error();
        atomic_store(&ring.lowest, number - RING + 1);
        if (!UNTIL(readers_have_read(before) || atomic_load(&ring.team->is_over), WAIT_MS))
            return "a reader does not come to an end";
        if (atomic_load(&ring.team->is_over))
            return NULL;
    }
    return NULL;
}

/* A page must hold RING consecutive places. */
static const char *judge_ring(const struct larder_page *page, int is_descending, uint32_t lowest,
                              uint32_t lowest_after) {
    static _Thread_local char text[160];
    int64_t first = 0, place;
    struct larder_value v;
    uint32_t count = larder_page_count(page);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = is_descending ? count - 1 - i : i;
        if (larder_item_get(larder_page_item(page, at), "place", &v) || larder_value_int64(&v, &place))
            return "an item without its place";
        first = i == 0 ? place : first;
        if (place != first + i) {
            snprintf(text, sizeof text, "a page is no snapshot: place %lld is the %u. after %lld", (long long)place, i,
                     (long long)first);
            return text;
        }
    }
    /* The mover notes a move after it has made it. */
    if (count == RING && first >= lowest && first <= (int64_t)lowest_after + 1)
        return NULL;
    snprintf(text, sizeof text, "a page of %u items from place %lld; %u to %u was the lowest meanwhile", count,
             (long long)first, lowest, lowest_after);
    return text;
}

static const char *read_ring(struct larder_table *t, struct larder_page *page, uint32_t me) {
    for (uint32_t i = 0; !atomic_load(&ring.team->is_over); i++) {
        struct larder_query_spec spec = {
            .index = "byPlace", .partition = larder_str("the ring"), .is_descending = (int)(i % 2)};
        uint32_t lowest = atomic_load(&ring.lowest);
        if (larder_query(t, &spec, page))
            return larder_error();
        const char *what = judge_ring(page, spec.is_descending, lowest, atomic_load(&ring.lowest));
        if (what)
            return what;
        atomic_fetch_add(&ring.reads[me], 1);
    }
    return NULL;
}

static void *turn_ring(void *arg) {
    struct team *team = arg;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    uint32_t me = atomic_fetch_add(&team->next, 1);
    const char *what;
    if (larder_table_open(team->db, "Ring", &t) || larder_builder_new(team->db, &b) || larder_page_new(team->db, &page))
        what = larder_error();
    else
        what = me == READERS ? move(t, b) : read_ring(t, page, me);
    if (what)
        team_fails(team, what);
    atomic_store(&team->is_over, 1);
    return NULL;
}

Test(threads, a_page_is_a_snapshot) {
    const struct larder_index_def index = {
        .name = "byPlace", .partition = {"ring", LARDER_S}, .sort = {"place", LARDER_N}};
    const struct larder_table_def def = {
        .name = "Ring", .partition = {"PK", LARDER_S}, .indexes = &index, .index_count = 1};
    struct team team = {.db = testseg_open(SEGMENT_BYTES, 2)};
    struct larder_table *t;
    struct larder_builder *b;
    cr_assert_eq(larder_table_create(team.db, &def), LARDER_OK);
    cr_assert_eq(larder_table_open(team.db, "Ring", &t), LARDER_OK);
    cr_assert_eq(larder_builder_new(team.db, &b), LARDER_OK);
    for (uint32_t number = 0; number < RING; number++)
        cr_assert_eq(put_in_ring(t, b, number), LARDER_OK);
    ring.team = &team;
    team_run(&team, turn_ring);
    must_be_clean(team.db);
    larder_close(team.db);
}
