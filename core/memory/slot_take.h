/* core/memory/slot_take.h - taking a slot of the segment for a thread. */
#ifndef LARDER_MEMORY_SLOT_TAKE_H
#define LARDER_MEMORY_SLOT_TAKE_H

#include "core/memory/writer.h"

/* A writer with a slot of its own. LARDER_OK; after wait_ms, with a message, LARDER_E_NO_SLOT (all
 * owners are alive) or LARDER_E_BUSY (some are not); LARDER_E_OS, LARDER_E_ACCESS,
 * LARDER_E_NO_MEMORY; what pool->check returns during the wait. */
int slot_take(struct writer_pool *pool, uint32_t wait_ms, struct writer **out);

#endif
