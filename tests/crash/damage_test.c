/* tests/crash/damage_test.c - damaged words, one at a time, in every structure of a segment.
 *
 * Goal     A damaged segment gives an error or a right answer: no crash, no hang, no access outside
 *          the mapping, no endless pages, no item under a key that it does not have
 *          (tests/crash/damage.h lists the checks).
 * Method   Every 8-byte word of every structure is set to each of eight values: 0, all ones, itself
 *          + 8, its neighbour, the offset of another structure, the offset of its own, itself with
 *          one bit changed, a small number. A child tries one after the other and notes the number
 *          of each before it begins. If it dies or hangs, the test reports that number, and a new
 *          child goes on behind it. One changed word seldom makes a cycle or leaves out of order:
 *          these are made in every list on purpose. The short form tries every n-th case (n is
 *          printed; the seed decides where it begins). LARDER_TEST_LONG tries all.
 */
#include "index/skl.h"
#include "tests/crash/damage.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"
#include "ttl/wheel.h"
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define VALUES 8u
/* one try: milliseconds, and some for each lock that is never released */
#define TRY_S 5u
#define TRIES 300u         /* of a class, in the short form */
#define CLASS_MS 1500u     /* no more batches after this time, in the short form */
#define BATCH 64u          /* tries of one child */
#define DAMAGE_SHOWN_MAX 5 /* failures that are described */

/* For the long form; a hang is noticed by the alarm of each try. */
TestSuite(damage, .timeout = 900 * SLOW_FACTOR);

/* The case that a child is trying, in memory it shares with the test. */
struct progress {
    _Atomic uint64_t at, end, stride;
    uint32_t class_index;
};
static struct progress *progress;

static void prepare(void) {
    static int is_done;
    if (!is_done)
        damage_prepare();
    is_done = 1;
    if (!progress)
        progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(progress != MAP_FAILED);
}

/* ---- Cases by number ------------------------------------------------------------------------- */

#define WORDS_MAX 4u

struct damage_case {
    const struct damage_template *t;
    struct damage_word words[WORDS_MAX];
    uint32_t count;
};

/* Cases that were made one by one: their class is DAMAGE_CLASSES. */
#define MADE DAMAGE_CLASSES
#define MADE_MAX 4096u
static struct damage_case made[MADE_MAX];
static uint32_t made_count;

static uint64_t class_words(const struct damage_template *t, enum damage_class c) {
    uint64_t words = 0;
    for (uint32_t i = 0; i < t->counts[c]; i++)
        words += t->extents[c][i].bytes / 8;
    return words;
}

/* Slots and their journals are damaged in every template; the rest is the same in all. */
static uint32_t templates_of(enum damage_class c) {
    return c == DAMAGE_SLOT ? DAMAGE_TEMPLATES : 1;
}

static uint64_t case_count(enum damage_class c) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < templates_of(c); i++)
        count += class_words(&damage_templates[i], c) * VALUES;
    return count;
}

static uint64_t word_at(const struct damage_template *t, uint64_t off) {
    uint64_t word = 0;
    if (off + 8 <= t->claimed_bytes)
        memcpy(&word, t->bytes + off, sizeof word);
    return word;
}

/* The first structure of another class, by turns. */
static uint64_t other_offset(const struct damage_template *t, enum damage_class c, uint64_t number) {
    enum damage_class other = (enum damage_class)((c + 1 + number % (DAMAGE_CLASSES - 1)) % DAMAGE_CLASSES);
    return t->counts[other] ? t->extents[other][number % t->counts[other]].off : t->claimed_bytes;
}

static uint64_t value_of(const struct damage_template *t, enum damage_class c, const struct damage_extent *x,
                         uint64_t off, uint64_t which) {
    uint64_t word = word_at(t, off), tag = word & UINT64_C(0xffff) << 48;
    switch (which) {
    case 0:
        return 0;
    case 1:
        return ~UINT64_C(0);
    case 2:
        return word + 8;
    case 3:
        return word_at(t, off + 8);
    case 4:
        return tag | other_offset(t, c, off / 8);
    case 5:
        return tag | x->off;
    case 6:
        return word ^ UINT64_C(1) << off / 8 % 64;
    default:
        return off / 8 % 24;
    }
}

static struct damage_case case_of(enum damage_class c, uint64_t number) {
    if (c == MADE)
        return made[number];
    for (uint32_t i = 0; i < templates_of(c); i++) {
        const struct damage_template *t = &damage_templates[i];
        uint64_t word = number / VALUES;
        if (word >= class_words(t, c)) {
            number -= class_words(t, c) * VALUES;
            continue;
        }
        const struct damage_extent *x = t->extents[c];
        for (; word >= x->bytes / 8; x++)
            word -= x->bytes / 8;
        uint64_t off = x->off + word * 8;
        return (struct damage_case){t, {{off, value_of(t, c, x, off, number % VALUES)}}, 1};
    }
    return (struct damage_case){.t = NULL};
}

/* ---- Trying them ----------------------------------------------------------------------------- */

/* A try that does not end is ended by the child's own alarm. */
static int try_batch(void *arg) {
    (void)arg;
    for (uint32_t i = 0; i < BATCH && progress->at < progress->end; i++) {
        struct damage_case c = case_of((enum damage_class)progress->class_index, progress->at);
        alarm(TRY_S * SLOW_FACTOR);
        if (c.t && word_at(c.t, c.words[0].off) != c.words[0].value)
            damage_try_words(c.t, c.words, c.count);
        progress->at += progress->stride;
    }
    return 0;
}

static void describe(enum damage_class class_index, uint64_t number, struct proc_result r) {
    struct damage_case c = case_of(class_index, number);
    const char *name = class_index == MADE ? "made" : damage_class_name(class_index);
    if (!c.t) /* each has one */
        return;
    fprintf(stderr, "damage: %s: %s, case %llu: template \"%s\"", proc_text(r), name, (unsigned long long)number,
            c.t->name);
    for (uint32_t i = 0; i < c.count; i++)
        fprintf(stderr, ", word at %llu becomes %#llx (was %#llx)", (unsigned long long)c.words[i].off,
                (unsigned long long)c.words[i].value, (unsigned long long)word_at(c.t, c.words[i].off));
    fprintf(stderr, "\n");
}

/* Tries the cases first, first + stride, .. of a class. Fails if one fails. */
static void try_cases(enum damage_class c, const char *name, uint64_t count, uint64_t first, uint64_t stride,
                      uint64_t limit_ms) {
    uint64_t tried = 0, begun = until_now_ms();
    int failures = 0;
    progress->class_index = c;
    progress->stride = stride;
    progress->end = count;
    progress->at = first;
    while (progress->at < count && until_now_ms() - begun < limit_ms) {
        uint64_t before = progress->at;
        struct proc_result r = proc_run(try_batch, NULL, BATCH * TRY_S * 1000);
        if (!proc_is_exit(r, 0)) {
            if (failures++ < DAMAGE_SHOWN_MAX)
                describe(c, progress->at, r);
            progress->at += stride;
        }
        tried += (progress->at - before) / stride;
    }
    fprintf(stderr, "damage: %-8s %7llu cases, every %llu-th from %llu: %llu tried, %d failed, %llu ms\n", name,
            (unsigned long long)count, (unsigned long long)stride, (unsigned long long)first, (unsigned long long)tried,
            failures, (unsigned long long)(until_now_ms() - begun));
    cr_assert(failures == 0 && tried > 0);
}

static void try_class(enum damage_class c) {
    struct rng rng;
    int is_long = getenv("LARDER_TEST_LONG") != NULL;
    prepare();
    rng_seed(&rng, rng_test_seed(damage_class_name(c)));
    uint64_t count = case_count(c), stride = is_long ? 1 : count / TRIES + 1;
    try_cases(c, damage_class_name(c), count, is_long ? 0 : rng_below(&rng, stride), stride,
              is_long ? UINT64_MAX : CLASS_MS);
}

/* ---- Damage that one word seldom makes ------------------------------------------------------- */

static void make(const struct damage_template *t, uint32_t count, const struct damage_word *words) {
    cr_assert(made_count < MADE_MAX && count <= WORDS_MAX);
    made[made_count].t = t;
    made[made_count].count = count;
    memcpy(made[made_count++].words, words, count * sizeof *words);
}

static void try_made(const char *name) {
    try_cases(MADE, name, made_count, 0, 1, UINT64_MAX);
}

/* A node whose leaf, or whose tower, leads back to it. A chunk of timers whose next is itself. */
Test(damage, circles_of_blocks) {
    prepare();
    const struct damage_template *t = &damage_templates[0];
    for (uint32_t i = 0; i < t->counts[DAMAGE_NODE]; i++) {
        const struct damage_extent *node = &t->extents[DAMAGE_NODE][i];
        uint64_t leaf = word_at(t, node->off + offsetof(struct node_shm, leaf));
        make(t, 1, &(struct damage_word){leaf + offsetof(struct leaf_shm, next), node->off});
        make(t, 1, &(struct damage_word){node->off + node->bytes - 8, node->off});
    }
    for (uint32_t i = 0; i < t->counts[DAMAGE_CHUNK]; i++) {
        uint64_t off = t->extents[DAMAGE_CHUNK][i].off;
        make(t, 1, &(struct damage_word){off + offsetof(struct wheel_chunk_shm, next), off});
    }
    try_made("circles");
}

/* A chain of buckets whose spare one leads to itself. */
Test(damage, circles_of_buckets) {
    prepare();
    const struct damage_template *t = &damage_templates[0];
    for (uint32_t i = 0; i < t->counts[DAMAGE_STRIPE]; i++) {
        uint64_t array = word_at(t, t->extents[DAMAGE_STRIPE][i].off + offsetof(struct stripe_shm, array));
        uint64_t buckets = WORD_TAG(array), first = WORD_OFF(array) + offsetof(struct bucket_shm, link);
        for (uint64_t b = 0; b < buckets; b++)
            make(t, 2,
                 (struct damage_word[]){{first + b * sizeof(struct bucket_shm), buckets + 1},
                                        {first + buckets * sizeof(struct bucket_shm), buckets + 1}});
    }
    try_made("buckets");
}

/* Two entries of a leaf, each with the other's item. */
Test(damage, leaves_out_of_order) {
    prepare();
    const struct damage_template *t = &damage_templates[0];
    for (uint32_t i = 0; i < t->counts[DAMAGE_LEAF]; i++) {
        uint64_t off = t->extents[DAMAGE_LEAF][i].off, hash = off + sizeof(struct leaf_shm);
        const struct leaf_shm *leaf = (const struct leaf_shm *)(const void *)(t->bytes + off);
        uint64_t kseq = hash + leaf->block.count * sizeof *leaf->hash_high, hashes = word_at(t, hash);
        uint64_t tag = kseq + (kseq - hash), kseqs = word_at(t, kseq), tags = word_at(t, tag);
        /* then each array begins with a word */
        if (leaf->block.count >= 2 && leaf->block.count % 2 == 0)
            make(t, 3,
                 (struct damage_word[]){{hash, hashes << 32 | hashes >> 32},
                                        {kseq, kseqs << 32 | kseqs >> 32},
                                        {tag, tags >> 32 << 32 | (tags & 0xffff) << 16 | (tags >> 16 & 0xffff)}});
    }
    try_made("order");
}

/* ---- One word of everything ------------------------------------------------------------------ */

Test(damage, head) {
    try_class(DAMAGE_HEAD);
}
Test(damage, slot) {
    try_class(DAMAGE_SLOT);
}
Test(damage, table) {
    try_class(DAMAGE_TABLE);
}
Test(damage, bin) {
    try_class(DAMAGE_BIN);
}
Test(damage, shard) {
    try_class(DAMAGE_SHARD);
}
Test(damage, span) {
    try_class(DAMAGE_SPAN);
}
Test(damage, schema) {
    try_class(DAMAGE_SCHEMA);
}
Test(damage, stripe) {
    try_class(DAMAGE_STRIPE);
}
Test(damage, buckets) {
    try_class(DAMAGE_BUCKETS);
}
Test(damage, item) {
    try_class(DAMAGE_ITEM);
}
Test(damage, leaf) {
    try_class(DAMAGE_LEAF);
}
Test(damage, node) {
    try_class(DAMAGE_NODE);
}
Test(damage, chunk) {
    try_class(DAMAGE_CHUNK);
}
