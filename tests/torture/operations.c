/* tests/torture/operations.c - writes and changes of tables, each noted in the history, each answer
 * judged. See torture.h.
 *
 * Answers  LARDER_E_FULL is allowed for calls that need memory, LARDER_E_BUSY only for an impatient
 *          client. Both, and "no such table", must have changed nothing: the write is noted as
 *          refused, and if any process ever sees it, that is wrong.
 */
#include <stdio.h>

#include "tests/support/until.h"
#include "tests/torture/torture.h"

static void count(_Atomic uint64_t *counter) {
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* True if a refusal is one that this client must live with. */
static int is_excused(struct client *c, int result) {
    if (result == LARDER_E_FULL)
        count(&c->h->counts.refused_full);
    if (result == LARDER_E_BUSY)
        count(&c->h->counts.refused_busy);
    return result == LARDER_E_FULL || (result == LARDER_E_BUSY && c->is_impatient);
}

static void refused(struct client *c, struct shared_note *note, uint32_t table) {
    const char *what = shared_refused(note);
    if (what)
        client_wrong(c, content_wrong("table %s: %s", torture_tables[table].name, what));
}

/* ---- Items ----------------------------------------------------------------------------------- */

/* Serials of unused contents are given back unused. */
static void take_wanted(struct client *c, uint32_t table, uint32_t key, enum want want, struct shared_note *note,
                        struct content *content) {
    struct content_source from = client_source(c, table);
    for (;;) {
        shared_take(c->h, c->author, table, key, note);
        content_of(&from, key, note->serial, content);
        if (want == WANT_ANY || content->is_deleted == (want == WANT_NOTHING))
            return;
        refused(c, note, table);
    }
}

static int64_t expiry_of(const struct client *c, const struct content *content) {
    return content->expires_in_s < 0 ? 0 : atomic_load(&c->h->now_s) + 1 + content->expires_in_s;
}

static int call_write(struct client *c, struct larder_table *t, const struct larder_item *item,
                      const struct larder_key *key, struct larder_page *page) {
    uint64_t start_ms = until_now_ms();
    int r = item ? larder_put(t, item, page) : larder_delete(t, key, page);
    uint64_t took_ms = until_now_ms() - start_ms;
    c->slowest_ms = took_ms > c->slowest_ms ? took_ms : c->slowest_ms;
    return r;
}

static void judge_write(struct client *c, uint32_t table, uint32_t key, struct shared_note *note, int is_delete, int r,
                        int has_page, const struct shared_read *read) {
    if (r == LARDER_OK || (r == LARDER_NOT_FOUND && is_delete)) {
        shared_acked(note);
        count(&c->h->counts.writes);
        if (r == LARDER_NOT_FOUND)
            judge_was_absent(c, table, key, note->serial, read);
        else if (has_page)
            judge_replaced(c, table, key, note->serial, read);
        return;
    }
    refused(c, note, table);
    if (r == LARDER_E_NO_TABLE)
        client_table_gone(c, table, read);
    else if (!is_excused(c, r) || (is_delete && r == LARDER_E_FULL))
        client_failed(c, is_delete ? "delete" : "put", r);
}

void do_write(struct client *c, uint32_t table, uint32_t key, enum want want) {
    struct larder_table *t = client_table(c, table);
    struct content_source from = client_source(c, table);
    struct larder_page *page = rng_is_one_in(&c->rng, 3) ? c->page : NULL;
    const struct larder_item *item = NULL;
    struct shared_note note;
    struct content content;
    struct content_key k;
    struct shared_read read;
    if (!t)
        return;
    take_wanted(c, table, key, want, &note, &content);
    content_key(&from, key, &k);
    int64_t expires_s = expiry_of(c, &content);
    int r =
        content.is_deleted ? LARDER_OK : content_build(c->builder, &from, key, note.serial, &content, expires_s, &item);
    if (r)
        client_failed(c, "build", r);
    shared_read_begin(c->h, &read);
    shared_begin(&note, expires_s);
    r = call_write(c, t, item, &k.key, page);
    shared_read_end(c->h, &read);
    judge_write(c, table, key, &note, content.is_deleted, r, page != NULL, &read);
}

/* ---- Tables ---------------------------------------------------------------------------------- */

void do_create(struct client *c, uint32_t table) {
    const struct torture_table *t = &torture_tables[table];
    struct larder_index_def indexes[CONTENT_INDEXES];
    struct larder_table_def def = {.name = t->name,
                                   .partition = {"PK", t->keys == CONTENT_TEXT_KEYS    ? LARDER_S
                                                       : t->keys == CONTENT_NUMBER_KEY ? LARDER_N
                                                                                       : LARDER_B},
                                   .indexes = indexes,
                                   .ttl_attribute = t->has_ttl ? "exp" : NULL};
    if (t->keys != CONTENT_NUMBER_KEY)
        def.sort = (struct larder_key_def){"SK", t->keys == CONTENT_TEXT_KEYS ? LARDER_S : LARDER_N};
    for (int i = 0; i < CONTENT_INDEXES; i++)
        if (t->indexes & 1u << i)
            indexes[def.index_count++] = content_indexes[i];
    int r = larder_table_create(c->db, &def);
    if (r == LARDER_OK)
        count(&c->h->counts.creates);
    else if (r != LARDER_E_EXISTS && !is_excused(c, r))
        client_failed(c, "create", r);
}

void do_drop(struct client *c, uint32_t table) {
    struct shared_note note;
    struct shared_read read;
    shared_take(c->h, c->author, table, SHARED_DROP, &note);
    shared_read_begin(c->h, &read);
    shared_begin(&note, 0);
    int r = larder_table_drop(c->db, torture_tables[table].name);
    shared_read_end(c->h, &read);
    if (r == LARDER_OK) {
        shared_acked(&note);
        count(&c->h->counts.drops);
        return;
    }
    refused(c, &note, table);
    if (r == LARDER_E_NO_TABLE)
        client_table_gone(c, table, &read);
    else if (!is_excused(c, r) || r == LARDER_E_FULL)
        client_failed(c, "drop", r);
}

static void judge_change(struct client *c, uint32_t table, struct shared_note *note, const char *call, int r,
                         const struct shared_read *read) {
    if (r == LARDER_OK) {
        shared_acked(note);
        return;
    }
    refused(c, note, table);
    if (r == LARDER_E_NO_TABLE)
        client_table_gone(c, table, read);
    else if (r != LARDER_E_EXISTS && !is_excused(c, r))
        client_failed(c, call, r);
}

void do_index_add(struct client *c, uint32_t table) {
    struct larder_table *t = client_table(c, table);
    struct shared_note note;
    struct shared_read read;
    if (!t)
        return;
    shared_take(c->h, c->author, table, SHARED_INDEX, &note);
    shared_read_begin(c->h, &read);
    shared_begin(&note, 1);
    int r = larder_index_add(t, &content_indexes[torture_tables[table].added_index]);
    shared_read_end(c->h, &read);
    if (r == LARDER_OK)
        count(&c->h->counts.index_adds);
    judge_change(c, table, &note, "index_add", r, &read);
}

void do_ttl_set(struct client *c, uint32_t table, int is_on) {
    struct larder_table *t = client_table(c, table);
    struct shared_note note;
    struct shared_read read;
    if (!t)
        return;
    shared_take(c->h, c->author, table, SHARED_TTL, &note);
    shared_read_begin(c->h, &read);
    shared_begin(&note, is_on);
    int r = larder_ttl_set(t, is_on ? "exp" : NULL);
    shared_read_end(c->h, &read);
    if (r == LARDER_OK)
        count(&c->h->counts.ttl_sets);
    judge_change(c, table, &note, "ttl_set", r, &read);
}

/* ---- The segment ----------------------------------------------------------------------------- */

void do_expire(struct client *c, uint64_t items_max) {
    int r = larder_expire(c->db, items_max, NULL);
    if (r != LARDER_OK && r != LARDER_MORE && r != LARDER_E_BUSY) /* another may be the expirer */
        client_failed(c, "expire", r);
    count(&c->h->counts.expires);
}

void do_check(struct client *c) {
    struct larder_check_report report;
    int r = larder_check(c->db, NULL, &report);
    if (r == LARDER_E_CORRUPT)
        client_wrong(
            c, content_wrong("check: %lu errors, the first: %s", (unsigned long)report.errors, report.first_error));
    if (r != LARDER_OK && !is_excused(c, r))
        client_failed(c, "check", r);
    if (r == LARDER_OK && report.leaked_blocks)
        client_wrong(c, content_wrong("check: %lu leaked blocks", (unsigned long)report.leaked_blocks));
    count(&c->h->counts.checks);
}

void do_statistics(struct client *c) {
    struct larder_segment_stats segment;
    struct larder_slot_stats slots[64];
    struct larder_class_stats classes[32];
    uint32_t slot_count, class_count;
    int r = larder_segment_stats(c->db, &segment);
    if (r == LARDER_OK)
        r = larder_slot_stats(c->db, slots, 64, &slot_count);
    if (r == LARDER_OK)
        r = larder_class_stats(c->db, classes, 32, &class_count);
    if (r)
        client_failed(c, "statistics", r);
    if (segment.used_bytes > segment.claimed_bytes || segment.claimed_bytes > segment.size_bytes)
        client_wrong(c, content_wrong("statistics: %lu bytes used of %lu claimed of %lu",
                                      (unsigned long)segment.used_bytes, (unsigned long)segment.claimed_bytes,
                                      (unsigned long)segment.size_bytes));
}
