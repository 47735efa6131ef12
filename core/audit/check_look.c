/* core/audit/check_look.c - a look at a piece of the segment: its lock, its time, its errors. See
 * check.h.
 *
 * Locked   An error that was seen under the lock of its structure is one. The lock is dropped when
 *          the look has lasted CHECK_HOLD_NS, and taken again after those that waited for it.
 * Read-only
 *          If no process has written since the check began, every finding is an error. Otherwise a
 *          piece with errors is looked at again, up to LOOKS times. A look without an error clears
 *          the piece. Errors that all looks have in common are errors. If there are none in common,
 *          or a writer holds the lock, the piece counts as unjudged.
 * Tests    tests/crash/check_live_test.c
 */
#include "core/audit/check.h"
#include "core/base/err.h"
#include "core/base/wait.h"
#include "core/memory/gate.h"
#include "core/table/db.h"
#include <stdarg.h>
#include <stdio.h>

#define LINES_BYTES (256u << 10)
#define LINE_BYTES 256u
#define LOOKS 20u
#define REACHED UINT64_C(1) /* by any look */
#define BY_THIS UINT64_C(2) /* by the present one */

/* ---- Errors ---------------------------------------------------------------------------------- */

static void count_error(struct check_state *c, const char *line) {
    if (c->report->errors++ == 0)
        snprintf(c->report->first_error, sizeof c->report->first_error, "%s", line);
    notes_keep(&c->notes, c->db->priv, line);
}

void check_error(struct check_state *c, const char *format, ...) {
    char line[LINE_BYTES];
    va_list args;
    if (c->is_mute)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    size_t bytes = strlen(line) + 1;
    if (!c->is_looking)
        count_error(c, line);
    else if (c->lines_used + bytes > LINES_BYTES)
        c->lines_lost++;
    else {
        memcpy(c->lines + c->lines_used, line, bytes);
        c->lines_used += (uint32_t)bytes;
    }
}

/* Counts the lines of a look as errors. */
static void count_lines(struct check_state *c, const char *lines, uint32_t used) {
    for (uint32_t at = 0; at < used; at += (uint32_t)strlen(lines + at) + 1)
        count_error(c, lines + at);
    for (; c->lines_lost; c->lines_lost--)
        count_error(c, "this piece has more errors than there was room for");
}

static int has_line(const char *lines, uint32_t used, const char *line) {
    for (uint32_t at = 0; at < used; at += (uint32_t)strlen(lines + at) + 1)
        if (strcmp(lines + at, line) == 0)
            return 1;
    return 0;
}

/* Keeps those lines that this look found, too. */
static void keep_common_lines(struct check_state *c) {
    uint32_t kept = 0;
    for (uint32_t at = 0, bytes; at < c->kept_used; at += bytes) {
        bytes = (uint32_t)strlen(c->kept + at) + 1;
        if (has_line(c->lines, c->lines_used, c->kept + at)) {
            memmove(c->kept + kept, c->kept + at, bytes);
            kept += bytes;
        }
    }
    c->kept_used = kept;
}

void check_unjudged(struct check_state *c, uint64_t count) {
    c->report->unjudged += count;
}

/* ---- Marks ----------------------------------------------------------------------------------- */

/* The bits of a block start in c->reached. */
static uint64_t *mark_word(const struct check_state *c, uint64_t off, unsigned *shift) {
    uint64_t unit = (off - c->seg->data_off) / 16;
    *shift = (unsigned)(unit % 32) * 2;
    return &c->reached[unit / 32];
}

static void forget_marks(struct check_state *c) {
    const uint64_t *off = c->marked.at;
    unsigned shift;
    for (size_t i = 0; i < c->marked.count; i++) {
        uint64_t *word = mark_word(c, off[i], &shift);
        *word &= ~(BY_THIS << shift);
    }
    c->marked.count = 0;
}

void *check_block(struct check_state *c, uint64_t off, uint64_t min_bytes, const char *what) {
    uint64_t bytes = heap_block_bytes(c->seg, off);
    unsigned shift;
    if (bytes == 0) {
        check_error(c, "%s: refers to %llu, where no block is handed out", what, (unsigned long long)off);
        return NULL;
    }
    if (bytes < min_bytes) {
        check_error(c, "%s: block %llu has %llu bytes, %llu are needed", what, (unsigned long long)off,
                    (unsigned long long)bytes, (unsigned long long)min_bytes);
        return NULL;
    }
    uint64_t *word = mark_word(c, off, &shift), marks = *word >> shift;
    if (marks & BY_THIS) { /* under the lock of this look, nothing has moved since */
        check_error(c, "%s: block %llu is referred to twice", what, (unsigned long long)off);
        return NULL;
    }
    if (!c->is_again) {
        /* by another look: it may have been freed and handed out again since */
        if (marks & REACHED)
            check_suspect_block(c, off, 1);
        else
            c->report->blocks++;
    }
    *word |= (REACHED | BY_THIS) << shift;
    if (c->marked.count < c->marked.capacity)
        ((uint64_t *)c->marked.at)[c->marked.count++] = off;
    return c->seg->base + off;
}

/* ---- One look -------------------------------------------------------------------------------- */

int check_reserve(struct check_state *c, struct check_list *list, size_t more, size_t element_bytes) {
    if (list->capacity - list->count >= more)
        return LARDER_OK;
    size_t capacity = list->capacity + list->capacity / 2 + more;
    void *at = priv_realloc(db_priv(c->db), list->at, capacity * element_bytes);
    if (!at)
        return LARDER_E_NO_MEMORY;
    list->at = at;
    list->capacity = capacity;
    return LARDER_OK;
}

static int has_lasted(struct check_state *c) {
#if LARDER_CRASH_POINTS
    return ++c->units >= CHECK_UNITS;
#else
    return wait_now_ns() - c->began_ns >= CHECK_HOLD_NS;
#endif
}

int check_is_due(struct check_state *c) {
    if (c->lines_used > LINES_BYTES / 2 || c->marked.capacity - c->marked.count < 2 * HTAB_CHAIN_MAX ||
        c->unarmed.capacity - c->unarmed.count < 2 * HTAB_CHAIN_MAX)
        return 1;
    return c->w && has_lasted(c);
}

static int reserve_all(struct check_state *c) {
    int r = LARDER_OK;
    if (!c->lines && !(c->lines = priv_alloc(db_priv(c->db), LINES_BYTES)))
        return LARDER_E_NO_MEMORY;
    if (!c->w && !c->kept && !(c->kept = priv_alloc(db_priv(c->db), LINES_BYTES)))
        return LARDER_E_NO_MEMORY;
    if (!c->w && !c->saved && !(c->saved = priv_alloc(db_priv(c->db), CHECK_AT_BYTES_MAX)))
        return LARDER_E_NO_MEMORY;
    if (!c->marked.at)
        r = check_reserve(c, &c->marked, CHECK_RESERVE, sizeof(uint64_t));
    if (r == LARDER_OK)
        r = check_reserve(c, &c->candidates, CHECK_RESERVE, sizeof(struct check_candidate));
    if (r == LARDER_OK)
        r = check_reserve(c, &c->timers, CHECK_RESERVE, sizeof(uint64_t));
    if (r == LARDER_OK)
        r = check_reserve(c, &c->unarmed, CHECK_RESERVE, 2 * sizeof(uint64_t)); /* ttl_suspect */
    return r;
}

static int is_known_bad(const struct check_state *c, const lock_word *lock) {
    for (uint32_t i = 0; i < c->bad_locks; i++)
        if (c->bad_lock[i] == seg_off(c->seg, lock))
            return 1;
    return 0;
}

static void note_bad(struct check_state *c, const lock_word *lock) {
    if (c->bad_locks < CHECK_BAD_LOCKS)
        c->bad_lock[c->bad_locks++] = seg_off(c->seg, lock);
}

/* Takes the lock, with the gate open. *is_held 0: the lock is damaged, and is not waited for. */
static int hold(struct check_state *c, lock_word *lock, enum lock_rank rank, int *is_held) {
    *is_held = 0;
    if (is_known_bad(c, lock))
        return LARDER_OK;
    if (!check_lock(c, lock)) {
        note_bad(c, lock);
        return LARDER_OK;
    }
    for (;;) {
        int r = lock_take(c->w, lock, rank);
        if (r == LARDER_E_CORRUPT) {
            check_error(c, "%s", larder_error());
            note_bad(c, lock);
            return LARDER_OK;
        }
        if (r)
            return r;
        *is_held = 1;
        if (c->ignores_gate || !gate_is_closed(c->w))
            return LARDER_OK;
        lock_drop(c->w, lock, rank);
        *is_held = 0;
        r = gate_wait(c->w);
        if (r == LARDER_E_CORRUPT) {
            check_error(c, "%s", larder_error());
            c->ignores_gate = 1;
        } else if (r)
            return r;
    }
}

static void begin(struct check_state *c) {
    c->lines_used = c->lines_lost = c->units = 0;
    c->is_looking = 1;
    c->began_ns = wait_now_ns();
}

static void end(struct check_state *c) {
    c->is_looking = 0;
    forget_marks(c);
}

static int look_locked(struct check_state *c, lock_word *lock, enum lock_rank rank, check_looker *look, void *at) {
    int is_held = 0, is_wanted = 0, r = lock ? hold(c, lock, rank, &is_held) : LARDER_OK;
    if (r)
        return r;
    begin(c);
    r = look(c, at);
    uint64_t lasted_ns = wait_now_ns() - c->began_ns;
    if (is_held) {
        is_wanted = (SHM_LOAD_RELAXED(lock) & LOCK_WAITERS) != 0;
        lock_drop(c->w, lock, rank);
        if (lasted_ns > c->report->longest_pause_ns)
            c->report->longest_pause_ns = lasted_ns;
    }
    end(c);
    count_lines(c, c->lines, c->lines_used);
    /* rule C2: the look goes on, and a waiter needs a moment to wake up */
    if (is_wanted && r != LARDER_OK)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    return r;
}

/* Whether a writer is, or was when it died, inside the guarded structure. */
static int is_being_changed(struct check_state *c, const lock_word *lock) {
    return lock && SHM_LOAD(lock) != 0 && !is_known_bad(c, lock);
}

static int look_unlocked(struct check_state *c, const lock_word *lock, check_looker *look, void *at, size_t at_bytes) {
    int r = LARDER_OK, is_judged = 0;
    if (lock && !is_known_bad(c, lock) && !check_lock(c, lock))
        note_bad(c, lock);
    memcpy(c->saved, at, at_bytes);
    for (unsigned looks = 0; looks < LOOKS && !is_judged; looks++) {
        if (looks > 0) {
            wait_a_moment();
            memcpy(at, c->saved, at_bytes);
        }
        c->is_again = looks > 0;
        begin(c);
        r = look(c, at);
        end(c);
        is_judged = c->lines_used == 0 && c->lines_lost == 0;
        if (looks == 0) {
            memcpy(c->kept, c->lines, c->lines_used);
            c->kept_used = c->lines_used;
        } else
            keep_common_lines(c);
        if (check_activity(c) == c->activity)
            break; /* no process has written since the check began: the errors stay */
    }
    c->is_again = 0;
    if (!is_judged && c->kept_used > 0 && !is_being_changed(c, lock))
        count_lines(c, c->kept, c->kept_used);
    else if (!is_judged)
        check_unjudged(c, 1);
    c->lines_lost = 0;
    return r;
}

int check_look(struct check_state *c, lock_word *lock, enum lock_rank rank, check_looker *look, void *at,
               size_t at_bytes) {
    for (;;) {
        int r = reserve_all(c);
        if (r == LARDER_OK)
            r = c->w ? look_locked(c, lock, rank, look, at) : look_unlocked(c, lock, look, at, at_bytes);
        if (r != LARDER_MORE)
            return r;
        r = check_progress(c, 0);
        if (r)
            return r;
    }
}

/* ---- Progress -------------------------------------------------------------------------------- */

int check_progress(struct check_state *c, uint64_t more) {
    c->done = c->done + more < c->total ? c->done + more : c->total;
    int r = db_check(c->db);
    if (r)
        return r;
    if (c->options->progress && c->options->progress(c->options->arg, c->done, c->total))
        return CHECK_CANCELLED;
    return LARDER_OK;
}
