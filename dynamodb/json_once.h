/* dynamodb/json_once.h - JSON text without names that are given twice (rule D3 of document.h).
 *
 * Job      Of several members of an object with one name the last one stays. A builder notices them
 *          only when it is too late; then the text is cut, and read again.
 * Source   dynalite, whose suites were run against the service, takes the last (JSON.parse).
 * Tests    tests/dynamodb/dynamodb_values_test.c, tests/fuzz/document_fuzz.c
 */
#ifndef LARDER_DYNAMODB_JSON_ONCE_H
#define LARDER_DYNAMODB_JSON_ONCE_H

#include <stddef.h>

/* LARDER_OK: *out is a new text, to be freed with free(). LARDER_NOT_FOUND: no name is given twice.
 * LARDER_E_INVAL: it is no JSON. LARDER_E_NO_MEMORY. */
int json_once(const char *text, size_t bytes, char **out, size_t *out_bytes);

#endif
