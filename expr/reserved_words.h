/* expr/reserved_words.h - words that may not be attribute names in expressions; "#n" stands for
 * them.
 *
 * Tests    tests/unit/expr/expr_names_test.c
 */
#ifndef LARDER_EXPR_RESERVED_WORDS_H
#define LARDER_EXPR_RESERVED_WORDS_H

#include <stddef.h>
#include <stdint.h>

#define RESERVED_WORDS 573u
#define RESERVED_WORD_MAX 14u /* bytes */

/* Whether the text is reserved, in any case of its letters. It has no NUL. */
int reserved_word(const char *text, size_t bytes);
/* Word number 0 .. RESERVED_WORDS - 1, in capitals. */
const char *reserved_word_at(uint32_t number);

#endif
