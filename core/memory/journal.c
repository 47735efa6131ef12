/* core/memory/journal.c - one-word publication of new blocks. See journal.h for the crash list. */
#include "core/memory/journal.h"
#include "core/base/debug.h"
#include "core/base/err.h"
#include "core/base/swap.h"
#include "core/segment/seg.h"

static unsigned tag_of(unsigned n, unsigned side) {
    return n | side;
}

/* The word or sequence at an offset that a step noted. NULL, with an error: it is outside. */
static shm_word *word_at(const struct writer *w, uint64_t off) {
    shm_word *word = seg_step_word(w->seg, off);
    if (!word)
        err_set(LARDER_E_CORRUPT, "slot %u notes a step on offset %llu, outside the segment", w->id,
                (unsigned long long)off);
    return word;
}

void step_open(struct writer *w, unsigned n, shm_word *word, uint64_t old_word, uint64_t new_word, shm_word *seq) {
    struct step_shm *step = &w->slot->step[n];
    DEBUG_ASSERT(!step_is_open(w, n) && old_word != new_word);
    SHM_NOT_YET(open_before_words, SHM_STORE(&step->word_off, seg_off(w->seg, word)));
    SHM_STORE(&step->old_word, old_word);
    SHM_STORE(&step->new_word, new_word);
    SHM_STORE(&step->seq_off, seq ? seg_off(w->seg, seq) : 0);
    SHM_STORE(&step->word_off, seg_off(w->seg, word));
}

void step_retire(struct writer *w, unsigned n, uint64_t block_off) {
    DEBUG_ASSERT(step_is_open(w, n));
    for (unsigned i = 0; i < SLOT_HAND; i++)
        if (SHM_LOAD_RELAXED(&w->slot->hand[i]) == 0) {
            SHM_STORE(&w->slot->hand[i], block_off | tag_of(n, HAND_OLD));
            return;
        }
    DEBUG_ASSERT(!"slot.hand is full");
}

void step_publish(struct writer *w, unsigned n) {
    struct step_shm *step = &w->slot->step[n];
    shm_word *word = seg_step_word(w->seg, SHM_LOAD_RELAXED(&step->word_off));
    if (word) /* it is where step_open() was told */
        SHM_STORE(word, SHM_LOAD_RELAXED(&step->new_word));
}

int step_is_open(const struct writer *w, unsigned n) {
    return SHM_LOAD_RELAXED(&w->slot->step[n].word_off) != 0;
}

int step_is_published(const struct writer *w, unsigned n) {
    const struct step_shm *step = &w->slot->step[n];
    shm_word *word = seg_step_word(w->seg, SHM_LOAD_RELAXED(&step->word_off));
    return word && SHM_LOAD(word) == SHM_LOAD_RELAXED(&step->new_word);
}

/* Whether the next four places are empty. Most are, most of the time. */
static int is_empty_from(const struct slot_shm *slot, unsigned i) {
    return (SHM_LOAD_RELAXED(&slot->hand[i]) | SHM_LOAD_RELAXED(&slot->hand[i + 1]) |
            SHM_LOAD_RELAXED(&slot->hand[i + 2]) | SHM_LOAD_RELAXED(&slot->hand[i + 3])) == 0;
}
_Static_assert(SLOT_HAND % 4 == 0, "is_empty_from looks at four");

/* Empties the hand of the step's blocks: those of side `given` go back to the heap, those of the
 * other side stay linked where they are. */
static int empty_hand(struct writer *w, unsigned n, unsigned given) {
    unsigned kept = given == HAND_OLD ? HAND_NEW : HAND_OLD, places[SLOT_HAND], count = 0;
    struct slot_shm *slot = w->slot;
    for (unsigned group = 0; group < SLOT_HAND; group += 4) {
        if (is_empty_from(slot, group))
            continue;
        for (unsigned i = group; i < group + 4; i++) {
            uint64_t hand = SHM_LOAD_RELAXED(&slot->hand[i]);
            if ((hand & HAND_BITS) == tag_of(n, kept) && hand != 0)
                SHM_STORE(&slot->hand[i], 0);
            else if ((hand & HAND_BITS) == tag_of(n, given) && hand != 0)
                places[count++] = i;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        int r = heap_give(w, places[i]);
        if (r)
            return r;
    }
    return LARDER_OK;
}

int step_close(struct writer *w, unsigned n) {
    struct step_shm *step = &w->slot->step[n];
    uint64_t seq_off = SHM_LOAD_RELAXED(&step->seq_off);
    SHM_NOT_YET(give_before_sequence, (void)empty_hand(w, n, HAND_OLD));
    if (seq_off != 0) {
        shm_word *seq = word_at(w, seq_off);
        if (!seq)
            return LARDER_E_CORRUPT;
        SHM_STORE(seq, SHM_LOAD_RELAXED(seq) + 1);
    }
    SHM_NOT_YET(close_before_give, SHM_STORE(&step->word_off, 0));
    int r = empty_hand(w, n, HAND_OLD);
    if (r)
        return r;
    SHM_STORE(&step->word_off, 0);
    return LARDER_OK;
}

int step_abandon(struct writer *w, unsigned n) {
    DEBUG_ASSERT(!step_is_open(w, n));
    return empty_hand(w, n, HAND_NEW);
}

int step_settle(struct writer *w, unsigned n) {
    struct step_shm *step = &w->slot->step[n];
    if (!step_is_open(w, n))
        return step_abandon(w, n);
    if (!word_at(w, SHM_LOAD_RELAXED(&step->word_off)))
        return LARDER_E_CORRUPT;
    if (step_is_published(w, n))
        return step_close(w, n);
    int r = empty_hand(w, n, HAND_NEW);
    if (r)
        return r;
    SHM_STORE(&step->word_off, 0);
    return LARDER_OK;
}

int step_check(const struct writer *w, const shm_word *word, uint64_t old_word, uint64_t new_word,
               const uint64_t *retired, unsigned retired_count) {
    if (old_word == new_word || SHM_LOAD_RELAXED(word) != old_word)
        return err_set(LARDER_E_CORRUPT, "the word at %llu is not what was read under its lock, or replaces itself",
                       (unsigned long long)seg_off(w->seg, word));
    for (unsigned i = 0; i < retired_count; i++)
        if (retired[i] != 0 && heap_block_bytes(w->seg, retired[i]) == 0)
            return err_set(LARDER_E_CORRUPT, "the word at %llu refers to %llu, where no block is handed out",
                           (unsigned long long)seg_off(w->seg, word), (unsigned long long)retired[i]);
    return LARDER_OK;
}

int step_swap(struct writer *w, unsigned n, shm_word *word, uint64_t old_word, uint64_t new_word, shm_word *seq,
              const uint64_t *retired, unsigned retired_count) {
    int r = step_check(w, word, old_word, new_word, retired, retired_count);
    if (r)
        return r;
    step_open(w, n, word, old_word, new_word, seq);
    for (unsigned i = 0; i < retired_count; i++)
        if (retired[i] != 0)
            step_retire(w, n, retired[i]);
    step_publish(w, n);
    return step_close(w, n);
}
