/* core/audit/check.c - larder_check(): the order of its steps. See check.h.
 *
 * Order    1 dead slots, and drops that were cut off
 *          2 slots and single locks
 *          3 all timers, in which the items look for their own
 *          4 each table: items, lists, and groups whose sum is not 0
 *          5 items without a timer, again
 *          6 the heap, which shows the blocks without a reference
 *          7 those blocks, again
 */
#include "core/audit/check.h"
#include "core/base/err.h"
#include "core/base/reserved.h"
#include "core/base/wait.h"
#include "core/memory/hooks.h"
#include "core/memory/recover.h"
#include "core/table/db.h"

/* LARDER_OK, however many errors were found. Other results: it could not be looked at. */
static int check_all(struct check_state *c) {
    c->total = 1 + check_tables_work(c) + check_heap_work(c);
    c->activity = check_activity(c);
    check_slots(c);
    check_lock(c, &c->seg->shm->catalog_lock);
    check_lock(c, &c->seg->shm->expirer_lock);
    c->ignores_gate = !check_lock(c, &c->seg->shm->gate_lock);
    int r = core_hooks->timer_check(c);
    if (r == LARDER_OK)
        r = check_tables(c);
    if (r == LARDER_OK)
        r = core_hooks->timer_judge(c);
    if (r == LARDER_OK)
        r = check_heap(c);
    if (r == LARDER_OK)
        r = check_refs(c);
    return r ? r : check_progress(c, c->total);
}

/* Whether another process is recovering a slot now (rule W3 of core/memory/writer.h). */
static int is_other_recovering(const struct writer *w) {
    for (uint32_t i = 0; i < w->seg->slot_count; i++) {
        const struct slot_shm *slot = seg_slot(w->seg, i);
        if (i != w->id && SHM_LOAD(&slot->state) == SLOT_LIVE &&
            SHM_LOAD(&slot->found_dead) == (uint32_t)SHM_LOAD(&slot->generation))
            return 1;
    }
    return 0;
}

/* Recovers dead processes, and waits for recoveries by other processes, as for a lock. If that
 * takes too long, the look that needs one of their locks reports it. */
static int recover_dead(struct writer *w, uint32_t *dead) {
    uint64_t end_ms = wait_now_ms() + w->busy_timeout_ms;
    uint32_t count;
    int r;
    *dead = 0;
    for (;;) {
        r = recover_all(w, &count);
        *dead += count;
        int is_left = r == LARDER_E_BUSY || (r == LARDER_OK && is_other_recovering(w));
        if (!is_left || !wait_until(end_ms))
            return r;
    }
}

/* What cannot be emptied now does not hinder the check. */
static int resume_drops(struct writer *w) {
    int r = table_resume_drops(w);
    return w->is_stuck ? r : LARDER_OK;
}

static int check_writable(struct check_state *c) {
    uint32_t dead;
    int r = writer_borrow(c->db, &c->w);
    if (r)
        return r;
    r = recover_dead(c->w, &dead);
    c->report->dead_slots = dead;
    if (r == LARDER_OK)
        r = resume_drops(c->w);
    /* A slot cannot be recovered, or its journal names a table that does not exist. */
    if (r == LARDER_E_CORRUPT || r == LARDER_E_NO_TABLE) {
        check_error(c, "%s", larder_error());
        r = LARDER_OK;
    }
    if (r == LARDER_OK)
        r = check_all(c);
    writer_end(c->w);
    return r;
}

static int make_buffers(struct check_state *c) {
    struct priv *priv = db_priv(c->db);
    c->reached = priv_alloc(priv, (c->seg->bytes - c->seg->data_off) / 64 + 8);
    c->image = priv_alloc(priv, ITEM_IMAGE_BYTES_MAX);
    c->words = priv_alloc(priv, HTAB_CHAIN_MAX * sizeof *c->words);
    c->peeks = priv_alloc(priv, HTAB_CHAIN_MAX * sizeof *c->peeks);
    return c->reached && c->image && c->words && c->peeks ? LARDER_OK : LARDER_E_NO_MEMORY;
}

static void free_buffers(struct check_state *c) {
    void *const all[] = {c->reached,   c->image,      c->words,     c->peeks,         c->lines,
                         c->kept,      c->saved,      c->marked.at, c->candidates.at, c->suspects.at,
                         c->timers.at, c->unarmed.at, c->timer_set};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        priv_free(db_priv(c->db), all[i]);
}

static int check_given(struct larder *db, const struct larder_check_options *options,
                       struct larder_check_report *report) {
    struct check_state *c = priv_alloc(db->priv, sizeof *c);
    if (!c)
        return LARDER_E_NO_MEMORY;
    c->db = db;
    c->seg = &db->seg;
    c->report = report;
    c->options = options;
    c->notes = (struct kept_notes){.to = options->note, .arg = options->arg};
    c->now_s = db_now(db);
    report->passes = 1;
    struct epoch_use *use = views_visit(db);
    int r = use ? make_buffers(c) : LARDER_E_NO_MEMORY;
    if (r == LARDER_OK)
        r = db->seg.is_read_only ? check_all(c) : check_writable(c);
    if (use)
        views_depart(db, use);
    free_buffers(c);
    notes_hand_out(&c->notes, db->priv);
    priv_free(db->priv, c);
    return r;
}

int check_segment(struct larder *db, const struct larder_check_options *options, struct larder_check_report *report) {
    static const struct larder_check_options none;
    memset(report, 0, sizeof *report);
    int r = db_check(db);
    if (r)
        return r;
    r = check_given(db, options ? options : &none, report);
    RESERVED_FILL(report);
    if (r == CHECK_CANCELLED)
        return LARDER_MORE;
    if (r)
        return r;
    return report->errors ? err_set(LARDER_DAMAGED, "%llu errors, the first: %s", (unsigned long long)report->errors,
                                    report->first_error)
                          : LARDER_OK;
}

LARDER_API int larder_check(struct larder *db, const struct larder_check_options *options,
                            struct larder_check_report *report) {
    struct larder_check_report made;
    if (ERR_IS_NULL(db) || ERR_IS_NULL(report) || (options && RESERVED_CHECK(options, "struct larder_check_options")))
        return LARDER_E_INVAL;
    int r = check_segment(db, options, &made);
    if (r >= 0)
        *report = made;
    return r;
}
