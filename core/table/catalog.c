/* core/table/catalog.c - the list of tables in the segment, read without a lock. See catalog.h.
 *
 * Rules    C1 What changed while it was read is read again. What did not change and makes no
 *             sense is damage.
 *          C2 No offset is followed before it is checked, so a damaged segment gives
 *             LARDER_E_CORRUPT.
 */
#include "core/table/catalog.h"

#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/memory/heap.h"
#include "core/segment/seg.h"

/* Loads schema_off first: a writer stores a new life before it publishes, so a reader that sees the
 * new offset sees the new life. */
static int is_unchanged(const struct table_shm *t, const struct catalog_entry *e) {
    return SHM_LOAD(&t->schema_off) == e->schema_off && SHM_LOAD(&t->life) == e->life;
}

/* Reads the head, and bytes enough for the longest name. LARDER_OK or LARDER_E_CORRUPT, which may
 * also mean that the block was given back meanwhile. */
static int read_named(const struct seg *s, struct catalog_entry *e) {
    const void *block = seg_at(s, e->schema_off, sizeof e->head);
    if (!block)
        return LARDER_E_CORRUPT;
    shm_copy_out(e->words, block, sizeof e->head);
    if (!schema_head_is_sane(&e->head) || heap_block_bytes(s, e->schema_off) < schema_block_bytes(&e->head) ||
        !seg_at(s, e->schema_off, schema_block_bytes(&e->head)))
        return LARDER_E_CORRUPT;
    size_t bytes = e->head.bytes < sizeof e->words ? e->head.bytes : sizeof e->words;
    shm_copy_out(e->words + sizeof e->head / 8, (const uint8_t *)block + sizeof e->head, bytes - sizeof e->head);
    e->name = schema_name(&e->head, bytes);
    return e->name ? LARDER_OK : LARDER_E_CORRUPT;
}

int catalog_read(const struct seg *s, uint32_t ordinal, struct catalog_entry *e) {
    const struct table_shm *t = seg_table(s, ordinal);
    int result;
    e->ordinal = ordinal;
    do {
        e->life = SHM_LOAD(&t->life);
        e->schema_off = SHM_LOAD(&t->schema_off);
        if (LIFE_STATE(e->life) == TABLE_FREE || e->schema_off == 0)
            result = LARDER_NOT_FOUND;
        else
            result = life_is_known(e->life) ? read_named(s, e) : LARDER_E_CORRUPT;
    } while (!is_unchanged(t, e));
    if (result == LARDER_NOT_FOUND && LIFE_STATE(e->life) == TABLE_READY)
        result = LARDER_E_CORRUPT;
    if (result == LARDER_E_CORRUPT)
        err_set(result, "table number %u of the segment has no definition that makes sense", ordinal);
    return result;
}

int catalog_find(const struct seg *s, const char *name, uint32_t state, struct catalog_entry *e) {
    int missing = LARDER_NOT_FOUND;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++) {
        int result = catalog_read(s, i, e);
        if (result == LARDER_OK && LIFE_STATE(e->life) == state && strcmp(e->name, name) == 0)
            return LARDER_OK;
        if (result == LARDER_E_CORRUPT)
            missing = LARDER_E_CORRUPT;
    }
    return missing;
}

int catalog_copy(const struct seg *s, const struct catalog_entry *e, void *to) {
    uint32_t bytes = schema_block_bytes(&e->head);
    const void *block = seg_at(s, e->schema_off, bytes);
    if (!block)
        return err_set(LARDER_E_CORRUPT, "a table's definition lies outside the segment");
    shm_copy_out(to, block, bytes);
    return is_unchanged(seg_table(s, e->ordinal), e) ? LARDER_OK : LARDER_NOT_FOUND;
}

int catalog_any_retained(const struct seg *s, char *name, size_t name_bytes) {
    int found = 0;
    for (uint32_t i = 0; i < LARDER_TABLES_MAX && !found; i++) {
        struct catalog_entry e;
        int result = catalog_read(s, i, &e);
        if (result < 0)
            return result;
        if (result != LARDER_OK || LIFE_STATE(e.life) != TABLE_READY || e.head.removal != LARDER_REMOVAL_RETAIN)
            continue;
        snprintf(name, name_bytes, "%s", e.name);
        found = 1;
    }
    return found;
}
