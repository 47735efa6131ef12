/* ttl/ttl_set.c - larder_ttl_set(): a table's TTL attribute at run time.
 *
 * Crash    1 restamp = 1   2 the new definition (core/table/table.h)   3 items are rewritten
 *          4 restamp = 0
 *          Dead before 2: nothing changed, and the next expirer finds nothing to rewrite. Dead
 *          later: reads follow the new attribute from 2 on, and the next expirer goes on at 3.
 * Tests    tests/api/ttl_attribute_test.c
 */
#include <string.h>

#include "core/base/err.h"
#include "core/base/utf8.h"
#include "core/table/attempt.h"
#include "core/table/db.h"
#include "ttl/restamp.h"

static int ttl_check_name(const char *attribute) {
    size_t bytes = attribute ? strnlen(attribute, LARDER_NAME_BYTES_MAX + 1) : 1;
    if (bytes == 0 || bytes > LARDER_NAME_BYTES_MAX)
        return err_set(LARDER_E_INVAL, "the name of the TTL attribute has %s bytes; 1 to %d are allowed",
                       bytes ? "too many" : "no", LARDER_NAME_BYTES_MAX);
    if (attribute && utf8_valid_bytes(attribute, bytes) != bytes)
        return err_set(LARDER_E_INVAL, "the name of the TTL attribute is not UTF-8 text");
    return LARDER_OK;
}

static int ttl_is_set_to(const struct table_view *v, const char *attribute) {
    const char *now = v->def.ttl_attribute;
    return now && attribute ? strcmp(now, attribute) == 0 : now == attribute;
}

static int ttl_publish_locked(struct writer *w, const struct table_view *v, const void *attribute) {
    const struct table_change change = {.set_state_ordinal = -1, .set_ttl = 1, .ttl = attribute};
    uint64_t before = SHM_LOAD(&v->shm->restamp);
    SHM_STORE(&v->shm->restamp, 1); /* rule R1 */
    int r = table_change_locked(w, v, &change);
    if (r && !w->is_stuck)
        SHM_STORE(&v->shm->restamp, before);
    return r;
}

struct ttl_wanted {
    struct larder_table *table;
    const char *attribute;
};

/* LARDER_OK: the definition has changed, or already was the wanted one. */
static int ttl_try(struct writer *w, void *arg) {
    const struct ttl_wanted *wanted = arg;
    const struct table_view *v;
    int r = table_view(wanted->table, &v);
    if (r || ttl_is_set_to(v, wanted->attribute))
        return r;
    return table_under_catalog(w, v, ttl_publish_locked, wanted->attribute);
}

int larder_ttl_set(struct larder_table *t, const char *attribute) {
    struct writer *w;
    if (ERR_IS_NULL(t))
        return LARDER_E_INVAL;
    int r = ttl_check_name(attribute);
    if (r == LARDER_OK)
        r = writer_borrow(t->db, &w);
    if (r)
        return r;
    struct room room = {.now_s = db_now(t->db)};
    r = attempt(w, &room, ttl_try, &(struct ttl_wanted){t, attribute});
    /* The change is done, and reads follow it. If items cannot be rewritten now (no memory, or a
     * stopped process holds a lock), that stays pending for the expirer. */
    const struct table_view *v;
    if (r == LARDER_OK && !w->is_stuck && SHM_LOAD(&seg_table(w->seg, t->ordinal)->restamp) != 0 &&
        table_view(t, &v) == LARDER_OK && table_flush(w, v) == LARDER_OK)
        (void)restamp_table(w, v);
    writer_end(w);
    return r;
}
