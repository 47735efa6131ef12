/* tests/crash/check_live_test.c - larder_check() of a segment that is in use.
 *
 * Goal     Beside writers of every kind, check reports no error, hundreds of times, and delays no
 *          writer. Real damage is still found. A checker that dies, or a writer that stands still,
 *          anywhere, does not turn into an error.
 * Method   Four processes put, overwrite with other index keys, delete, expire, add indexes, create
 *          and drop tables; one is killed now and then. A table that no process writes is damaged
 *          through the segment's own structures, and mended. The checker dies before each of its
 *          stores in turn (core/base/crash.h). A writer is stopped before each of its own (halt.h).
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/memory/heap_span.h"
#include "core/table/db.h"
#include "index/index.h"
#include "tests/crash/halt.h"
#include "tests/crash/world.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"
#include "ttl/wheel.h"

TestSuite(check_live, .timeout = 110 * SLOW_FACTOR);

#define SEGMENT_BYTES (64u << 20)
#define WRITERS 4u
#define KEYS 3000u
#define STILL_ITEMS 600u
#define BUSY_MS 120000u /* of what may stand still for lack of a core only */
#define PAUSE_NS_MAX (UINT64_C(50000000) * SLOW_FACTOR)

/* What writers and the test share. */
struct shared {
    _Atomic int is_over;
    _Atomic uint64_t writes, longest_ns;
};

struct live {
    struct larder *db; /* the test's own */
    int memfd;
    struct shared *shared;
    uint64_t seed;
    uint32_t number; /* of a writer */
    pid_t writer[WRITERS];
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- The segment ----------------------------------------------------------------------------- */

static int put(struct larder_table *t, struct larder_builder *b, uint32_t n, uint32_t variant, size_t fill_bytes) {
    static const char fill[20000];
    const struct larder_item *item;
    char text[40];
    larder_builder_reset(b);
    snprintf(text, sizeof text, "P%u", n % 7);
    larder_builder_add_s(b, "PK", text);
    snprintf(text, sizeof text, "SORT#%06u", n);
    larder_builder_add_s(b, "SK", text);
    if (variant % 5) {
        snprintf(text, sizeof text, "G%u", variant % 3);
        larder_builder_add_s(b, "GP", text);
        larder_builder_add_int(b, "GS", (int64_t)(variant * 7 % 1000));
    }
    if (variant % 4 == 1)
        larder_builder_add_int(b, "exp", (int64_t)time(NULL) + (variant % 8 == 1 ? 1 : 1000 + variant % 50000));
    larder_builder_add_b(b, "fill", fill, fill_bytes);
    int r = larder_builder_finish(b, &item);
    return r ? r : larder_put(t, item, NULL);
}

static void create_tables(struct larder *db) {
    const struct larder_index_def index = {.name = "byG", .partition = {"GP", LARDER_S}, .sort = {"GS", LARDER_N}};
    struct larder_table_def def = {.name = "busy",
                                   .partition = {"PK", LARDER_S},
                                   .sort = {"SK", LARDER_S},
                                   .indexes = &index,
                                   .index_count = 1,
                                   .ttl_attribute = "exp"};
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    def.name = "still";
    EXPECT(larder_table_create(db, &def), LARDER_OK);
}

static struct larder *attach(int memfd, uint32_t flags, uint32_t busy_ms) {
    const struct larder_options o = {.flags = LARDER_MEMFD | flags, .memfd = memfd, .busy_timeout_ms = busy_ms};
    struct larder *db = NULL;
    return larder_open(&o, &db) == LARDER_OK ? db : NULL;
}

static void begin(struct live *l, const char *name) {
    struct larder_table *t;
    struct larder_builder *b;
    memset(l, 0, sizeof *l);
    l->seed = rng_test_seed(name);
    leaf_capacity = 8;
    struct larder *creator = testseg_open(SEGMENT_BYTES, 8);
    create_tables(creator);
    l->memfd = dup(larder_memfd(creator));
    larder_close(creator);
    l->db = attach(l->memfd, 0, BUSY_MS);
    l->shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(l->db && l->shared != MAP_FAILED);
    EXPECT(larder_table_open(l->db, "still", &t), LARDER_OK);
    EXPECT(larder_builder_new(l->db, &b), LARDER_OK);
    for (uint32_t n = 0; n < STILL_ITEMS; n++)
        EXPECT(put(t, b, n, n % 4 == 1 ? n + 1 : n, n % 300), LARDER_OK); /* none expires */
}

static void end(struct live *l) {
    larder_close(l->db);
    close(l->memfd);
    munmap(l->shared, 4096);
}

/* ---- Writers --------------------------------------------------------------------------------- */

static int write_items(struct live *l, struct larder *db, struct larder_builder *b, struct rng *rng) {
    struct larder_table *t;
    uint32_t n = (uint32_t)rng_below(rng, KEYS), variant = (uint32_t)rng_next(rng) % 100000;
    if (larder_table_open(db, "busy", &t))
        return 0;
    uint64_t began = now_ns();
    int r;
    if (rng_is_one_in(rng, 4)) {
        char pk[16], sk[40];
        snprintf(pk, sizeof pk, "P%u", n % 7);
        snprintf(sk, sizeof sk, "SORT#%06u", n);
        r = larder_delete(t, &(struct larder_key){larder_str(pk), larder_str(sk)}, NULL);
    } else
        r = put(t, b, n, variant, rng_is_one_in(rng, 50) ? 20000 : rng_below(rng, 400));
    uint64_t lasted = now_ns() - began, before = atomic_load(&l->shared->longest_ns);
    while (lasted > before && !atomic_compare_exchange_weak(&l->shared->longest_ns, &before, lasted))
        ;
    atomic_fetch_add(&l->shared->writes, 1);
    return r == LARDER_OK || r == LARDER_NOT_FOUND || r == LARDER_E_FULL;
}

/* A table is created, grows and is dropped; the busy one gets an index, or another TTL
 * attribute. */
static int write_tables(struct larder *db, struct larder_builder *b, struct rng *rng, uint32_t number) {
    static uint32_t added;
    struct larder_table *t;
    char name[32];
    snprintf(name, sizeof name, "brief%u", number);
    const struct larder_table_def def = {.name = name, .partition = {"PK", LARDER_S}, .sort = {"SK", LARDER_S}};
    int r = larder_table_create(db, &def);
    if (r == LARDER_OK && larder_table_open(db, name, &t) == LARDER_OK)
        for (uint32_t n = 0, count = (uint32_t)rng_below(rng, 300); n < count; n++)
            (void)put(t, b, n, n, 10);
    r = larder_table_drop(db, name);
    if (r != LARDER_OK && r != LARDER_E_NO_TABLE && r != LARDER_E_BUSY)
        return 0;
    if (rng_is_one_in(rng, 3) && larder_table_open(db, "busy", &t) == LARDER_OK)
        (void)larder_ttl_set(t, rng_is_one_in(rng, 2) ? "exp" : "GS");
    snprintf(name, sizeof name, "added%u%u", number, added++);
    const struct larder_index_def index = {.name = name, .partition = {"GP", LARDER_S}, .sort = {"SK", LARDER_S}};
    if (added < 3 && larder_table_open(db, "busy", &t) == LARDER_OK)
        (void)larder_index_add(t, &index);
    return 1;
}

static int writer_process(void *arg) {
    struct live *l = arg;
    struct rng rng;
    struct larder_builder *b;
    rng_seed(&rng, l->seed + l->number);
    leaf_capacity = 8;
    struct larder *db = attach(l->memfd, 0, BUSY_MS);
    PROC_CHECK(db && larder_builder_new(db, &b) == LARDER_OK);
    while (!atomic_load(&l->shared->is_over)) {
        PROC_CHECK(write_items(l, db, b, &rng));
        if (rng_is_one_in(&rng, 500))
            PROC_CHECK(write_tables(db, b, &rng, l->number));
        if (rng_is_one_in(&rng, 300))
            (void)larder_expire(db, 0, NULL);
    }
    larder_close(db);
    return 0;
}

static void start_writer(struct live *l, uint32_t i) {
    l->number = i;
    l->seed++;
    l->writer[i] = proc_fork(writer_process, l);
}

static void start_writers(struct live *l) {
    for (uint32_t i = 0; i < WRITERS; i++)
        start_writer(l, i);
    cr_assert(UNTIL(atomic_load(&l->shared->writes) > 1000, 20000));
}

static void stop_writers(struct live *l) {
    atomic_store(&l->shared->is_over, 1);
    for (uint32_t i = 0; i < WRITERS; i++) {
        struct proc_result r = proc_wait(l->writer[i], 30000);
        cr_assert(proc_is_exit(r, 0), "writer %u: %s", i, proc_text(r));
    }
}

static unsigned rounds_of(unsigned usual) {
    return getenv("LARDER_TEST_LONG") ? usual * 20 : usual / SLOW_FACTOR;
}

struct notes {
    char text[100000];
    size_t used;
};

static void take_note(void *arg, const char *line) {
    struct notes *n = arg;
    n->used += (size_t)snprintf(n->text + n->used, sizeof n->text - n->used, "%s\n", line);
    if (n->used >= sizeof n->text)
        n->used = sizeof n->text - 1;
}

/* The longest hold of a lock. */
static uint64_t must_be_clean(struct larder *db, unsigned round) {
    struct larder_check_report report;
    static struct notes notes;
    notes.used = 0;
    notes.text[0] = 0;
    int r = larder_check(db, &(struct larder_check_options){.note = take_note, .arg = &notes}, &report);
    cr_assert_eq(r, LARDER_OK, "check %u: %s, %s\n%.2000s", round, larder_result_name(r), larder_error(), notes.text);
    cr_assert(report.errors == 0 && report.leaked_blocks == 0 && report.stale_entries == 0);
    return report.longest_pause_ns;
}

Test(check_live, clean_beside_writers_that_die) {
    struct live l;
    begin(&l, "check_live");
    start_writers(&l);
    /* A checker that gets no CPU keeps its lock meanwhile. So one check without a long hold is
     * enough. */
    uint64_t least_ns = UINT64_MAX;
    for (unsigned i = 0, rounds = rounds_of(150); i < rounds; i++) {
        uint64_t longest_ns = must_be_clean(l.db, i);
        least_ns = longest_ns < least_ns ? longest_ns : least_ns;
        if (i % 5 == 4) {
            uint32_t victim = i / 5 % WRITERS;
            proc_kill(l.writer[victim]);
            start_writer(&l, victim);
        }
    }
    cr_log_info("%lu writes, the longest took %lu us\n", (unsigned long)l.shared->writes,
                (unsigned long)l.shared->longest_ns / 1000);
    cr_assert(least_ns < PAUSE_NS_MAX, "each check held some lock for at least %lu ns", (unsigned long)least_ns);
    stop_writers(&l);
    must_be_clean(l.db, 0);
    end(&l);
}

/* Without locks, a write in progress is never called an error. */
Test(check_live, read_only_beside_writers) {
    struct live l;
    begin(&l, "check_live");
    start_writers(&l);
    struct larder *reader = attach(l.memfd, LARDER_READ_ONLY, BUSY_MS);
    for (unsigned i = 0, rounds = rounds_of(60); i < rounds; i++)
        must_be_clean(reader, i);
    stop_writers(&l);
    struct larder_check_report report;
    EXPECT(larder_check(reader, NULL, &report), LARDER_OK);
    cr_assert_eq(report.unjudged, 0, "no process writes any more");
    larder_close(reader);
    end(&l);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

/* A place in the table that no process writes, what is there, and what is put there instead. */
struct wound {
    void *at;
    uint64_t before, after;
    unsigned bytes;
};

struct anatomy {
    struct seg *s;
    const struct table_view *v;
    shm_word *slot, *partition;
    struct item_head *item;
    struct leaf_shm *leaf;
};

/* A slot in use of a hash table. */
static shm_word *slot_of(const struct seg *s, const struct htab *tab, uint32_t nth) {
    for (uint32_t i = 0; i < tab->stripe_count; i++) {
        uint64_t word = tab->stripes[i].array;
        struct bucket_shm *array = seg_at(s, WORD_OFF(word), sizeof *array);
        for (uint32_t k = 0; array && k < WORD_TAG(word) * BUCKET_SLOTS; k++)
            if (array[k / BUCKET_SLOTS].slot[k % BUCKET_SLOTS] != 0 && nth-- == 0)
                return &array[k / BUCKET_SLOTS].slot[k % BUCKET_SLOTS];
    }
    cr_assert(0, "no slot is in use");
    abort(); /* not reached */
}

static void look_inside(struct live *l, struct anatomy *a) {
    struct larder_table *t;
    EXPECT(larder_table_open(l->db, "still", &t), LARDER_OK);
    EXPECT(table_view(t, &a->v), LARDER_OK);
    a->s = &l->db->seg;
    a->slot = slot_of(a->s, &a->v->items, 17);
    a->item = seg_at(a->s, WORD_OFF(*a->slot), sizeof *a->item);
    a->leaf = NULL;
    for (uint32_t i = 0; !a->leaf; i++) {
        a->partition = slot_of(a->s, &a->v->partitions, i);
        struct node_shm *node = seg_at(a->s, WORD_OFF(*a->partition), sizeof *node);
        if (node->block.kind == BLOCK_NODE)
            a->leaf = seg_at(a->s, node->leaf, sizeof *a->leaf);
    }
}

#define WOUND(place, value)                                                                                            \
    ((struct wound){.at = (void *)(place), .before = *(place), .after = (value), .bytes = sizeof *(place)})

static struct wound slot_emptied(const struct anatomy *a) {
    return WOUND(a->slot, 0);
}
static struct wound slot_tag(const struct anatomy *a) {
    return WOUND(a->slot, *a->slot ^ UINT64_C(1) << 50);
}
static struct wound item_kseq(const struct anatomy *a) {
    return WOUND(&a->item->kseq, a->item->kseq + 1000);
}
static struct wound item_hash(const struct anatomy *a) {
    return WOUND(&a->item->hash_high, a->item->hash_high ^ 1u << 3);
}
static struct wound item_length(const struct anatomy *a) {
    return WOUND(&a->item->bytes, a->item->bytes + 8);
}
static struct wound stripe_count(const struct anatomy *a) {
    _Atomic uint32_t *count = &htab_stripe(&a->v->items, (uint64_t)a->item->hash_high << 32)->count;
    return WOUND(count, *count + 1);
}
static struct wound entry_dead(const struct anatomy *a) {
    _Atomic uint32_t *kseq = &leaf_shm_kseq(a->leaf, a->leaf->block.count)[1];
    return WOUND(kseq, 0);
}
static struct wound entry_of_nobody(const struct anatomy *a) {
    _Atomic uint32_t *kseq = &leaf_shm_kseq(a->leaf, a->leaf->block.count)[1];
    return WOUND(kseq, *kseq + 5000);
}
static struct wound entry_hash(const struct anatomy *a) {
    return WOUND(&a->leaf->hash_high[1], a->leaf->hash_high[1] ^ 1u << 20);
}
static struct wound leaf_next_none(const struct anatomy *a) {
    return WOUND(&a->leaf->next, 0);
}
static struct wound partition_emptied(const struct anatomy *a) {
    return WOUND(a->partition, 0);
}
static struct wound array_nowhere(const struct anatomy *a) {
    shm_word *array = &htab_stripe(&a->v->items, (uint64_t)a->item->hash_high << 32)->array;
    return WOUND(array, WORD_MAKE(9, UINT64_C(1) << 44));
}
static struct wound bit_of_an_item(const struct anatomy *a) {
    struct span_shm *span = seg_span(a->s, span_index(a->s, WORD_OFF(*a->slot)));
    uint64_t inside = (WORD_OFF(*a->slot) - a->s->data_off) % SPAN_BYTES;
    uint32_t bit = (uint32_t)(inside / heap_class_bytes(span->class_index));
    return WOUND(&span->bitmap[bit / 64], span->bitmap[bit / 64] & ~(UINT64_C(1) << bit % 64));
}
static struct wound version_ahead(const struct anatomy *a) {
    return WOUND(&a->item->version, a->item->version + 100000);
}

static void strike(const struct wound *w, uint64_t value) {
    if (w->bytes == 8)
        atomic_store((shm_word *)w->at, value);
    else
        atomic_store((_Atomic uint32_t *)w->at, (uint32_t)value);
}

static const struct {
    const char *name, *word;
    struct wound (*wound)(const struct anatomy *a);
    int is_of_busy_span; /* blocks are taken and given back in the same word */
} wounds[] = {
    {"slot_emptied", "nothing refers", slot_emptied, 0},
    {"slot_tag", "H1", slot_tag, 0},
    {"item_kseq", "N1", item_kseq, 0},
    {"item_hash", "hash", item_hash, 0},
    {"item_length", "sane", item_length, 0},
    {"stripe_count", "H2", stripe_count, 0},
    {"entry_dead", "N1", entry_dead, 0},
    {"entry_of_nobody", "N2", entry_of_nobody, 0},
    {"entry_hash", "N2", entry_hash, 0},
    {"leaf_next_none", "nothing refers", leaf_next_none, 0},
    {"partition_emptied", "nothing refers", partition_emptied, 0},
    {"array_nowhere", "bucket array", array_nowhere, 0},
    {"bit_of_an_item", "no block is handed out", bit_of_an_item, 1},
    {"version_ahead", "version", version_ahead, 0},
};

static void must_find(struct larder *db, const char *name, const char *word) {
    struct larder_check_report report;
    static struct notes notes;
    notes.used = 0;
    notes.text[0] = 0;
    int r = larder_check(db, &(struct larder_check_options){.note = take_note, .arg = &notes}, &report);
    cr_expect_eq(r, LARDER_DAMAGED, "%s: %s", name, larder_result_name(r));
    cr_expect(strstr(notes.text, word) != NULL, "%s: no \"%s\" in\n%.2000s", name, word, notes.text);
    cr_expect(strstr(notes.text, "\"busy\"") == NULL, "%s: what is busy is blamed\n%.2000s", name, notes.text);
}

Test(check_live, damage_is_found_beside_writers) {
    struct live l;
    struct anatomy a;
    begin(&l, "check_live");
    look_inside(&l, &a);
    start_writers(&l);
    struct larder *reader = attach(l.memfd, LARDER_READ_ONLY, BUSY_MS);
    for (size_t i = 0; i < sizeof wounds / sizeof *wounds; i++) {
        struct wound w = wounds[i].wound(&a);
        if (wounds[i].is_of_busy_span)
            continue;
        strike(&w, w.after);
        must_find(l.db, wounds[i].name, wounds[i].word);
        /* which cannot be judged without locks */
        if (strcmp(wounds[i].word, "nothing refers") != 0)
            must_find(reader, wounds[i].name, wounds[i].word);
        strike(&w, w.before);
        must_be_clean(l.db, (unsigned)i);
    }
    stop_writers(&l);
    for (size_t i = 0; i < sizeof wounds / sizeof *wounds; i++) {
        struct wound w = wounds[i].wound(&a);
        strike(&w, w.after);
        must_find(l.db, wounds[i].name, wounds[i].word);
        must_find(reader, wounds[i].name, wounds[i].word);
        strike(&w, w.before);
    }
    must_be_clean(l.db, 0);
    larder_close(reader);
    end(&l);
}

/* ---- A checker that dies --------------------------------------------------------------------- */

struct death {
    int memfd;
    uint64_t store;
};

static int check_and_die(void *arg) {
    const struct death *d = arg;
    struct larder_check_report report;
    struct larder *db = world_open(d->memfd);
    shm_crash_arm(d->store);
    int r = larder_check(db, NULL, &report);
    shm_crash_arm(0);
    larder_close(db);
    return r != LARDER_OK || report.errors != 0;
}

/* The lock that it died with is taken over by the first process that needs it. */
Test(check_live, checker_dies_at_every_store) {
    struct death d = {.memfd = world_create(2)};
    struct larder *db = world_open(d.memfd);
    leaf_capacity = 4;
    for (int n = 0; n < 60; n++)
        world_put(db, n, 1111, (unsigned)n, n % 3 ? 0 : world_now_s + 100 + n);
    char *before = world_dump(db);
    struct proc_result r = {0};
    for (d.store = 1;; d.store += 1 + d.store / 100) {
        r = proc_run(check_and_die, &d, 10000);
        if (!proc_is_signal(r, SIGKILL))
            break;
        for (int n = 0; n < 4; n++)
            world_put(db, WORLD_PROBE + n, 1111, 20, 0); /* both stripes, the indexes */
        struct larder_check_report report;
        cr_assert_eq(larder_check(db, NULL, &report), LARDER_OK, "store %lu: %s", (unsigned long)d.store,
                     larder_error());
        cr_assert(report.leaked_blocks == 0 && report.dead_slots <= 1);
        char *after = world_dump(db);
        cr_assert_str_eq(before, after);
        free(after);
    }
    cr_assert(proc_is_exit(r, 0), "%s", proc_text(r));
    cr_assert(d.store > 100, "it stored %lu times only", (unsigned long)d.store);
    free(before);
    larder_close(db);
    close(d.memfd);
}

/* ---- A writer that stands still -------------------------------------------------------------- */

static int overwrite(void *arg) {
    const int *memfd = arg;
    struct larder *db = world_open(*memfd);
    world_put(db, 7, 2222, 300, world_now_s + 5000);
    larder_close(db);
    return 0;
}

/* BUSY with the name of the holder, or a right answer; never an error. A reader does not wait. */
Test(check_live, beside_a_writer_stopped_at_every_store) {
    int memfd = world_create(2);
    struct larder *db = world_open(memfd);
    leaf_capacity = 4;
    for (int n = 0; n < 60; n++)
        world_put(db, n, 1111, (unsigned)n, n % 3 ? 0 : world_now_s + 100 + n);
    struct larder *hasty = attach(memfd, 0, 20), *reader = attach(memfd, LARDER_READ_ONLY, 20);
    struct halt h;
    unsigned busy = 0, stops = 0;
    halt_start(&h, overwrite, &memfd, 1);
    while (halt_wait(&h, 10000)) {
        struct larder_check_report report;
        char pid[32];
        snprintf(pid, sizeof pid, "process %d ", (int)h.pid);
        int r = larder_check(hasty, NULL, &report);
        cr_assert(r == LARDER_OK || (r == LARDER_E_BUSY && strstr(larder_error(), pid)), "store %lu: %s, %s",
                  (unsigned long)h.at, larder_result_name(r), larder_error());
        busy += r == LARDER_E_BUSY;
        stops++;
        r = larder_check(reader, NULL, &report);
        cr_assert(r == LARDER_OK, "store %lu, read-only: %s, %s", (unsigned long)h.at, larder_result_name(r),
                  larder_error());
        halt_go_on(&h, 1 + stops / 40);
    }
    cr_assert(proc_is_exit(h.end, 0), "%s", proc_text(h.end));
    halt_forget(&h);
    cr_assert(busy > 5 && busy < stops, "%u of %u", busy, stops);
    must_be_clean(db, 0);
    larder_close(reader);
    larder_close(hasty);
    larder_close(db);
    close(memfd);
}

/* ---- Progress, and the stack ----------------------------------------------------------------- */

struct progress {
    uint64_t last, total, calls, end_at;
};

static int take_progress(void *arg, uint64_t done, uint64_t total) {
    struct progress *p = arg;
    cr_assert(done >= p->last && done <= total && (!p->calls || total == p->total), "%lu of %lu after %lu",
              (unsigned long)done, (unsigned long)total, (unsigned long)p->last);
    p->last = done;
    p->total = total;
    return ++p->calls == p->end_at;
}

Test(check_live, progress_goes_to_the_end_or_is_cut_off) {
    struct live l;
    begin(&l, "check_live");
    struct larder_check_report report;
    struct progress p = {.end_at = 0};
    const struct larder_check_options o = {.progress = take_progress, .arg = &p};
    EXPECT(larder_check(l.db, &o, &report), LARDER_OK);
    cr_assert(p.calls > 8 && p.last == p.total);
    for (uint64_t calls = p.calls, at = 1; at < calls; at += 1 + calls / 20) {
        p = (struct progress){.end_at = at};
        EXPECT(larder_check(l.db, &o, &report), LARDER_MORE);
        cr_assert(p.calls == at && report.errors == 0);
    }
    EXPECT(larder_check(l.db, NULL, &report), LARDER_OK);
    EXPECT(larder_check(l.db, &o, NULL), LARDER_E_INVAL);
    end(&l);
}

#if SLOW_FACTOR == 1
#define STACK_BYTES (256u << 10)
#define STACK_MAX (12u << 10) /* as larder.h says, beyond what every thread and call take */
#define PAINT 0x5a

static void *check_in_thread(void *arg) {
    struct larder_check_report report;
    return larder_check(arg, NULL, &report) == LARDER_OK ? NULL : arg;
}

static void *do_little(void *arg) {
    struct larder_segment_stats stats;
    return larder_segment_stats(arg, &stats) == LARDER_OK ? NULL : arg;
}

/* Bytes of its stack that a thread has touched. */
static size_t stack_used(void *(*run)(void *arg), struct larder *db) {
    unsigned char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attr;
    pthread_t thread;
    void *result = NULL;
    size_t untouched = 0;
    memset(stack, PAINT, STACK_BYTES);
    cr_assert(pthread_attr_init(&attr) == 0 && pthread_attr_setstack(&attr, stack, STACK_BYTES) == 0);
    cr_assert(pthread_create(&thread, &attr, run, db) == 0 && pthread_join(thread, &result) == 0);
    cr_assert_null(result, "%s", larder_error());
    while (untouched < STACK_BYTES && stack[untouched] == PAINT)
        untouched++;
    munmap(stack, STACK_BYTES);
    return STACK_BYTES - untouched;
}

Test(check_live, needs_little_stack) {
    struct live l;
    begin(&l, "check_live");
    size_t little = stack_used(do_little, l.db), used = stack_used(check_in_thread, l.db);
    cr_log_info("stack: %zu bytes, %zu for a small call\n", used, little);
    cr_assert(used < little + STACK_MAX, "%zu bytes of stack, %zu for a small call", used, little);
    end(&l);
}
#endif
