/* tests/unit/memory/heap_kit.h - a heap and the model that it must equal.
 *
 * Method   The model has a byte per 16 bytes of segment. A block that a test keeps leaves the hand
 *          as if a step had linked it, and is put back in hand to be given. At the end
 *          larder_check() and heap_totals() are compared.
 */
#ifndef LARDER_TESTS_UNIT_MEMORY_HEAP_KIT_H
#define LARDER_TESTS_UNIT_MEMORY_HEAP_KIT_H

#include "core/memory/heap_span.h"
#include "core/table/db.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"

#define MIB (UINT64_C(1) << 20)
#define UNIT 16u /* all classes are multiples of it */
#define BLOCKS_MAX 200000u
#define CLASS_BYTES_MAX 8192u

struct block {
    uint64_t off, bytes, stamp;
};

struct fixture {
    struct larder *db;
    struct writer *w;
    struct rng rng;
    struct heap_totals before;
    struct block *blocks;
    uint8_t *taken; /* a byte per UNIT of segment */
    uint32_t count;
};

void begin(struct fixture *f, uint64_t bytes);
void expect_clean(struct larder *db);

unsigned hand_of(const struct writer *w, uint64_t off);
int take_claiming(struct writer *w, uint64_t bytes, unsigned flags, uint64_t *off);
int give_back(struct writer *w, uint64_t off);

shm_word *word_of(const struct writer *w, uint64_t off, uint64_t bytes, int is_last);
void mark(struct fixture *f, const struct block *b, uint8_t from, uint8_t to);
int model_take(struct fixture *f, uint64_t bytes, unsigned flags);
void model_give(struct fixture *f, uint32_t i);
void model_give_all(struct fixture *f);
uint64_t model_bytes(const struct fixture *f);

/* heap_totals() says what the model says. */
void expect_totals(const struct fixture *f);
void finish(struct fixture *f);

/* Sizes as an engine asks for them: mostly small, some near a class's end, some runs. */
uint64_t random_bytes(struct rng *r);

/* `rounds` takes and gives, with phases of more takes and of more gives. */
void churn(struct fixture *f, uint32_t rounds);

/* Takes what is left, except for the spans that only arrays may use. */
void fill_up(struct fixture *f);

/* A full segment with four arenas: two spans of 384 bytes, all taken, in the arena of f->w; and a
 * writer of another one. */
void begin_full(struct fixture *f, struct writer **other);

#endif
