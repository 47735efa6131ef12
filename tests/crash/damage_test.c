/* tests/crash/damage_test.c - damaged words, one at a time, in every structure of a segment.
 *
 * Goal     A damaged segment gives an error or a right answer: no crash, no hang, no access outside the mapping, no page without end,
 *          nothing under a key that it does not have (tests/crash/damage.h says what is looked at).
 * Method   Every 8-byte word of every structure is set to each of eight values: 0, all ones, itself + 8, its neighbour, the
 *          offset of another structure, the offset of its own, itself with one bit changed, a small number. A child tries one after the other and
 *          notes the number of each before it begins; if it dies or is stuck the test says which, and a new child goes on behind
 *          it. Usually only every n-th is tried (n is printed, and where it begins follows from the seed); all of them with
 *          LARDER_TEST_LONG.
 */
#include "tests/crash/damage.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define VALUES 8u
#define TRY_S 5u           /* one try: milliseconds, and some for each lock that nobody will drop */
#define TRIES 300u         /* of a class, in the short form */
#define CLASS_MS 1500u     /* no more batches after this time, in the short form */
#define BATCH 64u          /* tries of one child */
#define DAMAGE_SHOWN_MAX 5 /* failures that are described */

/* The long form takes an hour. */
TestSuite(damage, .timeout = 100 * SLOW_FACTOR);

/* What a child is at, in memory it shares with the test. */
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

/* ---- Cases by number ----------------------------------------------------------------------------------------------- */

struct damage_case {
    const struct damage_template *t;
    uint64_t off, value;
};

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
        return (struct damage_case){t, off, value_of(t, c, x, off, number % VALUES)};
    }
    return (struct damage_case){NULL, 0, 0};
}

/* ---- Trying them --------------------------------------------------------------------------------------------------- */

/* A try that does not end is ended by the child's own alarm. */
static int try_batch(void *arg) {
    (void)arg;
    for (uint32_t i = 0; i < BATCH && progress->at < progress->end; i++) {
        struct damage_case c = case_of((enum damage_class)progress->class_index, progress->at);
        alarm(TRY_S * SLOW_FACTOR);
        if (c.t && word_at(c.t, c.off) != c.value)
            damage_try_word(c.t, c.off, c.value);
        progress->at += progress->stride;
    }
    return 0;
}

static void describe(enum damage_class class_index, uint64_t number, struct proc_result r) {
    struct damage_case c = case_of(class_index, number);
    fprintf(stderr, "damage: %s: %s, case %llu: template \"%s\", word at %llu becomes %#llx (was %#llx)\n",
            proc_text(r), damage_class_name(class_index), (unsigned long long)number, c.t->name,
            (unsigned long long)c.off, (unsigned long long)c.value, (unsigned long long)word_at(c.t, c.off));
}

static void try_class(enum damage_class c) {
    prepare();
    uint64_t count = case_count(c), tried = 0, first, begun = until_now_ms();
    int is_long = getenv("LARDER_TEST_LONG") != NULL, failures = 0;
    struct rng rng;
    rng_seed(&rng, rng_test_seed(damage_class_name(c)));
    cr_assert(count > 0);
    uint64_t stride = is_long ? 1 : count / TRIES + 1;
    first = is_long ? 0 : rng_below(&rng, stride);
    progress->class_index = c;
    progress->stride = stride;
    progress->end = count;
    progress->at = first;
    while (progress->at < count && (is_long || until_now_ms() - begun < CLASS_MS * SLOW_FACTOR)) {
        uint64_t before = progress->at;
        struct proc_result r = proc_run(try_batch, NULL, BATCH * TRY_S * 1000);
        if (!proc_is_exit(r, 0)) {
            if (failures++ < DAMAGE_SHOWN_MAX)
                describe(c, progress->at, r);
            progress->at += stride;
        }
        tried += (progress->at - before) / stride;
    }
    fprintf(stderr, "damage: %-8s %7llu cases, every %llu-th from %llu: %llu tried, %d failed, %llu ms\n",
            damage_class_name(c), (unsigned long long)count, (unsigned long long)stride, (unsigned long long)first,
            (unsigned long long)tried, failures, (unsigned long long)(until_now_ms() - begun));
    cr_assert(failures == 0 && tried > 20);
}

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
