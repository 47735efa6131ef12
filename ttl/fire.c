/* ttl/fire.c - firing timers: one, or a batch. See fire.h. */
#include "ttl/fire.h"

#include "core/base/err.h"
#include "core/table/attempt.h"
#include "core/table/catalog.h"
#include "core/table/upkeep.h"

#define FIRE_TRIES_MAX 16     /* for one timer, while definitions change */
#define FIRE_BUSY_AGAIN_MS 10 /* rule X3 */

int fire_view(struct fire_job *job, uint32_t table, const struct table_view **v) {
    struct seg *s = job->w->seg;
    if (table >= LARDER_TABLES_MAX || LIFE_STATE(SHM_LOAD(&seg_table(s, table)->life)) != TABLE_READY)
        return LARDER_E_NO_TABLE;
    if (!job->views[table] || !view_is_current(job->views[table])) {
        int r = table_view_by_ordinal(job->w->db, table, &job->views[table]);
        if (r) {
            job->views[table] = NULL;
            return r;
        }
    }
    *v = job->views[table];
    return LARDER_OK;
}

/* ---- Locked stripes (X3) --------------------------------------------------------------------- */

static int fire_is_busy(const struct fire_job *job, const struct stripe_shm *stripe) {
    for (uint32_t i = 0; i < job->busy_count && i < FIRE_BUSY_MAX; i++)
        if (job->busy[i] == stripe)
            return 1;
    return 0;
}

void fire_note_busy(struct fire_job *job, const struct stripe_shm *stripe) {
    if (job->busy_count < FIRE_BUSY_MAX)
        job->busy[job->busy_count++] = stripe;
    if (job->w->busy_timeout_ms > FIRE_BUSY_AGAIN_MS)
        job->w->busy_timeout_ms = FIRE_BUSY_AGAIN_MS; /* this call's: writer_borrow sets it */
}

struct fire_shot {
    struct fire_job *job;
    const struct wheel_entry *e;
    unsigned tries;
};

static int fire_try(struct writer *w, void *arg) {
    struct fire_shot *shot = arg;
    struct fire_job *job = shot->job;
    const struct table_view *v;
    int r = shot->tries++ < FIRE_TRIES_MAX ? fire_view(job, shot->e->table, &v) : LARDER_MORE;
    if (r == LARDER_E_NO_TABLE)
        return LARDER_OK;
    if (r)
        return r;
    const struct stripe_shm *stripe = htab_stripe(&v->items, shot->e->hash);
    if (fire_is_busy(job, stripe))
        return LARDER_E_BUSY;
    r = upkeep_expire(w, v, shot->e->hash, shot->e->second, job->now_s, &job->removed);
    if (r == LARDER_E_BUSY)
        fire_note_busy(job, stripe);
    return r;
}

int fire_one(struct fire_job *job, const struct wheel_entry *e) {
    return attempt(job->w, NULL, fire_try, &(struct fire_shot){.job = job, .e = e});
}

int fire_batch(struct fire_job *job, struct wheel_batch *batch) {
    int result = LARDER_OK;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (job->items_max && job->removed >= job->items_max)
            return LARDER_MORE;
        if (job->beat)
            job->beat(job->beat_arg);
        int r = fire_one(job, &batch->entry[i]);
        if (r == LARDER_OK)
            batch->done |= UINT64_C(1) << i;
        else if (r != LARDER_NOT_FOUND)
            result = r;
        if (fire_has_waited(job))
            return LARDER_E_BUSY;
    }
    return result;
}
