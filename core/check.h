/* core/check.h - the audit of a whole segment: what larder_check() runs.
 *
 * Job      Walks catalog, stripes, items, lists, timers and heap; verifies the numbered rules of their headers; marks every block it
 *          reaches, so that blocks handed out but not reachable (leaks) and blocks reached twice show.
 * Rules    C1 Reads everything as untrusted input: bounds first, hops bounded. C2 Holds the gate (core/gate.h), so that
 *          nobody is inside a stripe; on a read-only attachment nothing.
 */
#ifndef LARDER_CORE_CHECK_H
#define LARDER_CORE_CHECK_H

#include "core/notes.h"
#include "core/table.h"

struct check_state {
    struct larder *db;
    struct seg *seg;
    struct larder_check_report *report;
    struct kept_notes notes;
    int64_t now_s;     /* epoch seconds */
    uint64_t *reached; /* a bit per 16 bytes of segment: block starts reached so far. Private memory */
    uint8_t *image;    /* ITEM_IMAGE_BYTES_MAX of private memory: the item that is looked at */
};

/* Counts an error, keeps the first, tells the caller's note. */
void check_error(struct check_state *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A reference to a block was found: it must be handed out, of at least min_bytes, and not reached before. Returns its memory, or NULL
 * after check_error. `what` names the referrer's kind ("item", "leaf"). */
void *check_block(struct check_state *c, uint64_t off, uint64_t min_bytes, const char *what);
/* The item that an entry (hash, kseq) of index ordinal (-1: table order) stands for, or NULL. */
const struct item_head *check_find_item(const struct check_state *c, const struct table_view *v, int ordinal,
                                        uint64_t hash, uint32_t kseq);

#endif
