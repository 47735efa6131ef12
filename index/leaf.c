/* index/leaf.c - reading a leaf, and the usual way to make a new one: see leaf.h. */
#include "index/leaf.h"
#include "core/base/words.h"

#if LARDER_CRASH_POINTS
uint32_t leaf_capacity = LEAF_ENTRIES;
#endif

struct leaf_text {
    const uint8_t *at;
    uint32_t bytes;
};

static uint32_t leaf_end(const struct leaf *leaf, uint32_t i) {
    return leaf_shm_end(leaf_of(leaf), leaf_count(leaf))[i];
}

static const uint8_t *leaf_prefix(const struct leaf *leaf) {
    return leaf_shm_text(leaf_of(leaf), leaf_count(leaf));
}

static struct leaf_text leaf_suffix(const struct leaf *leaf, uint32_t i) {
    uint32_t start = i ? leaf_end(leaf, i - 1) : 0;
    const uint8_t *first = leaf_prefix(leaf) + leaf_of(leaf)->block.key_bytes;
    return (struct leaf_text){first + start, leaf_end(leaf, i) - start};
}

uint32_t leaf_bytes(const struct leaf *leaf) {
    uint32_t count = leaf_count(leaf);
    uint32_t suffixes = leaf_end(leaf, count - 1);
    return (uint32_t)sizeof(struct leaf_shm) + LEAF_ENTRY_BYTES * count + leaf_of(leaf)->block.key_bytes + suffixes;
}

/* The ends of the suffixes rise, and no key is too long. Without a branch, and in 16 bits, so that
 * the compiler looks at eight ends at a time. */
static int leaf_has_sane_ends(const struct leaf *leaf) {
    uint32_t count = leaf_count(leaf);
    const uint16_t *end = leaf_shm_end(leaf_of(leaf), count);
    const uint16_t bytes_max = (uint16_t)(LEAF_KEY_BYTES_MAX - leaf_of(leaf)->block.key_bytes);
    uint16_t is_bad = end[0] > bytes_max;
    for (uint32_t i = 1; i < count; i++) {
        uint16_t from = end[i - 1], to = end[i];
        is_bad |= (uint16_t)(from > to);
        is_bad |= (uint16_t)((uint16_t)(to - from) > bytes_max);
    }
    return !is_bad;
}

/* The bytes of the leaf at `from`, whose head is in `to`: by its last end, which may be
 * changing. */
static uint32_t leaf_bytes_of(const struct leaf *to, const unsigned char *from) {
    uint32_t count = leaf_count(to);
    const uint16_t *end = leaf_shm_end((const struct leaf_shm *)from, count);
    uint32_t suffixes = SHM_LOAD_RELAXED((const _Atomic uint16_t *)&end[count - 1]);
    return (uint32_t)sizeof(struct leaf_shm) + LEAF_ENTRY_BYTES * count + leaf_of(to)->block.key_bytes + suffixes;
}

int leaf_read(const struct seg *s, uint64_t off, uint64_t hash, uint32_t index, struct leaf *to) {
    const size_t head = sizeof(struct leaf_shm);
    uint64_t room = seg_bytes_at(s, off);
    if (room < head)
        return 0;
    const unsigned char *from = s->base + off;
    shm_copy_out(to->bytes, from, head);
    const struct block_shm *b = &leaf_of(to)->block;
    if (b->hash != hash || b->kind != BLOCK_LEAF || b->index != index)
        return 0;
    if (b->count < 1 || b->count > LEAF_ENTRIES || b->key_bytes > LEAF_KEY_BYTES_MAX ||
        room < head + LEAF_ENTRY_BYTES * b->count)
        return 0;
    uint32_t bytes = leaf_bytes_of(to, from);
    if (bytes > LEAF_BYTES_MAX || shm_round8(bytes) > room)
        return 0;
    shm_copy_out(to->bytes + head, from + head, bytes - head);
    return leaf_bytes(to) == bytes && leaf_has_sane_ends(to);
}

uint32_t leaf_live_count(const struct leaf *leaf) {
    uint32_t live = 0, count = leaf_count(leaf);
    /* a private copy: plain loads, which the compiler can vectorize */
    const uint32_t *kseq = (const uint32_t *)leaf_shm_kseq(leaf_of(leaf), count);
    for (uint32_t i = 0; i < count; i++)
        live += kseq[i] != 0;
    return live;
}

uint32_t leaf_key(const struct leaf *leaf, uint32_t i, uint8_t *to) {
    uint32_t prefix_bytes = leaf_of(leaf)->block.key_bytes;
    struct leaf_text suffix = leaf_suffix(leaf, i);
    memcpy(to, leaf_prefix(leaf), prefix_bytes);
    memcpy(to + prefix_bytes, suffix.at, suffix.bytes);
    return prefix_bytes + suffix.bytes;
}

static int leaf_compare_text(struct leaf_text a, struct leaf_text b) {
    int order = words_order(a.at, b.at, a.bytes < b.bytes ? a.bytes : b.bytes);
    return order ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

int leaf_compare_cuts(const struct leaf_cut *a, const struct leaf_cut *b) {
    if (a->is_end || b->is_end)
        return (a->is_end != 0) - (b->is_end != 0);
    int order = leaf_compare_text((struct leaf_text){a->key, a->key_bytes}, (struct leaf_text){b->key, b->key_bytes});
    if (order)
        return order;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return (a->kseq > b->kseq) - (a->kseq < b->kseq);
}

/* Compares entry i with (key after the common prefix, hash). */
static int leaf_compare_entry(const struct leaf *leaf, uint32_t i, struct leaf_text rest, uint64_t hash) {
    int order = leaf_compare_text(leaf_suffix(leaf, i), rest);
    if (order)
        return order;
    return (leaf_hash(leaf, i) > hash) - (leaf_hash(leaf, i) < hash);
}

/* The first eight bytes of a text, so that they compare as it does: big-endian, 0 behind its end.
 * `at` has eight readable bytes. */
static inline uint64_t leaf_first_word(const uint8_t *at, uint32_t bytes) {
    uint64_t word = be64toh(words_load(at));
    return bytes < sizeof word ? word & ~(UINT64_MAX >> 8 * bytes) : word;
}

/* The first entry that is not before (rest, hash). Eight bytes decide most comparisons. */
static uint32_t leaf_search(const struct leaf *leaf, struct leaf_text rest, uint64_t hash) {
    const uint16_t *end = leaf_shm_end(leaf_of(leaf), leaf_count(leaf));
    const uint8_t *first = leaf_prefix(leaf) + leaf_of(leaf)->block.key_bytes;
    uint8_t begin[sizeof(uint64_t)] = {0};
    memcpy(begin, rest.at, rest.bytes < sizeof begin ? rest.bytes : sizeof begin);
    uint64_t wanted = be64toh(words_load(begin));
    uint32_t low = 0, high = leaf_count(leaf);
    while (low < high) {
        uint32_t mid = (low + high) / 2, start = mid ? end[mid - 1] : 0;
        uint32_t bytes = end[mid] - start;
        uint64_t word = leaf_first_word(first + start, bytes);
        int is_before = word < wanted;
        if (word == wanted && bytes == rest.bytes && bytes <= sizeof word)
            is_before = leaf_hash(leaf, mid) < hash;
        else if (word == wanted)
            is_before = leaf_compare_entry(leaf, mid, rest, hash) < 0;
        if (is_before)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The first entry that is not before (key, hash). A dead entry has lost its key sequence, but still
 * has these two. *rest becomes the part of the key after the common prefix; its `at` is NULL if the
 * key does not begin with the prefix. */
static uint32_t leaf_lower_bound(const struct leaf *leaf, const uint8_t *key, uint32_t key_bytes, uint64_t hash,
                                 struct leaf_text *rest) {
    struct leaf_text prefix = {leaf_prefix(leaf), leaf_of(leaf)->block.key_bytes};
    if (!key_bytes)
        key = (const uint8_t *)""; /* an index without sort key has no bytes to point at */
    if (key_bytes < prefix.bytes || !words_are_equal(key, prefix.at, prefix.bytes)) {
        *rest = (struct leaf_text){NULL, 0};
        return leaf_compare_text(prefix, (struct leaf_text){key, key_bytes}) > 0 ? 0 : leaf_count(leaf);
    }
    *rest = (struct leaf_text){key + prefix.bytes, key_bytes - prefix.bytes};
    return leaf_search(leaf, *rest, hash);
}

uint32_t leaf_find_cut(const struct leaf *leaf, const struct leaf_cut *cut) {
    struct leaf_text rest;
    if (cut->is_end)
        return leaf_count(leaf);
    uint32_t i = leaf_lower_bound(leaf, cut->key, cut->key_bytes, cut->hash, &rest);
    /* Entries of equal key and hash, of one item or of a hash collision, are few. */
    while (rest.at && i < leaf_count(leaf) && leaf_kseq(leaf, i) < cut->kseq &&
           leaf_compare_entry(leaf, i, rest, cut->hash) == 0)
        i++;
    return i;
}

int leaf_find(const struct leaf *leaf, const struct leaf_entry *e) {
    struct leaf_text rest;
    uint32_t i = leaf_lower_bound(leaf, e->key, e->key_bytes, e->hash, &rest);
    for (; rest.at && i < leaf_count(leaf) && leaf_compare_entry(leaf, i, rest, e->hash) == 0; i++)
        if (leaf_kseq(leaf, i) == e->kseq)
            return (int)i;
    return -1;
}

struct leaf_place leaf_place(const struct leaf *leaf, const struct leaf_entry *e) {
    struct leaf_text rest;
    uint32_t i = leaf_lower_bound(leaf, e->key, e->key_bytes, e->hash, &rest);
    struct leaf_place p = {.at = i, .rest = rest.at, .rest_bytes = rest.bytes};
    for (; rest.at && i < leaf_count(leaf) && leaf_compare_entry(leaf, i, rest, e->hash) == 0; i++) {
        uint32_t kseq = leaf_kseq(leaf, i);
        p.is_there |= kseq == e->kseq;
        if (kseq != 0 && kseq < e->kseq) /* a dead entry does not show its place in the order */
            p.at = i + 1;
    }
    return p;
}

void leaf_kill(struct leaf *leaf, struct leaf_shm *block, uint32_t i) {
    uint32_t count = leaf_count(leaf);
    /* release by habit: it publishes nothing else */
    SHM_STORE(&leaf_shm_kseq(block, count)[i], 0);
    atomic_store_explicit(&leaf_shm_kseq(leaf_of(leaf), count)[i], 0, memory_order_relaxed);
}

/* A leaf being written: where the next entry and its suffix go. */
struct leaf_pen {
    uint32_t *hash_high;
    _Atomic uint32_t *kseq;
    uint16_t *tag, *end;
    uint8_t *first, *at; /* first suffix, next suffix */
};

static void leaf_append(struct leaf_pen *pen, uint64_t hash, uint32_t kseq, struct leaf_text suffix) {
    if (suffix.bytes)
        memcpy(pen->at, suffix.at, suffix.bytes);
    pen->at += suffix.bytes;
    *pen->hash_high++ = (uint32_t)(hash >> 32);
    *pen->tag++ = (uint16_t)hash;
    atomic_init(pen->kseq++, kseq);
    *pen->end++ = (uint16_t)(pen->at - pen->first);
}

/* Entries from..to-1, all of them live; their suffixes end `longer` bytes later than before. */
static void leaf_append_all(struct leaf_pen *pen, const struct leaf *leaf, uint32_t from, uint32_t to,
                            uint32_t longer) {
    const struct leaf_shm *old = leaf_of(leaf);
    uint32_t count = leaf_count(leaf), n = to - from, start = from ? leaf_end(leaf, from - 1) : 0;
    const uint16_t *end = leaf_shm_end(old, count) + from;
    if (!n)
        return;
    pen->hash_high = mempcpy(pen->hash_high, old->hash_high + from, n * sizeof *pen->hash_high);
    pen->tag = mempcpy(pen->tag, leaf_shm_tag(old, count) + from, n * sizeof *pen->tag);
    pen->kseq = mempcpy(pen->kseq, leaf_shm_kseq(old, count) + from, n * sizeof *pen->kseq);
    pen->at = mempcpy(pen->at, leaf_suffix(leaf, from).at, end[n - 1] - start);
    uint16_t *made = pen->end;
    pen->end = mempcpy(made, end, n * sizeof *end);
    for (uint32_t i = 0; longer && i < n; i++)
        made[i] = (uint16_t)(made[i] + longer);
}

/* Some entries are dead, but not the first and not the last: the common prefix stays the same. */
static void leaf_insert_between_dead(const struct leaf *leaf, const struct leaf_entry *e, const struct leaf_place *p,
                                     struct leaf_pen *pen) {
    struct leaf_text rest = {p->rest, p->rest_bytes};
    for (uint32_t i = 0, count = leaf_count(leaf); i <= count; i++) {
        if (i == p->at)
            leaf_append(pen, e->hash, e->kseq, rest);
        if (i < count && leaf_kseq(leaf, i))
            leaf_append(pen, leaf_hash(leaf, i), leaf_kseq(leaf, i), leaf_suffix(leaf, i));
    }
}

/* All entries are live: the entries after the new one move, and their ends grow. */
static void leaf_insert_between(const struct leaf *leaf, const struct leaf_entry *e, const struct leaf_place *p,
                                struct leaf_pen *pen) {
    leaf_append_all(pen, leaf, 0, p->at, 0);
    leaf_append(pen, e->hash, e->kseq, (struct leaf_text){p->rest, p->rest_bytes});
    leaf_append_all(pen, leaf, p->at, leaf_count(leaf), p->rest_bytes);
}

/* Bytes of the entries that are dead. */
static uint32_t leaf_dead_bytes(const struct leaf *leaf, uint32_t live) {
    uint32_t bytes = 0;
    for (uint32_t i = 0; live < leaf_count(leaf) && i < leaf_count(leaf); i++)
        if (!leaf_kseq(leaf, i))
            bytes += LEAF_ENTRY_BYTES + leaf_suffix(leaf, i).bytes;
    return bytes;
}

uint32_t leaf_insert(const struct leaf *leaf, const struct leaf_entry *e, const struct leaf_place *p,
                     struct leaf *out) {
    struct leaf_shm *to = (struct leaf_shm *)out->bytes;
    uint32_t count = leaf_count(leaf), live = leaf_live_count(leaf), prefix_bytes = leaf_of(leaf)->block.key_bytes;
    uint32_t bytes = leaf_bytes(leaf) - leaf_dead_bytes(leaf, live) + LEAF_ENTRY_BYTES + p->rest_bytes;
    int has_live_ends = leaf_kseq(leaf, 0) != 0 && leaf_kseq(leaf, count - 1) != 0;
    if (!p->rest || !has_live_ends || live >= leaf_capacity || bytes > LEAF_BYTES)
        return 0;
    memcpy(to, leaf_of(leaf), sizeof *to);
    to->block.count = (uint16_t)(live + 1);
    struct leaf_pen pen = {.hash_high = to->hash_high,
                           .kseq = leaf_shm_kseq(to, live + 1),
                           .tag = leaf_shm_tag(to, live + 1),
                           .end = leaf_shm_end(to, live + 1)};
    pen.first = pen.at = mempcpy(leaf_shm_text(to, live + 1), leaf_prefix(leaf), prefix_bytes);
    if (live == count)
        leaf_insert_between(leaf, e, p, &pen);
    else
        leaf_insert_between_dead(leaf, e, p, &pen);
    memset(pen.at, 0, -bytes & 7u);
    return bytes;
}

void leaf_take_apart(const struct leaf *leaf, struct leaf_run *run) {
    run->prefix = leaf_prefix(leaf);
    run->prefix_bytes = leaf_of(leaf)->block.key_bytes;
    run->count = 0;
    for (uint32_t i = 0; i < leaf_count(leaf); i++) {
        struct leaf_text suffix = leaf_suffix(leaf, i);
        if (leaf_kseq(leaf, i))
            run->entry[run->count++] = (struct leaf_run_entry){.hash = leaf_hash(leaf, i),
                                                               .kseq = leaf_kseq(leaf, i),
                                                               .has_prefix = 1,
                                                               .suffix_bytes = suffix.bytes,
                                                               .suffix = suffix.at};
    }
}

/* ---- Two leaves become one ------------------------------------------------------------------- */

/* A key: the leaf's common prefix, then the entry's suffix. */
struct leaf_split_key {
    struct leaf_text prefix, suffix;
};

static struct leaf_split_key leaf_split_key(const struct leaf *leaf, uint32_t i) {
    return (struct leaf_split_key){{leaf_prefix(leaf), leaf_of(leaf)->block.key_bytes}, leaf_suffix(leaf, i)};
}

static uint8_t leaf_key_byte(const struct leaf_split_key *k, uint32_t i) {
    return i < k->prefix.bytes ? k->prefix.at[i] : k->suffix.at[i - k->prefix.bytes];
}

static uint32_t leaf_common_bytes(const struct leaf_split_key *a, const struct leaf_split_key *b) {
    uint32_t a_bytes = a->prefix.bytes + a->suffix.bytes, b_bytes = b->prefix.bytes + b->suffix.bytes, common = 0;
    while (common < a_bytes && common < b_bytes && leaf_key_byte(a, common) == leaf_key_byte(b, common))
        common++;
    return common;
}

/* The first live entry of both leaves, or the last. False: there is none. */
static int leaf_end_key(const struct leaf *a, const struct leaf *b, int is_last, struct leaf_split_key *key) {
    for (uint32_t n = 0, a_count = leaf_count(a), count = a_count + leaf_count(b); n < count; n++) {
        uint32_t i = is_last ? count - 1 - n : n;
        const struct leaf *leaf = i < a_count ? a : b;
        i -= i < a_count ? 0 : a_count;
        if (leaf_kseq(leaf, i)) {
            *key = leaf_split_key(leaf, i);
            return 1;
        }
    }
    return 0;
}

#define LEAF_DAMAGED (UINT32_MAX / 4) /* bytes: more than any leaf has, and two have no overflow */

/* Bytes of the live entries in a leaf whose common prefix is `common` long. LEAF_DAMAGED: they are
 * not in order. */
static uint32_t leaf_live_bytes(const struct leaf *leaf, uint32_t common) {
    uint32_t bytes = 0, prefix_bytes = leaf_of(leaf)->block.key_bytes;
    for (uint32_t i = 0; i < leaf_count(leaf); i++) {
        uint32_t key_bytes = prefix_bytes + leaf_suffix(leaf, i).bytes;
        if (leaf_kseq(leaf, i) && key_bytes < common)
            return LEAF_DAMAGED;
        bytes += leaf_kseq(leaf, i) ? LEAF_ENTRY_BYTES + key_bytes - common : 0;
    }
    return bytes;
}

static void leaf_append_live(struct leaf_pen *pen, const struct leaf *leaf, uint32_t common) {
    for (uint32_t i = 0; i < leaf_count(leaf); i++) {
        struct leaf_split_key key = leaf_split_key(leaf, i);
        if (!leaf_kseq(leaf, i))
            continue;
        uint32_t from_prefix = key.prefix.bytes > common ? key.prefix.bytes - common : 0;
        uint32_t passed = common > key.prefix.bytes ? common - key.prefix.bytes : 0;
        pen->at = mempcpy(pen->at, key.prefix.at + common, from_prefix);
        leaf_append(pen, leaf_hash(leaf, i), leaf_kseq(leaf, i),
                    (struct leaf_text){key.suffix.at + passed, key.suffix.bytes - passed});
    }
}

uint32_t leaf_join(const struct leaf *a, const struct leaf *b, uint32_t count_max, uint32_t bytes_max,
                   struct leaf *out) {
    struct leaf_shm *to = (struct leaf_shm *)out->bytes;
    struct leaf_split_key first, last;
    uint32_t count = leaf_live_count(a) + leaf_live_count(b);
    if (count > count_max || !leaf_end_key(a, b, 0, &first) || !leaf_end_key(a, b, 1, &last))
        return 0;
    uint32_t common = leaf_common_bytes(&first, &last);
    uint32_t bytes = (uint32_t)sizeof *to + common + leaf_live_bytes(a, common) + leaf_live_bytes(b, common);
    if (bytes > bytes_max)
        return 0;
    to->block = leaf_of(a)->block;
    to->block.count = (uint16_t)count;
    to->block.key_bytes = (uint16_t)common;
    atomic_init(&to->next, leaf_next(b));
    struct leaf_pen pen = {.hash_high = to->hash_high,
                           .kseq = leaf_shm_kseq(to, count),
                           .tag = leaf_shm_tag(to, count),
                           .end = leaf_shm_end(to, count),
                           .at = leaf_shm_text(to, count)};
    for (uint32_t i = 0; i < common; i++)
        *pen.at++ = leaf_key_byte(&first, i);
    pen.first = pen.at;
    leaf_append_live(&pen, a, common);
    leaf_append_live(&pen, b, common);
    memset(pen.at, 0, -bytes & 7u);
    return bytes;
}
