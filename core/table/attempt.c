/* core/table/attempt.c - removes what a try met. See attempt.h. */
#include "core/table/attempt.h"

#include "core/base/err.h"
#include "core/memory/heap.h"
#include "core/table/db.h"

/* The process that recovers the slot undoes what was done. */
static int stay_stuck(void) {
    return err_set(LARDER_E_BUSY, "a stopped process holds a lock that this call needs");
}

/* If room was made in a full segment the call has not failed: the message goes. */
static int claim(struct writer *w, struct room *room) {
    struct err_kept before;
    err_keep(&before);
    int r = heap_claim(w, w->need_bytes);
    if (r != LARDER_E_FULL || (!room && w->is_short))
        return r;
    r = room ? room_make(w, room) : LARDER_OK;
    if (!room)
        w->is_short = 1; /* no room can be made here: any larger block will do */
    if (r == LARDER_OK)
        err_put_back(&before);
    return r;
}

static int grow_before(struct writer *w) {
    void *grown = priv_realloc(db_priv(w->db), w->before, w->need_bytes);
    if (!grown)
        return LARDER_E_NO_MEMORY;
    w->before = grown;
    w->before_bytes = w->need_bytes;
    return LARDER_OK;
}

int attempt_remove(struct writer *w, struct room *room, int r) {
    if (w->is_stuck)
        return is_obstacle(r) ? stay_stuck() : r;
    switch (r) {
    case OBSTACLE_CLAIM:
        return claim(w, room);
    case OBSTACLE_VIEW:
        return LARDER_OK;
    case OBSTACLE_BEFORE:
        return grow_before(w);
    case OBSTACLE_SCRATCH:
        return writer_scratch(w, w->need_bytes);
    default: /* LARDER_E_FULL */
        return room ? room_make(w, room) : r;
    }
}
