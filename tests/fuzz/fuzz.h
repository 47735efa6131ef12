/* tests/fuzz/fuzz.h - what all fuzzers share.
 *
 * Job      A fuzzer calls LLVMFuzzerTestOneInput() with bytes that no person has thought of. A
 *          wrong answer ends it like a crash does: FUZZ_CHECK() says which rule was broken and
 *          aborts, and script/fuzz keeps the input.
 */
#ifndef LARDER_TESTS_FUZZ_H
#define LARDER_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/item/item.h"
#include "larder.h"

/* Declared nowhere else; libFuzzer looks them up by name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

#define FUZZ_CHECK(condition, ...)                                                                                     \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                            \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fprintf(stderr, "\n");                                                                                     \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A builder that lives as long as the process. The caller keeps it in a static variable. */
struct larder_builder *fuzz_builder(struct larder_builder **kept);
/* A refusal must have a message: one short text of whole characters. */
void fuzz_check_message(const char *text);
/* memcmp, then shorter first: DynamoDB's order of S and B. An implementation of its own. */
int fuzz_compare_bytes(const void *a, size_t a_bytes, const void *b, size_t b_bytes);

/* The rest of an input, consumed from the front. Zeros follow its end. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};
uint8_t fuzz_byte(struct fuzz_input *in);
/* A run of at most `bytes_max` bytes. */
struct bytes fuzz_bytes(struct fuzz_input *in, size_t bytes_max);

#endif
