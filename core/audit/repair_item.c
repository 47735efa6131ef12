/* core/audit/repair_item.c - which images are items, and storing their mended parts.
 *
 * Judging  An image is judged by itself: it is sane, its hash is that of its key, it lies in the
 *          stripe of that hash, and its table can say what it should be
 *          (core/audit/repair_image.c). The image has one half of the hash, and the tag of its slot
 *          a part of the other half: one of them is enough.
 * Storing  An image is read back before it is stored. Only the words of stamps and index slots are
 *          stored in place: each store leaves an image that is judged the same way. An image that
 *          has to be laid out again goes to a block of its own.
 * Tests    tests/crash/repair_exact_test.c, tests/crash/repair_item_test.c
 */
#include "core/audit/repair.h"
#include "core/base/err.h"
#include "core/item/item_join.h"
#include "core/memory/hooks.h"
#include "core/memory/journal.h"
#include "core/table/attempt.h"
#include "core/table/change.h"
#include "core/table/db.h"
#include "core/table/read.h"
#include <stdio.h>

#define KEY_TEXT_BYTES 80

/* ---- Judging --------------------------------------------------------------------------------- */

/* Whether it would be sane if the slots of its indexes and its joined keys were, and padding were
 * 0: all are made again. */
static int is_sane_but_slots(const struct repair *p, const struct table_view *v, const struct item_head *h) {
    struct item_head *copy = p->image;
    size_t fixed = sizeof *h + item_key_area_bytes(h) + sizeof(struct item_index_slot) * h->index_count;
    if (h->bytes > ITEM_IMAGE_BYTES_MAX || h->bytes < fixed)
        return 0;
    memcpy(copy, h, h->bytes);
    for (uint32_t i = 0; i < h->index_count; i++)
        item_index_slots(copy)[i] = (struct item_index_slot){.partition_attr = ITEM_NO_ATTR, .sort_attr = ITEM_NO_ATTR};
    if (repair_may_be_joined(v, h) && (!item_head_is_sane(copy, h->bytes) || !item_drop_joined(copy)))
        return 0;
    if (!item_is_readable(copy, copy->bytes))
        return 0;
    item_clear_padding(copy);
    return item_is_sane(copy, copy->bytes);
}

const struct item_head *repair_judge(struct repair *p, const struct table_view *v, uint32_t stripe, uint64_t word,
                                     const char **why) {
    uint64_t off = WORD_OFF(word);
    const struct item_head *h = off % 16 == 0 ? seg_at(p->seg, off, sizeof *h) : NULL;
    *why = "its slot refers to no block";
    if (!h)
        return NULL;
    *why = "its image is damaged";
    if (!seg_at(p->seg, off, h->bytes) || h->partition_bytes == 0 ||
        (!item_is_sane(h, h->bytes) && !is_sane_but_slots(p, v, h)))
        return NULL;
    p->sane_count++;
    *why = "its hash is not that of its key";
    uint64_t hash = repair_hash_of(v, h);
    if (hash >> 32 != h->hash_high && WORD_TAG(word) != (uint16_t)hash)
        return NULL;
    p->hash_count++;
    *why = "it belongs elsewhere";
    if (hash >> v->items.stripe_shift != stripe)
        return NULL;
    struct repair_right right;
    *why = "it does not fit its table's definition";
    int fits = repair_right(p, v, h, &right);
    p->table[v->ordinal].true_count++;
    p->table[v->ordinal].unfit_count += !fits;
    return fits ? h : NULL;
}

/* ---- Losing ---------------------------------------------------------------------------------- */

static void say_key(enum larder_type type, const uint8_t *at, size_t bytes, char text[KEY_TEXT_BYTES]) {
    const struct larder_value number = {.type = LARDER_N, .data = at, .bytes = bytes, .count = 1};
    char digits[LARDER_NUMBER_TEXT_MAX];
    size_t used = 0;
    if (type == LARDER_N && larder_value_number(&number, digits) == LARDER_OK)
        snprintf(text, KEY_TEXT_BYTES, "%.60s", digits);
    else {
        for (; used < bytes && used < KEY_TEXT_BYTES - 4; used++)
            text[used] = (char)(at[used] >= 0x20 && at[used] < 0x7f ? at[used] : '?');
        snprintf(text + used, KEY_TEXT_BYTES - used, "%s", used < bytes ? "..." : "");
    }
}

const struct item_head *repair_has_key(const struct table_view *v, uint64_t off, uint64_t *hash) {
    const struct seg *s = v->items.seg;
    const struct item_head *h = off % 16 == 0 ? seg_at(s, off, sizeof *h) : NULL;
    if (!h || h->partition_bytes == 0 || h->partition_bytes > LARDER_PARTITION_KEY_BYTES_MAX ||
        h->sort_bytes > LARDER_SORT_KEY_BYTES_MAX || !seg_at(s, off, sizeof *h + item_key_area_bytes(h)))
        return NULL;
    *hash = repair_hash_of(v, h);
    return *hash >> 32 == h->hash_high ? h : NULL;
}

void repair_lose(struct repair *p, const struct table_view *v, uint64_t off, const char *why) {
    char partition[KEY_TEXT_BYTES], sort[KEY_TEXT_BYTES];
    uint64_t hash;
    if (p->is_quiet)
        return;
    p->report->items_lost++;
    const struct item_head *h = repair_has_key(v, off, &hash);
    if (!h) {
        repair_note(p, "lost: table \"%.64s\": an item whose key cannot be read: %s", v->def.name, why);
        return;
    }
    say_key(v->shape.partition.type, item_key_area(h), h->partition_bytes, partition);
    say_key(v->shape.sort.type, item_key_area(h) + h->partition_bytes, h->sort_bytes, sort);
    repair_note(p, "lost: table \"%.64s\": item %s%s%s: %s", v->def.name, partition, h->sort_bytes ? " / " : "", sort,
                why);
}

/* ---- Mending --------------------------------------------------------------------------------- */

shm_word *repair_slot_of(const struct table_view *v, uint64_t off, struct stripe_shm **stripe) {
    const struct item_head *h = (const struct item_head *)(v->items.seg->base + off);
    uint64_t hash = repair_hash_of(v, h), word;
    struct htab_walk walk;
    shm_word *slot;
    void *block;
    *stripe = htab_stripe(&v->items, hash);
    htab_walk_begin(&walk, &v->items, *stripe, hash);
    while ((slot = htab_walk_next(&walk, sizeof(struct item_head), &word, &block)))
        if (WORD_OFF(word) == off)
            return slot;
    return NULL;
}

/* The next version of this stripe whose low half is no key sequence of the item: as
 * core/table/change.c takes them. */
static uint64_t next_number(const struct table_view *v, struct stripe_shm *stripe, const struct item_head *h) {
    uint64_t number = SHM_LOAD_RELAXED(&stripe->writes) | (uint64_t)v->ordinal << CHANGE_TABLE_SHIFT;
    int is_used = 1;
    while (is_used) {
        number++;
        is_used = (uint32_t)number == 0 || h->kseq == (uint32_t)number;
        for (uint32_t i = 0; i < h->index_count; i++)
            is_used |= item_index_slots(h)[i].kseq == (uint32_t)number;
    }
    SHM_STORE(&stripe->writes, number);
    return number;
}

/* Gives the versions and key sequences that the right image lacks. */
static void give_numbers(const struct table_view *v, struct stripe_shm *stripe, struct item_head *image) {
    struct item_index_slot *slots = item_index_slots(image);
    if (image->version == 0)
        image->version = next_number(v, stripe, image);
    if (image->kseq == 0)
        image->kseq = (uint32_t)next_number(v, stripe, image);
    for (uint32_t i = 0; i < image->index_count; i++)
        if (slots[i].kseq == 0 && slots[i].partition_attr != ITEM_NO_ATTR)
            slots[i].kseq = (uint32_t)next_number(v, stripe, image);
}

/* Stores the words in which the images differ, the last one first: the expiry before its
 * generation. A death in between leaves an image that is judged as this one was. */
static void store_words(struct item_head *h, const struct item_head *right) {
    shm_word *to = (shm_word *)h;
    for (size_t i = right->bytes / sizeof *to; i-- > 0;) {
        uint64_t word;
        memcpy(&word, (const uint8_t *)right + i * sizeof word, sizeof word);
        if (SHM_LOAD_RELAXED(&to[i]) != word)
            SHM_STORE(&to[i], word);
    }
}

/* Stores the first word of an image: its size, which stays, and the half of its hash. */
static void store_hash(struct item_head *h, uint32_t hash_high) {
    struct item_head first = {.bytes = h->bytes, .hash_high = hash_high};
    uint64_t word;
    memcpy(&word, &first, sizeof word);
    SHM_STORE((shm_word *)h, word);
}

/* Stores the image in a block of its own, and swaps one word from the old block to it. */
static int store_elsewhere(struct repair *p, const struct table_view *v, uint64_t *item,
                           const struct item_head *right) {
    struct stripe_shm *stripe;
    shm_word *slot = repair_slot_of(v, *item, &stripe);
    uint64_t off, old = *item, word = slot ? SHM_LOAD(slot) : 0;
    if (!slot)
        return err_set(LARDER_E_CORRUPT, "the slot of an item that the repair found is gone");
    int r = repair_take(&p->w, right->bytes, 0, &off);
    if (r)
        return r;
    shm_copy_in(p->seg->base + off, right, right->bytes);
    r = step_swap(&p->w, 1, slot, word, WORD_MAKE(word >> 48, off), &stripe->seq, &old, 1);
    if (r == LARDER_OK)
        *item = off;
    return r;
}

static int mend_item(struct repair *p, const struct table_view *v, struct stripe_shm *stripe, uint64_t *item) {
    struct item_head *h = (struct item_head *)(p->seg->base + *item);
    struct repair_right right;
    int r = LARDER_OK;
    if (!repair_right(p, v, h, &right))
        return err_set(LARDER_E_CORRUPT, "an item changed while the segment was repaired");
    if (right.wants_restamp)
        SHM_STORE(&v->shm->restamp, 1);
    if (right.is_whole)
        return LARDER_OK;
    give_numbers(v, stripe, right.image);
    if (h->hash_high != right.image->hash_high) /* first: its slot is found by it */
        store_hash(h, right.image->hash_high);
    if (right.is_laid_out_again)
        r = store_elsewhere(p, v, item, right.image);
    else
        store_words(h, right.image);
    p->report->items_mended += r == LARDER_OK;
    return r;
}

struct timer_wanted {
    const struct table_view *v;
    uint64_t hash;
    uint32_t at_s;
};

static int try_add_timer(struct writer *w, void *arg) {
    const struct timer_wanted *t = arg;
    return core_hooks->timer_add(w, t->v, t->hash, t->at_s);
}

/* Arms a timer for the expiry, which is right by now. */
static int arm(struct repair *p, const struct table_view *v, struct item_head *h) {
    struct item_timed *timed = item_timed_at(h, h);
    if (!timed)
        return LARDER_OK;
    uint64_t expiry_s = timed->expiry_s, hash = repair_hash_of(v, h);
    uint32_t at_s = expiry_s > UINT32_MAX ? UINT32_MAX : (uint32_t)expiry_s;
    int r = at_s ? attempt(&p->w, NULL, try_add_timer, &(struct timer_wanted){v, hash, at_s}) : LARDER_OK;
    if (r)
        return r;
    p->report->timers += at_s != 0;
    if (SHM_LOAD_RELAXED(&timed->armed_s) != at_s)
        SHM_STORE(&timed->armed_s, at_s);
    return LARDER_OK;
}

/* A stripe's next version comes after those of all its items. If the word cannot be believed, it
 * also comes after all that were given since the newest item was written: versions never come
 * twice. */
#define NUMBERS_LEFT_OUT (UINT64_C(1) << 32)

static void skip_numbers(struct stripe_shm *stripe, uint32_t ordinal, uint64_t most) {
    SHM_STORE(&stripe->writes, (most | (uint64_t)ordinal << CHANGE_TABLE_SHIFT) + NUMBERS_LEFT_OUT);
}

static void mend_writes(const struct repair *p, const struct repair_table *t, uint32_t number, size_t from) {
    struct stripe_shm *stripe = &t->v->items.stripes[number];
    uint64_t most = 0, writes = SHM_LOAD_RELAXED(&stripe->writes);
    for (size_t i = from; i < t->stripe_end[number]; i++) {
        const struct item_head *h = (const struct item_head *)(p->seg->base + t->item[i]);
        if (h->version > most && repair_is_version(t->v->ordinal, h->version))
            most = h->version;
    }
    if (writes < most || (writes != 0 && !repair_is_version(t->v->ordinal, writes)))
        skip_numbers(stripe, t->v->ordinal, most);
}

/* Nothing is left in these stripes, so the others say how far one may have come: hashes spread
 * writes evenly. */
void repair_mend_dormant_writes(const struct repair *p, uint32_t ordinal, struct stripe_shm *stripes) {
    uint64_t most = 0;
    for (uint32_t i = 0; i < p->seg->stripe_count; i++) {
        uint64_t writes = SHM_LOAD_RELAXED(&stripes[i].writes);
        if (writes > most && repair_is_version(ordinal, writes))
            most = writes;
    }
    for (uint32_t i = 0; i < p->seg->stripe_count; i++)
        if (!change_is_number(ordinal, SHM_LOAD_RELAXED(&stripes[i].writes)))
            skip_numbers(&stripes[i], ordinal, most);
}

int repair_mend_items(struct repair *p, struct repair_table *t) {
    size_t i = 0;
    for (uint32_t number = 0; number < p->seg->stripe_count; number++) {
        mend_writes(p, t, number, i);
        for (; i < t->stripe_end[number]; i++) {
            int r = mend_item(p, t->v, &t->v->items.stripes[number], &t->item[i]);
            if (r == LARDER_OK)
                r = arm(p, t->v, (struct item_head *)(p->seg->base + t->item[i]));
            if (r)
                return r;
        }
    }
    return LARDER_OK;
}
