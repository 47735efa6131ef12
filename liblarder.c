/* liblarder.c - puts the layers together: what core/ calls of index/ and ttl/. */
#include "core/hooks.h"
#include "index/index.h"
#include "ttl/ttl.h"

static const struct core_hooks hooks = {
    .index_pass = index_pass,
    .index_add = index_add,
    .index_remove = index_remove,
    .index_clear_stripe = index_clear_stripe,
    .index_recover_add = index_recover_add,
    .index_recover_stripe = skl_recover_stripe,
    .index_check = index_check,
    .index_stats = index_stats,
    .timer_add = timer_add,
    .timer_make_room = timer_make_room,
    .timer_recover_shard = timer_recover_shard,
    .timer_area_bytes = timer_area_bytes,
    .timer_forget_all = timer_forget_all,
    .index_refill = index_refill,
    .timer_check = timer_check,
    .timer_stats = timer_stats,
};

const struct core_hooks *const core_hooks = &hooks;
