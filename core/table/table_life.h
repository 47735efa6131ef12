/* core/table/table_life.h - what table.c, table_life.c, table_empty.c and table_change.c share. */
#ifndef LARDER_TABLE_TABLE_LIFE_H
#define LARDER_TABLE_TABLE_LIFE_H

#include "core/table/schema.h"

/* Makes a view that is in no list: the caller's own, to be freed with priv_free() or put into
 * db->views.current. LARDER_OK, LARDER_NOT_FOUND (no definition stands there), LARDER_E_CORRUPT,
 * LARDER_E_NO_MEMORY. */
int table_view_read(struct larder *db, uint32_t ordinal, struct table_view **view);

/* ---- Under the catalog lock ------------------------------------------------------------------ */
/* The generation that follows, in this state. Returns the new life. */
uint64_t table_life_next(struct table_shm *t, uint32_t state);
/* A word of the catalog goes from one block, or none, to another by step 1; the old block goes
 * back. The word is changed in any case; what cannot be given back leaves the writer stuck. */
void table_swap(struct writer *w, shm_word *word, uint64_t new_word);
/* Stores a definition and refers to it. is_change: of a table that is READY, which takes a new
 * life. LARDER_OK, LARDER_E_FULL, OBSTACLE_CLAIM, LARDER_E_BUSY, LARDER_E_CORRUPT; a failure
 * changed nothing. Either may leave the writer stuck. */
int table_publish(struct writer *w, struct table_shm *t, const struct schema_source *source, int is_change);

/* Takes the catalog lock. */
int table_lock_catalog(struct writer *w);
/* Drops it, unless the writer is stuck: then it stays with the slot, for recovery. */
void table_leave_catalog(struct writer *w);

#endif
