/* bench/ageing.h - how much of a segment stays usable as it ages.
 *
 * Method   A pattern is a row of rounds. A round puts items of its sizes until LARDER_E_FULL, then
 *          deletes all but a tenth, by chance. At each first LARDER_E_FULL the bytes of live items
 *          (names and values, as DynamoDB counts them) are compared with what a fresh segment takes
 *          with the same items: those that live, then others of the round's sizes. Each survivor is
 *          read again after its round.
 */
#ifndef LARDER_BENCH_AGEING_H
#define LARDER_BENCH_AGEING_H

#include <stdint.h>

#define AGEING_WRITERS_MAX 16u

struct ageing_plan {
    uint32_t megabytes; /* of the segment */
    uint32_t rounds;
    uint32_t writers;    /* threads, each with an attachment and keys of its own */
    int indexes;         /* 0 to INDEX_COUNT */
    const char *pattern; /* NULL: all */
    int shows_where;     /* prints what the bytes are, at each first LARDER_E_FULL */
};

/* Measures, prints a table. Returns the worst share of any round. */
double ageing_run(const struct ageing_plan *plan);

#endif
