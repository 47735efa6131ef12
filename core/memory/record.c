/* core/memory/record.c - the record of a transaction. See record.h. */
#include "core/memory/record.h"

#include "core/base/err.h"

struct record_shm *record_at(const struct seg *s, uint64_t off, uint32_t *count) {
    struct record_shm *record = off % 8 == 0 ? seg_at(s, off, sizeof *record) : NULL;
    if (!record || SHM_LOAD(&record->magic) != RECORD_MAGIC)
        return NULL;
    uint64_t entries = SHM_LOAD(&record->count);
    if (entries > RECORD_ENTRIES_MAX || !seg_at(s, off, record_bytes((uint32_t)entries)))
        return NULL;
    *count = (uint32_t)entries;
    return record;
}

int record_look_closer(struct record_view *view, const struct seg *s) {
    view->record = record_at(s, SHM_LOAD(&view->stripe->record_off), &view->count);
    view->state = view->record ? SHM_LOAD(&view->record->state) : 0;
    if (view->state == RECORD_PENDING || view->state == RECORD_COMMITTED)
        return LARDER_OK;
    if (SHM_LOAD(&view->stripe->seq) != view->seq)
        return LARDER_CHANGED;
    return err_set(LARDER_E_CORRUPT, "a stripe says that a transaction changes it, and leads to none");
}

int record_has_hidden(const struct record_view *view, uint64_t word) {
    int is_committed = view->state == RECORD_COMMITTED;
    for (uint32_t i = 0; i < view->count; i++) {
        const struct record_entry_shm *entry = &view->record->entry[i];
        if (SHM_LOAD(is_committed ? &entry->old_word : &entry->new_word) == word)
            return 1;
    }
    return 0;
}

int record_notes_lock(const struct seg *s, const struct slot_shm *slot, uint64_t off) {
    uint32_t count;
    uint64_t record_off = SHM_LOAD(&slot->record_off);
    const struct record_shm *record = record_off ? record_at(s, record_off, &count) : NULL;
    for (uint32_t i = 0; record && i < count; i++)
        if (SHM_LOAD(&record->entry[i].stripe_off) == off)
            return 1;
    return 0;
}
