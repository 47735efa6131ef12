/* tests/crash/stop_judge_kit.c - see stop_judge_kit.h. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/segment/live.h"
#include "core/table/db.h"
#include "tests/crash/halt.h"
#include "tests/crash/stop_judge_kit.h"
#include "tests/crash/stop_kit.h"
#include "tests/crash/world.h"
#include "tests/support/until.h"

struct needs {
    uint64_t must[LARDER_INDEXES_MAX + 4]; /* locks without which the call cannot be done */
    uint32_t must_count;
    uint32_t must_ranks, may_ranks; /* all locks of these ranks; any of these ranks */
    uint32_t wait_ms;               /* that the call waits for a lock */
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

/* A refusal names the holder and the lock. It comes after the limit and not much later. */
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

/* A call whose way is blocked takes no lock with it. But memory may be missing in the middle: then
 * it is stuck (core/memory/writer.h). */
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
    /* An empty stripe is not locked. */
    struct needs n = {.must_ranks = RANK(LOCK_GATE) | RANK(LOCK_SHARD), .may_ranks = UINT32_MAX, .wait_ms = LIMIT_MS};
    expect(c, "larder_check", &n, check, 0);
}

static void try_expire(struct scene *c) {
    struct needs n = {.may_ranks = UINT32_MAX};
    expect(c, "larder_expire", &n, expire, 0);
}

char *look(struct larder *db) {
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
    char *seen = look(c->reader);
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

/* The slot stays the stopped process's as long as it lives, whatever others do. */
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

static int is_our_slot(const struct scene *c, uint32_t slot) {
    return writer_is_idle(&c->db->writers, slot);
}

/* A process recovers a dead slot, and stands before the store that says so in the slot
 * (core/memory/recover.c): then no process can know which one. Or the child is to recover a slot
 * and has not begun. */
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

void judge_stop(struct scene *c, int is_full) {
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
                try_overwrite(c, i); /* no process is in its stripe */
                break;
            }
    if (is_full) {
        try_everything(c, &held);
        judge_readers(c, "after others did what they could");
    }
    cr_assert(slots_of(c->db, c->child.pid, after, 8) == slots && memcmp(before, after, slots * sizeof *before) == 0,
              "%s, store %lu: a stopped process lost its slot", c->s->name, (unsigned long)c->child.at);
}

void judge_end(struct scene *c) {
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

void learn_texts(struct scene *c) {
    int memfd = world_copy(c->base);
    struct larder *db = world_open(memfd), *reader = c->s->is_evicting ? open_reader(memfd) : db;
    c->text[0] = look(reader);
    for (int step = 0; step < c->s->steps; step++) {
        c->s->act(db, step);
        c->text[step + 1] = look(reader);
    }
    if (reader != db)
        larder_close(reader);
    larder_close(db);
    close(memfd);
}

void forget(struct scene *c) {
    for (int i = 0; i < c->text_count; i++)
        free(c->text[i]);
    close(c->base);
}

void stop_and_go(struct scene *c, uint64_t step, unsigned full_step) {
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
    cr_assert(c->unnamed * 10 <= c->stops + 20,
              "%s: at %lu of %lu stops it was unknown which process acts for a dead slot", c->s->name,
              (unsigned long)c->unnamed, (unsigned long)c->stops);
    judge_end(c);
    cr_assert_eq(c->last_seen, c->text_count - 1, "%s: it said that all is done", c->s->name);
    close_copy(c);
}

void merge_equal_texts(struct scene *c) {
    while (c->text_count > 1 && strcmp(c->text[c->text_count - 1], c->text[c->text_count - 2]) == 0)
        free(c->text[--c->text_count]);
}
