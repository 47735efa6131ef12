/* core/table/trim.c - memory back from bucket arrays and leaves that are too large. See trim.h. */
#include "core/table/trim.h"
#include "core/base/wait.h"
#include "core/memory/gate.h"
#include "core/memory/hooks.h"
#include "core/memory/journal.h"
#include "core/table/catalog.h"
#include "core/table/change.h"
#include "core/table/db.h"

#define AT_ONCE 32u       /* arrays and leaves; limits how many a call waits for, */
#define LOOK_NS 20000000u /* and so long it looks */
#define LOOKS 16u         /* between two looks at the clock */
/* After a look that found nothing: a pause of so many times its duration. */
#define IDLE_FACTOR 20u

/* Whether the array is smaller. If it is not, nothing has changed, or the writer is stuck. */
static int shrink(struct writer *w, const struct htab *t, struct stripe_shm *stripe) {
    uint64_t before = SHM_LOAD_RELAXED(&stripe->array);
    int r = htab_is_too_large(t, stripe) ? htab_shrink_locked(w, t, stripe) : LARDER_OK;
    if (r && (step_is_open(w, 1) || step_abandon(w, 1)))
        w->is_stuck = 1;
    return r == LARDER_OK && SHM_LOAD_RELAXED(&stripe->array) != before;
}

static uint32_t shrink_lists(struct writer *w, const struct htab *partitions, struct stripe_shm *stripe) {
    uint32_t trimmed = 0;
    if (w->is_stuck || core_hooks->index_trim(w, partitions, stripe, &trimmed))
        w->is_stuck = 1;
    return trimmed;
}

static int has_lists(const struct table_view *v, uint32_t number) {
    return SHM_LOAD_RELAXED(&v->partitions.stripes[number].count) != 0;
}

/* The partition stripe with the same number. Partitions change only under an item stripe
 * (core/memory/gate.h: its closer waits for item stripes alone). This one is held. */
static uint32_t shrink_partitions(struct writer *w, const struct table_view *v, uint32_t number) {
    struct stripe_shm *stripe = &v->partitions.stripes[number];
    if (w->is_stuck || (!htab_is_too_large(&v->partitions, stripe) && !has_lists(v, number)) ||
        lock_try_recover(w, &stripe->lock, LOCK_PARTITION))
        return 0;
    uint32_t count = (uint32_t)shrink(w, &v->partitions, stripe);
    count += shrink_lists(w, &v->partitions, stripe);
    if (!w->is_stuck)
        lock_drop(w, &stripe->lock, LOCK_PARTITION);
    return count;
}

static uint32_t trim_stripe_locked(struct writer *w, const struct table_view *v, uint32_t number) {
    struct stripe_shm *stripe = &v->items.stripes[number];
    if (gate_is_closed(w) || !view_is_current(v))
        return 0;
    change_note(w, v, stripe);
    uint32_t count = (uint32_t)shrink(w, &v->items, stripe);
    count += shrink_partitions(w, v, number);
    if (!w->is_stuck)
        change_forget(w);
    return count;
}

static uint32_t trim_stripe(struct writer *w, const struct table_view *v, uint32_t number) {
    struct stripe_shm *stripe = &v->items.stripes[number];
    if (!htab_is_too_large(&v->items, stripe) && !has_lists(v, number) &&
        !htab_is_too_large(&v->partitions, &v->partitions.stripes[number]))
        return 0;
    if (lock_try_recover(w, &stripe->lock, LOCK_STRIPE))
        return 0;
    uint32_t count = trim_stripe_locked(w, v, number);
    change_leave_stripe(w, stripe);
    return count;
}

static int is_late(const struct wait_work *begin) {
    return wait_worked_ns(begin) >= LOOK_NS;
}

/* The rest of a table, up to count_max arrays. Moves w->trim_stripe on; after the last stripe it is
 * 0. */
static uint32_t trim_table(struct writer *w, uint32_t ordinal, uint32_t count_max, const struct wait_work *begin) {
    const struct table_view *v;
    uint32_t count = 0;
    if (LIFE_STATE(SHM_LOAD(&seg_table(w->seg, ordinal)->life)) != TABLE_READY ||
        table_view_by_ordinal(w->db, ordinal, &v) != LARDER_OK) {
        w->trim_stripe = 0;
        return 0;
    }
    for (; w->trim_stripe < v->items.stripe_count && count < count_max && !w->is_stuck; w->trim_seen++) {
        if (w->trim_seen % LOOKS == 0 && is_late(begin))
            return count;
        count += trim_stripe(w, v, w->trim_stripe++);
        w->trim_visits++;
    }
    if (w->trim_stripe >= v->items.stripe_count)
        w->trim_stripe = 0;
    return count;
}

uint64_t table_trim_stripes(const struct seg *s) {
    uint64_t stripes = 0;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        stripes += LIFE_STATE(SHM_LOAD(&seg_table(s, i)->life)) == TABLE_READY ? s->stripe_count : 0;
    return stripes;
}

/* Once round, or as long as a call looks. */
static uint32_t trim_some(struct writer *w, const struct wait_work *begin) {
    uint32_t count = 0;
    for (uint32_t i = 0; i <= LARDER_TABLES_MAX && count < AT_ONCE && !w->is_stuck && !is_late(begin); i++) {
        count += trim_table(w, w->trim_table, AT_ONCE - count, begin);
        if (w->trim_stripe == 0)
            w->trim_table = (w->trim_table + 1) % LARDER_TABLES_MAX;
    }
    return count;
}

uint32_t table_trim(struct writer *w) {
    struct wait_work begin = wait_work_now();
    if (begin.wall_ns < w->trim_not_before_ns)
        return 0;
    uint32_t count = trim_some(w, &begin);
    if (count)
        w->trim_seen = 0;
    else if (!w->is_stuck && is_late(&begin) && w->trim_seen < table_trim_stripes(w->seg))
        return 1; /* the rest is looked at by the next call */
    else {
        w->trim_seen = 0;
        w->trim_not_before_ns = wait_now_ns() + wait_worked_ns(&begin) * IDLE_FACTOR;
    }
    return count;
}
