/* core/table/make_room.c - see make_room.h. */
#include "core/table/make_room.h"

#include <string.h>

#include "core/base/err.h"
#include "core/base/wait.h"
#include "core/memory/hooks.h"
#include "core/segment/live.h"
#include "core/table/db.h"
#include "core/table/trim.h"
#include "core/table/upkeep.h"

#define ROOM_BYTES_PER_ROUND 1024u
#define ROOM_WAIT_MS 1u /* rule R2: for a lock about to be dropped, or with a dead owner */

#if LARDER_CRASH_POINTS
/* Tests: a heap that was made to report that it is full stops doing so once room was made. */
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

/* Rule R2: a live process that works on definitions may do so for long. */
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
    int has_made = room->rounds == 1 && room->view && upkeep_expire_bucket(w, room->view, room->hash, room->now_s) > 0;
    has_made = has_made || (!w->is_stuck && empty_some(w, room)) ||
               (!w->is_stuck && core_hooks->timer_make_room(w, room->now_s) == LARDER_OK);
    if (!has_made && !w->is_stuck && SHM_LOAD_RELAXED(&w->slot->op) == OP_NONE) /* rule R1 */
        has_made = table_trim(w) > 0;
    w->busy_timeout_ms = busy_timeout_ms;
    return say_not_full(has_made);
}

static int make_some(struct writer *w, struct room *room) {
    if (w->is_recovery || room->rounds++ >= ROOM_ROUNDS + room->bytes / ROOM_BYTES_PER_ROUND)
        return 0;
    return make_round(w, room);
}

/* All the room that can be made, once per call. */
static int make_all(struct writer *w, struct room *room) {
    int has_made = 0;
    if (room->is_all_made)
        return 0;
    room->is_all_made = 1;
    while (make_some(w, room))
        has_made = 1;
    return has_made;
}

/* For a new table, whose entry may be one that was dropped before. True: a piece of a dropped table
 * was emptied, or another process emptied the last: its memory may be what was lacking. */
static int await_drops(struct writer *w, const struct room *room) {
    if (!room->had_drops || wait_now_ms() >= room->drops_until_ms)
        return 0;
    int r = table_resume_piece(w);
    return r == LARDER_MORE || r == LARDER_NOT_FOUND;
}

int room_make(struct writer *w, struct room *room) {
    char message[256]; /* rule R3 */
    strncpy(message, larder_error(), sizeof message - 1);
    message[sizeof message - 1] = 0;
    int has_made = await_drops(w, room);
    if (!has_made && !w->is_stuck)
        has_made = room->wants_all ? make_all(w, room) : make_some(w, room);
    if (w->is_stuck)
        return err_set(LARDER_E_BUSY, "a stopped process holds a lock that making room needs");
    return has_made ? LARDER_OK : err_set(LARDER_E_FULL, "%s", message);
}
