/* tests/torture/audit.c - looks at a segment at rest. See torture.h.
 *
 * Job      Once the workers pause or are dead: larder_check() finds nothing wrong, everything is as
 *          the history says, no slot belongs to a dead process. After everything is deleted, as
 *          much is in use as an empty segment needs: nothing has leaked, by a count that
 *          larder_check() does not make.
 * Counted  Stripes (they stay with their catalog entry), definitions and bucket arrays (they keep
 *          the size they once needed) are subtracted one by one, not measured.
 */
#include <unistd.h>

#include "core/memory/heap.h"
#include "core/table/db.h"
#include "tests/torture/torture.h"

#define ROUNDS 20u /* each key is written as often before the empty segment is measured */
#define SLOTS_MAX 1024u

static void must_be_clean(struct client *c) {
    struct larder_check_report report;
    int r = larder_check(c->db, NULL, &report);
    if (r == LARDER_E_CORRUPT)
        client_wrong(c, content_wrong("audit: check: %lu errors, the first: %s", (unsigned long)report.errors,
                                      report.first_error));
    if (r)
        client_failed(c, "audit: check", r);
    if (report.leaked_blocks || report.stale_entries)
        client_wrong(c, content_wrong("audit: check: %lu leaked blocks, %lu stale entries",
                                      (unsigned long)report.leaked_blocks, (unsigned long)report.stale_entries));
}

static void must_have_no_dead_slots(struct client *c) {
    static struct larder_slot_stats slots[SLOTS_MAX];
    uint32_t count, most = c->run->worker_count * (WORKER_THREADS + 2);
    int r = larder_slot_stats(c->db, slots, SLOTS_MAX, &count);
    if (r)
        client_failed(c, "audit: slots", r);
    for (uint32_t i = 0; i < count; i++)
        if (!slots[i].is_alive || slots[i].lock_count)
            client_wrong(c, content_wrong("audit: slot %u of process %d is %s and holds %u locks", slots[i].slot,
                                          slots[i].pid, slots[i].is_alive ? "alive" : "dead", slots[i].lock_count));
    if (count > most)
        client_wrong(c, content_wrong("audit: %u slots are in use", count));
}

/* Blocks of the catalog's entry, with or without a table. */
static uint64_t entry_bytes(const struct seg *s, uint32_t ordinal) {
    struct table_shm *t = seg_table(s, ordinal);
    uint64_t offs[] = {SHM_LOAD(&t->items_off), SHM_LOAD(&t->partitions_off), SHM_LOAD(&t->schema_off),
                       SHM_LOAD(&t->marks_off)},
             bytes = 0;
    for (unsigned i = 0; i < 4; i++)
        bytes += offs[i] ? heap_block_bytes(s, offs[i]) : 0;
    return bytes;
}

static uint64_t used_bytes(struct client *c) {
    struct larder_segment_stats segment;
    struct larder_table_stats table;
    uint64_t known = 0;
    int r = larder_segment_stats(c->db, &segment);
    for (uint32_t i = 0; i < LARDER_TABLES_MAX; i++)
        known += entry_bytes(&c->db->seg, i);
    for (uint32_t i = 0; i < TABLES && r == LARDER_OK; i++) {
        struct larder_table *t = torture_tables[i].is_dropped ? NULL : client_table(c, i);
        if (t && (r = larder_table_stats(t, &table)) == LARDER_OK)
            known += table.bucket_bytes;
    }
    if (r)
        client_failed(c, "audit: statistics", r);
    return segment.used_bytes - known;
}

/* Deletes everything. Timers of deleted items stay until their second has come. */
static uint64_t empty_and_measure(struct client *c) {
    for (uint32_t table = 0; table < TABLES; table++)
        for (uint32_t key = 0; key < client_keys(c, table); key++)
            do_write(c, table, key, WANT_NOTHING);
    do_drop(c, TABLE_CHURN);
    bank_drop(c);
    if (c->run->has_cache)
        cache_drop(c);
    atomic_fetch_add(&c->h->now_s, CONTENT_EXPIRY_SPAN + 2);
    int r = larder_expire(c->db, 0, NULL);
    if (r)
        client_failed(c, "audit: expire", r);
    must_be_clean(c);
    return used_bytes(c);
}

static void prepare(struct client *c) {
    for (uint32_t table = 0; table < TABLES; table++)
        do_create(c, table);
    bank_create(c);
    if (c->run->has_cache)
        cache_create(c);
    do_index_add(c, TABLE_CHURN);
    for (uint32_t i = 0; i < ROUNDS; i++)
        for (uint32_t table = 0; table < TABLE_HOG; table++)
            for (uint32_t key = 0; key < client_keys(c, table); key++)
                do_write(c, table, key, WANT_ANY);
    do_look(c);
    atomic_store(&c->run->empty_bytes, empty_and_measure(c));
    do_create(c, TABLE_CHURN);
    bank_create(c);
    if (c->run->has_cache)
        cache_create(c);
}

static void empty(struct client *c) {
    uint64_t before = atomic_load(&c->run->empty_bytes), now;
    now = empty_and_measure(c);
    if (now != before)
        client_wrong(c, content_wrong("audit: %lu bytes are in use in the empty segment, %lu were before",
                                      (unsigned long)now, (unsigned long)before));
    do_look(c);
    do_create(c, TABLE_CHURN);
    bank_create(c);
    if (c->run->has_cache)
        cache_create(c);
}

int audit_main(struct run *run, uint32_t what, uint32_t number) {
    struct client c;
    _Atomic uint64_t busy_since_ms;
    uint32_t flags = what & AUDIT_PREPARE ? LARDER_CREATE | LARDER_EXCLUSIVE : 0;
    client_open(&c, run, AUDITOR, run->seed ^ number, flags, BUSY_MS);
    c.busy_since_ms = &busy_since_ms;
    if (what & AUDIT_PREPARE)
        prepare(&c);
    must_be_clean(&c);
    must_have_no_dead_slots(&c);
    do_look(&c);
    bank_look(&c);
    if (what & AUDIT_EMPTY)
        empty(&c);
    larder_close(c.db);
    return EXIT_CLEAN;
}
