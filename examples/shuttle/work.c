/* work.c - a worker: asks the access patterns and judges every answer. See work.h. */
#include "work.h"

#include <stdlib.h>

#include "patterns.h"
#include "worker.h"

static unsigned work_pick(struct worker *w, uint32_t weight_sum) {
    uint32_t at = rng_below(&w->rng, weight_sum);
    unsigned i = 0;
    while (at >= patterns[i].weight)
        at -= patterns[i++].weight;
    return i;
}

static void work_ask(struct worker *w, unsigned pattern, uint32_t shop, uint32_t variant) {
    w->pattern = pattern;
    bool is_right = patterns[pattern].run(w, shop, variant);
    if (w->spent_ns > 0) /* pattern 23 has no question before the first wave */
        worker_count(w, is_right);
}

static void work_live(struct worker *w) {
    uint32_t weight_sum = 0;
    for (unsigned i = 0; i < pattern_count; i++)
        weight_sum += patterns[i].weight;
    while (atomic_load(&w->board->phase) != BOARD_REST) {
        unsigned i = work_pick(w, weight_sum);
        uint32_t shop = zipf_pick(&w->zipf, &w->rng);
        work_ask(w, i, shop, rng_below(&w->rng, pattern_variants(&patterns[i], &w->gen, shop)));
    }
}

/* Every shop and every variant of every pattern, divided among the workers by shop, or by
 * variant. */
static void work_rest(struct worker *w, uint32_t share, uint32_t share_count) {
    for (unsigned i = 0; i < pattern_count; i++) {
        const struct pattern *p = &patterns[i];
        if (!p->run)
            continue;
        if (!p->is_of_a_shop) {
            for (uint32_t v = share; v < p->variants; v += share_count)
                work_ask(w, i, 0, v);
            continue;
        }
        for (uint32_t shop = share; shop < w->gen.load.shop_count; shop += share_count)
            for (uint32_t v = 0; v < pattern_variants(p, &w->gen, shop); v++)
                work_ask(w, i, shop, v);
    }
}

int work_run(const char *segment, int board_fd, uint32_t slot, uint32_t share, uint32_t share_count) {
    struct worker w;
    bool is_open = worker_open(&w, segment, board_fd, slot);
    if (is_open) {
        work_live(&w);
        work_rest(&w, share, share_count);
    }
    worker_close(&w);
    return is_open ? EXIT_SUCCESS : EXIT_FAILURE;
}
