/* tests/crash/stop_test.c - for every operation and every store in it: stand still there.
 *
 * Goal     Promise 2, and "nobody waits" for those who live but stand still: readers go on; writers who need nothing that the
 *          stopped process holds go on; who needs it gets LARDER_E_BUSY after its own time limit, hears which process holds
 *          what, and has changed nothing. SIGCONT, and all is well; SIGKILL instead, and all is well, too.
 * Method   A child runs the operation and stops before every store (halt.h). The test looks which locks are held, from the
 *          slots, and derives from that what each of its own calls must give (struct needs): OK if nothing in the call's
 *          way is held, LARDER_E_BUSY if something that it cannot do without is held by a live slot, either if only something
 *          that it may need (memory of a size class, say) is. The test's own items ("probes") and table are left out of the
 *          text that is compared with the states before and after (world_dump).
 *          All calls are made at stores where the set of held locks has changed and at every n-th other one; readers
 *          and unhindered writers at every stop. LARDER_TEST_LONG: everything at every store of every operation.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/segment/live.h"
#include "core/table/db.h"
#include "core/table/read.h"
#include "index/index.h"
#include "index/leaf.h"
#include "tests/crash/halt.h"
#include "tests/crash/world.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"
#include "ttl/wheel.h"

TestSuite(stop, .timeout = 3600); /* of the long run; a usual one is ended by the alarm of criterion_env.c */

#define STRIPES 8
#define LIMIT_MS 5u                   /* patience of the test's own calls */
#define LATE_MS (1000u * SLOW_FACTOR) /* no call takes longer, on a busy machine too */
/* What a refusal takes on average: the limit, and what the machine adds. */
#define USUAL_MS (4 * LIMIT_MS * SLOW_FACTOR)
#define DEADLINE_MS 20000   /* for a child's next stop */
#define PROBES_FROM 900     /* items of World with such numbers are the test's own */
#define PROBE_LINE "SK#009" /* what their lines of the text have */
#define FAR_S 1000000       /* when the probes' timers are due */
#define STEPS_MAX 16
#define RANK(rank) (1u << (rank))
#define ANY_MEMORY (RANK(LOCK_BIN) | RANK(LOCK_SPAN))

static int is_long(void) {
    return getenv("LARDER_TEST_LONG") != NULL;
}

/* A sanitizer's build looks at fewer stops. */
#define COARSE (SLOW_FACTOR > 1 ? 8u : 1u)

struct scenario {
    const char *name;
    void (*prepare)(struct larder *db);
    void (*act)(struct larder *db, int step);
    int steps;          /* calls of act, with step 0, 1, .. */
    unsigned stride;    /* of the short run: stops at every so many-th store */
    uint32_t ranks;     /* locks that it must have been stopped with, or this test is blind */
    uint32_t may_ranks; /* what a put of the test may need besides, because of what the child is doing */
    int is_alone;       /* nobody else is to do the child's work: it would leave none to stop in */
};

/* ---- Probes: what the test does while the child stands still ------------------------------------------------------- */

#define VARIANTS 2
static const int variant_keys[VARIANTS] = {1111, 2222};

/* An item of World. Its two variants differ in the keys of all secondary indexes. */
struct probe {
    int n, variant;
    uint64_t stripe, shard; /* offsets of locks */
    uint64_t partition[VARIANTS][LARDER_INDEXES_MAX];
    uint32_t partition_count[VARIANTS];
};

struct scene {
    const struct scenario *s;
    int base, memfd;
    struct larder *db; /* attached before the child starts */
    struct larder_page *page;
    struct probe probe[STRIPES]; /* one for each stripe of World */
    struct halt child;
    char *text[STEPS_MAX + 1];
    int text_count, last_seen;
    int is_recovery; /* the child recovers a dead slot: nobody else may before it has begun */
    uint32_t timers, ranks_seen;
    uint64_t stops, unnamed, calls, busy, busy_ms, slowest_ms;
};

static int64_t clock_of_test(void *arg) {
    (void)arg;
    return world_now_s;
}

static struct larder *open_impatient(int memfd) {
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = memfd, .busy_timeout_ms = LIMIT_MS};
    struct larder *db;
    cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
    larder_set_clock(db, clock_of_test, NULL);
    return db;
}

static struct larder_table *table_named(struct larder *db, const char *name) {
    struct larder_table *t;
    return larder_table_open(db, name, &t) == LARDER_OK ? t : NULL;
}

/* The item as it is stored, in the page. NULL: it is not there. */
static const struct item_head *stored(struct larder *db, int n, struct larder_page *page) {
    char pk[16], sk[32];
    snprintf(pk, sizeof pk, "P%d", n % WORLD_PARTITIONS);
    snprintf(sk, sizeof sk, "SK#%05d", n);
    struct larder_key key = {larder_str(pk), larder_str(sk)};
    struct larder_table *t = table_named(db, WORLD_TABLE);
    int r = t ? larder_get(t, &key, page) : LARDER_NOT_FOUND;
    cr_assert(r >= 0, "get: %s", larder_error());
    return r == LARDER_OK ? (const struct item_head *)larder_page_item(page, 0) : NULL;
}

static void learn_probe(struct larder *db, struct larder_page *page, struct probe *p) {
    const struct table_view *v;
    cr_assert_eq(table_view(table_named(db, WORLD_TABLE), &v), LARDER_OK);
    for (p->variant = VARIANTS; p->variant-- > 0;) {
        world_put(db, p->n, variant_keys[p->variant], 10, 0);
        const struct item_head *item = stored(db, p->n, page);
        struct item_peek peek;
        cr_assert(item_peek_open(&peek, item, item->bytes));
        uint64_t hash = read_hash_of_item(v, &peek);
        for (uint32_t number = 1; number < index_count(v); number++) {
            struct index_entry e;
            cr_assert(index_entry_of(v, hash, &peek, number, &e));
            if (e.entry.kseq)
                p->partition[p->variant][p->partition_count[p->variant]++] =
                    seg_off(&db->seg, &htab_stripe(&v->partitions, e.partition)->lock);
        }
        p->stripe = seg_off(&db->seg, &htab_stripe(&v->items, hash)->lock);
        p->shard = seg_off(&db->seg, &wheel_shard(&db->seg, wheel_shard_of(&db->seg, hash))->lock);
    }
    p->variant = 0;
}

/* One probe for each stripe. */
static void learn_probes(struct scene *c, struct larder *db) {
    struct larder_page *page;
    uint32_t found = 0;
    cr_assert_eq(larder_page_new(db, &page), LARDER_OK);
    for (int n = PROBES_FROM; found < STRIPES; n++) {
        struct probe p = {.n = n};
        int is_new = 1;
        cr_assert(n < 1000);
        learn_probe(db, page, &p);
        for (uint32_t i = 0; i < found; i++)
            is_new &= c->probe[i].stripe != p.stripe;
        if (is_new)
            c->probe[found++] = p;
        else
            world_delete(db, n);
    }
    larder_page_free(page);
}

static void other_id(char id[16], uint32_t i) {
    snprintf(id, 16, "o%u", i);
}

static int put_other(struct scene *c, uint32_t i) {
    char id[16];
    struct larder_builder *b;
    const struct larder_item *item;
    other_id(id, i);
    cr_assert_eq(larder_builder_new(c->db, &b), LARDER_OK);
    larder_builder_add_s(b, "id", id);
    larder_builder_add_int(b, "at", (int64_t)c->stops);
    cr_assert_eq(larder_builder_finish(b, &item), LARDER_OK);
    int r = larder_put(table_named(c->db, "Other"), item, NULL);
    larder_builder_free(b);
    return r;
}

static int overwrite(struct scene *c, uint32_t i) {
    return world_try_put(c->db, c->probe[i].n, variant_keys[c->probe[i].variant], 10, 0);
}

static int change_keys(struct scene *c, uint32_t i) {
    int variant = 1 - c->probe[i].variant;
    int r = world_try_put(c->db, c->probe[i].n, variant_keys[variant], 10, 0);
    if (r == LARDER_OK)
        c->probe[i].variant = variant;
    return r;
}

/* Ever sooner, so that each needs a timer of its own. */
static int expire_sooner(struct scene *c, uint32_t i) {
    int64_t at_s = world_now_s + FAR_S - c->timers++;
    return world_try_put(c->db, c->probe[i].n, variant_keys[c->probe[i].variant], 10, at_s);
}

static int set_removal(struct scene *c, uint32_t i) {
    (void)i;
    const struct larder_table_def *def;
    struct larder_table *t = table_named(c->db, "Other");
    cr_assert(t && larder_table_describe(t, &def) == LARDER_OK);
    return larder_removal_set(t, def->removal == LARDER_REMOVAL_RETAIN ? LARDER_REMOVAL_DELETE : LARDER_REMOVAL_RETAIN);
}

static int check(struct scene *c, uint32_t i) {
    (void)i;
    struct larder_check_report report;
    return larder_check(c->db, NULL, &report);
}

static int expire(struct scene *c, uint32_t i) {
    (void)i;
    int r = larder_expire(c->db, 0, NULL);
    return r == LARDER_MORE ? LARDER_OK : r;
}

/* ---- What a call must give ----------------------------------------------------------------------------------------- */

struct needs {
    uint64_t must[LARDER_INDEXES_MAX + 4]; /* locks without which it cannot be done */
    uint32_t must_count;
    uint32_t must_ranks, may_ranks; /* all locks of these ranks; any of these ranks */
    uint32_t wait_ms;               /* that it waits for a lock */
};

static int is_must(const struct needs *n, const struct halt_lock *lock) {
    for (uint32_t i = 0; i < n->must_count; i++)
        if (n->must[i] == lock->off)
            return 1;
    return (n->must_ranks & RANK(lock->rank)) != 0;
}

/* The pid as messages name it. */
static int names_process(const char *text, pid_t pid) {
    char who[32];
    snprintf(who, sizeof who, "process %d ", (int)pid);
    return strstr(text, who) != NULL;
}

static void explain(const struct scene *c, const char *what, const struct halt_locks *held) {
    fprintf(stderr, "%s, stopped before store %lu, %s; held:", c->s->name, (unsigned long)c->child.at, what);
    for (uint32_t i = 0; i < held->count; i++)
        fprintf(stderr, " %s@%lu by slot %u%s", lock_rank_name(held->at[i].rank), (unsigned long)held->at[i].off,
                held->at[i].slot, held->at[i].is_live ? "" : " (dead)");
    fprintf(stderr, "\n");
}

#define EXPECT(condition, ...)                                                                                         \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            explain(c, what, &held);                                                                                   \
            cr_assert_fail(__VA_ARGS__);                                                                               \
        }                                                                                                              \
    } while (0)

/* A refusal says who has it and what; it came after the limit and not much later. */
static void judge_busy(struct scene *c, const char *what, const struct needs *n, struct halt_locks held,
                       uint64_t took_ms) {
    int is_named = 0;
    EXPECT(names_process(larder_error(), c->child.pid), "the message does not name process %d: %s", (int)c->child.pid,
           larder_error());
    for (uint32_t i = 0; i < held.count; i++)
        is_named |= strstr(larder_error(), lock_rank_name(held.at[i].rank)) != NULL;
    EXPECT(is_named, "the message names nothing that is held: %s", larder_error());
    EXPECT(took_ms + 1 >= n->wait_ms, "refused after %lu ms", (unsigned long)took_ms);
}

static uint32_t count_dead(const struct halt_locks *held) {
    uint32_t dead = 0;
    for (uint32_t i = 0; i < held->count; i++)
        dead += !held->at[i].is_live;
    return dead;
}

/* A call whose way is blocked takes nothing with it. But memory may be missing in the middle: then it is stuck (core/memory/writer.h). */
static void must_leave_nothing(struct scene *c, const char *what, struct halt_locks held) {
    struct halt_locks after;
    halt_look(c->db, &after);
    if (!halt_find_rank(&held, LOCK_BIN, 1) && !halt_find_rank(&held, LOCK_SPAN, 1))
        EXPECT(count_dead(&after) <= count_dead(&held), "the call left a lock behind");
}

/* Makes one call, and judges its answer by the locks that are held. */
static void expect(struct scene *c, const char *what, const struct needs *n, int (*call)(struct scene *c, uint32_t i),
                   uint32_t i) {
    struct halt_locks held;
    int is_surely_busy = 0, is_perhaps_busy = 0;
    halt_look(c->db, &held);
    for (uint32_t k = 0; k < held.count; k++) {
        is_surely_busy |= held.at[k].is_live && is_must(n, &held.at[k]);
        is_perhaps_busy |= is_must(n, &held.at[k]) || (n->may_ranks & RANK(held.at[k].rank));
    }
    uint64_t start_ms = until_now_ms(), own_start_ms = until_own_ms();
    int r = call(c, i);
    uint64_t took_ms = until_now_ms() - start_ms, own_ms = until_own_ms() - own_start_ms;
    EXPECT(r == LARDER_OK || r == LARDER_E_BUSY, "%s: %s", larder_result_name(r), larder_error());
    EXPECT(r == LARDER_E_BUSY || !is_surely_busy, "done, without a lock that it needs");
    EXPECT(r == LARDER_OK || is_perhaps_busy, "refused, and nothing it needs is held: %s", larder_error());
    EXPECT(own_ms < LATE_MS, "took %lu ms", (unsigned long)own_ms);
    if (r == LARDER_E_BUSY)
        judge_busy(c, what, n, held, took_ms);
    must_leave_nothing(c, what, held);
    if (own_ms > c->slowest_ms)
        c->slowest_ms = own_ms;
    if (r == LARDER_E_BUSY) {
        c->busy++;
        c->busy_ms += own_ms;
    }
    c->calls++;
}

/* As the last acknowledged write left it: what was refused changed nothing. */
static void must_be_as_written(struct scene *c, uint32_t i) {
    struct larder_value keys;
    int64_t value;
    const struct item_head *item = stored(c->db, c->probe[i].n, c->page);
    cr_assert(item && larder_item_get((const struct larder_item *)item, "keys", &keys) == LARDER_OK &&
              larder_value_int64(&keys, &value) == LARDER_OK);
    cr_assert_eq(value, variant_keys[c->probe[i].variant], "%s, store %lu: a refused put of item %d shows", c->s->name,
                 (unsigned long)c->child.at, c->probe[i].n);
}

static struct needs needs_of_item(const struct scene *c, uint32_t i) {
    struct needs n = {.may_ranks = ANY_MEMORY | c->s->may_ranks, .wait_ms = LIMIT_MS};
    n.must[n.must_count++] = seg_off(&c->db->seg, &c->db->seg.shm->gate_lock);
    n.must[n.must_count++] = c->probe[i].stripe;
    return n;
}

static void try_overwrite(struct scene *c, uint32_t i) {
    struct needs n = needs_of_item(c, i);
    expect(c, "overwriting an item", &n, overwrite, i);
    must_be_as_written(c, i);
}

static void try_change_keys(struct scene *c, uint32_t i) {
    struct needs n = needs_of_item(c, i);
    const struct probe *p = &c->probe[i];
    int next = 1 - p->variant;
    for (uint32_t k = 0; k < p->partition_count[next]; k++)
        n.must[n.must_count++] = p->partition[next][k];
    n.may_ranks |= RANK(LOCK_PARTITION);
    expect(c, "changing the index keys of an item", &n, change_keys, i);
    must_be_as_written(c, i);
}

static void try_expire_sooner(struct scene *c, uint32_t i) {
    struct needs n = needs_of_item(c, i);
    n.must[n.must_count++] = c->probe[i].shard;
    expect(c, "giving an item an expiry", &n, expire_sooner, i);
    must_be_as_written(c, i);
}

/* The lock word of the stripe of an item of the table Other. */
static uint64_t stripe_of(struct larder *db, const char *id) {
    const struct table_view *v;
    struct item_key key;
    struct larder_key given = {.partition = larder_str(id)};
    cr_assert(table_view(table_named(db, "Other"), &v) == LARDER_OK &&
              item_key_from_values(&v->shape, &given, &key) == LARDER_OK);
    return seg_off(&db->seg, &htab_stripe(&v->items, read_hash(v, &key))->lock);
}

static void try_other_table(struct scene *c, uint32_t i) {
    struct needs n = {.may_ranks = ANY_MEMORY, .wait_ms = LIMIT_MS};
    char id[16];
    other_id(id, i);
    n.must[n.must_count++] = seg_off(&c->db->seg, &c->db->seg.shm->gate_lock);
    n.must[n.must_count++] = stripe_of(c->db, id);
    expect(c, "writing to another table", &n, put_other, i);
}

static void try_definition(struct scene *c) {
    struct needs n = {.must_ranks = RANK(LOCK_CATALOG), .may_ranks = ANY_MEMORY, .wait_ms = LIMIT_MS};
    expect(c, "changing a definition", &n, set_removal, 0);
}

static void try_check(struct scene *c) {
    /* A stripe in which nothing is is not taken. */
    struct needs n = {.must_ranks = RANK(LOCK_GATE) | RANK(LOCK_SHARD), .may_ranks = UINT32_MAX, .wait_ms = LIMIT_MS};
    expect(c, "larder_check", &n, check, 0);
}

static void try_expire(struct scene *c) {
    struct needs n = {.may_ranks = UINT32_MAX};
    expect(c, "larder_expire", &n, expire, 0);
}

/* ---- What is seen -------------------------------------------------------------------------------------------------- */

/* world_dump() without the lines of the test's own items. */
static char *look(struct larder *db) {
    char *text = world_dump(db), *to = text;
    for (char *line = text, *end; *line; line = end) {
        end = strchr(line, '\n') + 1;
        char first_of_next = *end;
        *end = 0;
        int is_ours = strstr(line, PROBE_LINE) != NULL;
        *end = first_of_next;
        if (!is_ours) {
            memmove(to, line, (size_t)(end - line));
            to += end - line;
        }
    }
    *to = 0;
    return text;
}

/* Old or new, and never back. */
static void judge_readers(struct scene *c, const char *when) {
    uint64_t start_ms = until_own_ms();
    char *seen = look(c->db);
    uint64_t took_ms = until_own_ms() - start_ms;
    cr_assert(took_ms < LATE_MS, "%s, store %lu: reading took %lu ms", c->s->name, (unsigned long)c->child.at,
              (unsigned long)took_ms);
    for (int i = c->last_seen; i < c->text_count; i++)
        if (strcmp(seen, c->text[i]) == 0) {
            c->last_seen = i;
            free(seen);
            return;
        }
    const char *a = c->text[c->last_seen], *b = seen;
    while (*a && *a == *b)
        a++, b++;
    fprintf(stderr, "  expected ...%.80s\n  found    ...%.80s\n", a, b);
    cr_assert_fail("%s, store %lu, %s: what is seen is neither the state before nor the one after", c->s->name,
                   (unsigned long)c->child.at, when);
}

/* ---- One stop ------------------------------------------------------------------------------------------------------- */

static void try_everything(struct scene *c, const struct halt_locks *held) {
    if (table_named(c->db, WORLD_TABLE)) {
        uint32_t turn = (uint32_t)(c->stops % STRIPES);
        for (uint32_t i = 0; i < STRIPES; i++) {
            const struct halt_lock *lock = halt_find(held, c->probe[i].stripe);
            if (lock && lock->is_live)
                try_overwrite(c, i); /* refused */
        }
        try_change_keys(c, turn);
        try_expire_sooner(c, (turn + 3) % STRIPES);
    }
    try_definition(c);
    if (c->s->is_alone)
        return;
    try_check(c);
    try_expire(c); /* also beside one that was stopped at the same work */
}

/* Its slot is its own as long as it lives, whatever others do. */
struct identity {
    uint64_t slot, generation;
};

static uint32_t slots_of(struct larder *db, pid_t pid, struct identity *out, uint32_t max) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < db->seg.slot_count && count < max; i++) {
        struct slot_shm *slot = seg_slot(&db->seg, i);
        if (SHM_LOAD(&slot->state) == SLOT_LIVE && SHM_LOAD(&slot->pid) == pid && live_is_held(&db->seg, i) == 1)
            out[count++] = (struct identity){i, SHM_LOAD(&slot->generation)};
    }
    return count;
}

static int has_dead_slot(struct larder *db) {
    for (uint32_t i = 0; i < db->seg.slot_count; i++)
        if (SHM_LOAD(&seg_slot(&db->seg, i)->state) == SLOT_LIVE && live_is_held(&db->seg, i) == 0)
            return 1;
    return 0;
}

static int is_our_slot(const struct scene *c, uint32_t slot) {
    return writer_is_idle(&c->db->writers, slot);
}

/* Somebody acts for a dead slot, and stands before the store that says so in the slot (core/memory/recover.c): nobody can know who.
 * Or the child is to recover a slot and has not begun. */
static int is_not_to_be_disturbed(struct scene *c) {
    for (uint32_t i = 0; i < c->db->seg.slot_count; i++) {
        struct slot_shm *slot = seg_slot(&c->db->seg, i);
        int32_t pid = SHM_LOAD(&slot->pid);
        if (SHM_LOAD(&slot->state) != SLOT_LIVE || pid == c->child.pid || is_our_slot(c, i))
            continue;
        int is_unnamed = live_is_held(&c->db->seg, i) != 0;
        c->unnamed += (uint64_t)is_unnamed;
        if (is_unnamed || (c->is_recovery && pid != getpid()))
            return 1;
    }
    return 0;
}

static void judge_stop(struct scene *c, int is_full) {
    struct halt_locks held;
    struct identity before[8], after[8];
    uint32_t slots = slots_of(c->db, c->child.pid, before, 8);
    halt_look(c->db, &held);
    for (uint32_t i = 0; i < held.count; i++)
        if (held.at[i].is_live)
            c->ranks_seen |= RANK(held.at[i].rank);
    c->stops++;
    judge_readers(c, "while it stands still");
    if (is_not_to_be_disturbed(c))
        return;
    try_other_table(c, (uint32_t)(c->stops % 3));
    if (table_named(c->db, WORLD_TABLE))
        for (uint32_t i = 0; i < STRIPES; i++)
            if (!halt_find(&held, c->probe[i].stripe)) {
                try_overwrite(c, i); /* nobody is in its stripe */
                break;
            }
    if (is_full) {
        try_everything(c, &held);
        judge_readers(c, "after others did what they could");
    }
    cr_assert(slots_of(c->db, c->child.pid, after, 8) == slots && memcmp(before, after, slots * sizeof *before) == 0,
              "%s, store %lu: a stopped process lost its slot", c->s->name, (unsigned long)c->child.at);
}

/* When nobody is left who stands still: all is as it should be, and who was refused is served. */
static void judge_end(struct scene *c) {
    struct halt_locks held;
    struct larder_check_report report;
    judge_readers(c, "at the end");
    if (table_named(c->db, WORLD_TABLE))
        for (uint32_t i = 0; i < STRIPES; i++) {
            must_be_as_written(c, i);
            cr_assert_eq(overwrite(c, i), LARDER_OK, "%s", larder_error());
            cr_assert_eq(change_keys(c, i), LARDER_OK, "%s", larder_error());
            cr_assert_eq(expire_sooner(c, i), LARDER_OK, "%s", larder_error());
            must_be_as_written(c, i);
        }
    cr_assert_eq(put_other(c, 0), LARDER_OK, "%s", larder_error());
    cr_assert_eq(set_removal(c, 0), LARDER_OK, "%s", larder_error());
    cr_assert_eq(expire(c, 0), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_check(c->db, NULL, &report), LARDER_OK, "%s, store %lu: %s", c->s->name,
                 (unsigned long)c->child.at, larder_error());
    cr_assert_eq(report.leaked_blocks, 0);
    judge_readers(c, "after the check");
    halt_look(c->db, &held);
    cr_assert_eq(held.count, 0, "%s: a %s lock is still held", c->s->name, lock_rank_name(held.at[0].rank));
}

/* ---- Lives ----------------------------------------------------------------------------------------------------------- */

struct act {
    const struct scenario *s;
    int memfd;
};

static int act_in_child(void *arg) {
    const struct act *a = arg;
    struct larder *db = world_open(a->memfd);
    for (int step = 0; step < a->s->steps; step++)
        a->s->act(db, step);
    larder_close(db);
    return 0;
}

static void start(struct scene *c, uint64_t first) {
    struct act act = {c->s, c->memfd};
    halt_start(&c->child, act_in_child, &act, first);
}

static void open_copy(struct scene *c) {
    c->memfd = world_copy(c->base);
    c->db = open_impatient(c->memfd);
    cr_assert_eq(larder_page_new(c->db, &c->page), LARDER_OK);
    for (uint32_t i = 0; i < STRIPES; i++)
        c->probe[i].variant = 0;
    c->last_seen = 0;
}

static void close_copy(struct scene *c) {
    larder_close(c->db);
    close(c->memfd);
    halt_forget(&c->child);
}

static void create_other(struct larder *db) {
    struct larder_table_def def = {.name = "Other", .partition = {"id", LARDER_S}};
    cr_assert_eq(larder_table_create(db, &def), LARDER_OK, "%s", larder_error());
}

static void prepare(struct scene *c, const struct scenario *s) {
    leaf_capacity = 4;
    *c = (struct scene){.s = s, .base = world_create(STRIPES), .text_count = s->steps + 1};
    struct larder *db = world_open(c->base);
    create_other(db);
    s->prepare(db);
    learn_probes(c, db);
    larder_close(db);
}

/* The text before, and after each step. */
static void learn_texts(struct scene *c) {
    int memfd = world_copy(c->base);
    struct larder *db = world_open(memfd);
    c->text[0] = look(db);
    for (int step = 0; step < c->s->steps; step++) {
        c->s->act(db, step);
        c->text[step + 1] = look(db);
    }
    larder_close(db);
    close(memfd);
}

static void forget(struct scene *c) {
    for (int i = 0; i < c->text_count; i++)
        free(c->text[i]);
    close(c->base);
}

/* One life, with a stop at every step-th store; all is tried where the held locks changed, and at each full_step-th stop. */
static void stop_and_go(struct scene *c, uint64_t step, unsigned full_step) {
    uint64_t signature = 0;
    open_copy(c);
    start(c, 1);
    while (halt_wait(&c->child, DEADLINE_MS)) {
        struct halt_locks held;
        halt_look(c->db, &held);
        judge_stop(c, halt_signature(&held) != signature || c->stops % full_step == 0);
        signature = halt_signature(&held);
        halt_go_on(&c->child, step);
    }
    cr_assert(proc_is_exit(c->child.end, 0), "%s: the child: %s", c->s->name, proc_text(c->child.end));
    cr_assert(c->unnamed * 10 <= c->stops + 20, "%s: at %lu of %lu stops nobody could know who acts for a dead slot",
              c->s->name, (unsigned long)c->unnamed, (unsigned long)c->stops);
    judge_end(c);
    cr_assert_eq(c->last_seen, c->text_count - 1, "%s: it said that all is done", c->s->name);
    close_copy(c);
}

/* Stopped once, and never continued. 0: it ended before. */
static int stop_and_kill(struct scene *c, uint64_t k) {
    open_copy(c);
    start(c, k);
    int is_stopped = halt_wait(&c->child, DEADLINE_MS);
    if (is_stopped) {
        judge_stop(c, k % 3 == 0 || is_long());
        halt_kill(&c->child);
        judge_end(c);
    }
    close_copy(c);
    return is_stopped;
}

/* The last text may be the one before it (an expiry shows nothing): then it counts as the end. */
static void merge_equal_texts(struct scene *c) {
    while (c->text_count > 1 && strcmp(c->text[c->text_count - 1], c->text[c->text_count - 2]) == 0)
        free(c->text[--c->text_count]);
}

static void run(struct scene *c) {
    uint64_t step = is_long() ? 1 : c->s->stride * COARSE, start_ms = until_now_ms(), kills = 0;
    learn_texts(c);
    merge_equal_texts(c);
    stop_and_go(c, step, is_long() ? 1 : 29);
    if (COARSE == 1)
        cr_assert_eq(c->ranks_seen & c->s->ranks, c->s->ranks,
                     "%s: was not stopped with all locks it takes: %#x of %#x", c->s->name, c->ranks_seen, c->s->ranks);
    uint64_t stops = c->stops, kill_step = is_long() ? 1 : step * 23;
    for (uint64_t k = 1 + kill_step / 2; stop_and_kill(c, k); k += kill_step)
        kills++;
    uint64_t usual_ms = c->busy ? c->busy_ms / c->busy : 0;
    fprintf(stderr, "%-16s %5lu stops, %5lu calls, %4lu refused after %lu ms (%lu at most); %3lu killed; %lu ms\n",
            c->s->name, (unsigned long)stops, (unsigned long)c->calls, (unsigned long)c->busy, (unsigned long)usual_ms,
            (unsigned long)c->slowest_ms, (unsigned long)kills, (unsigned long)(until_now_ms() - start_ms));
    cr_assert(usual_ms <= USUAL_MS, "%s: refusals take %lu ms, the limit is %u", c->s->name, (unsigned long)usual_ms,
              LIMIT_MS);
    forget(c);
}

/* ---- The operations --------------------------------------------------------------------------------------------------- */

static void some_items(struct larder *db) {
    for (int n = 0; n < 20; n++)
        world_put(db, n, 1111, 50, 0);
}
static void many_items(struct larder *db) {
    for (int n = 0; n < 120; n++)
        world_put(db, n, n % 3 ? 1111 : 10, 20, 0);
}
static void large_items(struct larder *db) {
    for (int n = 0; n < 12; n++)
        world_put(db, n, 0, 3900, 0);
}
static void expiring_items(struct larder *db) {
    some_items(db);
    for (int n = 30; n < 33; n++)
        world_put(db, n, 1111, 50, world_now_s + 2);
}
static void put_new(struct larder *db, int step) {
    (void)step;
    world_put(db, 50, 1111, 50, 0);
}
static void overwrite_one(struct larder *db, int step) {
    (void)step;
    world_put(db, 7, 1111, 60, 0);
}
static void change_all_keys(struct larder *db, int step) {
    (void)step;
    world_put(db, 7, 3333, 50, 0);
}
static void delete_one(struct larder *db, int step) {
    (void)step;
    world_delete(db, 7);
}
static void put_some_more(struct larder *db, int step) { /* grows arrays, splits leaves, opens partitions */
    world_put(db, 200 + step, 1121, 20, 0);
}
static void take_spans(struct larder *db, int step) {
    world_put(db, 20 + step, 0, 3900 + 20 * (unsigned)step, 0);
}
static void put_expiring(struct larder *db, int step) {
    (void)step;
    world_put(db, 60, 1111, 50, world_now_s + 400);
}
static void remove_expired(struct larder *db, int step) {
    (void)step;
    PROC_CHECK(larder_expire(db, 0, NULL) == LARDER_OK);
}
static void create_table(struct larder *db, int step) {
    (void)step;
    struct larder_table_def def = {.name = "Third", .partition = {"id", LARDER_S}};
    PROC_CHECK(larder_table_create(db, &def) == LARDER_OK);
}
static void drop_table(struct larder *db, int step) {
    (void)step;
    PROC_CHECK(larder_table_drop(db, WORLD_TABLE) == LARDER_OK);
    PROC_CHECK(larder_expire(db, 0, NULL) == LARDER_OK); /* empties it */
}
static void add_index(struct larder *db, int step) {
    (void)step;
    struct larder_index_def def = {.name = "G9x", .partition = {"G1P", LARDER_S}, .sort = {"SK", LARDER_S}};
    struct larder_table *t;
    PROC_CHECK(larder_table_open(db, WORLD_TABLE, &t) == LARDER_OK && larder_index_add(t, &def) == LARDER_OK);
}
static void only_attach(struct larder *db, int step) {
    (void)step;
    PROC_CHECK(world_delete(db, 300) == LARDER_NOT_FOUND);
}
static void check_all(struct larder *db, int step) {
    (void)step;
    struct larder_check_report report;
    PROC_CHECK(larder_check(db, NULL, &report) == LARDER_OK);
}

#define ITEM_RANKS (RANK(LOCK_STRIPE) | RANK(LOCK_PARTITION) | RANK(LOCK_BIN))
#define STOP(id, ...)                                                                                                  \
    Test(stop, id) {                                                                                                   \
        static const struct scenario s = {#id, __VA_ARGS__};                                                           \
        struct scene c;                                                                                                \
        prepare(&c, &s);                                                                                               \
        run(&c);                                                                                                       \
    }

STOP(attach_detach, some_items, only_attach, 1, 1, RANK(LOCK_STRIPE))
STOP(put_new, some_items, put_new, 1, 1, ITEM_RANKS)
STOP(overwrite, some_items, overwrite_one, 1, 1, RANK(LOCK_STRIPE) | RANK(LOCK_BIN))
STOP(change_all_keys, some_items, change_all_keys, 1, 1, ITEM_RANKS)
STOP(delete_one, some_items, delete_one, 1, 1, ITEM_RANKS)
STOP(grow_and_split, many_items, put_some_more, 5, 7, ITEM_RANKS)
STOP(take_spans, large_items, take_spans, 3, 7, RANK(LOCK_STRIPE) | RANK(LOCK_BIN) | RANK(LOCK_SPAN))
STOP(put_expiring, expiring_items, put_expiring, 1, 1, ITEM_RANKS | RANK(LOCK_SHARD))
STOP(create_table, some_items, create_table, 1, 3, RANK(LOCK_CATALOG))
STOP(drop_table, some_items, drop_table, 1, 7, RANK(LOCK_CATALOG) | RANK(LOCK_STRIPE) | RANK(LOCK_PARTITION),
     .is_alone = 1)
STOP(drop_beside, some_items, drop_table, 1, 7, RANK(LOCK_CATALOG))
STOP(add_index, some_items, add_index, 1, 11, RANK(LOCK_CATALOG) | RANK(LOCK_STRIPE) | RANK(LOCK_PARTITION),
     RANK(LOCK_PARTITION)) /* a put enters its item in the index that is being filled */
STOP(check, some_items, check_all, 1, 1,
     RANK(LOCK_STRIPE) | RANK(LOCK_PARTITION) | RANK(LOCK_SHARD) | RANK(LOCK_BIN) | RANK(LOCK_SPAN))

static void stop_expiry(const struct scenario *s) {
    struct scene c;
    prepare(&c, s);
    world_now_s += 5;
    run(&c);
}

Test(stop, expire) {
    static const struct scenario s = {
        "expire", expiring_items, remove_expired, 1, 13, RANK(LOCK_SHARD) | RANK(LOCK_STRIPE), .is_alone = 1};
    stop_expiry(&s);
}

/* Others fire the same timers while it stands still, and it goes on with what it remembers. */
Test(stop, expire_beside) {
    static const struct scenario s = {"expire_beside", expiring_items, remove_expired, 1, 3, RANK(LOCK_SHARD)};
    stop_expiry(&s);
}

/* ---- Arenas ------------------------------------------------------------------------------------------------------------ */

/* A process that stands still with the lock of a size class keeps nobody from that class who is of another arena. */
static int put_in_arena(struct larder *db, const char *id, unsigned fill) {
    static const char payload[4096];
    struct larder_builder *b;
    const struct larder_item *item;
    struct larder_table *t = table_named(db, "Other");
    PROC_CHECK(t && larder_builder_new(db, &b) == LARDER_OK);
    larder_builder_add_s(b, "id", id);
    larder_builder_add_b(b, "fill", payload, fill);
    PROC_CHECK(larder_builder_finish(b, &item) == LARDER_OK);
    int r = larder_put(t, item, NULL);
    larder_builder_free(b);
    return r;
}

static int fill_arena(void *arg) {
    struct larder *db = open_impatient(*(int *)arg);
    for (int i = 0; i < 10; i++)
        PROC_CHECK(put_in_arena(db, "theirs", i % 2 ? 100 : 1900) == LARDER_OK);
    larder_close(db);
    return 0;
}

Test(stop, memory_of_another_arena) {
    struct larder_options o = {.flags = LARDER_MEMFD | LARDER_CREATE,
                               .memfd = -1,
                               .size_bytes = 512u << 20,
                               .stripe_count = STRIPES,
                               .busy_timeout_ms = LIMIT_MS};
    struct larder *db;
    struct halt child;
    struct halt_locks held;
    char ours[16] = "";
    int with_bin = 0, stops = 0;
    cr_assert_eq(larder_open(&o, &db), LARDER_OK, "%s", larder_error());
    cr_assert_gt(db->seg.arena_count, 1u);
    create_other(db);
    for (int i = 0; !*ours || stripe_of(db, ours) == stripe_of(db, "theirs"); i++)
        snprintf(ours, sizeof ours, "ours%d", i);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(put_in_arena(db, ours, i % 2 ? 100 : 1900), LARDER_OK);
    int memfd = larder_memfd(db);
    halt_start(&child, fill_arena, &memfd, 1);
    while (halt_wait(&child, DEADLINE_MS)) {
        halt_look(db, &held);
        int has_bin = halt_find_rank(&held, LOCK_BIN, 1) != NULL,
            has_span = halt_find_rank(&held, LOCK_SPAN, 1) != NULL;
        int r = put_in_arena(db, ours, stops++ % 2 ? 100 : 1900);
        cr_assert(r == LARDER_OK || has_span, "store %lu: %s", (unsigned long)child.at, larder_error());
        with_bin += has_bin && r == LARDER_OK;
        halt_go_on(&child, 1);
    }
    cr_assert(proc_is_exit(child.end, 0), "%s", proc_text(child.end));
    cr_assert(with_bin > 20, "%d", with_bin);
    halt_forget(&child);
    larder_close(db);
}

/* ---- A check that has to wait ------------------------------------------------------------------------------------------ */

#define CHECKER_MS 300

static int check_patiently(void *arg) {
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = *(int *)arg, .busy_timeout_ms = CHECKER_MS};
    struct larder_check_report report;
    struct larder *db;
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK);
    int r = larder_check(db, NULL, &report);
    larder_close(db);
    return r == LARDER_E_BUSY ? 0 : 1;
}

/* It waits for a stripe that a stopped process holds, and keeps no writer waiting meanwhile. */
Test(stop, a_check_that_waits_is_in_nobodys_way) {
    static const struct scenario s = {"check that waits", some_items, put_new, 1, 1};
    struct scene c;
    struct halt_locks held;
    int writes = 0;
    prepare(&c, &s);
    open_copy(&c);
    for (start(&c, 1); halt_wait(&c.child, DEADLINE_MS); halt_go_on(&c.child, 1)) {
        halt_look(c.db, &held);
        if (halt_find_rank(&held, LOCK_STRIPE, 1))
            break;
    }
    cr_assert(c.child.is_stopped);
    struct halt checker;
    halt_start(&checker, check_patiently, &c.memfd, 0);
    while (!halt_has_news(&checker)) {
        cr_assert_eq(put_other(&c, 0), LARDER_OK, "%s", larder_error());
        writes++;
        until_pause();
    }
    cr_assert(proc_is_exit(checker.end, 0), "%s", proc_text(checker.end));
    cr_assert(writes > 50, "%d", writes);
    halt_go_on(&c.child, 0);
    cr_assert_eq(halt_wait(&c.child, DEADLINE_MS), 0);
    cr_assert_eq(check(&c, 0), LARDER_OK, "%s", larder_error());
    halt_forget(&checker);
    close_copy(&c);
    close(c.base);
}

/* ---- A recovery stands still ----------------------------------------------------------------------------------------- */

struct dying {
    const struct scenario *s;
    int memfd;
    uint64_t k; /* 0: it lives, and says how many stores there are */
    _Atomic uint64_t *stores;
};

static int die_in_child(void *arg) {
    const struct dying *d = arg;
    struct larder *db = world_open(d->memfd);
    shm_crash_arm(d->k);
    for (int step = 0; step < d->s->steps; step++)
        d->s->act(db, step);
    atomic_store(d->stores, shm_crash_count());
    return 0;
}

static uint64_t stores_of(const struct scene *c) {
    _Atomic uint64_t *stores = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct dying d = {c->s, world_copy(c->base), 0, stores};
    cr_assert(proc_is_exit(proc_run(die_in_child, &d, DEADLINE_MS), 0));
    uint64_t count = atomic_load(stores);
    close(d.memfd);
    munmap((void *)stores, 4096);
    return count;
}

/* A process dies in s, after so many parts of its stores (how many there are differs from segment to segment, as hashes do);
 * another, that recovers it by larder_check(), is stopped at every store. */
static void stop_recovery_of(const struct scenario *s, uint64_t part, uint64_t parts, uint64_t *stops) {
    const struct scenario recovery = {s->name, NULL, check_all, 1, s->stride, 0, s->may_ranks, s->is_alone};
    struct scene c;
    prepare(&c, s);
    struct dying d = {s, c.base, stores_of(&c) * part / parts, NULL};
    cr_assert(proc_is_signal(proc_run(die_in_child, &d, DEADLINE_MS), SIGKILL));
    c.s = &recovery;
    c.is_recovery = 1;
    learn_texts(&c);
    merge_equal_texts(&c);
    stop_and_go(&c, is_long() ? 1 : s->stride * COARSE, is_long() ? 1 : 29);
    *stops += c.stops;
    forget(&c);
}

static void stop_recoveries_of(const struct scenario *s, uint64_t deaths) {
    uint64_t stops = 0, start_ms = until_now_ms();
    deaths = is_long() ? deaths * 8 : deaths;
    for (uint64_t i = 1; i <= deaths; i++)
        stop_recovery_of(s, i, deaths + 1, &stops);
    fprintf(stderr, "recovery of %-16s %2lu deaths, %5lu stops; %lu ms\n", s->name, (unsigned long)deaths,
            (unsigned long)stops, (unsigned long)(until_now_ms() - start_ms));
}

#define STOP_RECOVERY(id, deaths, ...)                                                                                 \
    Test(stop, recovery_of_##id) {                                                                                     \
        static const struct scenario s = {#id, __VA_ARGS__};                                                           \
        stop_recoveries_of(&s, deaths);                                                                                \
    }

STOP_RECOVERY(change_all_keys, 5, some_items, change_all_keys, 1, 3)
STOP_RECOVERY(put_expiring, 4, expiring_items, put_expiring, 1, 5)
STOP_RECOVERY(create_table, 2, some_items, create_table, 1, 3)
STOP_RECOVERY(drop_table, 3, some_items, drop_table, 1, 13)
STOP_RECOVERY(add_index, 2, some_items, add_index, 1, 13, 0, RANK(LOCK_PARTITION))

/* ---- Two stand still --------------------------------------------------------------------------------------------------- */

/* Two processes write to the same lists from different stripes. */
#define FIRST 1 /* bits of what is seen */
#define SECOND 2
#define FIRST_ITEM 50
#define CHILD_BUSY 7

struct pair {
    struct scene c; /* c.child is the first */
    struct halt second;
    char *text[4];   /* by what is done */
    int seen, never; /* bits: seen done; known to be not done */
    uint64_t stuck, refused, pairs;
};

static int second_item; /* what the second changes */

static int act_of_pair(struct larder *db, int who) {
    return who == FIRST ? world_try_put(db, FIRST_ITEM, 1111, 50, world_now_s + 500)
                        : world_try_put(db, second_item, 3333, 90, 0);
}

static uint64_t stripe_of_world(struct larder *db, int n) {
    const struct table_view *v;
    struct item_key key;
    char pk[16], sk[32];
    snprintf(pk, sizeof pk, "P%d", n % WORLD_PARTITIONS);
    snprintf(sk, sizeof sk, "SK#%05d", n);
    struct larder_key given = {larder_str(pk), larder_str(sk)};
    cr_assert(table_view(table_named(db, WORLD_TABLE), &v) == LARDER_OK &&
              item_key_from_values(&v->shape, &given, &key) == LARDER_OK);
    return seg_off(&db->seg, &htab_stripe(&v->items, read_hash(v, &key))->lock);
}

/* An item of another stripe than the first's: else the second waits for that, and never has anything to undo. */
static void choose_second_item(int base) {
    struct larder *db = world_open(base);
    for (second_item = 0; stripe_of_world(db, second_item) == stripe_of_world(db, FIRST_ITEM); second_item++)
        ;
    cr_assert(second_item < 20);
    larder_close(db);
}

struct pair_act {
    int memfd, who;
};

static int pair_child(void *arg) {
    const struct pair_act *a = arg;
    struct larder *db = open_impatient(a->memfd);
    int r = act_of_pair(db, a->who);
    PROC_CHECK(r == LARDER_OK || r == LARDER_E_BUSY);
    larder_close(db);
    return r == LARDER_OK ? 0 : CHILD_BUSY;
}

static void learn_pair(struct pair *p) {
    for (int done = 0; done < 4; done++) {
        int memfd = world_copy(p->c.base);
        struct larder *db = world_open(memfd);
        for (int who = FIRST; who <= SECOND; who++)
            cr_assert(!(done & who) || act_of_pair(db, who) == LARDER_OK);
        p->text[done] = look(db);
        larder_close(db);
        close(memfd);
    }
}

static void judge_pair(struct pair *p) {
    char *text = look(p->c.db);
    int seen = 0;
    while (seen < 4 && strcmp(text, p->text[seen]) != 0)
        seen++;
    free(text);
    cr_assert(seen < 4, "first at %lu, second at %lu: something is half done", (unsigned long)p->c.child.at,
              (unsigned long)p->second.at);
    cr_assert((seen & p->seen) == p->seen && (seen & p->never) == 0,
              "first at %lu, second at %lu: done is %d, was %d, refused %d", (unsigned long)p->c.child.at,
              (unsigned long)p->second.at, seen, p->seen, p->never);
    p->seen = seen;
}

/* A child is over: what it was told is what is seen from now on. */
static void end_of(struct pair *p, struct halt *h, int who) {
    cr_assert(proc_is_exit(h->end, 0) || proc_is_exit(h->end, CHILD_BUSY), "%d: %s", who, proc_text(h->end));
    int is_done = proc_is_exit(h->end, 0);
    p->refused += !is_done;
    if (is_done)
        p->seen |= who;
    else
        p->never |= who;
    judge_pair(p);
}

static void start_of_pair(struct pair *p, struct halt *h, int who, uint64_t first) {
    struct pair_act act = {p->c.memfd, who};
    halt_start(h, pair_child, &act, first);
    if (!halt_wait(h, DEADLINE_MS))
        end_of(p, h, who);
    judge_pair(p);
}

static void run_to_end(struct pair *p, struct halt *h, int who, uint64_t step) {
    while (h->is_stopped) {
        halt_go_on(h, step);
        if (!halt_wait(h, DEADLINE_MS))
            end_of(p, h, who);
        judge_pair(p);
    }
}

/* The second stops at j, then the first at k, then the second goes on step by step, to its end; then the first. Or is killed.
 * 0: the second has fewer than j stores. */
static int try_pair(struct pair *p, uint64_t j, uint64_t k, uint64_t step) {
    open_copy(&p->c);
    p->seen = p->never = 0;
    start_of_pair(p, &p->second, SECOND, j);
    int is_there = p->second.is_stopped;
    start_of_pair(p, &p->c.child, FIRST, k);
    run_to_end(p, &p->second, SECOND, step);
    p->stuck += has_dead_slot(p->c.db);
    if (p->c.child.is_stopped && (j + k) % 3 == 0)
        halt_kill(&p->c.child);
    else
        run_to_end(p, &p->c.child, FIRST, 0);
    struct larder_check_report report;
    cr_assert_eq(larder_check(p->c.db, NULL, &report), LARDER_OK, "first at %lu, second at %lu: %s", (unsigned long)k,
                 (unsigned long)j, larder_error());
    judge_pair(p);
    for (int who = FIRST; who <= SECOND; who++)
        cr_assert_eq(act_of_pair(p->c.db, who), LARDER_OK, "again: %s", larder_error());
    p->seen = p->never = 0;
    judge_pair(p);
    cr_assert_eq(p->seen, FIRST | SECOND);
    cr_assert_eq(larder_check(p->c.db, NULL, &report), LARDER_OK, "%s", larder_error());
    halt_forget(&p->second);
    close_copy(&p->c);
    p->pairs++;
    return is_there;
}

/* Stores of the first at which the set of locks it holds has changed. */
static uint32_t learn_changes(struct pair *p, uint64_t *at, uint32_t max) {
    struct halt_locks held;
    uint64_t signature = 0;
    uint32_t count = 0;
    open_copy(&p->c);
    p->seen = p->never = 0;
    for (start_of_pair(p, &p->c.child, FIRST, 1); p->c.child.is_stopped; halt_wait(&p->c.child, DEADLINE_MS)) {
        halt_look(p->c.db, &held);
        if (halt_signature(&held) != signature && held.count > 1 && count < max)
            at[count++] = p->c.child.at;
        signature = halt_signature(&held);
        halt_go_on(&p->c.child, 1);
    }
    cr_assert(proc_is_exit(p->c.child.end, 0));
    close_copy(&p->c);
    return count;
}

Test(stop, stuck_behind_a_stopped_process) {
    static const struct scenario s = {"pair", expiring_items, NULL, 0, 0};
    static struct pair p;
    uint64_t at[200], start_ms = until_now_ms();
    prepare(&p.c, &s);
    choose_second_item(p.c.base);
    learn_pair(&p);
    uint32_t changes = learn_changes(&p, at, 200);
    cr_assert(changes > 10);
    unsigned k_step = is_long() ? 1 : 4, j_step = is_long() ? 3 : 13 * COARSE;
    for (uint32_t i = 0; i < changes; i += k_step)
        for (uint64_t j = 1 + i % j_step; try_pair(&p, j, at[i], is_long() ? 1 : 19); j += j_step)
            ;
    fprintf(stderr, "two stopped: %lu pairs, %lu refused, %lu times stuck; %lu ms\n", (unsigned long)p.pairs,
            (unsigned long)p.refused, (unsigned long)p.stuck, (unsigned long)(until_now_ms() - start_ms));
    cr_assert_gt(p.refused, 0);
    cr_assert(p.stuck > 0 || COARSE > 1, "nobody was ever stuck"); /* one pair in twenty is */
    for (int i = 0; i < 4; i++)
        free(p.text[i]);
    close(p.c.base);
}
