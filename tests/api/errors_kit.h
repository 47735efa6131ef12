/* tests/api/errors_kit.h - a segment on which everything is tried that must be refused.
 *
 * Job      Runs tables of rows: what is done, the result, words of the message.
 * Rules    E1 Before and after each row all claimed bytes of the segment are compared through a
 *             mapping of the test's own, except the writers' slots, where attempts are counted.
 */
#ifndef LARDER_TESTS_API_ERRORS_KIT_H
#define LARDER_TESTS_API_ERRORS_KIT_H

#include "core/segment/layout.h"
#include "larder.h"
#include "tests/support/slow.h"

#define MIB (UINT64_C(1) << 20)
#define WORDS_MAX 3
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The message of the last failure has all the words. */
void expect_words(const char *row, const char *const words[WORDS_MAX]);

struct world {
    struct larder *db, *reader;
    struct larder_table *t, *numbers, *plain, *dropped, *read; /* read: t of the reader */
    struct larder_builder *b;
    struct larder_page *page;
    const unsigned char *bytes; /* the segment, read-only */
    unsigned char *before;
    const struct seg_shm *head;
};

void begin(struct world *w);
void finish(struct world *w);

struct row {
    const char *name;
    int (*try)(struct world *w);
    int expected;
    const char *words[WORDS_MAX];
};

void run_rows(const struct row *rows, size_t count);
/* Values that rows are made of. `many` is full of 'x' after fill_many(). */
extern char many[LARDER_ITEM_BYTES_MAX + 2];
void fill_many(void);
extern const struct larder_value text, empty, bytes4, one, yes, long2049, long1025, not_utf8, digits39;

#endif
