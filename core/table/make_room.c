/* core/table/make_room.c - see make_room.h. */
#include "core/table/make_room.h"

#include <string.h>

#include "core/base/err.h"
#include "core/memory/heap.h"
#include "core/memory/hooks.h"
#include "core/segment/live.h"
#include "core/table/db.h"
#include "core/table/trim.h"
#include "core/table/write.h"

#define ROOM_BYTES_PER_ROUND 1024u
#define ROOM_WAIT_MS 1u /* rule R2: for a lock that is dropped just now, or whose owner has died */

#if LARDER_CRASH_POINTS
/* Tests: where the heap was made to say that it is full, it says so no more once room was made. */
extern _Atomic int64_t heap_test_takes_left;
static int say_not_full(int has_made) {
    if (has_made && heap_test_takes_left == 0)
        heap_test_takes_left = -1;
    return has_made;
}
#else
static int say_not_full(int has_made) {
    return has_made;
}
#endif

/* Rule R2: somebody who is at work on definitions may be so for long. */
static int has_catalog_owner(const struct seg *s) {
    int owner = lock_owner(&s->shm->catalog_lock);
    return owner >= 0 && (uint32_t)owner < s->slot_count && live_is_held(s, (uint32_t)owner) != 0;
}

static int empty_some(struct writer *w, struct room *room) {
    if (room->has_no_drops || SHM_LOAD_RELAXED(&w->slot->op) != OP_NONE) /* rule R1 */
        return 0;
    room->has_no_drops = !table_has_drops(w->seg);
    return !room->has_no_drops && !has_catalog_owner(w->seg) && table_resume_piece(w) == LARDER_MORE;
}

/* True: something was given back. */
static int make_round(struct writer *w, struct room *room) {
    uint32_t busy_timeout_ms = w->busy_timeout_ms;
    if (w->busy_timeout_ms > ROOM_WAIT_MS)
        w->busy_timeout_ms = ROOM_WAIT_MS;
    int has_made = room->rounds == 1 && room->view && write_expire_bucket(w, room->view, room->hash, room->now_s) > 0;
    has_made = has_made || (!w->is_stuck && empty_some(w, room)) ||
               (!w->is_stuck && core_hooks->timer_make_room(w, room->now_s) == LARDER_OK);
    if (!has_made && !w->is_stuck && SHM_LOAD_RELAXED(&w->slot->op) == OP_NONE) /* rule R1 */
        has_made = table_trim(w) > 0;
    w->busy_timeout_ms = busy_timeout_ms;
    return say_not_full(has_made);
}

static int make_room(struct writer *w, struct room *room) {
    char message[256]; /* rule R3 */
    if (w->is_recovery || room->rounds++ >= ROOM_ROUNDS + room->bytes / ROOM_BYTES_PER_ROUND)
        return LARDER_E_FULL;
    strncpy(message, larder_error(), sizeof message - 1);
    message[sizeof message - 1] = 0;
    int has_made = make_round(w, room);
    if (w->is_stuck)
        return err_set(LARDER_E_BUSY, "a stopped process holds a lock that making room needs");
    return has_made ? LARDER_E_RETRY : err_set(LARDER_E_FULL, "%s", message);
}

int room_after(struct writer *w, struct room *room, int r) {
    if (r == LARDER_E_RETRY && w->is_stuck) /* what was done is taken back by whoever recovers the slot */
        return err_set(LARDER_E_BUSY, "a stopped process holds a lock that this call needs");
    if (r == LARDER_E_RETRY && w->need_bytes) {
        int claimed = heap_claim(w, w->need_bytes);
        if (claimed == LARDER_OK)
            return r;
        r = claimed;
    }
    return r == LARDER_E_FULL && !w->is_stuck ? make_room(w, room) : r;
}
