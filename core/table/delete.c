/* core/table/delete.c - larder_delete(). See write.h.
 *
 * Tests    tests/api/items_test.c, tests/crash/enum_test.c
 */
#include "core/base/err.h"
#include "core/table/write.h"

struct deletion {
    struct write write;
    const struct larder_key *key;
};

static int prepare(struct writer *w, struct write *c) {
    (void)w;
    return write_take_key(c, ((const struct deletion *)c)->key);
}

/* An expired item goes, too, though the call does not find it. */
static int decide(struct writer *w, struct write *c) {
    if (!c->old)
        return LARDER_NOT_FOUND;
    int r = write_keep_old(w, c);
    return r ? r : WRITE_DELETE;
}

int larder_delete(struct larder_table *t, const struct larder_key *key, struct larder_page *deleted) {
    static const struct write_kind kind = {prepare, decide, .takes_memory = 0};
    struct deletion deletion;
    if (ERR_IS_NULL(t) || ERR_IS_NULL(key))
        return LARDER_E_INVAL;
    write_begin(&deletion.write, &kind, t, deleted);
    deletion.key = key;
    int r = write_run(&deletion.write);
    return r == LARDER_OK && !deletion.write.was_there ? LARDER_NOT_FOUND : r;
}
