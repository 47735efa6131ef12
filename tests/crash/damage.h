/* tests/crash/damage.h - segments with damaged bytes, and what must hold of everything that can be
 * done with them.
 *
 * Job      Prepares small segments (templates), says where each of their structures lies, damages
 *          copies of them, and uses a copy in every way that larder.h offers. For
 *          tests/crash/damage_test.c (every word of every structure) and tests/fuzz/segment_fuzz.c
 *          (what a fuzzer finds).
 * Verdict  A result is one that the call may have. Every returned item can be read to its last
 *          byte, has the key or partition key that was asked for, and comes in order. Pages end.
 *          Nothing outside the mapping is read or written: both neighbours of the mapping are
 *          unmapped. If no byte was changed, what is read is what the template has. A failed
 *          verdict prints a text to standard error and calls abort().
 * Hang     The caller notices it: fuzzers and tests have a deadline of their own.
 */
#ifndef LARDER_TESTS_CRASH_DAMAGE_H
#define LARDER_TESTS_CRASH_DAMAGE_H

#include <stddef.h>
#include <stdint.h>

/* Kinds of structure. A slot of the last ones is a block. */
enum damage_class {
    DAMAGE_HEAD,
    DAMAGE_SLOT,
    DAMAGE_TABLE,
    DAMAGE_BIN,
    DAMAGE_SHARD,
    DAMAGE_SPAN,
    DAMAGE_SCHEMA,
    DAMAGE_STRIPE,
    DAMAGE_BUCKETS,
    DAMAGE_ITEM,
    DAMAGE_LEAF,
    DAMAGE_NODE,
    DAMAGE_CHUNK,
    DAMAGE_CLASSES
};

struct damage_extent {
    uint64_t off;
    uint32_t bytes; /* a multiple of 8 */
};

/* A prepared segment. */
struct damage_template {
    const char *name;
    unsigned char *bytes; /* as far as memory is claimed */
    uint64_t claimed_bytes, size_bytes;
    struct damage_extent *extents[DAMAGE_CLASSES];
    uint32_t counts[DAMAGE_CLASSES];
    uint64_t digest; /* of all that can be read */
};

#define DAMAGE_TEMPLATES 6u
extern struct damage_template damage_templates[DAMAGE_TEMPLATES];

const char *damage_class_name(enum damage_class c);

/* Says where the structures of a segment of four stripes a table lie. t has claimed_bytes, and no
 * extents yet. */
struct seg;
void damage_find(struct damage_template *t, const struct seg *s);

/* Makes the templates, the same ones in every process. Forks children that die in the middle of
 * writes. */
void damage_prepare(void);

/* One change of a copy. 8 bytes, so that a fuzzer's mutations keep others as they are. */
struct damage_edit {
    uint8_t class_index, kind;
    uint16_t which, word, value; /* which extent of the class; which word of it */
};
#define DAMAGE_KINDS 16u
#define DAMAGE_EDITS_MAX 24u

/* Damages a copy of the template and uses it. Returns if all is well. */
void damage_try(const struct damage_template *t, const struct damage_edit *edits, uint32_t count);
/* The same with some words set to values. */
struct damage_word {
    uint64_t off, value;
};
void damage_try_words(const struct damage_template *t, const struct damage_word *words, uint32_t count);

#endif
