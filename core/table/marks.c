/* core/table/marks.c - see marks.h. */
#include "core/table/marks.h"

#include "core/base/err.h"
#include "core/memory/gate.h"
#include "core/memory/heap.h"
#include "core/table/catalog.h"
#include "core/table/db.h"
#include "core/table/table_life.h"

/* ---- The block ------------------------------------------------------------------------------- */

#define WORDS_PER_SPAN (SPAN_BYTES / MARKS_UNIT_BYTES / 64)

uint64_t marks_bytes(const struct seg *s) {
    return sizeof(struct marks_shm) + (marks_hands(s) + (uint64_t)s->span_count * WORDS_PER_SPAN) * sizeof(shm_word);
}

/* The marks themselves begin as they are (A1). */
int marks_make(struct writer *w, struct table_shm *t) {
    uint64_t off = 0, bytes = marks_bytes(w->seg);
    if (SHM_LOAD(&t->marks_off) != 0)
        return LARDER_OK;
    int r = heap_take(w, bytes, HAND_STEP1 | HAND_NEW, 0, &off);
    if (r)
        return r;
    struct marks_shm *m = seg_at(w->seg, off, bytes);
    if (!m) {
        w->is_stuck = 1;
        return err_set(LARDER_E_CORRUPT, "the heap handed out a block outside the segment");
    }
    const struct marks_shm head = {.magic = MARKS_MAGIC};
    shm_copy_in(m, &head, sizeof head);
    shm_zero(m->hand, marks_hands(w->seg) * sizeof *m->hand);
    table_swap(w, &t->marks_off, off);
    return LARDER_OK;
}

struct marks_shm *marks_of(const struct seg *s, const struct table_shm *t) {
    uint64_t off = SHM_LOAD(&t->marks_off), bytes = marks_bytes(s);
    struct marks_shm *m = off ? seg_at(s, off, bytes) : NULL;
    return m && heap_block_bytes(s, off) >= bytes && m->magic == MARKS_MAGIC ? m : NULL;
}

static struct notes *new_notes(struct larder *db) {
    const struct seg *s = &db->seg;
    uint32_t words = s->span_count * WORDS_PER_SPAN, groups = (words + MARKS_GROUP_WORDS - 1) / MARKS_GROUP_WORDS;
    struct notes *n = priv_alloc(db_priv(db), sizeof *n + words * sizeof *n->word + groups);
    if (!n)
        return NULL;
    n->first = s->base + s->data_off;
    n->word = (_Atomic uint64_t *)(n + 1);
    n->dirty = (_Atomic uint8_t *)(n->word + words);
    n->word_count = words;
    n->group_count = groups;
    return n;
}

void marks_attach(struct larder *db, struct table_view *v) {
    v->marks = v->def.eviction == LARDER_EVICTION_NONE ? NULL : marks_of(&db->seg, v->shm);
    if (!v->marks || db->seg.is_read_only)
        return;
    struct notes **notes = &db->notes[v->ordinal];
    if (!*notes)
        *notes = new_notes(db);
    v->notes = *notes;
}

/* ---- Marks ----------------------------------------------------------------------------------- */

static shm_word *mark_word(const struct table_view *v, uint64_t off, uint64_t *bit) {
    const struct seg *s = v->items.seg;
    uint64_t unit = (off - s->data_off) / MARKS_UNIT_BYTES;
    *bit = UINT64_C(1) << unit % 64;
    return &v->marks->hand[marks_hands(s) + unit / 64];
}

int marks_is_used(const struct table_view *v, uint64_t off) {
    uint64_t bit;
    return (SHM_LOAD_RELAXED(mark_word(v, off, &bit)) & bit) != 0;
}

/* Other threads change other bits of the word. */
void marks_put(const struct table_view *v, uint64_t off, int is_used) {
    uint64_t bit;
    shm_word *word = mark_word(v, off, &bit);
    if (((SHM_LOAD_RELAXED(word) & bit) != 0) == (is_used != 0))
        return;
    if (is_used)
        SHM_OR(word, bit);
    else
        SHM_AND(word, ~bit);
}

/* ---- Notes ----------------------------------------------------------------------------------- */

__attribute__((noinline)) void marks_note_new(struct notes *n, uint64_t unit) {
    atomic_fetch_or_explicit(&n->word[unit / 64], UINT64_C(1) << unit % 64, memory_order_relaxed);
    /* release; pairs with the exchange in publish_group(): it sees the note, or the group stays
     * dirty */
    atomic_store_explicit(&n->dirty[unit / 64 / MARKS_GROUP_WORDS], 1, memory_order_release);
    if (!atomic_load_explicit(&n->is_any, memory_order_relaxed))
        atomic_store_explicit(&n->is_any, 1, memory_order_release);
}

static void publish_group(const struct table_view *v, uint32_t group) {
    struct notes *n = v->notes;
    uint32_t from = group * MARKS_GROUP_WORDS, to = from + MARKS_GROUP_WORDS;
    shm_word *marks = &v->marks->hand[marks_hands(v->items.seg)];
    if (!atomic_load_explicit(&n->dirty[group], memory_order_relaxed))
        return;
    atomic_exchange_explicit(&n->dirty[group], 0, memory_order_acq_rel);
    for (uint32_t i = from; i < to && i < n->word_count; i++) {
        if (!atomic_load_explicit(&n->word[i], memory_order_relaxed))
            continue;
        uint64_t noted = atomic_exchange_explicit(&n->word[i], 0, memory_order_acq_rel);
        if (noted & ~SHM_LOAD_RELAXED(&marks[i]))
            SHM_OR(&marks[i], noted);
    }
}

/* Threads that publish at the same time may look at the same groups. */
void marks_publish_locked(const struct table_view *v, uint32_t groups_max) {
    struct notes *n = v->notes;
    if (!n)
        return;
    uint32_t at = atomic_load_explicit(&n->at, memory_order_relaxed);
    for (uint32_t done = 0; done < groups_max; done++) {
        if (at == 0) { /* a round begins, and ends with the last group */
            if (!atomic_load_explicit(&n->is_any, memory_order_acquire))
                break;
            atomic_store_explicit(&n->is_any, 0, memory_order_relaxed);
        }
        publish_group(v, at);
        at = at + 1 < n->group_count ? at + 1 : 0;
    }
    atomic_store_explicit(&n->at, at, memory_order_relaxed);
}

/* Any stripe will do (A2). */
static void publish_table(struct writer *w, const struct table_view *v) {
    for (uint32_t i = 0; i < v->items.stripe_count; i++) {
        lock_word *lock = &v->items.stripes[i].lock;
        if (lock_try(w, lock, LOCK_STRIPE))
            continue;
        if (!gate_is_closed(w) && view_is_current(v))
            marks_publish_locked(v, v->notes->group_count);
        lock_drop(w, lock, LOCK_STRIPE);
        return;
    }
}

int marks_are_noted(const struct larder *db) {
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        if (db->notes[i] && (atomic_load_explicit(&db->notes[i]->is_any, memory_order_relaxed) ||
                             atomic_load_explicit(&db->notes[i]->at, memory_order_relaxed)))
            return 1;
    return 0;
}

void marks_publish_all(struct writer *w) {
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        const struct table_view *v;
        const struct notes *n = w->db->notes[i];
        if (n && LIFE_STATE(SHM_LOAD(&seg_table(w->seg, i)->life)) == TABLE_READY &&
            table_view_by_ordinal(w->db, i, &v) == LARDER_OK && v->notes)
            publish_table(w, v);
    }
}
