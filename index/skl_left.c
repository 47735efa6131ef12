/* index/skl_left.c - which leaves have left the lists of a stripe.
 *
 * Job      Tells a reader whether any entry was added to the range it has read since it began. Most
 *          changes of a long list happen elsewhere; then the page need not be read again.
 * Idea     An entry comes into a list only with a leaf that replaces another (B5 in skl.h). A
 *          reader that remembers its leaves, and finds all of them still linked, has missed no
 *          entry: every place of its range was in one of these leaves when it was read, and still
 *          is, or is in a leaf that reaches further. (A leaf's range gets smaller only if it is
 *          replaced.) Where there was no list the reader remembers 0, and a list's first leaf
 *          replaces 0. The reader keeps the first sixteen marks, and one bit for each further one:
 *          most pages have few leaves, a page of 1 MiB hundreds.
 * Marks    16 bits of an offset are enough: if two leaves share a mark, a page is read again
 *          without need. If a leaf's memory becomes a leaf again, both have the same mark: the
 *          first was noted when it left, so the second is not mistaken for it.
 * Order    A writer stores the word that replaces the leaf, the mark, `moves`, and only then makes
 *          the entry count. A reader loads `moves`, its leaves and items, `moves` again, the marks
 *          between, and `moves` once more: a mark is overwritten only when STRIPE_LEFT more are
 *          counted.
 * Crash    Dead between the word and `moves`: skl_recover_stripe notes all leaves of the stripe as
 *          left.
 * Tests    tests/unit/index/skl_left_test.c
 */
#include "index/skl.h"

_Static_assert((STRIPE_LEFT & (STRIPE_LEFT - 1)) == 0, "see STRIPE_LEFT");

void skl_note_left(struct stripe_shm *stripe, uint64_t leaf_off) {
    uint32_t number = SHM_LOAD_RELAXED(&stripe->moves) + 1;
    SHM_STORE(&stripe->left[number % STRIPE_LEFT], skl_mark(leaf_off));
    SHM_STORE(&stripe->moves, number); /* release; pairs with the acquires in skl_have_left() */
}

void skl_note_all_left(struct stripe_shm *stripe) {
    SHM_STORE(&stripe->moves, SHM_LOAD_RELAXED(&stripe->moves) + STRIPE_LEFT);
}

void skl_see_more(struct skl_seen *seen, uint16_t mark) {
    if (seen->count == SKL_SEEN)
        memset(seen->more, 0, sizeof seen->more);
    seen->more[mark % SKL_SEEN_BITS / 64] |= UINT64_C(1) << (mark % 64);
}

static int skl_was_seen(const struct skl_seen *seen, uint16_t mark) {
    for (uint32_t i = 0; i < seen->count && i < SKL_SEEN; i++)
        if (seen->mark[i] == mark)
            return 1;
    return seen->count > SKL_SEEN && seen->more[mark % SKL_SEEN_BITS / 64] >> (mark % 64) & 1;
}

enum skl_left skl_have_left(const struct stripe_shm *stripe, uint32_t since, const struct skl_seen *seen) {
    uint32_t now = SHM_LOAD(&stripe->moves);
    int is_one = 0;
    if (now == since)
        return SKL_NONE_LEFT;
    if (now - since >= STRIPE_LEFT)
        return SKL_MANY_LEFT;
    for (uint32_t number = since + 1; number != now + 1; number++) {
        uint16_t mark = SHM_LOAD(&stripe->left[number % STRIPE_LEFT]);
        is_one |= skl_was_seen(seen, mark);
    }
    if (SHM_LOAD(&stripe->moves) - since >= STRIPE_LEFT)
        return SKL_MANY_LEFT;
    return is_one ? SKL_ONE_LEFT : SKL_NONE_LEFT;
}
