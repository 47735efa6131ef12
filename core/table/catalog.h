/* core/table/catalog.h - the list of tables in the segment, read without a lock.
 *
 * Job      Says which tables there are, finds one by name, and copies a definition out of the
 *          segment.
 * Why      The pair (life, schema_off) of a table_shm names one definition for ever. Every change
 *          takes a new generation before it publishes the new block's offset, so no pair comes
 *          back. A copy is good if the pair is the same before and after it. A view is current
 *          while the pair is the one that it was made from.
 * Tests    tests/api/table_test.c
 */
#ifndef LARDER_TABLE_CATALOG_H
#define LARDER_TABLE_CATALOG_H

#include "core/table/schema.h"

#define LIFE_STATE(life) ((uint32_t)((life)&0xff))
#define LIFE_GENERATION(life) ((life) >> 8)
/* The next life, in the same or another state. */
#define LIFE_NEXT(life, state) ((LIFE_GENERATION(life) + 1) << 8 | (state))
static inline int life_is_known(uint64_t life) {
    uint32_t state = LIFE_STATE(life);
    return state == TABLE_FREE || state == TABLE_CREATING || state == TABLE_READY || state == TABLE_DROPPING;
}

struct catalog_entry {
    uint32_t ordinal;
    uint64_t life, schema_off; /* the pair it was read under */
    union {
        struct schema_head head;
        uint64_t words[(SCHEMA_NAMED_BYTES) / 8];
    };
    const char *name; /* in words */
};

/* Reads an entry that has a definition. LARDER_OK, LARDER_NOT_FOUND (it has none),
 * LARDER_E_CORRUPT. */
int catalog_read(const struct seg *s, uint32_t ordinal, struct catalog_entry *e);
/* The entry in `state` with this name. LARDER_OK, LARDER_NOT_FOUND; LARDER_E_CORRUPT: not found,
 * but some entry is damaged. */
int catalog_find(const struct seg *s, const char *name, uint32_t state, struct catalog_entry *e);
/* Copies the whole definition to `to` (schema_block_bytes(), 8-aligned). LARDER_OK;
 * LARDER_NOT_FOUND: it changed meanwhile; LARDER_E_CORRUPT. */
int catalog_copy(const struct seg *s, const struct catalog_entry *e, void *to);
/* For larder_destroy(), on a mapping that may be read-only and damaged. 1, with the name of a table
 * whose removal policy is Retain; 0: there is none; LARDER_E_CORRUPT. */
int catalog_any_retained(const struct seg *s, char *name, size_t name_bytes);

#endif
