/* core/item/item_names.h - attribute names that take one byte.
 *
 * Why      Every item carries the names of its attributes. Key names are the same in every item of
 *          a table, and nearly the same in all single-table designs (PK, SK, GSI1PK, ..): with four
 *          indexes they are a fifth of a small item. A fixed list of names costs an item nothing,
 *          and a reader of an item needs no table, segment or lock to look a name up. HTTP/2 packs
 *          its headers this way (RFC 7541, appendix A).
 * Rules    T1 A listed name is always written as its byte: an image has one form (rule I4 of
 *             core/item/item.h).
 *          T2 The list is part of the segment's format: a process with another list cannot attach
 *             (seg_layout_fingerprint).
 * Tests    tests/unit/item/item_names_test.c
 */
#ifndef LARDER_ITEM_ITEM_NAMES_H
#define LARDER_ITEM_ITEM_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define ITEM_NAME_LISTED 0x80u /* the byte of a listed name: this | its place in the list */
#define ITEM_NAMES_COUNT 108u
#define ITEM_NAME_TEXT_MAX 15u

/* Also compared as two words. */
struct item_name {
    uint8_t bytes; /* length; 0 behind the last name */
    char text[ITEM_NAME_TEXT_MAX];
};

/* Sorted by length, then by bytes. It has a place for every value of the byte, so that no byte of
 * an image leads outside. */
extern const struct item_name item_names[ITEM_NAME_LISTED];

/* The byte of this name, or 0: it is not listed. */
uint8_t item_name_byte(const void *name, size_t bytes);

#endif
