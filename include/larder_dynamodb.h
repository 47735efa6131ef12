/* larder_dynamodb.h - DynamoDB's operations as one call: a request in JSON goes in, the service's
 * answer comes out.
 *
 *     struct larder_dynamodb *dynamodb;
 *     struct larder_dynamodb_reply reply;
 *     const char *request = "{\"TableName\": \"Songs\", \"Key\": {\"Artist\": {\"S\": \"Nina\"}}}";
 *
 *     larder_dynamodb_new(db, &dynamodb);               // once per thread
 *     larder_dynamodb_call(dynamodb, "GetItem", request, strlen(request), &reply);
 *     if (reply.status == 200)
 *         puts(reply.body);                             // {"Item":{"Artist":{"S":"Nina"}}}
 *     larder_dynamodb_free(dynamodb);
 *
 * Link with -llarder-dynamodb -llarder (pkg-config: larder-dynamodb).
 */
#ifndef LARDER_DYNAMODB_H
#define LARDER_DYNAMODB_H

#include "larder.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What calls of one thread use again: builders, a page, buffers, tables and expressions that were
 * met before. Used by one thread at a time. */
struct larder_dynamodb;

/** An answer. Zero is no answer. */
struct larder_dynamodb_reply {
    int status;       /* as HTTP's: 200, 400 (the request is to blame), 500 (it is not) */
    const char *body; /* JSON, 0-terminated; owned by the context until its next call */
    size_t bytes;     /* of body */
    uint64_t reserved[5];
};

/**
 * Makes a context.
 * @param db  [in]  Must stay open until larder_dynamodb_free().
 * @param out [out] Owned by the caller until larder_dynamodb_free().
 * @return LARDER_OK, LARDER_E_INVAL (NULL), LARDER_E_NO_MEMORY.
 */
LARDER_API int larder_dynamodb_new(struct larder *db, struct larder_dynamodb **out);
/** Frees a context and its reply. Call it before larder_close() of its attachment. NULL is
 * allowed. */
LARDER_API void larder_dynamodb_free(struct larder_dynamodb *dynamodb);

/**
 * Answers a request as DynamoDB does (API reference, version 2012-08-10): its validation, in its
 * order, its errors and messages. dynamodb/README.md lists the operations and what differs.
 *
 * An error is an answer, too: {"__type": "..#ResourceNotFoundException", "message": ".."}. An
 * operation that Larder does not have is an UnknownOperationException. LARDER_E_BUSY of the engine
 * is a ThrottlingException, which clients try again; LARDER_E_FULL a LimitExceededException.
 *
 * @param operation [in]  Its name, such as "GetItem"; 0-terminated.
 * @param json      [in]  The request, `bytes` of it; borrowed for the call.
 * @param reply     [out] Always written when the result is LARDER_OK.
 * @return LARDER_OK, whatever the answer; LARDER_E_INVAL (NULL); LARDER_E_NO_MEMORY (not even an
 *         error could be written).
 *
 * Locks, Killed here   As the function of larder.h that does the work.
 * Cost         As that, and the reading and writing of JSON. An expression is prepared when it is
 *              first met.
 */
LARDER_API int larder_dynamodb_call(struct larder_dynamodb *dynamodb, const char *operation, const char *json,
                                    size_t bytes, struct larder_dynamodb_reply *reply);

#ifdef __cplusplus
}
#endif
#endif
