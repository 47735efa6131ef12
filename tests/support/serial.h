/* tests/support/serial.h - judges a history of transactions: is it strictly serializable?
 *
 * Job      Each transaction says which versions it read, which of those keys it wrote, and when it
 *          was under way. A version is named by the transaction that wrote it. A writer has read
 *          what it overwrites, so the order of a key's versions is known, and the question has an
 *          exact answer: the graph of "must come before" has a circle or not (Adya's graph with
 *          edges for real time).
 * Deaths   A transaction without an end may or may not have been done. It was if another one has
 *          read what it wrote.
 */
#ifndef LARDER_TESTS_SUPPORT_SERIAL_H
#define LARDER_TESTS_SUPPORT_SERIAL_H

#include <stdatomic.h>
#include <stdint.h>

#define SERIAL_OPS 4

enum serial_state { SERIAL_NONE, SERIAL_UNKNOWN, SERIAL_DONE, SERIAL_REFUSED };

struct serial_op {
    uint32_t key;
    uint32_t seen; /* the version: number of its transaction + 1; 0: as it was at first */
    int is_write;
};

struct serial_txn {
    uint64_t start, end; /* end: of SERIAL_DONE */
    _Atomic int state;
    uint32_t op_count;
    struct serial_op op[SERIAL_OPS];
};

/* NULL, or what is wrong with it: a message of this thread. Reads are of keys below key_count. */
const char *serial_judge(const struct serial_txn *txn, uint32_t count, uint32_t key_count);

#endif
