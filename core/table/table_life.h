/* core/table/table_life.h - what table_life.c, table_empty.c and table_change.c share. */
#ifndef LARDER_TABLE_TABLE_LIFE_H
#define LARDER_TABLE_TABLE_LIFE_H

#include "core/table/schema.h"

/* larder_table_create() with any name, those of the library's own tables included. */
int table_create(struct larder *db, const struct larder_table_def *def);
/* Recovery of a slot that died inside OP_TABLE_CREATE or OP_TABLE_DROP, in its name. It holds the
 * catalog lock. */
int table_recover_op(struct writer *w, uint32_t op, uint32_t ordinal);

/* ---- Under the catalog lock ------------------------------------------------------------------ */
/* Stores the next generation, in this state. Returns the new life. */
uint64_t table_life_next(struct table_shm *t, uint32_t state);
/* A word of the catalog goes from one block, or none, to another by step 1. The old block goes
 * back. The word is changed in any case; a block that cannot be given back leaves the writer
 * stuck. */
void table_swap(struct writer *w, shm_word *word, uint64_t new_word);
/* Stores a definition and refers to it. is_change: the table is READY and takes a new life.
 * LARDER_OK, LARDER_E_FULL, OBSTACLE_CLAIM, LARDER_E_BUSY, LARDER_E_CORRUPT; a failure changed
 * nothing. Either may leave the writer stuck. */
int table_publish(struct writer *w, struct table_shm *t, const struct schema_source *source, int is_change);

/* Takes the catalog lock. */
int table_lock_catalog(struct writer *w);
/* Drops it, unless the writer is stuck: then the lock stays with the slot, for recovery. */
void table_leave_catalog(struct writer *w);

#endif
