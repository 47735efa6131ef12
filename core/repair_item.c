/* core/repair_item.c - which images are items, and what of them can be put right.
 *
 * Idea     An image is a function of its attributes and its table (core/item.h, I4). So it is stored once more in private memory,
 *          and compared: the key has to be the same, or it is no item of this table; the slots of its indexes, if they
 *          differ, are taken from there. Key sequences, version, expiry and timer are stamps, not contents: one that cannot
 *          be is made anew.
 * Tests    tests/crash/repair_test.c
 */
#include "core/db.h"
#include "core/err.h"
#include "core/hooks.h"
#include "core/read.h"
#include "core/repair.h"
#include <stdio.h>

#define KEY_TEXT_BYTES 80

/* ---- Judging ----------------------------------------------------------------------------------------------------- */

static void take_key(const struct item_head *h, struct item_key *key) {
    key->partition_bytes = h->partition_bytes;
    key->sort_bytes = h->sort_bytes;
    key->area_bytes = (uint32_t)item_key_area_bytes(h);
    memcpy(key->area, item_key_area(h), key->area_bytes);
}

/* The image as this table would store the same attributes now; in p's scratch memory. NULL: it would not. */
static const struct item_head *store_again(const struct repair *p, const struct table_view *v,
                                           const struct item_head *h) {
    struct item_shape shape = v->shape;
    struct item_head *again;
    shape.is_lenient = 1;
    if (item_stored_bytes_max(&shape, (const struct larder_item *)h) > p->w.scratch_bytes ||
        item_to_stored(&shape, (const struct larder_item *)h, p->now_s, p->w.scratch, &again))
        return NULL;
    return again;
}

static int is_same_key(const struct item_head *a, const struct item_head *b) {
    return a->partition_bytes == b->partition_bytes && a->sort_bytes == b->sort_bytes &&
           memcmp(item_key_area(a), item_key_area(b), item_key_area_bytes(a)) == 0;
}

/* Whether it would make sense if only the slots of its indexes did, which mending makes anew. */
static int is_sane_but_slots(const struct repair *p, const struct item_head *h) {
    struct item_head *copy = p->image;
    size_t fixed = sizeof *h + item_key_area_bytes(h) + sizeof(struct item_index_slot) * h->index_count;
    if (h->bytes > ITEM_IMAGE_BYTES_MAX || h->bytes < fixed)
        return 0;
    memcpy(copy, h, h->bytes);
    for (uint32_t i = 0; i < h->index_count; i++)
        item_index_slots(copy)[i] = (struct item_index_slot){.partition_attr = ITEM_NO_ATTR, .sort_attr = ITEM_NO_ATTR};
    return item_is_sane(copy, h->bytes);
}

const struct item_head *repair_judge(struct repair *p, const struct table_view *v, uint32_t stripe, uint64_t off,
                                     const char **why) {
    struct item_key key;
    const struct item_head *h = off % 16 == 0 ? seg_at(p->seg, off, sizeof *h) : NULL;
    *why = "its slot refers to no block";
    if (!h)
        return NULL;
    *why = "its image is damaged";
    if (!seg_at(p->seg, off, h->bytes) || h->partition_bytes == 0 ||
        (!item_is_sane(h, h->bytes) && !is_sane_but_slots(p, h)))
        return NULL;
    p->sane_count++;
    take_key(h, &key);
    *why = "its hash is not that of its key";
    uint64_t hash = read_hash(v, &key);
    if (hash >> 32 != h->hash_high)
        return NULL;
    p->hash_count++;
    *why = "it belongs elsewhere";
    if (hash >> v->items.stripe_shift != stripe || h->index_count > v->shape.index_count)
        return NULL;
    *why = "it is no item of its table's definition";
    const struct item_head *again = store_again(p, v, h);
    return again && is_same_key(again, h) ? h : NULL;
}

/* ---- Losing ------------------------------------------------------------------------------------------------------ */

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
    *hash = read_hash_of(v, item_key_area(h), h->partition_bytes, h->sort_bytes);
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

/* ---- Mending ----------------------------------------------------------------------------------------------------- */

/* A write number for this stripe whose low half is no key sequence of the item: as core/change.c takes them. */
static uint64_t next_number(struct stripe_shm *stripe, const struct item_head *h) {
    uint64_t number = SHM_LOAD_RELAXED(&stripe->writes);
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

static int mend_slot(struct stripe_shm *stripe, struct item_head *h, uint32_t i, const struct item_index_slot *right) {
    struct item_index_slot *slot = &item_index_slots(h)[i], mended = *right;
    uint64_t word;
    if (right->kseq)
        mended.kseq = slot->kseq;
    if (right->kseq && mended.kseq == 0)
        mended.kseq = (uint32_t)next_number(stripe, h);
    if (memcmp(slot, &mended, sizeof mended) == 0)
        return 0;
    memcpy(&word, &mended, sizeof word);
    SHM_STORE((shm_word *)slot, word);
    return 1;
}

static void store_generation(struct item_head *h, uint32_t generation) {
    struct item_head mended = *h;
    item_set_ttl_generation(&mended, generation);
    SHM_STORE((_Atomic uint32_t *)&h->ddb_ttl, mended.ddb_ttl);
}

/* The expiry is what its attribute says; 0 also if that lay too far in the past when it was put (item_ttl_of). An image without the place
 * for one gets a generation that is not the table's: then reads ask the attribute, and the expirer restamps the table. */
static int mend_expiry(const struct repair *p, const struct table_view *v, struct item_head *h) {
    const char *name = v->shape.ttl_name;
    uint32_t bytes = v->shape.ttl_name_bytes;
    uint64_t now = name ? item_ttl_of(h, name, bytes, p->now_s) : 0, then = name ? item_ttl_of(h, name, bytes, 0) : 0;
    uint64_t is = item_expiry_s(h);
    struct item_timed *timed = item_timed_at(h, h);
    uint32_t generation = v->ttl_generation;
    int is_right = is == now || (now == 0 && is == then);
    if (!timed && !is_right) {
        generation = generation > 1 ? generation - 1 : ITEM_TTL_GENERATION_MAX;
        SHM_STORE(&v->shm->restamp, 1);
    } else if (!is_right)
        SHM_STORE((shm_word *)&timed->expiry_s, now);
    if (item_ttl_generation(h) == generation)
        return !is_right;
    store_generation(h, generation);
    return 1;
}

static int mend_end(struct item_head *h) {
    struct item_timed *timed = item_timed_at(h, h);
    if (!timed || timed->zero == 0)
        return 0;
    SHM_STORE((_Atomic uint32_t *)&timed->zero, 0);
    return 1;
}

static int mend_head(struct stripe_shm *stripe, struct item_head *h) {
    int is_mended = 0;
    if (h->version == 0 || h->version > ITEM_VERSION_MAX) {
        SHM_STORE((shm_word *)&h->version, next_number(stripe, h));
        is_mended = 1;
    }
    if (h->kseq == 0) {
        SHM_STORE((_Atomic uint32_t *)&h->kseq, (uint32_t)next_number(stripe, h));
        is_mended = 1;
    }
    return is_mended;
}

static void mend_item(struct repair *p, const struct table_view *v, struct stripe_shm *stripe, struct item_head *h) {
    const struct item_head *right = store_again(p, v, h);
    int is_mended = mend_head(stripe, h) | mend_expiry(p, v, h) | mend_end(h);
    for (uint32_t i = 0; right && i < h->index_count; i++)
        if (v->index_state[i] != INDEX_DEAD)
            is_mended |= mend_slot(stripe, h, i, &item_index_slots(right)[i]);
    p->report->items_mended += is_mended != 0;
}

/* A timer for the expiry, which is right by now. */
static int arm(struct repair *p, const struct table_view *v, struct item_head *h) {
    struct item_timed *timed = item_timed_at(h, h);
    if (!timed)
        return LARDER_OK;
    uint64_t expiry_s = timed->expiry_s, hash = read_hash_of(v, item_key_area(h), h->partition_bytes, h->sort_bytes);
    uint32_t at_s = expiry_s > UINT32_MAX ? UINT32_MAX : (uint32_t)expiry_s;
    int r = LARDER_OK;
    while (at_s != 0 && (r = core_hooks->timer_add(&p->w, v, hash, at_s)) == LARDER_E_RETRY && !p->w.is_stuck)
        if ((r = heap_claim(&p->w, p->w.need_bytes)))
            break;
    if (r)
        return r;
    p->report->timers += at_s != 0;
    if (SHM_LOAD_RELAXED(&timed->armed_s) != at_s)
        SHM_STORE(&timed->armed_s, at_s);
    return LARDER_OK;
}

/* Write numbers of a stripe come after all that its items have. */
static void mend_writes(const struct repair *p, const struct repair_table *t, uint32_t number, size_t from) {
    struct stripe_shm *stripe = &t->v->items.stripes[number];
    uint64_t most = 0, writes = SHM_LOAD_RELAXED(&stripe->writes);
    for (size_t i = from; i < t->stripe_end[number]; i++) {
        const struct item_head *h = (const struct item_head *)(p->seg->base + t->item[i]);
        if (h->version > most && h->version <= ITEM_VERSION_MAX)
            most = h->version;
    }
    if (writes < most || writes > ITEM_VERSION_MAX)
        SHM_STORE(&stripe->writes, most);
}

int repair_mend_items(struct repair *p, struct repair_table *t) {
    size_t i = 0;
    for (uint32_t number = 0; number < p->seg->stripe_count; number++) {
        mend_writes(p, t, number, i);
        for (; i < t->stripe_end[number]; i++) {
            struct item_head *h = (struct item_head *)(p->seg->base + t->item[i]);
            mend_item(p, t->v, &t->v->items.stripes[number], h);
            int r = arm(p, t->v, h);
            if (r)
                return r;
        }
    }
    return LARDER_OK;
}
