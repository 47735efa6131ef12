/* hist.c - how long calls took. See hist.h. */
#include "hist.h"

static unsigned hist_bucket(uint64_t ns) {
    if (ns < 1u << HIST_SUB_BITS)
        return (unsigned)ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - HIST_SUB_BITS;
    unsigned b = ((shift + 1) << HIST_SUB_BITS) + (unsigned)((ns >> shift) & ((1u << HIST_SUB_BITS) - 1));
    return b < HIST_BUCKETS ? b : HIST_BUCKETS - 1;
}

/* The largest value of a bucket. */
static uint64_t hist_top(unsigned b) {
    if (b < 1u << HIST_SUB_BITS)
        return b;
    unsigned shift = (b >> HIST_SUB_BITS) - 1;
    uint64_t low = (UINT64_C(1) << HIST_SUB_BITS) + (b & ((1u << HIST_SUB_BITS) - 1));
    return ((low + 1) << shift) - 1;
}

/* One writer: a plain load and store, not a read-modify-write. */
static void hist_grow(_Atomic uint64_t *word, uint64_t by) {
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + by, memory_order_relaxed);
}

void hist_add(struct hist *h, uint64_t ns) {
    hist_grow(&h->bucket[hist_bucket(ns)], 1);
    hist_grow(&h->total_ns, ns);
}

uint64_t hist_count(const struct hist *h) {
    uint64_t n = 0;
    for (unsigned b = 0; b < HIST_BUCKETS; b++)
        n += atomic_load_explicit(&h->bucket[b], memory_order_relaxed);
    return n;
}

uint64_t hist_quantile(const struct hist *h, double share) {
    uint64_t n = hist_count(h), seen = 0;
    for (unsigned b = 0; b < HIST_BUCKETS && n > 0; b++) {
        seen += atomic_load_explicit(&h->bucket[b], memory_order_relaxed);
        if ((double)seen >= share * (double)n)
            return hist_top(b);
    }
    return 0;
}

void hist_merge(struct hist *into, const struct hist *from) {
    for (unsigned b = 0; b < HIST_BUCKETS; b++)
        hist_grow(&into->bucket[b], atomic_load_explicit(&from->bucket[b], memory_order_relaxed));
    hist_grow(&into->total_ns, atomic_load_explicit(&from->total_ns, memory_order_relaxed));
}
