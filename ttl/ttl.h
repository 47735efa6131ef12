/* ttl/ttl.h - the functions that ttl/ registers in core/memory/hooks.h.
 *
 * Job      The names that liblarder.c puts into struct core_hooks. Each does what its comment in
 *          core/memory/hooks.h says.
 * Tests    tests/api/ttl_test.c
 */
#ifndef LARDER_TTL_TTL_H
#define LARDER_TTL_TTL_H

#include "core/memory/hooks.h"
#include "core/table/table.h"

int timer_add(struct writer *w, const struct table_view *v, uint64_t hash, uint32_t at_s);
int timer_make_room(struct writer *w, int64_t now_s);
int timer_purge(struct writer *w, int64_t now_s);
int timer_recover_shard(struct writer *w, lock_word *lock);
void timer_forget_all(const struct seg *s);
int timer_check(struct check_state *c);
void timer_check_item(struct check_state *c, const struct table_view *v, uint64_t hash, const struct item_peek *item);
int timer_judge(struct check_state *c);
int timer_refs(struct check_state *c);

/* The wheel's entries for a table, including those whose items are gone. Locks one shard at a time;
 * on a read-only attachment takes no lock, and the result is an estimate. LARDER_OK, LARDER_E_BUSY,
 * LARDER_E_CORRUPT, LARDER_E_NO_SLOT, .. */
int timer_stats(struct larder *db, uint32_t table_ordinal, uint64_t *entries);

#endif
