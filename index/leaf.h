/* index/leaf.h - leaves: immutable blocks of index entries in order.
 *
 * Job      An entry of an index is (sort key, primary hash, key sequence): one item under one
 *          index. A leaf holds dozens of entries of one partition. This file knows the bytes of a
 *          leaf and makes new leaves from old ones. It takes no memory and no lock, and links
 *          nothing (index/skl.h does).
 * Picture  A leaf block:
 *            struct block_shm              partition hash, kind, index number, count, prefix bytes
 *            next                          the node after this leaf's node, 0 none
 *            uint32_t [count]              primary hashes of the entries: their high halves
 *            uint32_t [count]              their key sequences; 0: dead
 *            uint16_t [count]              the tags of the hashes
 *            uint16_t [count]              ends of their suffixes, from the first suffix's start
 *            prefix, suffix 0, suffix 1..  a sort key is the common prefix, then the entry's suffix
 *          A hash has 48 bits, as core/memory/htab.h uses it (HTAB_HASH_MASK). Four arrays make
 *          entries of 12 bytes, and let a search read the ends alone.
 * Rules    F1 Entries are in order: sort key by memcmp, then shorter first; then hash; then key
 *             sequence.
 *          F2 In a linked leaf only two things change: `next`, and an entry's key sequence, once,
 *             to 0: the entry is dead. So a removal needs no memory. Dead entries keep their place
 *             and are left out of the next leaf.
 *          F3 A leaf with more than one entry has at most LEAF_BYTES, or the least that a split of
 *             an insertion can reach (LEAF_BYTES_MAX, see leaf_split_at).
 *          F4 A leaf is copied to private memory and checked there (leaf_read) before any of it is
 *             used.
 * Tests    tests/unit/index/leaf_test.c
 */
#ifndef LARDER_INDEX_LEAF_H
#define LARDER_INDEX_LEAF_H

#include "core/memory/htab.h"

#define LEAF_ENTRIES 64u     /* most entries of a leaf */
#define LEAF_BYTES 2048u     /* a leaf that would be larger is split, unless it has one entry */
#define LEAF_BYTES_MAX 2304u /* no leaf is larger; a reader's buffer */
#define LEAF_KEY_BYTES_MAX LARDER_SORT_KEY_BYTES_MAX

#if LARDER_CRASH_POINTS
extern uint32_t leaf_capacity; /* tests make leaves of few entries; 2..LEAF_ENTRIES */
#else
#define leaf_capacity LEAF_ENTRIES
#endif

#define BLOCK_LEAF 1u
#define BLOCK_NODE 2u

/* The first words of every block of this folder. The slot of a partition refers to a leaf or to a
 * head node. */
struct block_shm {
    uint64_t hash; /* of the partition: the hash table finds it by this */
    uint8_t kind;
    uint8_t height;     /* of a node */
    uint16_t index;     /* number of the index: 0 table order, else ordinal + 1 */
    uint16_t count;     /* of a leaf: entries */
    uint16_t key_bytes; /* of a leaf: common prefix; of a node: low bound */
};
_Static_assert(sizeof(struct block_shm) == 16, "block_shm is part of the segment format");

/* Copies a block's head out of memory that may be changing. */
static inline struct block_shm block_read(const void *at) {
    uint64_t words[2];
    struct block_shm b;
    shm_copy_out(words, at, sizeof words);
    memcpy(&b, words, sizeof b);
    return b;
}

struct leaf_shm {
    struct block_shm block;
    shm_word next; /* guarded by the partition stripe's lock; readers validate */
    uint32_t hash_high[];
    /* Then _Atomic uint32_t kseq[count], uint16_t tag[count], uint16_t end[count], and the text. */
};
_Static_assert(sizeof(struct leaf_shm) == 24, "leaf_shm is part of the segment format");

#define LEAF_ENTRY_BYTES 12u /* of the four arrays */
_Static_assert(LEAF_ENTRY_BYTES == 12 && INDEX_FORMAT == 2, "other leaves are another format");

static inline _Atomic uint32_t *leaf_shm_kseq(const struct leaf_shm *leaf, uint32_t count) {
    return (_Atomic uint32_t *)(leaf->hash_high + count);
}
static inline uint16_t *leaf_shm_tag(const struct leaf_shm *leaf, uint32_t count) {
    return (uint16_t *)(leaf_shm_kseq(leaf, count) + count);
}
static inline uint16_t *leaf_shm_end(const struct leaf_shm *leaf, uint32_t count) {
    return leaf_shm_tag(leaf, count) + count;
}
static inline uint8_t *leaf_shm_text(const struct leaf_shm *leaf, uint32_t count) {
    return (uint8_t *)(leaf_shm_end(leaf, count) + count);
}

/* An entry to look for, add or remove. The key is borrowed. */
struct leaf_entry {
    const uint8_t *key;
    uint32_t key_bytes;
    uint32_t kseq;
    uint64_t hash;
};

/* A place between entries: the entries before it are smaller. kseq has 64 bits so that there is a
 * place after the largest entry of a key. The key is borrowed. */
struct leaf_cut {
    const uint8_t *key;
    uint32_t key_bytes;
    int is_end; /* nonzero: after everything */
    uint64_t hash, kseq;
};
#define LEAF_KSEQ_END (UINT64_C(1) << 32)

static inline struct leaf_cut leaf_cut_before(const struct leaf_entry *e) {
    return (struct leaf_cut){.key = e->key, .key_bytes = e->key_bytes, .hash = e->hash, .kseq = e->kseq};
}

/* A checked private copy of a leaf. */
struct leaf {
    _Alignas(8) uint8_t bytes[LEAF_BYTES_MAX + 8]; /* a word can be loaded behind the last text */
};

static inline const struct leaf_shm *leaf_of(const struct leaf *leaf) {
    return (const struct leaf_shm *)leaf->bytes;
}
static inline uint32_t leaf_count(const struct leaf *leaf) {
    return leaf_of(leaf)->block.count;
}
static inline uint64_t leaf_next(const struct leaf *leaf) {
    return SHM_LOAD_RELAXED(&leaf_of(leaf)->next);
}
static inline uint64_t leaf_hash(const struct leaf *leaf, uint32_t i) {
    const struct leaf_shm *shm = leaf_of(leaf);
    return htab_hash_of(leaf_shm_tag(shm, shm->block.count)[i], shm->hash_high[i]);
}
static inline uint32_t leaf_kseq(const struct leaf *leaf, uint32_t i) {
    return SHM_LOAD_RELAXED(&leaf_shm_kseq(leaf_of(leaf), leaf_count(leaf))[i]);
}

/* The arrays of a private copy, for loops over entries. */
struct leaf_arrays {
    const uint32_t *hash_high, *kseq;
    const uint16_t *tag;
};
static inline struct leaf_arrays leaf_arrays(const struct leaf *leaf) {
    const struct leaf_shm *shm = leaf_of(leaf);
    uint32_t count = shm->block.count;
    return (struct leaf_arrays){.hash_high = shm->hash_high,
                                .kseq = (const uint32_t *)leaf_shm_kseq(shm, count),
                                .tag = leaf_shm_tag(shm, count)};
}

/* Copies the leaf at off and checks it. Returns 0 if these bytes are no leaf of this partition, or
 * did not stay one while they were copied. */
int leaf_read(const struct seg *s, uint64_t off, uint64_t hash, uint32_t index, struct leaf *to);
/* Bytes of a leaf. */
uint32_t leaf_bytes(const struct leaf *leaf);
/* Entries that are not dead. */
uint32_t leaf_live_count(const struct leaf *leaf);
/* Puts the sort key of entry i together in `to`, which has room for LEAF_KEY_BYTES_MAX. */
uint32_t leaf_key(const struct leaf *leaf, uint32_t i, uint8_t *to);
/* Number of the first entry at or after the cut; leaf_count() if there is none. Dead entries may be
 * on either side. */
uint32_t leaf_find_cut(const struct leaf *leaf, const struct leaf_cut *cut);
/* Number of this live entry, or -1. */
int leaf_find(const struct leaf *leaf, const struct leaf_entry *e);
/* The place of an entry, or the place it would have. */
struct leaf_place {
    uint32_t at;
    int is_there; /* the leaf has it, and it is live */
    /* the key after the common prefix; NULL if the key does not begin with the prefix */
    const uint8_t *rest;
    uint32_t rest_bytes;
};
struct leaf_place leaf_place(const struct leaf *leaf, const struct leaf_entry *e);
/* Sort key, then hash, then key sequence: negative, 0 or positive. */
int leaf_compare_cuts(const struct leaf_cut *a, const struct leaf_cut *b);
/* Marks entry i dead, here and in the leaf's block. */
void leaf_kill(struct leaf *leaf, struct leaf_shm *block, uint32_t i);

/* ---- Making new leaves -----------------------------------------------------------------------
 * A run is a leaf's live entries in order, perhaps with one added; it borrows the bytes of both. */
struct leaf_run_entry {
    uint64_t hash;
    uint32_t kseq;
    uint32_t has_prefix; /* its key is the run's prefix, then the suffix; else the suffix alone */
    uint32_t suffix_bytes;
    const uint8_t *suffix;
};
struct leaf_run {
    const uint8_t *prefix;
    uint32_t prefix_bytes, count;
    struct leaf_run_entry entry[LEAF_ENTRIES + 1];
};

/* Makes the leaf with one more entry by moving the others: most insertions. p is its place, where
 * the entry is not yet. Returns the leaf's bytes, as many as leaf_build() would. 0: the leaf must
 * be built from a run, because its first or last entry is dead, the prefix changes, or it is too
 * large for one leaf. */
uint32_t leaf_insert(const struct leaf *leaf, const struct leaf_entry *e, const struct leaf_place *p, struct leaf *out);
/* Makes the leaf of the live entries of a, and of b, which comes after it; its next is b's. Returns
 * its bytes. 0: it would have too many entries or bytes, or none, or a leaf is damaged.
 * bytes_max: at most LEAF_BYTES_MAX. */
uint32_t leaf_join(const struct leaf *a, const struct leaf *b, uint32_t count_max, uint32_t bytes_max,
                   struct leaf *out);
/* The live entries of a leaf. */
void leaf_take_apart(const struct leaf *leaf, struct leaf_run *run);
/* Adds an entry in its place; returns its number. The run has no such entry yet. */
uint32_t leaf_run_add(struct leaf_run *run, const struct leaf_entry *e);
/* Whether entries from..to-1 may be one leaf. */
int leaf_run_fits(const struct leaf_run *run, uint32_t from, uint32_t to);
/* Where to split a run that is too large for one leaf: as close to `want` (1..count-1) as both
 * parts allow. */
uint32_t leaf_split_at(const struct leaf_run *run, uint32_t want);
/* Makes a leaf of entries from..to-1; returns its bytes. 0: the run is not in order, so its leaf is
 * damaged. */
uint32_t leaf_build(const struct leaf_run *run, uint32_t from, uint32_t to, uint64_t hash, uint32_t index,
                    uint64_t next, struct leaf *out);
/* The shortest key after entry i-1 and not after entry i: the low bound of a leaf that begins with
 * entry i. Its bytes are put into `to`. */
struct leaf_cut leaf_run_bound(const struct leaf_run *run, uint32_t i, uint8_t *to);

#endif
