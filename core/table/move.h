/* core/table/move.h - moves a block of the heap to another place.
 *
 * Job      Given a block, finds what refers to it, and puts the same bytes into another block.
 *          Items, bucket arrays, and through core_hooks->index_move leaves and nodes.
 * Idea     A block says whose it is: an item or a list begins with half of its hash, which leads to
 *          the slot; an array leads to a block that it refers to, and that one to the stripe. What
 *          nothing refers to in this way stays where it is.
 * Rules    V1 A moved item has the same version, key sequences and timer: to users, indexes and the
 *             wheel nothing has changed. Its slot changes by step 0, as in any put.
 *          V2 A reader of a long item goes by slot word and version (core/table/read.c), which are
 *             as before once an item was moved away and back. So the stripe counts its moves,
 *             before the store that publishes one.
 *          V3 What another thread has locked is passed over.
 *          V4 The new block lies outside the spans that the writer empties (writer_avoids).
 * Locks    Called without any. Takes an item stripe; for an array of partitions also the partition
 *          stripe with its number, as core/table/trim.c.
 * Crash    An item: as a put that changes no index key [move_blocks in ARCHITECTURE.md]. An array:
 *          as a larger one.
 * Tests    tests/crash/scenarios.c (move_blocks, ..), tests/api/moved_test.c
 */
#ifndef LARDER_TABLE_MOVE_H
#define LARDER_TABLE_MOVE_H

#include "core/memory/writer.h"

/* Moves the block at off. True: it was moved, or was given back meanwhile. May leave the writer
 * stuck. */
int move_block(struct writer *w, uint64_t off);
/* Whether in the block at off is an item for which it is much too large (heap_is_lent). A guess,
 * without a lock. */
int move_is_lent(struct writer *w, uint64_t off, uint64_t block_bytes);

#endif
