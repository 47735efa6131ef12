/* ttl/restamp.h - bringing stored items up to date after a table's TTL attribute changed.
 *
 * Job      Rewrites the items whose expiry was computed under an older TTL attribute, so that they
 *          have timers. Reads do not need it (core/table/read.h, read_is_expired): until it is done
 *          memory comes back too late, nothing else.
 * Rules    R1 table_shm.restamp is set before a new definition is published, both under the catalog
 *             lock.
 *          R2 It is cleared under the catalog lock, after all stripes were rewritten under the
 *             definition that is still current. So a death anywhere leaves it set if there is
 *             anything left to do, and the next expirer does it.
 * Locks    The caller holds none, LOCK_EXPIRER included: the catalog's lock ranks first.
 * Tests    tests/api/ttl_attribute_test.c
 */
#ifndef LARDER_TTL_RESTAMP_H
#define LARDER_TTL_RESTAMP_H

#include "core/table/table.h"

int restamp_is_pending(const struct seg *s);
/* All stripes of one table. LARDER_OK; LARDER_NOT_FOUND: v is no longer current; LARDER_E_FULL,
 * LARDER_E_BUSY, LARDER_E_CORRUPT: what is left stays pending. */
int restamp_table(struct writer *w, const struct table_view *v);
/* All tables that want it. LARDER_OK, or the last failure. */
int restamp_all(struct writer *w);

#endif
