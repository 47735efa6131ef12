/* ttl/restamp.h - updates stored items after a table's TTL attribute changed.
 *
 * Job      Rewrites the items whose expiry was computed under an older TTL attribute, so that they
 *          have timers. Reads do not need it (core/table/read.h, read_is_expired): until it is
 *          done, memory is freed too late, nothing else.
 * Rules    R1 table_shm.restamp is set before a new definition is published, both under the catalog
 *             lock.
 *          R2 It is cleared under the catalog lock, after all stripes were rewritten under the
 *             definition that is still current. So a death anywhere leaves it set while items are
 *             left to rewrite, and the next expirer goes on.
 * Locks    The caller holds none, LOCK_EXPIRER included: the catalog's lock ranks first.
 * Tests    tests/api/ttl_attribute_test.c
 */
#ifndef LARDER_TTL_RESTAMP_H
#define LARDER_TTL_RESTAMP_H

#include "core/table/table.h"

int restamp_is_pending(const struct seg *s);
/* All stripes of one table. LARDER_OK; LARDER_MORE: w is stopping; LARDER_NOT_FOUND: v is no longer
 * current; LARDER_E_FULL, LARDER_E_BUSY, LARDER_E_CORRUPT: the rest stays pending. */
int restamp_table(struct writer *w, const struct table_view *v);
/* All tables that need it. LARDER_OK, or the last failure. */
int restamp_all(struct writer *w);

#endif
