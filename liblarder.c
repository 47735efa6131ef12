/* liblarder.c - puts the layers together: what core/ calls of index/ and ttl/. */
#include "core/memory/hooks.h"
#include "core/table/finish.h"
#include "index/index.h"
#include "ttl/ttl.h"

static const struct core_hooks hooks = {
    .finish_operation = finish_operation,
    .index_pass = index_pass,
    .index_add = index_add,
    .index_remove = index_remove,
    .index_clear_stripe = index_clear_stripe,
    .index_recover_add = index_recover_add,
    .index_recover_stripe = skl_recover_stripe,
    .index_check_stripe = index_check_stripe,
    .index_sum_item = index_sum_item,
    .index_judge_item = index_judge_item,
    .index_move = skl_move_locked,
    .index_trim = skl_trim_stripe_locked,
    .index_refers = index_refers,
    .index_stripe_of = index_stripe_of,
    .index_stats = index_stats,
    .timer_add = timer_add,
    .timer_make_room = timer_make_room,
    .timer_purge = timer_purge,
    .timer_recover_shard = timer_recover_shard,
    .timer_forget_all = timer_forget_all,
    .index_refill = index_refill,
    .index_count_items = index_count_items,
    .timer_check = timer_check,
    .timer_check_item = timer_check_item,
    .timer_judge = timer_judge,
    .timer_refs = timer_refs,
    .timer_stats = timer_stats,
};

const struct core_hooks *const core_hooks = &hooks;
