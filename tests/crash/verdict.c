/* tests/crash/verdict.c - see verdict.h. */
#include "tests/crash/verdict.h"
#include "tests/crash/world.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBES 4
#define SECONDS_LATER 5000000 /* every timer is due by then */

/* ---- The story ------------------------------------------------------------------------------- */

/* The numbers of V5, once what has expired is removed. */
static void count_up(struct larder *db, const struct stage *stage, struct moment *m) {
    struct larder_table *t;
    struct larder_table_stats stats = {0};
    cr_assert(larder_expire(db, 0, NULL) == LARDER_OK, "%s", larder_error());
    if (larder_table_open(db, WORLD_TABLE, &t) == LARDER_OK)
        cr_assert(larder_table_stats(t, &stats) == LARDER_OK, "%s", larder_error());
    struct facts f = facts_of(stage->bytes);
    m->items = f.items;
    m->entries = f.entries;
    m->partitions = f.partitions;
    m->item_bytes = stats.item_bytes;
}

/* V6 */
static uint64_t let_expire(struct larder *db, const struct stage *stage) {
    world_now_s += SECONDS_LATER;
    int r = larder_expire(db, 0, NULL);
    world_now_s -= SECONDS_LATER;
    cr_assert(r == LARDER_OK, "%s", larder_error());
    return facts_of(stage->bytes).items;
}

void story_tell(struct story *story, const struct scenario *s, struct stage *stage, int first_step) {
    struct state base = stage_take(stage);
    story->steps = scenario_steps(s);
    for (int done = 0; done <= story->steps; done++) {
        struct moment *m = &story->at[done];
        struct larder *db = world_open(stage->memfd);
        for (int step = 0; step < done; step++)
            s->act(db, first_step + step);
        m->text = world_dump(db);
        count_up(db, stage, m);
        m->items_left = let_expire(db, stage);
        larder_close(db);
        stage_set(stage, &base);
        cr_assert(s->is_unseen || done == 0 || strcmp(m->text, m[-1].text) != 0, "%s: step %d cannot be seen", s->name,
                  done);
    }
    state_free(&base);
}

void story_free(struct story *story) {
    for (int i = 0; i <= story->steps; i++)
        free(story->at[i].text);
}

/* ---- The verdict ----------------------------------------------------------------------------- */

struct trial {
    struct larder *db;
    const struct stage *stage;
    const struct story *story;
    int acked, seen; /* steps; seen -1: not looked yet */
    char where[120];
};

static void show_difference(const char *expected, const char *found) {
    while (*expected && *expected == *found)
        expected++, found++;
    fprintf(stderr, "  expected ...%.100s\n  found    ...%.100s\n", expected, found);
}

/* V1 and V3. The last of the allowed steps that has this text. */
static void look(struct trial *t) {
    char *text = world_dump(t->db);
    int from = t->seen >= 0 ? t->seen : t->acked, to = t->seen >= 0 ? t->seen : t->acked + 1, seen = -1;
    for (int step = from; step <= to && step <= t->story->steps; step++)
        if (strcmp(text, t->story->at[step].text) == 0)
            seen = step;
    if (seen < 0) {
        for (int step = from; step <= to && step <= t->story->steps; step++)
            show_difference(t->story->at[step].text, text);
        cr_assert_fail("%s: what is seen is not the state after step %d%s", t->where, from,
                       to > from ? ", nor the one after the next" : ", which was seen before");
    }
    t->seen = seen;
    free(text);
}

/* Into every stripe, every index and the wheel: whatever the dead process held is in the way of one
 * of them. */
static void write_probes(struct trial *t) {
    const char *names[8];
    uint32_t count;
    cr_assert(larder_table_list(t->db, names, 8, &count) == LARDER_OK, "%s: %s", t->where, larder_error());
    struct larder_table *table;
    if (larder_table_open(t->db, WORLD_TABLE, &table) != LARDER_OK)
        return;
    for (int n = WORLD_PROBE; n < WORLD_PROBE + PROBES; n++)
        cr_assert(world_try_put(t->db, n, 1111, 10, world_now_s + 600) == LARDER_OK, "%s: put: %s", t->where,
                  larder_error());
    for (int n = WORLD_PROBE; n < WORLD_PROBE + PROBES; n++)
        cr_assert(world_delete(t->db, n) == LARDER_OK, "%s: delete: %s", t->where, larder_error());
}

static void check(struct trial *t) {
    struct larder_check_report report;
    int r = larder_check(t->db, NULL, &report);
    cr_assert(r == LARDER_OK, "%s: check: %s: %s", t->where, larder_result_name(r), larder_error());
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0, "%s: check: %lu leaked blocks, %lu stale entries",
              t->where, (unsigned long)report.leaked_blocks, (unsigned long)report.stale_entries);
}

static void expire(struct trial *t) {
    cr_assert(larder_expire(t->db, 1000, NULL) >= 0, "%s: expire: %s", t->where, larder_error());
}

/* V2. */
static void do_deed(struct trial *t, enum deed deed) {
    static void (*const deeds[DEED_COUNT])(struct trial *) = {look, write_probes, check, expire};
    static const char *const names[DEED_COUNT] = {"reading", "writing", "the check", "expiry"};
    uint64_t start_ms = until_own_ms();
    deeds[deed](t);
    cr_assert(until_own_ms() <= start_ms + VERDICT_DEED_MS * SLOW_FACTOR, "%s: %s had to wait", t->where, names[deed]);
}

/* V5. The step may have made an item's image larger already without being seen, or not yet. */
static void compare_counts(const struct trial *t) {
    const struct moment *should = &t->story->at[t->seen], *from = &t->story->at[t->acked], *to = from;
    struct moment is;
    count_up(t->db, t->stage, &is);
    if (t->acked < t->story->steps)
        to++;
    uint64_t least = from->item_bytes < to->item_bytes ? from->item_bytes : to->item_bytes;
    uint64_t most = from->item_bytes < to->item_bytes ? to->item_bytes : from->item_bytes;
    cr_assert(is.items == should->items && is.entries == should->entries && is.partitions == should->partitions,
              "%s: %lu items, %lu entries, %lu partitions; undisturbed: %lu, %lu, %lu", t->where,
              (unsigned long)is.items, (unsigned long)is.entries, (unsigned long)is.partitions,
              (unsigned long)should->items, (unsigned long)should->entries, (unsigned long)should->partitions);
    cr_assert(is.item_bytes >= least && is.item_bytes <= most, "%s: items of %lu bytes; undisturbed: %lu", t->where,
              (unsigned long)is.item_bytes, (unsigned long)should->item_bytes);
}

/* V6 and V7. */
static void empty_all(struct trial *t) {
    const char *names[8];
    uint32_t count;
    uint64_t left = let_expire(t->db, t->stage), should = t->story->at[t->seen].items_left;
    cr_assert(left == should, "%s: %lu items do not expire; undisturbed: %lu", t->where, (unsigned long)left,
              (unsigned long)should);
    cr_assert(larder_table_list(t->db, names, 8, &count) == LARDER_OK);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(larder_table_drop(t->db, names[i]) == LARDER_OK, "%s: drop: %s", t->where, larder_error());
    let_expire(t->db, t->stage);
    struct facts f = facts_of(t->stage->bytes);
    cr_assert(f.used_bytes == f.stripe_bytes && f.timers == 0, "%s: of an empty segment %lu bytes are in use", t->where,
              (unsigned long)(f.used_bytes - f.stripe_bytes));
}

void verdict(struct larder *db, const struct stage *stage, const struct story *story, int acked, enum deed first,
             const char *label, uint64_t k, uint64_t j) {
    struct trial t = {.db = db, .stage = stage, .story = story, .acked = acked, .seen = -1};
    snprintf(t.where, sizeof t.where, "%s, store %lu.%lu", label, (unsigned long)k, (unsigned long)j);
    for (unsigned i = 0; i < DEED_COUNT; i++)
        if (i == 0 || (first + i) % DEED_COUNT != DEED_CHECK) /* it comes last */
            do_deed(&t, (first + i) % DEED_COUNT);
    look(&t);
    compare_counts(&t);
    do_deed(&t, DEED_CHECK);
    empty_all(&t);
    larder_close(db);
    cr_assert(facts_of(stage->bytes).slots == 0, "%s: a slot is still taken when all have left", t.where);
}
