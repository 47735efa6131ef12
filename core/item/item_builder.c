/* core/item/item_builder.c - the builder's first failure, and its memory.
 *
 * Rules    B1 and B2 of core/item/item_build.c.
 * Tests    tests/unit/item/item_refuse_test.c
 */
#include "core/item/item_builder.h"

#include <string.h>

#include "core/base/err.h"
#include "core/base/priv.h"

#define BUILD_BUFFER_MIN 512 /* bytes */
#define BUILD_ENTRIES_MIN 64

int build_fail(struct larder_builder *b, int result) {
    b->error = result;
    strncpy(b->error_text, larder_error(), sizeof b->error_text - 1);
    return result;
}

int build_say_failure(const struct larder_builder *b) {
    return err_set(b->error, "%s", b->error_text);
}

int build_grow(struct larder_builder *b, struct build_buffer *buffer, size_t bytes) {
    size_t capacity = buffer->capacity ? buffer->capacity : BUILD_BUFFER_MIN;
    while (capacity < bytes)
        capacity *= 2;
    uint8_t *grown = priv_realloc(b->priv, buffer->at, capacity);
    if (!grown)
        return build_fail(b, LARDER_E_NO_MEMORY);
    buffer->at = grown;
    buffer->capacity = capacity;
    return LARDER_OK;
}

int build_grow_entries(struct larder_builder *b, size_t count) {
    size_t capacity = b->entry_capacity ? b->entry_capacity : BUILD_ENTRIES_MIN;
    while (capacity < count)
        capacity *= 2;
    struct build_entry *grown = priv_realloc(b->priv, b->entries, capacity * sizeof *grown);
    if (!grown)
        return build_fail(b, LARDER_E_NO_MEMORY);
    b->entries = grown;
    b->entry_capacity = capacity;
    return LARDER_OK;
}
