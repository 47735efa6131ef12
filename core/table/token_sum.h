/* core/table/token_sum.h - a sum over the contents of a transaction, piece after piece.
 *
 * Tests    tests/crash/token_test.c
 */
#ifndef LARDER_TABLE_TOKEN_SUM_H
#define LARDER_TABLE_TOKEN_SUM_H

#include <stddef.h>
#include <stdint.h>

/* Begins with 0. Two of different contents are different, as far as 128 bits can tell. */
struct token_sum {
    uint64_t word[2];
};
/* In token.c. The same bytes in other pieces give another sum. */
void token_add(struct token_sum *sum, const void *bytes, size_t count);

#endif
