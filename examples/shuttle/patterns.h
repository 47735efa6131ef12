/* patterns.h - the access patterns, one function each.
 *
 * Job      Knows how each pattern of README.md is asked: which key, which index, which condition.
 *          The same functions serve the live phase (a random shop and variant at a time) and the
 *          phase at rest (every shop, every variant).
 */
#ifndef SHUTTLE_PATTERNS_H
#define SHUTTLE_PATTERNS_H

#include <stdbool.h>
#include <stdint.h>

#include "worker.h"

/* Variants: one for each job of the shop, and one for a job that it does not have. */
#define PATTERN_EACH_JOB 0

struct pattern {
    const char *label, *text;
    uint32_t weight;   /* share of a worker's calls; 0: the writer's */
    bool is_of_a_shop; /* else its questions are about all shops, and `shop` is unused */
    uint32_t variants; /* questions of this pattern (for a shop) */
    bool (*run)(struct worker *w, uint32_t shop,
                uint32_t variant); /* whether the answer was right; NULL: the writer's */
};

extern const struct pattern patterns[];
extern const unsigned pattern_count;

/* The writer's own, by their place in patterns[]. */
unsigned pattern_status_change(void);
unsigned pattern_import(void);
unsigned pattern_renewal(void);

uint32_t pattern_variants(const struct pattern *p, const struct gen *g, uint32_t shop);

#endif
