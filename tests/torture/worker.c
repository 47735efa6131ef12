/* tests/torture/worker.c - does random operations until it is killed. See torture.h.
 *
 * Roles    by number, over and over:
 *            0  the survivor, an ordinary writer that is never killed
 *            1  a reader with a read-only attachment
 *            2  an ordinary writer that carries the expirer's thread
 *            3  drops, makes and changes tables and runs larder_check
 *            4  impatient: fills the segment with large items, and empties it again
 *            5  has two threads
 */
#include <pthread.h>
#include <time.h>

#include "core/base/crash.h"
#include "index/leaf.h"
#include "tests/support/until.h"
#include "tests/torture/torture.h"

enum role { ROLE_ORDINARY, ROLE_READER, ROLE_EXPIRER, ROLE_CHANGER, ROLE_HOG, ROLE_TWO_THREADS, ROLES };

struct thread {
    struct client c;
    struct worker_shm *shm;
    uint32_t number; /* within the process */
    enum role role;
};

static uint32_t any_key(struct client *c, uint32_t table) {
    return (uint32_t)rng_below(&c->rng, client_keys(c, table));
}

/* Large items are for role 4, and a look at them is costly. */
static uint32_t any_table(struct client *c) {
    uint64_t n = rng_below(&c->rng, 100);
    return n < 55 ? TABLE_PAIR : n < 75 ? TABLE_SINGLE : n < 97 ? TABLE_CHURN : TABLE_HOG;
}

/* ---- Random operations ----------------------------------------------------------------------- */

static void any_query(struct client *c) {
    uint32_t table = any_table(c), limit = rng_is_one_in(&c->rng, 3) ? 1 + (uint32_t)rng_below(&c->rng, 8) : 0;
    const struct torture_table *t = &torture_tables[table];
    struct content_source from = client_source(c, table);
    int index = (int)rng_below(&c->rng, CONTENT_INDEXES + 1) - 1;
    if (index >= 0 && !(t->indexes & 1u << index) && t->added_index != index)
        index = -1;
    unsigned partitions = content_partitions(&from, index);
    unsigned partition = (unsigned)rng_below(&c->rng, partitions ? partitions : client_keys(c, table));
    do_query(c, table, index, partition, rng_is_one_in(&c->rng, 2), limit);
}

static void any_read(struct client *c) {
    uint64_t kind = rng_below(&c->rng, 20);
    uint32_t table = any_table(c);
    if (kind < 8)
        do_get(c, table, any_key(c, table));
    else if (kind < 11)
        do_get_many(c, table, 1 + (uint32_t)rng_below(&c->rng, table == TABLE_HOG ? 4 : 40));
    else if (kind < 18)
        any_query(c);
    else if (kind < 19)
        do_scan(c, table, (uint32_t)rng_below(&c->rng, 5),
                rng_is_one_in(&c->rng, 2) ? 1 + (uint32_t)rng_below(&c->rng, 9) : 0);
    else
        do_statistics(c);
}

static void any_write(struct client *c) {
    uint32_t table = any_table(c);
    do_write(c, table, any_key(c, table), WANT_ANY);
}

static void ordinary(struct client *c) {
    uint64_t kind = rng_below(&c->rng, 1000);
    if (kind < 700)
        any_write(c);
    else if (kind < 995)
        any_read(c);
    else
        do_expire(c, rng_below(&c->rng, 5));
}

static void change_tables(struct client *c) {
    uint64_t kind = rng_below(&c->rng, 1000);
    if (kind < 20)
        do_drop(c, TABLE_CHURN);
    else if (kind < 40)
        do_create(c, TABLE_CHURN);
    else if (kind < 80)
        do_index_add(c, TABLE_CHURN);
    else if (kind < 110)
        do_ttl_set(c, TABLE_SINGLE, rng_is_one_in(&c->rng, 2));
    else if (kind < 115)
        do_check(c);
    else
        ordinary(c);
}

static void hog_one(struct client *c, uint32_t table, uint32_t key, enum want want) {
    atomic_store(c->busy_since_ms, until_now_ms());
    do_write(c, table, key % client_keys(c, table), want);
}

/* A burst of large items, or of their deletes. A greedy burst puts all of them twice, which leaves
 * no room: then small puts are refused, too, at any point. */
static void hog(struct client *c) {
    uint32_t first = any_key(c, TABLE_HOG), all = client_keys(c, TABLE_HOG), count;
    enum want want = rng_is_one_in(&c->rng, 2) ? WANT_ITEM : WANT_NOTHING;
    if (!rng_is_one_in(&c->rng, 60)) {
        ordinary(c);
        return;
    }
    int is_greedy = want == WANT_ITEM && rng_is_one_in(&c->rng, 2);
    count = is_greedy ? 2 * all : 1 + (uint32_t)rng_below(&c->rng, all);
    for (uint32_t i = 0; i < count; i++)
        hog_one(c, TABLE_HOG, first + i, want);
    for (uint32_t i = 0; is_greedy && i < 3 * client_keys(c, TABLE_PAIR); i++)
        hog_one(c, TABLE_PAIR, first + i, WANT_ITEM);
}

static void operate(struct thread *t) {
    if (t->c.run->has_cache)
        do_cache(&t->c);
    if (rng_is_one_in(&t->c.rng, 6))
        do_bank(&t->c);
    switch (t->role) {
    case ROLE_READER:
        any_read(&t->c);
        break;
    case ROLE_CHANGER:
        change_tables(&t->c);
        break;
    case ROLE_HOG:
        hog(&t->c);
        break;
    default:
        ordinary(&t->c);
    }
}

/* ---- Living ---------------------------------------------------------------------------------- */

/* Carries out the supervisor's order: to die, or stop, at one of the next stores. */
static void obey(struct thread *t) {
    uint64_t order = atomic_exchange(&t->shm->order, 0);
    if (order >> 32 == ORDER_DIE)
        shm_crash_arm(order & UINT32_MAX);
    else if (order >> 32 == ORDER_STOP)
        shm_crash_arm_stop(order & UINT32_MAX);
}

/* For an audit: waits between two operations, with no thread of the library at work. */
static void pause_here(struct thread *t) {
    const struct timespec a_while = {.tv_nsec = 500000};
    int has_expirer = t->role == ROLE_EXPIRER;
    if (t->number == 0)
        shm_crash_arm(0); /* orders that were not carried out are over */
    if (has_expirer)
        larder_expirer_stop(t->c.db);
    atomic_store(&t->shm->is_paused[t->number], 1);
    while (atomic_load(&t->c.run->must_pause) && !atomic_load(&t->c.run->is_over))
        nanosleep(&a_while, NULL);
    atomic_store(&t->shm->is_paused[t->number], 0);
    int r = has_expirer ? larder_expirer_start(t->c.db) : LARDER_OK;
    if (r)
        client_failed(&t->c, "expirer_start", r);
}

static void *live(void *arg) {
    struct thread *t = arg;
    struct run *run = t->c.run;
    while (!atomic_load(&run->is_over)) {
        if (atomic_load(&run->must_pause))
            pause_here(t);
        if (t->number == 0)
            obey(t);
        atomic_store(t->c.busy_since_ms, until_now_ms());
        operate(t);
        atomic_store(t->c.busy_since_ms, 0);
        atomic_fetch_add_explicit(&t->shm->operations, 1, memory_order_relaxed);
        if (t->number == 0)
            atomic_store(&t->shm->slowest_ms, t->c.slowest_ms);
    }
    return NULL;
}

static void start_second(struct thread *second, const struct thread *first, uint64_t seed, pthread_t *id) {
    client_join(&second->c, &first->c, first->c.author + 1, seed);
    second->shm = first->shm;
    second->number = 1;
    second->role = ROLE_ORDINARY;
    second->c.busy_since_ms = &first->shm->busy_since_ms[1];
    if (pthread_create(id, NULL, live, second))
        client_wrong(&second->c, "no thread can be had");
}

int worker_main(struct run *run, uint32_t number, uint32_t start) {
    static struct thread thread[WORKER_THREADS];
    static const uint32_t capacities[] = {4, 4, 5, LEAF_ENTRIES};
    struct thread *t = &thread[0];
    uint64_t seed = run->seed * 31 + number * UINT64_C(1000003) + start;
    pthread_t second = 0;
    t->role = (enum role)(number % ROLES);
    t->shm = &run->worker[number];
    atomic_store(&t->shm->busy_since_ms[0], until_now_ms());
    client_open(&t->c, run, number * WORKER_THREADS, seed, t->role == ROLE_READER ? LARDER_READ_ONLY : 0,
                t->role == ROLE_HOG ? IMPATIENT_MS : BUSY_MS);
    t->c.busy_since_ms = &t->shm->busy_since_ms[0];
    leaf_capacity = capacities[rng_below(&t->c.rng, 4)];
    if (t->role == ROLE_TWO_THREADS)
        start_second(&thread[1], t, ~seed, &second);
    int r = t->role == ROLE_EXPIRER ? larder_expirer_start(t->c.db) : LARDER_OK;
    if (r)
        client_failed(&t->c, "expirer_start", r);
    live(t);
    if (t->role == ROLE_TWO_THREADS)
        pthread_join(second, NULL);
    larder_close(t->c.db);
    return EXIT_CLEAN;
}
