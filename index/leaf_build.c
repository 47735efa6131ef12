/* index/leaf_build.c - new leaves from old ones.
 *
 * Job      An insertion takes a leaf apart, adds an entry, and builds one leaf from the run, or two
 *          if it has grown too large.
 * Why      F3: a run is a leaf (at most LEAF_BYTES_MAX bytes) and one more entry. If the new key
 *          does not begin with the leaf's common prefix, it lies at an end: alone in its part, it
 *          leaves the old leaf as it was. Otherwise, with x bytes of leaf, a prefix of P bytes and
 *          an entry of at most 1036 - P, a split near the middle has parts of at most
 *          1048 + x / 2 - P / 2 bytes: never more than 2100 if x is not.
 * Tests    tests/unit/index/leaf_test.c
 */
#include "index/leaf.h"

_Static_assert(LEAF_BYTES_MAX >= 2100 && LEAF_BYTES_MAX % 8 == 0 && LEAF_BYTES <= 2100, "see Why");

static uint32_t run_key_bytes(const struct leaf_run *run, uint32_t i) {
    const struct leaf_run_entry *e = &run->entry[i];
    return e->has_prefix ? run->prefix_bytes + e->suffix_bytes : e->suffix_bytes;
}

/* Copies the key of entry i without its first `skip` bytes; returns the end. */
static uint8_t *run_put_key(const struct leaf_run *run, uint32_t i, uint32_t skip, uint8_t *to) {
    const struct leaf_run_entry *e = &run->entry[i];
    if (e->has_prefix && skip < run->prefix_bytes) {
        memcpy(to, run->prefix + skip, run->prefix_bytes - skip);
        to += run->prefix_bytes - skip;
        skip = 0;
    } else if (e->has_prefix) {
        skip -= run->prefix_bytes;
    }
    memcpy(to, e->suffix + skip, e->suffix_bytes - skip);
    return to + (e->suffix_bytes - skip);
}

static uint32_t run_common_bytes(const uint8_t *a, uint32_t a_bytes, const uint8_t *b, uint32_t b_bytes) {
    uint32_t common = 0, most = a_bytes < b_bytes ? a_bytes : b_bytes;
    while (common < most && a[common] == b[common])
        common++;
    return common;
}

/* Common first bytes of the keys of entries i <= j; all keys between share them, being in order. */
static uint32_t run_common(const struct leaf_run *run, uint32_t i, uint32_t j) {
    const struct leaf_run_entry *a = &run->entry[i], *b = &run->entry[j];
    if (a->has_prefix == b->has_prefix)
        return (a->has_prefix ? run->prefix_bytes : 0) +
               run_common_bytes(a->suffix, a->suffix_bytes, b->suffix, b->suffix_bytes);
    /* One of them is the added entry, whose key does not begin with the prefix. */
    const struct leaf_run_entry *added = a->has_prefix ? b : a;
    return run_common_bytes(added->suffix, added->suffix_bytes, run->prefix, run->prefix_bytes);
}

static uint32_t run_bytes(const struct leaf_run *run, uint32_t from, uint32_t to) {
    uint32_t common = run_common(run, from, to - 1);
    uint32_t bytes = (uint32_t)sizeof(struct leaf_shm) + common;
    for (uint32_t i = from; i < to; i++)
        bytes += LEAF_ENTRY_BYTES + run_key_bytes(run, i) - common;
    return bytes;
}

int leaf_run_fits(const struct leaf_run *run, uint32_t from, uint32_t to) {
    return to - from == 1 || (to - from <= leaf_capacity && run_bytes(run, from, to) <= LEAF_BYTES);
}

static struct leaf_cut run_cut(const struct leaf_run *run, uint32_t i, uint8_t *key) {
    return (struct leaf_cut){.key = key,
                             .key_bytes = (uint32_t)(run_put_key(run, i, 0, key) - key),
                             .hash = run->entry[i].hash,
                             .kseq = run->entry[i].kseq};
}

uint32_t leaf_run_add(struct leaf_run *run, const struct leaf_entry *e) {
    uint8_t key[LEAF_KEY_BYTES_MAX];
    struct leaf_cut added = leaf_cut_before(e);
    uint32_t low = 0, high = run->count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        struct leaf_cut there = run_cut(run, mid, key);
        if (leaf_compare_cuts(&there, &added) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    memmove(&run->entry[low + 1], &run->entry[low], (run->count - low) * sizeof run->entry[0]);
    uint32_t skip = run_common_bytes(run->prefix, run->prefix_bytes, e->key, e->key_bytes);
    int has_prefix = skip == run->prefix_bytes;
    run->entry[low] = (struct leaf_run_entry){.hash = e->hash,
                                              .kseq = e->kseq,
                                              .has_prefix = (uint32_t)has_prefix,
                                              .suffix_bytes = has_prefix ? e->key_bytes - skip : e->key_bytes,
                                              .suffix = !e->key_bytes ? (const uint8_t *)""
                                                        : has_prefix  ? e->key + skip
                                                                      : e->key};
    run->count++;
    return low;
}

uint32_t leaf_split_at(const struct leaf_run *run, uint32_t want) {
    uint32_t best = 1, best_bytes = UINT32_MAX;
    for (uint32_t distance = 0; distance < run->count; distance++)
        for (int side = -1; side <= 1; side += 2) {
            uint32_t at = want + (uint32_t)(side * (int)distance);
            if (at < 1 || at >= run->count) /* a negative place wraps round to a large one */
                continue;
            if (leaf_run_fits(run, 0, at) && leaf_run_fits(run, at, run->count))
                return at;
            uint32_t left = run_bytes(run, 0, at), right = run_bytes(run, at, run->count);
            uint32_t larger = left > right ? left : right;
            if (larger < best_bytes) {
                best_bytes = larger;
                best = at;
            }
        }
    return best;
}

uint32_t leaf_build(const struct leaf_run *run, uint32_t from, uint32_t to, uint64_t hash, uint32_t index,
                    uint64_t next, struct leaf *out) {
    struct leaf_shm *leaf = (struct leaf_shm *)out->bytes;
    uint32_t common = run_common(run, from, to - 1);
    const uint8_t *end = out->bytes + sizeof out->bytes;
    leaf->block = (struct block_shm){.hash = hash,
                                     .kind = BLOCK_LEAF,
                                     .index = (uint16_t)index,
                                     .count = (uint16_t)(to - from),
                                     .key_bytes = (uint16_t)common};
    atomic_init(&leaf->next, next);
    _Atomic uint32_t *kseq = leaf_shm_kseq(leaf, to - from);
    uint16_t *tag = leaf_shm_tag(leaf, to - from), *suffix_end = leaf_shm_end(leaf, to - from);
    uint8_t *at = leaf_shm_text(leaf, to - from), *first = at + common;
    for (uint32_t i = from; i < to; i++) {
        /* the first entry's key is copied with the common prefix */
        uint32_t skip = i == from ? 0 : common;
        uint32_t bytes = run_key_bytes(run, i);
        if (__builtin_expect(bytes < common || bytes - skip > (size_t)(end - at), 0))
            return 0; /* not in order: the leaf it comes from is damaged */
        at = run_put_key(run, i, skip, at);
        leaf->hash_high[i - from] = (uint32_t)(run->entry[i].hash >> 32);
        tag[i - from] = (uint16_t)run->entry[i].hash;
        atomic_init(&kseq[i - from], run->entry[i].kseq);
        suffix_end[i - from] = (uint16_t)(at - first);
    }
    uint32_t total = (uint32_t)(at - out->bytes);
    memset(at, 0, -total & 7u);
    return total;
}

struct leaf_cut leaf_run_bound(const struct leaf_run *run, uint32_t i, uint8_t *to) {
    struct leaf_cut bound = run_cut(run, i, to);
    uint32_t common = run_common(run, i - 1, i);
    if (common == bound.key_bytes) /* as long as the key before: both are equal */
        return bound;
    bound.key_bytes = common + 1;
    bound.hash = 0;
    bound.kseq = 0;
    return bound;
}
