/* tests/unit/support/serial_test.c - the judge of histories of transactions.
 *
 * Goal     Histories that are strictly serializable are accepted, and each of the known anomalies
 *          is found.
 * Source   A. Adya, "Weak Consistency", 1999: the phenomena and their graphs; M. Herlihy and
 *          J. Wing, 1990, for real time.
 */
#include <criterion/criterion.h>

#include "tests/support/serial.h"

#define X 0
#define Y 1
#define R(k, version)                                                                                                  \
    { .key = (k), .seen = (version) }
#define W(k, version)                                                                                                  \
    { .key = (k), .seen = (version), .is_write = 1 }
#define DONE(from, to, ...)                                                                                            \
    {                                                                                                                  \
        .start = (from), .end = (to), .state = SERIAL_DONE, .op_count = OPS(__VA_ARGS__), .op = { __VA_ARGS__ }        \
    }
#define UNKNOWN(from, ...)                                                                                             \
    {                                                                                                                  \
        .start = (from), .state = SERIAL_UNKNOWN, .op_count = OPS(__VA_ARGS__), .op = { __VA_ARGS__ }                  \
    }
#define OPS(...) (sizeof((struct serial_op[]){__VA_ARGS__}) / sizeof(struct serial_op))

#define JUDGE(...)                                                                                                     \
    serial_judge((struct serial_txn[]){__VA_ARGS__},                                                                   \
                 sizeof((struct serial_txn[]){__VA_ARGS__}) / sizeof(struct serial_txn), 2)

Test(serial, what_is_fine) {
    cr_assert_null(JUDGE(DONE(1, 2, R(X, 0))));
    cr_assert_null(JUDGE(DONE(1, 2, W(X, 0), W(Y, 0)), DONE(3, 4, R(X, 1), R(Y, 1)), DONE(5, 6, W(X, 1))));
    /* at the same time, in either order */
    cr_assert_null(JUDGE(DONE(1, 9, W(X, 0), W(Y, 0)), DONE(2, 3, R(X, 0), R(Y, 0)), DONE(4, 5, R(X, 1), R(Y, 1))));
    /* dead, and nothing seen of it; dead, and seen */
    cr_assert_null(JUDGE(UNKNOWN(1, W(X, 0), W(Y, 0)), DONE(2, 3, R(X, 0), R(Y, 0))));
    cr_assert_null(JUDGE(UNKNOWN(1, W(X, 0), W(Y, 0)), DONE(2, 3, R(X, 0), R(Y, 0)), DONE(4, 5, R(X, 1), R(Y, 1))));
}

Test(serial, lost_update) {
    cr_assert_not_null(JUDGE(DONE(1, 9, W(X, 0)), DONE(2, 8, W(X, 0))));
}

/* G1a, and what no transaction wrote. */
Test(serial, read_of_a_refused_write) {
    cr_assert_not_null(
        JUDGE({.start = 1, .state = SERIAL_REFUSED, .op_count = 1, .op = {W(X, 0)}}, DONE(2, 3, R(X, 1))));
    cr_assert_not_null(JUDGE(DONE(1, 2, W(X, 0)), DONE(3, 4, R(Y, 1))));
    cr_assert_not_null(JUDGE(DONE(1, 2, R(X, 7))));
}

/* Half of a transaction: its write of X, and not that of Y. */
Test(serial, fractured_read) {
    cr_assert_not_null(JUDGE(DONE(1, 9, W(X, 0), W(Y, 0)), DONE(2, 8, R(X, 1), R(Y, 0))));
    cr_assert_not_null(JUDGE(UNKNOWN(1, W(X, 0), W(Y, 0)), DONE(2, 8, R(X, 1), R(Y, 0))));
}

/* The same by two reads, of which the later one sees the older state. */
Test(serial, later_read_of_an_older_state) {
    cr_assert_not_null(JUDGE(DONE(1, 9, W(X, 0), W(Y, 0)), DONE(2, 3, R(X, 1)), DONE(4, 5, R(Y, 0))));
    cr_assert_null(JUDGE(DONE(1, 9, W(X, 0), W(Y, 0)), DONE(2, 5, R(X, 1)), DONE(4, 6, R(Y, 0))));
}

/* G2: each read what the other one overwrote. */
Test(serial, write_skew) {
    cr_assert_not_null(JUDGE(DONE(1, 9, R(X, 0), W(Y, 0)), DONE(2, 8, W(X, 0), R(Y, 0))));
}

/* Two readers see two writers in different orders. */
Test(serial, long_fork) {
    cr_assert_not_null(
        JUDGE(DONE(1, 9, W(X, 0)), DONE(1, 9, W(Y, 0)), DONE(2, 8, R(X, 1), R(Y, 0)), DONE(2, 8, R(X, 0), R(Y, 2))));
}

/* Serializable, and not strictly so. */
Test(serial, stale_read) {
    cr_assert_not_null(JUDGE(DONE(1, 2, W(X, 0)), DONE(3, 4, R(X, 0))));
}
