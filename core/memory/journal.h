/* core/memory/journal.h - one-word publication of new blocks: a death at any store can be finished
 * or undone.
 *
 * Job      A step replaces what one word refers to: *word goes from old_word to new_word by one
 *          store. Blocks that only the new word links are HAND_NEW of the step. Blocks that only
 *          the old word linked are HAND_OLD.
 * Crash    1 take the HAND_NEW blocks and fill them
 *              dead here: no step is open; HAND_NEW is given back
 *          2 step_open
 *              dead here: *word is old_word; HAND_NEW is given back, HAND_OLD forgotten
 *          3 step_retire each old block
 *          4 step_publish: *word = new_word
 *              dead from here: *word is new_word; HAND_NEW is forgotten, HAND_OLD given back
 *          5 step_close: bump *seq, forget HAND_NEW, give HAND_OLD back, clear the step
 *          The lock that guards *word is held from 2 to 5, so the word does not change in between,
 *          and step_settle() (the recovery) can be repeated.
 * Steps    Two may be open at once. Step 0 is an item's slot word, open during the whole write.
 *          Step 1 is a structure's word (bucket array, leaf, node, timer chunk), opened and closed
 *          many times within it.
 * Tests    tests/unit/memory/journal_test.c
 */
#ifndef LARDER_MEMORY_JOURNAL_H
#define LARDER_MEMORY_JOURNAL_H

#include "core/memory/heap.h"

/* Opens step n. seq is NULL if no reader reads the old blocks without a lock. */
void step_open(struct writer *w, unsigned n, shm_word *word, uint64_t old_word, uint64_t new_word, shm_word *seq);
/* Puts a block that the old word links in hand; step_close gives it back. */
void step_retire(struct writer *w, unsigned n, uint64_t block_off);
void step_publish(struct writer *w, unsigned n);
/* LARDER_OK. LARDER_E_BUSY or LARDER_E_CORRUPT if a block could not be given back: the step stays
 * open. */
int step_close(struct writer *w, unsigned n);
/* Gives back the HAND_NEW blocks of a step that was not opened. */
int step_abandon(struct writer *w, unsigned n);
/* Whether step n is open, and whether its word was published. */
int step_is_open(const struct writer *w, unsigned n);
int step_is_published(const struct writer *w, unsigned n);
/* Recovery: finishes a published step, undoes one that was not, and abandons one that was not
 * opened. Idempotent. */
int step_settle(struct writer *w, unsigned n);

/* Before step_open, in a segment that may be damaged. LARDER_E_CORRUPT: the word is not the old
 * one, or a block to be retired (0 is fine) is none and could not be given back. */
int step_check(const struct writer *w, const shm_word *word, uint64_t old_word, uint64_t new_word,
               const uint64_t *retired, unsigned retired_count);

/* All of it, for the common case: publishes new_word over old_word and gives the retired blocks
 * back. `retired` may hold 0s. LARDER_E_CORRUPT with no step open: nothing was changed, and the
 * HAND_NEW blocks are still to be abandoned. */
int step_swap(struct writer *w, unsigned n, shm_word *word, uint64_t old_word, uint64_t new_word, shm_word *seq,
              const uint64_t *retired, unsigned retired_count);

#endif
