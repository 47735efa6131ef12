/* dynamodb/json_reader.h - JSON text as a document (RFC 8259).
 *
 * Job      A pull reader over text in memory: nothing is copied but strings with escapes and
 *          binaries.
 * Refused  What no JSON parser takes, and: bytes that are no UTF-8, also in what is skipped; half
 *          of a surrogate pair, which no UTF-8 can say; nesting beyond JSON_LEVELS_MAX; anything
 *          but white space after the document (json_reader_finish()).
 * Rules    J1 No length or depth of the text makes it recurse.
 *          J2 It takes numbers of any size: what becomes of one is the caller's affair.
 * Tests    tests/dynamodb/dynamodb_values_test.c, tests/fuzz/document_fuzz.c (jansson is the
 *          oracle)
 */
#ifndef LARDER_DYNAMODB_JSON_READER_H
#define LARDER_DYNAMODB_JSON_READER_H

#include "dynamodb/document.h"

/* 32 levels of an item are 64 of JSON. */
#define JSON_LEVELS_MAX 512

struct json_reader {
    struct document_reader reader;
    const char *at, *end;
    /* memory for strings that do not stand in the text as they are; one is never longer than what
     * it is made of, so the text's length is enough for all */
    char *room;
    size_t room_bytes, room_used, text_bytes;
    uint32_t level;
    int is_first; /* the next member or element is the first of its object or array */
    uint8_t is_object[JSON_LEVELS_MAX];
};

/* Begins a document. Memory is kept from document to document: zero the reader before the first. */
void json_reader_begin(struct json_reader *r, const char *text, size_t bytes);
/* After the document was taken: nothing may follow. LARDER_OK, LARDER_E_INVAL. */
int json_reader_finish(struct json_reader *r);
void json_reader_free(struct json_reader *r);

#endif
