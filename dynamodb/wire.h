/* dynamodb/wire.h - values of a document as the types that the API's model has.
 *
 * Job      Takes a value that is to be a String, Boolean, Integer, list, map or structure. A value
 *          of another type is a SerializationException, in the service's words. null is as if the
 *          value were not there.
 * Sources  dynalite's suites ("serializations" of each operation), which were run against the
 *          service.
 * Results  LARDER_OK; LARDER_NOT_FOUND: null, which was taken; LARDER_E_INVAL, LARDER_E_NO_MEMORY
 *          with the failure set.
 */
#ifndef LARDER_DYNAMODB_WIRE_H
#define LARDER_DYNAMODB_WIRE_H

#include "dynamodb/failure.h"

struct wire {
    struct document_reader *reader;
    struct failure *failure;
};

int wire_string(struct wire *w, struct text *out);
int wire_boolean(struct wire *w, int *out);
int wire_integer(struct wire *w, int64_t *out);
int wire_long(struct wire *w, int64_t *out); /* differs from an Integer in words only */
int wire_blob(struct wire *w, struct text *out);

/* These take the start of one; document_member() and document_element() give what is in it.
 * `of`: the type that the model has for a map's values, or a structure's own. */
int wire_list(struct wire *w);
int wire_map(struct wire *w, const char *of);
int wire_structure(struct wire *w, const char *of);
int wire_field(struct wire *w, const char *of); /* a structure that is a member of another one */

/* The document's own failure: the text is malformed, or out of memory. Also takes the result of
 * document_member() and document_element(): outcomes come back as they are. */
int wire_result(struct wire *w, int result);
/* Passes over a value that is of no interest. */
int wire_skip(struct wire *w);
/* Room for `count` and one more elements of `bytes` in *array, which the caller frees. LARDER_OK or
 * LARDER_E_NO_MEMORY; wire_grow() sets the failure, too. */
int array_grow(void *array, uint32_t count, uint32_t *capacity, size_t bytes);
int wire_grow(struct wire *w, void *array, uint32_t count, uint32_t *capacity, size_t bytes);

#endif
