/* index/skl_left.c - which leaves have left the lists of a stripe.
 *
 * Job      Tells a reader whether anything was added, since he began, where he has read. Most
 *          changes of a long list happen elsewhere, and then his page need not be read again.
 * Idea     An entry comes into a list only with a leaf that takes the place of another (B5 in
 *          skl.h). So who remembers the leaves that he read, and finds that none of them has left,
 *          has missed nothing: every place of his range was in one of them when he read it, and it
 *          still is, or is in one that reaches further. (Only what leaves makes the range of
 *          another smaller.) Where there was no list he remembers 0, and a list's first leaf takes
 *          the place of 0. The first sixteen marks he keeps as they are, of all others a bit each:
 *          most pages have few leaves, a page of 1 MiB hundreds.
 * Marks    16 bits of an offset are enough: two leaves of one mark cost a page that is read again.
 *             A leaf whose memory is a leaf
 *          again is the same mark: it was noted when it left, so what came after is not mistaken
 *          for it.
 * Order    A writer: the word that replaces the leaf, the mark, `moves`, and only then whatever
 *          makes the entry count. A reader: `moves`, his leaves and items, `moves` again, the marks
 *          between, and once more `moves`: a mark is overwritten only when STRIPE_LEFT more are
 *          counted.
 * Crash    Dead between the word and `moves`: skl_recover_stripe lets all leaves of the stripe have
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
