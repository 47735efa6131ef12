/* dynamodb/json_writer.h - a document as JSON text.
 *
 * Job      Text into one buffer that grows and is kept. Items go from their encoded form straight
 *          into it.
 * Tests    tests/dynamodb/dynamodb_values_test.c, tests/fuzz/document_fuzz.c
 */
#ifndef LARDER_DYNAMODB_JSON_WRITER_H
#define LARDER_DYNAMODB_JSON_WRITER_H

#include "dynamodb/document.h"
#include "dynamodb/json_item.h"

struct json_writer {
    struct document_writer writer;
    char *text; /* not 0-terminated until json_writer_finish() */
    size_t bytes, room_bytes;
    int needs_comma;
    struct json_places places;
};

/* Begins a document. Memory is kept from document to document: zero the writer before the first. */
void json_writer_begin(struct json_writer *w);
/* Begins a document with {"Item": ..}, or {} if item is NULL: all that a GetItem answers. */
void json_writer_begin_item(struct json_writer *w, const struct larder_item *item);
/* Ends the document: writer->text and ->bytes, 0-terminated. LARDER_OK, LARDER_E_NO_MEMORY,
 * LARDER_E_CORRUPT (an item was damaged). */
int json_writer_finish(struct json_writer *w);
void json_writer_free(struct json_writer *w);

#endif
