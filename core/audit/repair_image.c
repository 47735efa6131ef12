/* core/audit/repair_image.c - what an image must be, given its attributes and its table's
 * definition.
 *
 * Idea     An image is a function of its attributes and its table (core/item/item.h, I4). The
 *          function is item_to_stored(): for a put, for a restamp and here. Version, key sequences,
 *          expiry and timer are stamps, not contents: possible ones stay, others are made again.
 *          The key gives back the half of the hash in the head; padding becomes 0.
 * Layout   An image made under an older definition has fewer slots than the table has indexes. It
 *          is whole, and stays, if it lacks none of an ACTIVE index: an index_add that was cut off
 *          leaves such images. So it is compared with the image that the table would store with as
 *          many slots. An image that lacks more, or has slots of indexes that the table does not
 *          know (its definition is an older one again), is laid out again.
 * Joined   The joined keys (core/item/item_join.h) of an image that is whole stay, also those of an
 *          index that was dropped. Otherwise they are no input: the image is laid out again without
 *          a look at them.
 * Rules    R1 An image that was laid out again, or is stored in place, is first read back: it is
 *             sane, has the same key, the same attributes with the same values, and in each index
 *             the keys that its attributes say. Otherwise the item stays as it is, if it is whole,
 *             or is lost and named: nothing else replaces it.
 *          R2 Reading back uses the readers (core/item/item_read.c, core/item/item_check.c) and
 *             names of attributes, and no result of storing.
 *          R3 An image that is whole stays byte for byte.
 * Tests    tests/crash/repair_exact_test.c, tests/crash/repair_history_test.c
 */
#include "core/audit/repair.h"
#include "core/item/item_join.h"
#include "core/item/item_records.h"
#include "core/table/change.h"
#include "core/table/read.h"

int repair_is_version(uint32_t ordinal, uint64_t version) {
    uint64_t number = version & ((UINT64_C(1) << CHANGE_TABLE_SHIFT) - 1);
    return version >> CHANGE_TABLE_SHIFT == ordinal && number != 0 && change_is_number(ordinal, version);
}

uint64_t repair_hash_of(const struct table_view *v, const struct item_head *h) {
    return read_hash_of(v, item_key_area(h), h->partition_bytes, h->sort_bytes);
}

int repair_is_same_key(const struct item_head *a, const struct item_head *b) {
    return a->partition_bytes == b->partition_bytes && a->sort_bytes == b->sort_bytes &&
           memcmp(item_key_area(a), item_key_area(b), (size_t)a->partition_bytes + a->sort_bytes) == 0;
}

/* ---- Reading back (R1) ----------------------------------------------------------------------- */

static int is_same_value(const struct larder_value *a, const struct larder_value *b) {
    return a->type == b->type && a->bytes == b->bytes && a->count == b->count && a->is_true == b->is_true &&
           (a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0);
}

/* Both are sane. */
static int has_same_attributes(const struct item_head *a, const struct item_head *b) {
    struct larder_iter of_a, of_b;
    struct larder_member x, y;
    larder_iter_item((const struct larder_item *)a, &of_a);
    larder_iter_item((const struct larder_item *)b, &of_b);
    for (uint32_t i = 0; i < a->attr_count; i++) {
        if (larder_iter_next(&of_a, &x) != LARDER_OK || larder_iter_next(&of_b, &y) != LARDER_OK ||
            x.name_bytes != y.name_bytes || memcmp(x.name, y.name, x.name_bytes) != 0 ||
            !is_same_value(&x.value, &y.value))
            return 0;
    }
    return a->attr_count == b->attr_count;
}

/* Whether `image` is the same item as h. Key sequences may still be missing. */
static int reads_back(const struct table_view *v, const struct item_head *image, const struct item_head *h) {
    if (!item_is_sane(image, image->bytes) || !repair_is_same_key(image, h) ||
        image->hash_high != repair_hash_of(v, image) >> 32 || !has_same_attributes(image, h))
        return 0;
    for (uint32_t i = 0; i < image->index_count && i < v->shape.index_count; i++)
        if (v->index_state[i] != INDEX_DEAD && !item_slot_is_true(image, i, &v->shape.indexes[i]))
            return 0;
    return 1;
}

/* ---- The right image ------------------------------------------------------------------------- */

static int has_slots_that_do(const struct table_view *v, const struct item_head *h) {
    for (uint32_t i = h->index_count; i < v->shape.index_count; i++)
        if (v->index_state[i] == INDEX_ACTIVE)
            return 0;
    return h->index_count <= v->shape.index_count;
}

/* The image as this table would now store the same attributes, with this many slots; in p's scratch
 * memory. NULL: it would not. */
static struct item_head *store_again(const struct repair *p, const struct table_view *v, const struct item_head *h,
                                     uint32_t slots) {
    struct item_shape shape = v->shape;
    struct item_head *again;
    shape.is_lenient = 1;
    shape.index_count = slots;
    if (item_stored_bytes_max(&shape, (const struct larder_item *)h) > p->w.scratch_bytes ||
        item_to_stored(&shape, (const struct larder_item *)h, p->now_s, p->w.scratch, &again))
        return NULL;
    return repair_is_same_key(again, h) ? again : NULL;
}

/* Puts the slots of `again` into `image`, with the key sequences that h has. The slot of an index
 * that is gone is unused, and stays if it is sane. */
static void take_slots(const struct table_view *v, const struct item_head *h, const struct item_head *again,
                       struct item_head *image) {
    for (uint32_t i = 0; i < image->index_count; i++) {
        struct item_index_slot slot = item_index_slots(again)[i];
        if (slot.kseq != 0)
            slot.kseq = i < h->index_count ? item_index_slots(h)[i].kseq : 0;
        if (image->index_count == h->index_count && v->index_state[i] == INDEX_DEAD &&
            item_index_slots(h)[i].kseq != 0 && item_slot_is_sane(h, i))
            slot = item_index_slots(h)[i];
        item_index_slots(image)[i] = slot;
    }
}

/* The item's expiry if its attribute says so, or said so when it was put (item_ttl_of: one too far
 * in the past is none); else what the attribute says now. */
static uint64_t true_expiry(const struct repair *p, const struct table_view *v, const struct item_head *h) {
    const char *name = v->shape.ttl_name;
    uint32_t bytes = v->shape.ttl_name_bytes;
    uint64_t says = name ? item_ttl_of(h, name, bytes, 0) : 0, is = item_expiry_s(h);
    int was_past = is == 0 && !(h->flags & ITEM_TIMED) && (int64_t)says <= p->now_s;
    if (item_ttl_generation(h) == v->ttl_generation && (is == says || was_past))
        return is;
    return name ? item_ttl_of(h, name, bytes, p->now_s) : 0;
}

/* Expiry, place of the timer and TTL generation. */
static void take_expiry(const struct repair *p, const struct table_view *v, const struct item_head *h,
                        struct repair_right *right) {
    const struct item_timed *was = item_timed_at(h, h);
    uint64_t expiry_s = true_expiry(p, v, h);
    uint32_t generation = v->ttl_generation, armed_s = was ? was->armed_s : 0;
    if (right->is_laid_out_again)
        item_make_timed(right->image, expiry_s != 0 || armed_s != 0);
    else if (item_ttl_generation(h) != generation) { /* to be restamped: reads ask the attribute */
        right->wants_restamp = 1;
        expiry_s = item_expiry_s(h);
        generation = item_ttl_generation(h);
    } else if (!was && expiry_s != 0) { /* it has no place for it, so it must be restamped, too */
        right->wants_restamp = 1;
        generation = generation > 1 ? generation - 1 : ITEM_TTL_GENERATION_MAX;
    }
    struct item_timed *timed = item_timed_at(right->image, right->image);
    if (timed)
        *timed = (struct item_timed){.expiry_s = expiry_s, .armed_s = armed_s};
    item_set_ttl_generation(right->image, generation);
}

/* Whether every entry has its key sequence, and the item its version. */
static int has_numbers(const struct table_view *v, const struct item_head *h) {
    for (uint32_t i = 0; i < h->index_count; i++)
        if (item_index_slots(h)[i].kseq == 0 && item_index_slots(h)[i].partition_attr != ITEM_NO_ATTR)
            return 0;
    return repair_is_version(v->ordinal, h->version) && h->kseq != 0;
}

/* Hash, numbers and expiry; what is left when attributes and slots are there. */
static void take_stamps(struct repair *p, const struct table_view *v, const struct item_head *h,
                        struct repair_right *right) {
    right->image->hash_high = (uint32_t)(repair_hash_of(v, h) >> 32);
    right->image->version = repair_is_version(v->ordinal, h->version) ? h->version : 0;
    right->image->kseq = h->kseq;
    take_expiry(p, v, h, right);
}

/* In a table that has keys of several attributes. */
static int right_joined(struct repair *p, const struct table_view *v, const struct item_head *h,
                        struct repair_right *right) {
    int keeps_layout = has_slots_that_do(v, h);
    int is_fine = keeps_layout && has_numbers(v, h) && reads_back(v, h, h);
    const struct item_head *again = NULL;
    memcpy(p->image, h, h->bytes);
    if (item_drop_joined(p->image))
        again = store_again(p, v, p->image, keeps_layout ? h->index_count : v->shape.index_count);
    if (!again)
        return 0;
    *right = (struct repair_right){.image = p->image, .is_laid_out_again = !is_fine};
    memcpy(p->image, is_fine ? h : again, is_fine ? h->bytes : again->bytes);
    for (uint32_t i = 0; !is_fine && i < again->index_count; i++)
        if (item_index_slots(p->image)[i].kseq != 0)
            item_index_slots(p->image)[i].kseq = i < h->index_count ? item_index_slots(h)[i].kseq : 0;
    take_stamps(p, v, h, right);
    right->is_whole = is_fine && has_numbers(v, right->image) && memcmp(right->image, h, h->bytes) == 0;
    return right->is_whole || reads_back(v, right->image, h);
}

int repair_right(struct repair *p, const struct table_view *v, const struct item_head *h, struct repair_right *right) {
    if (repair_may_be_joined(v, h))
        return right_joined(p, v, h, right);
    int keeps_layout = has_slots_that_do(v, h);
    const struct item_head *again = store_again(p, v, h, keeps_layout ? h->index_count : v->shape.index_count);
    if (!again)
        return 0;
    *right = (struct repair_right){.image = p->image, .is_laid_out_again = !keeps_layout};
    memcpy(p->image, keeps_layout ? h : again, keeps_layout ? h->bytes : again->bytes);
    item_clear_padding(p->image);
    take_slots(v, h, again, right->image);
    take_stamps(p, v, h, right);
    if (keeps_layout && has_numbers(v, h) && has_numbers(v, right->image)) {
        right->is_whole = memcmp(right->image, h, h->bytes) == 0;
        if (!right->is_whole && !reads_back(v, right->image, h))
            right->is_whole = reads_back(v, h, h);
    }
    return right->is_whole || reads_back(v, right->image, h);
}
