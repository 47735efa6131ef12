/* cli/key.h - keys of a table from key JSON and from plain text. */
#ifndef LARDER_CLI_KEY_H
#define LARDER_CLI_KEY_H

#include "larder.h"

/* A key and the memory that its numbers point into: use it in place, never copy it. */
struct key {
    struct larder_key key;
    char partition_text[LARDER_NUMBER_TEXT_MAX], sort_text[LARDER_NUMBER_TEXT_MAX];
};

/* The key of an item that has exactly the table's key attributes. `item` is borrowed for as long as
 * the key. EXIT_DONE, or EXIT_INPUT with a message. */
int key_from_item(const struct larder_table_def *def, const struct larder_item *item, struct key *out);

/* Plain text as a value of the type that the schema gives: S text, N decimal, B base64. `what`
 * names it in messages. The value borrows `text`, or memory in *owned that the caller frees (NULL
 * if there is none). */
int key_value_from_text(enum larder_type type, const char *text, const char *what, struct larder_value *out,
                        void **owned);

#endif
