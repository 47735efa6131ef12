/* core/audit/repair.h - repairs a damaged segment in place: what larder_repair() runs.
 *
 * Idea     Two things are the truth: the definitions of tables, and the words of the items' hash
 *          tables with the images they refer to. Both can be judged by themselves, without the
 *          heap, the lists or any journal: a definition has a checksum, an image is a function of
 *          its attributes and has (a part of) the hash of its key. Everything else is rebuilt from
 *          them.
 * Order    1 alone   creation lock, state REPAIRING, every slot without an owner, catalog lock,
 *                    gate; all live owners idle (repair_enter.c)
 *          2 plan    judge definitions, stripes, bucket arrays and items; their places become a
 *                    plan of the heap. Private memory, no store (repair_table.c, repair_item.c,
 *                    repair_heap.c)
 *          3 forget  lists, wheel, journals
 *          4 heap    span states and bitmaps as planned: from here other memory is free
 *          5 refill  stripes and arrays that were lost or doubtful, small damages of items, lists,
 *                    timers
 *          6 end     state READY, gate open, slots given back; then larder_check() decides
 * Rules    M1 Until the new word is stored, no byte that step 2 has read is overwritten. The plan
 *             keeps doubtful bucket arrays as they are (reserved) until one word has swapped in a
 *             larger array of the items found in them. So a repair that dies anywhere is repeated
 *             from step 2, and finds the same items.
 *          M2 While the state is REPAIRING, no other process starts anything, and none recovers the
 *             repairing one: its journal is useless, because everything in it is rebuilt. A death
 *             leaves steps open; step 3 forgets them.
 *          M3 Nothing is resurrected: an image without a slot is not looked for. Freed blocks hold
 *             images of old versions and deleted items, and look the same.
 *          M4 Stripes move only if no other process is attached for writing: a process that was
 *             stopped at one of their locks would wake up in a block of another use (layout rule
 *             L3).
 *          M5 If no item of a table fits its definition, the definition is another table's. If the
 *             entry of that table refers to it, too, the first one is lost. Else the repair
 *             refuses, and changes nothing.
 *          M6 Nothing stored is worse than what it replaces: ARCHITECTURE.md, "What a repair
 *             stores".
 * Full     Lists that grew by chance may have been denser than rebuilt ones. Items for whose
 *          entries there is no room are dropped, expired ones first, and steps 2 to 5 are repeated.
 * Tests    tests/crash/repair_area_test.c and the other repair_*_test.c there
 */
#ifndef LARDER_AUDIT_REPAIR_H
#define LARDER_AUDIT_REPAIR_H

#include "core/base/notes.h"
#include "core/table/table.h"

/* A span as the heap will be. Private memory. */
struct repair_span {
    uint8_t state, class_index;
    uint16_t least, most;                 /* SMALL: bytes its blocks can have, by their contents */
    uint32_t run;                         /* RUN: spans */
    uint64_t used[SPAN_BITMAP_WORDS];     /* blocks with a reference */
    uint64_t reserved[SPAN_BITMAP_WORDS]; /* blocks that must not be handed out yet (M1) */
    uint32_t next, prev;                  /* of the bin's list: store_lists() in repair_heap.c */
    uint8_t is_reserved;                  /* a span that only exists for the reserved bytes in it */
};

/* What becomes of a stripe's bucket array. 0: it stays, except for counts. */
#define ARRAY_DOUBTFUL 1u /* links, tags or size are wrong: a new one replaces it */
#define ARRAY_UNCLEAN 2u  /* some words refer to no item, or to one twice: they become 0 */
#define ARRAY_NOWHERE 4u  /* doubtful: its word leads to no place where it can be */
#define ARRAY_UNTOLD 8u   /* some words lead to no item of the stripe, and were not named */

/* A table and what was found of it. */
struct repair_table {
    struct table_view *v; /* NULL: there is none, or it was lost */
    uint64_t *item;       /* blocks of items that stay, stripe after stripe */
    size_t count, capacity;
    /* [stripe_count] number of the first item after the stripe's */
    uint32_t *stripe_end;
    uint8_t *array;                                /* [stripe_count] ARRAY_... */
    uint32_t *named;                               /* [stripe_count] items lost and named, each by its word */
    uint64_t items_off, partitions_off, marks_off; /* 0: lost, or there was none */
    int is_lost;                                   /* its definition cannot be read */
    /* images with a true hash, in their stripe; those of them that the definition does not fit */
    uint64_t true_count, unfit_count;
};

struct repair {
    struct larder *db;
    struct seg *seg;
    struct larder_repair_report *report;
    struct kept_notes notes;
    int64_t now_s;
    uint32_t deadline_ms; /* for processes in the middle of a change */
    uint64_t patience_ms; /* wait_now_ms() from which those that stand still are not waited for */
    struct writer w;      /* ours: in a slot that no process lived in */
    void *image;          /* room for an image, as w.scratch has. Private memory */
    void *creation;       /* the creation lock */
    void **live;          /* by slot: its liveness lock, held by us; NULL: a process lives there */
    uint32_t state_before;
    int is_marked, has_gate, has_catalog;
    int has_begun;                        /* something was changed that cannot be undone */
    uint32_t gate_before, catalog_before; /* the words that ours replaced */
    /* what our slot contained */
    uint64_t slot_before[sizeof(struct slot_shm) / sizeof(uint64_t)];
    uint64_t claimed_before;
    int has_claimed, has_raised;     /* claimed_bytes may differ from claimed_before */
    uint32_t descriptor_count;       /* spans whose descriptors are backed by memory */
    struct repair_span *span;        /* [span_count] */
    struct repair_table *table;      /* [LARDER_TABLES_MAX] */
    uint64_t sane_count, hash_count; /* sane images; those of them whose hash is right */
    uint64_t items_planned;          /* by the previous round, less those dropped */
    uint32_t *chain_of;              /* repair_array.c: bucket -> the chain it belongs to */
    size_t chain_capacity;
    uint8_t borrows[LARDER_TABLES_MAX]; /* by table: its entry refers to another's definition (M5) */
    int is_quiet;                       /* a further round: losses were noted before */
    int is_loose;                       /* dense lists did not find room */
};

/* Keeps a line for the caller, which gets it after all locks are dropped (repair_note.c). */
void repair_note(struct repair *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- Alone (repair_enter.c) ------------------------------------------------------------------ */

/* One repair at a time: the creation lock. LARDER_OK, LARDER_E_BUSY, LARDER_E_OS. */
int repair_begin(struct repair *p);
void repair_end(struct repair *p);
/* LARDER_OK; LARDER_E_BUSY with a message that names the process in the way; LARDER_E_OS, ... Call
 * repair_leave() in any case. */
int repair_enter(struct repair *p);
/* After the plan: no process is inside a stripe of the tables that stay, and no lock of these
 * names a process. Before this everything can be undone; clearing the first lock is the point of no
 * return. */
int repair_flush(struct repair *p);
/* is_whole: the state becomes READY. Otherwise everything is restored if nothing has begun in a
 * segment that was READY; in all other cases the segment stays marked. */
void repair_leave(struct repair *p, int is_whole);
/* Whether a process stands still in the middle of a change, as far as /proc tells. */
int repair_is_held_up(const struct repair *p);
/* LARDER_OK, or LARDER_E_BUSY if another process is attached for writing (M4). */
int repair_must_be_only_one(struct repair *p, const char *why);
/* Forgets what the slots that we hold had open. */
void repair_clear_slots(struct repair *p);

/* ---- The heap (repair_heap.c) ---------------------------------------------------------------- */

/* Makes the claimed part of the segment backed by memory and large enough for everything that may
 * be in use. LARDER_OK, LARDER_E_FULL, LARDER_E_OS. */
int repair_claimed(struct repair *p);
/* The block of `bytes` at off stays. Returns 0 if no block can lie there, or another one does. */
int repair_keep(struct repair *p, uint64_t off, uint64_t bytes, unsigned flags);
/* A block that was to stay does not stay. */
void repair_unkeep(struct repair *p, uint64_t off);
/* After all blocks that stay: these bytes are not handed out before repair_heap_release(). */
void repair_reserve(struct repair *p, uint64_t off, uint64_t bytes);
/* Takes a block without a reference yet, for step 1 of w. Claims memory as needed. */
int repair_take(struct writer *w, uint64_t bytes, unsigned flags, uint64_t *off);
/* Stores the plan. LARDER_OK or LARDER_E_BUSY. */
int repair_heap_store(struct repair *p);
/* Frees reserved memory, and makes all lists and counts follow the bitmaps. */
int repair_heap_release(struct repair *p);
/* Bytes of blocks handed out, by state and bitmaps as they are. */
uint64_t repair_heap_used(const struct repair *p);

/* ---- Tables (repair_table.c) and their items (repair_item.c, repair_array.c, repair_loss.c) -- */

/* Step 2. LARDER_OK, LARDER_E_NO_MEMORY, LARDER_E_CORRUPT: the segment cannot be repaired. */
int repair_plan(struct repair *p);
void repair_forget_plan(struct repair *p);
/* Catalog entries as planned, every table's under a new life. */
int repair_catalog(struct repair *p);
/* Stripes and bucket arrays. LARDER_OK, LARDER_E_FULL, ... */
int repair_stripes(struct repair *p, struct repair_table *t);

/* Whether the image that the slot's word leads to is an item of this table, in this stripe; else
 * *why says what is wrong. */
const struct item_head *repair_judge(struct repair *p, const struct table_view *v, uint32_t stripe, uint64_t word,
                                     const char **why);
/* What an image must be (repair_image.c). In private memory, which the next call uses again. */
struct repair_right {
    struct item_head *image; /* version and key sequences that are still to be given are 0 */
    int is_whole;            /* the image in the segment is right */
    /* it has other slots than the one in the segment, or its joined keys are made again: another
     * size */
    int is_laid_out_again;
    /* the expirer has to write it again, because it has no place for its expiry */
    int wants_restamp;
};
/* Whether an image of the table can have joined keys, if its flags are not damaged. */
static inline int repair_may_be_joined(const struct table_view *v, const struct item_head *h) {
    return v->shape.joined_count || h->flags & ITEM_JOINED;
}
/* h makes sense but for its index slots, joined keys and padding. 0: it is no item of the table,
 * and nothing that could be stored would be this item. */
int repair_right(struct repair *p, const struct table_view *v, const struct item_head *h, struct repair_right *right);
/* Whether a stripe of this catalog entry may have given this version. */
int repair_is_version(uint32_t ordinal, uint64_t version);
/* The hash of an image's key, whatever its head says. Whether two images have the same key,
 * whatever the padding after it. */
uint64_t repair_hash_of(const struct table_view *v, const struct item_head *h);
int repair_is_same_key(const struct item_head *a, const struct item_head *b);
/* The head of the image at off if its key area and hash belong together, whatever the rest is; else
 * NULL. */
const struct item_head *repair_has_key(const struct table_view *v, uint64_t off, uint64_t *hash);
/* Mends the parts of images that are not attributes: index slots, key sequences, version, expiry,
 * timer. */
int repair_mend_items(struct repair *p, struct repair_table *t);
/* Mends impossible write numbers in the stripes of an entry without a table. */
void repair_mend_dormant_writes(const struct repair *p, uint32_t ordinal, struct stripe_shm *stripes);
/* The word that links the item. NULL: there is none. */
shm_word *repair_slot_of(const struct table_view *v, uint64_t off, struct stripe_shm **stripe);
/* An item is lost: counts and notes it, with its key if that can be read. */
void repair_lose(struct repair *p, const struct table_view *v, uint64_t off, const char *why);

/* Walks all words of a stripe's bucket array. Notes the items found in t->item, and what to do with
 * the array in t->array. */
int repair_read_array(struct repair *p, struct repair_table *t, uint32_t stripe);
/* The items that a stripe counts, if its array has room for them; else 0. */
uint64_t repair_counted(const struct stripe_shm *stripe);
/* After the plan of its items: counts and names what counts and lists say is missing. LARDER_OK,
 * LARDER_E_NO_MEMORY. */
int repair_count_losses(struct repair *p, const struct repair_table *t);
/* Replaces the stripe's array by a new one of these items. */
int repair_new_array(struct repair *p, const struct table_view *v, struct stripe_shm *stripe, const uint64_t *item,
                     size_t count);

/* Keeps one word of the stripe's array for each of these items and sets others to 0, one store
 * each: it needs no memory in a full segment. LARDER_OK, LARDER_E_NO_MEMORY. */
int repair_clean_array(struct repair *p, const struct table_view *v, struct stripe_shm *stripe, const uint64_t *item,
                       size_t count);

/* For index/: gives a stripe without an array an empty one, with room for blocks of these hashes,
 * sorted. It is made before the lists, while there still are runs of free spans. LARDER_OK,
 * LARDER_E_FULL, LARDER_E_NO_MEMORY, ... */
int repair_make_array(struct writer *w, const struct htab *t, struct stripe_shm *stripe, const uint64_t *hash,
                      size_t count);

#endif
