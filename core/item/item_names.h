/* core/item/item_names.h - attribute names that take one byte.
 *
 * Why      An item brings the names of its attributes along. Those of keys are the same in every
 *          item of a table, and nearly the same in all tables that are modelled as one (PK, SK,
 *          GSI1PK, ..): with four indexes they are a fifth of a small item. A list of names that
 *          everybody knows costs no item anything: whoever reads one needs no table, no segment and
 *          no lock for it. HTTP/2's headers are packed so (RFC 7541, appendix A).
 * Rules    T1 A name of the list is always written as its number: an image has one form (rule I4 of
 *             core/item/item.h).
 *          T2 The list is part of the segment's format: a process with another one does not attach
 *             (seg_layout_fingerprint).
 * Tests    tests/unit/item/item_names_test.c
 */
#ifndef LARDER_ITEM_ITEM_NAMES_H
#define LARDER_ITEM_ITEM_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define ITEM_NAME_LISTED 0x80u /* the byte of a name of the list: this and its place in it */
#define ITEM_NAMES_COUNT 108u
#define ITEM_NAME_TEXT_MAX 15u

/* Two words to compare, too. */
struct item_name {
    uint8_t bytes; /* 0 behind the last */
    char text[ITEM_NAME_TEXT_MAX];
};

/* By length, then by bytes. As long as a byte can say, so that no byte out of an image leads
 * outside. */
extern const struct item_name item_names[ITEM_NAME_LISTED];

/* The byte for this name, or 0: it is not in the list. */
uint8_t item_name_byte(const void *name, size_t bytes);

#endif
