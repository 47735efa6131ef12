/* tests/crash/facts.h - what a segment is made of, counted.
 *
 * Job      Tells whether an operation really did what its scenario's name says (grew a bucket
 *          array, split a leaf, took a span), and whether memory is left when every item and table
 *          is gone. Looks at the bytes: no process may be changing them.
 */
#ifndef LARDER_TESTS_CRASH_FACTS_H
#define LARDER_TESTS_CRASH_FACTS_H

#include <stdint.h>

struct facts {
    uint64_t tables, drops;                 /* that are READY; that are being emptied */
    uint64_t items, item_buckets;           /* of all tables */
    uint64_t item_links, item_link_sum;     /* to spare buckets; sum: of bucket times spare */
    uint64_t partitions, partition_buckets; /* partitions of indexes */
    /* of all lists, of hidden indexes, too; dead ones left out */
    uint64_t entries;
    uint64_t lists; /* partitions of more than one leaf */
    /* tall: has an express link above level 1; heads left out */
    uint64_t leaves, nodes, tall_nodes;
    uint64_t timers, near_timers, chunks; /* of the wheel; near: on its lowest level */
    uint64_t spans, runs;                 /* spans that are not free; blocks of whole spans */
    uint64_t free_runs;                   /* as long as can be */
    uint64_t claimed_bytes, used_bytes;   /* used: in blocks handed out */
    /* blocks of stripe arrays and marks, which stay with the catalog for ever */
    uint64_t stripe_bytes;
    uint64_t slots;    /* taken */
    uint64_t marks;    /* of used items: core/table/marks.h */
    uint64_t restamps; /* tables whose items are to be rewritten */
};

/* Of a mapped segment. */
struct facts facts_of(unsigned char *bytes);

#endif
