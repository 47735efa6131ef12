/* core/audit/repair.c - larder_repair(): the order of its steps. See core/audit/repair.h. */
#include "core/audit/repair.h"
#include "core/audit/check.h"
#include "core/base/err.h"
#include "core/base/reserved.h"
#include "core/base/wait.h"
#include "core/memory/heap_span.h"
#include "core/memory/hooks.h"
#include "core/table/db.h"
#include "core/table/read.h"

#define ROUNDS_MAX 64
#define SCRATCH_BYTES (ITEM_IMAGE_BYTES_MAX + (1u << 20)) /* any image (item_stored_bytes_max) */

/* Keeps an error that larder_check() found. */
static void note_found(void *arg, const char *line) {
    repair_note(arg, "found: %s", line);
}

/* ---- A segment that is too full for its lists ------------------------------------------------ */

static int drop_item(struct repair *p, const struct table_view *v, uint64_t off, const char *why) {
    struct stripe_shm *stripe;
    shm_word *slot = repair_slot_of(v, off, &stripe);
    if (!slot)
        return 0;
    p->is_quiet = 0;
    repair_lose(p, v, off, why);
    p->is_quiet = 1;
    SHM_STORE(slot, 0);
    SHM_STORE(&stripe->seq, SHM_LOAD_RELAXED(&stripe->seq) + 1);
    return 1;
}

/* Drops expired items of all tables, or else one in 16 of the table that was too large. Returns 0
 * if nothing could be dropped. */
static size_t make_room(struct repair *p, const struct repair_table *full) {
    size_t dropped = 0;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        const struct repair_table *t = &p->table[i];
        for (size_t k = 0; t->v && k < t->count; k++)
            if (read_is_expired(t->v, (const struct item_head *)(p->seg->base + t->item[k]), p->now_s))
                dropped += (size_t)drop_item(p, t->v, t->item[k], "it has expired, and there was no room for all");
    }
    int has_expired = dropped != 0;
    for (size_t k = 0; !has_expired && k < full->count; k += 16)
        dropped += (size_t)drop_item(p, full->v, full->item[k], "there was no room for all items and their lists");
    p->items_planned -= dropped;
    return dropped;
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

static int refill_table(struct repair *p, struct repair_table *t) {
    int r = repair_stripes(p, t);
    if (r == LARDER_OK)
        r = repair_mend_items(p, t);
    if (r == LARDER_OK)
        r = core_hooks->index_refill(&p->w, t->v, t->item, t->count, !p->is_loose, &p->report->index_entries);
    p->report->items_kept += t->count;
    p->report->tables_kept++;
    return r;
}

/* Whether another round may find room. */
static int is_hopeful(struct repair *p, const struct repair_table *full) {
    if (!p->is_loose) {
        p->is_loose = 1;
        return 1;
    }
    /* The kernel may give memory tomorrow that it refuses today: no item is dropped for that. */
    return span_claimed_count(p->seg) == p->seg->span_count && make_room(p, full) > 0;
}

static int refill(struct repair *p) {
    p->report->index_entries = p->report->timers = p->report->items_kept = p->report->tables_kept = 0;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        int r = p->table[i].v ? refill_table(p, &p->table[i]) : LARDER_OK;
        if (r == LARDER_E_FULL && is_hopeful(p, &p->table[i]))
            return LARDER_MORE;
        if (r)
            return r;
    }
    return repair_heap_release(p);
}

/* Steps 2 to 5. LARDER_MORE: some items were dropped to make room. */
static int run_round(struct repair *p) {
    int r = repair_plan(p);
    if (r == LARDER_OK)
        r = repair_flush(p);
    if (r == LARDER_OK) {
        if (!p->is_quiet)
            repair_clear_slots(p);
        r = repair_catalog(p);
    }
    if (r == LARDER_OK) {
        core_hooks->timer_forget_all(p->seg);
        r = repair_heap_store(p);
    }
    if (r == LARDER_OK)
        r = refill(p);
    repair_forget_plan(p);
    return r;
}

static int run(struct repair *p) {
    uint64_t used_before = repair_heap_used(p);
    size_t notes = p->notes.used;
    int r = repair_enter(p);
    if (r == LARDER_OK)
        r = writer_scratch(&p->w, SCRATCH_BYTES);
    if (r == LARDER_OK && !(p->image = priv_alloc(db_priv(p->db), ITEM_IMAGE_BYTES_MAX)))
        r = LARDER_E_NO_MEMORY;
    if (r == LARDER_OK)
        r = repair_claimed(p);
    if (r == LARDER_OK)
        r = run_round(p);
    for (unsigned rounds = 0; r == LARDER_MORE && rounds < ROUNDS_MAX; rounds++) {
        p->is_quiet = 1;
        r = run_round(p);
    }
    if (r == LARDER_MORE)
        r = err_set(LARDER_E_FULL, "there is no room for the segment's items and their lists");
    uint64_t used = repair_heap_used(p);
    if (r == LARDER_OK && used < used_before)
        p->report->freed_bytes = used_before - used;
    if (r != LARDER_OK && !p->has_begun)
        p->notes.used = notes; /* nothing of the plan was done: nothing is lost */
    repair_leave(p, r == LARDER_OK);
    priv_free(db_priv(p->db), p->w.scratch);
    priv_free(db_priv(p->db), p->chain_of);
    priv_free(db_priv(p->db), p->image);
    return r;
}

/* ---- The call -------------------------------------------------------------------------------- */

/* Checks the segment. LARDER_OK: it is clean; LARDER_DAMAGED: it has errors. */
static int look(struct repair *p) {
    struct larder_check_report found;
    if (SHM_LOAD(&p->seg->shm->state) != SEG_STATE_READY) {
        repair_note(p, "found: a repair was cut off, or the segment's state is damaged");
        p->report->errors_found = 1;
        return LARDER_DAMAGED;
    }
    const struct larder_check_options options = {.note = note_found, .arg = p};
    int r = check_segment(p->db, &options, &found);
    if (r == LARDER_E_BUSY && !repair_is_held_up(p)) /* perhaps a process was slow */
        r = check_segment(p->db, &options, &found);
    p->report->errors_found = found.errors;
    /* Damaged locks or slots may look like this. */
    if (r == LARDER_E_BUSY || r == LARDER_E_NO_SLOT || r == LARDER_E_CORRUPT) {
        repair_note(p, "found: %s", larder_error());
        p->report->errors_found++;
        return LARDER_DAMAGED;
    }
    return r;
}

/* Other processes are at work again: one that stops with a lock in its hand only keeps the check
 * from looking at the rest. */
static int look_again(struct repair *p) {
    struct larder_check_report left;
    int r = check_segment(p->db, NULL, &left);
    p->report->errors_left = left.errors;
    if ((r == LARDER_E_BUSY || r == LARDER_E_NO_SLOT) && left.errors == 0)
        return LARDER_OK;
    if (r != LARDER_E_CORRUPT)
        return r;
    p->report->errors_left++; /* it could not be looked at */
    return LARDER_DAMAGED;
}

static int repair(struct larder *db, const struct larder_repair_options *options, struct larder_repair_report *report) {
    if (db->seg.is_read_only)
        return err_set(LARDER_E_READ_ONLY, "the segment is attached read-only");
    if (SHM_LOAD(&db->seg.shm->state) == SEG_STATE_DESTROYED)
        return db_check(db);
    struct repair *p = priv_alloc(db_priv(db), sizeof *p);
    if (!p)
        return LARDER_E_NO_MEMORY;
    p->db = db;
    p->seg = &db->seg;
    p->report = report;
    p->notes.to = options ? options->note : NULL;
    p->notes.arg = options ? options->arg : NULL;
    p->now_s = db_now(db);
    uint32_t wait_ms = db->writers.busy_timeout_ms ? db->writers.busy_timeout_ms : SEG_NO_WAIT_MS;
    p->deadline_ms = wait_ms * 2; /* a process that waits for us, or for a dead one, gives up in half of it */
    p->patience_ms = wait_now_ms() + wait_ms;
    int r = repair_begin(p);
    if (r == LARDER_OK) {
        r = look(p);
        if (r == LARDER_DAMAGED && (r = run(p)) == LARDER_OK)
            r = look_again(p);
        repair_end(p);
    }
    notes_hand_out(&p->notes, db_priv(db));
    priv_free(db_priv(db), p);
    return r;
}

/* If a thread were cancelled in here, the segment would stay closed, and its process would keep
 * locks and slots. */
LARDER_API int larder_repair(struct larder *db, const struct larder_repair_options *options,
                             struct larder_repair_report *report) {
    struct larder_repair_report made = {0};
    int cancel_state;
    if (ERR_IS_NULL(db) || ERR_IS_NULL(report) || (options && RESERVED_CHECK(options, "struct larder_repair_options")))
        return LARDER_E_INVAL;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    struct epoch_use *use = views_visit(db); /* for recoveries on the way */
    int r = use ? repair(db, options, &made) : LARDER_E_NO_MEMORY;
    if (use)
        views_depart(db, use);
    pthread_setcancelstate(cancel_state, NULL);
    RESERVED_FILL(&made);
    if (r >= 0)
        *report = made;
    return r;
}
