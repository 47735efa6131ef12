/* tests/support/footprint.h - what a process takes of the machine, as the kernel counts it.
 *
 * Tests    tests/unit/table/keep_test.c
 */
#ifndef LARDER_TESTS_SUPPORT_FOOTPRINT_H
#define LARDER_TESTS_SUPPORT_FOOTPRINT_H

struct footprint {
    long private_kb, addresses_kb, mappings; /* private_kb: resident, without the segment */
};

struct footprint footprint_now(void);
/* 0: the process is no larger than before, but for what malloc may still be spreading. Else says on
 * stderr by how much it grew. */
int footprint_grew(const struct footprint *before);

#endif
