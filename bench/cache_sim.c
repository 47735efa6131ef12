/* bench/cache_sim.c - see cache_sim.h. */
#include "bench/cache_sim.h"

#include <stdlib.h>

#include "bench/fail.h"

#define NONE UINT32_MAX

struct entry {
    uint32_t newer, older;
    bool is_in, is_used;
};

struct cache_sim {
    enum cache_policy policy;
    uint32_t capacity, count;
    uint32_t newest, oldest, hand; /* hand: SIEVE's next to look at; NONE: the oldest */
    struct entry entry[];
};

struct cache_sim *cache_sim_new(enum cache_policy policy, uint32_t keys_max, uint32_t capacity) {
    struct cache_sim *c = calloc(1, sizeof *c + (size_t)keys_max * sizeof *c->entry);
    if (!c)
        fail("no memory for a simulated cache");
    c->policy = policy;
    c->capacity = capacity;
    c->newest = c->oldest = c->hand = NONE;
    return c;
}

void cache_sim_free(struct cache_sim *c) {
    free(c);
}

static void unlink_key(struct cache_sim *c, uint32_t key) {
    struct entry *e = &c->entry[key];
    *(e->newer == NONE ? &c->newest : &c->entry[e->newer].older) = e->older;
    *(e->older == NONE ? &c->oldest : &c->entry[e->older].newer) = e->newer;
    e->is_in = false;
    c->count--;
}

static void link_newest(struct cache_sim *c, uint32_t key) {
    c->entry[key] = (struct entry){.newer = NONE, .older = c->newest, .is_in = true};
    *(c->newest == NONE ? &c->oldest : &c->entry[c->newest].newer) = key;
    c->newest = key;
    c->count++;
}

static void evict_sieve(struct cache_sim *c) {
    uint32_t at = c->hand == NONE ? c->oldest : c->hand;
    while (c->entry[at].is_used) {
        c->entry[at].is_used = false;
        at = c->entry[at].newer == NONE ? c->oldest : c->entry[at].newer;
    }
    c->hand = c->entry[at].newer;
    unlink_key(c, at);
}

bool cache_sim_access(struct cache_sim *c, uint32_t key) {
    struct entry *e = &c->entry[key];
    bool is_hit = e->is_in;
    if (is_hit && c->policy == CACHE_SIEVE) {
        e->is_used = true;
        return true;
    }
    if (is_hit)
        unlink_key(c, key);
    else if (c->count == c->capacity && c->policy == CACHE_SIEVE)
        evict_sieve(c);
    else if (c->count == c->capacity)
        unlink_key(c, c->oldest);
    link_newest(c, key);
    return is_hit;
}
