/* oracle.h - judges the engine's answers without asking the engine.
 *
 * Job      For a question, filters and sorts the generator's items (brute force), and compares the
 *          engine's answer item by item: all attributes, order, nothing missing, nothing twice,
 *          nothing else.
 * Picture  oracle_ask(question) -> candidates, marked
 *          larder_query() -> page -> oracle_judge(page) ... -> oracle_end()
 * Rules    O1 A fixed item is in the answer exactly if it matches.
 *          O2 A returned live item is whole (all attributes are of one revision) and matches at
 *             that revision. The revision is not older than the one acknowledged before the
 *             question or seen before by this process, and not newer than what the writer has
 *             begun.
 *          O3 A live item that matches at every revision it can have had during the call is there;
 *             one that matches at none is not. When the writer is at rest, O2 and O3 leave one
 *             right answer, as O1 does.
 *          O4 Sort keys never fall (never rise when descending); items of equal sort key may come
 *             in any order.
 * Not here Timing and calling (worker.c), sessions that expire (expiry.c).
 */
#ifndef SHUTTLE_ORACLE_H
#define SHUTTLE_ORACLE_H

#include <larder.h>
#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "gen.h"
#include "key.h"

#define ORACLE_ALL_SHOPS GEN_NONE
#define ORACLE_ALL_KINDS (~0u)
#define ORACLE_CACHE_MAX 80

/** A query, and the items in which brute force looks for its answer. */
struct oracle_question {
    enum key_index index;
    enum larder_sort_op op;
    char partition[KEY_TEXT_BYTES], low[KEY_TEXT_BYTES], high[KEY_TEXT_BYTES];
    bool is_descending;
    uint32_t page_items; /* per page; 0: no bound */
    uint32_t
        /* over all pages; 0: no bound. Only for the jobs of a shop in the table, whose keys never
         * change */
        items_max;
    uint32_t shop; /* all items of this shop, or ORACLE_ALL_SHOPS */
    /* bits 1 << enum gen_kind, for ORACLE_ALL_SHOPS: other kinds are not in that index */
    unsigned kinds;
    /* 0, or 1..ORACLE_CACHE_MAX: the number of a kept answer, because all shops are many */
    uint32_t cache;
};

struct oracle_ids {
    uint32_t *id, count;
    bool is_kept;
};

struct oracle_sorted {
    char sort[KEY_TEXT_BYTES];
    uint32_t id;
};

struct oracle {
    const struct gen *gen;
    struct board *board;
    uint64_t *fingerprint; /* by id, of fixed items; 0: not computed yet */
    /* by id: 2 * round if a candidate of this round, 2 * round + 1 once seen */
    uint32_t *mark;
    /* by live number: smallest revision this answer may show; newest seen so far */
    uint32_t *low, *seen;
    uint32_t round;
    struct oracle_sorted *sorted; /* room for the jobs of the largest shop */
    struct oracle_ids scratch, kept[ORACLE_CACHE_MAX + 1];
    /* The question being judged. */
    struct oracle_question question;
    const struct oracle_ids *candidates;
    char last_sort[KEY_TEXT_BYTES];
    uint64_t item_count;
    char complaint[BOARD_NOTE_BYTES]; /* "" while the answer is right */
};

/** False if there is no memory. */
bool oracle_init(struct oracle *o, const struct gen *g, struct board *board);
void oracle_done(struct oracle *o);

/** Starts a question: call before the engine is asked. */
void oracle_ask(struct oracle *o, const struct oracle_question *q);
/** The same if only item `id` (GEN_NONE: none) can be in the answer: one full primary key, or a
 * unique sort key. */
void oracle_ask_one(struct oracle *o, const struct oracle_question *q, uint32_t id);
/** Judges the items of one page, in order. */
void oracle_judge(struct oracle *o, const struct larder_page *page);
/** Ends the question: no more items will come. @return Whether the answer was right; if not,
 * o->complaint says why. */
bool oracle_end(struct oracle *o);
/** Adds a complaint of the caller's own, such as a failed call. */
void oracle_complain(struct oracle *o, const char *what, const char *partition, const char *sort);

/** Copies a text attribute; false if the item has none of that name, or it is not text or too
 * long. */
bool oracle_text(const struct larder_item *item, const char *name, char out[KEY_TEXT_BYTES]);

#endif
