/* dynamodb/failure.h - why a request fails: the service's exception and its message.
 *
 * Sources  API reference, "Common errors" and each operation's "Errors"; the names before '#' as
 *          the service sends them (dynalite's suites, which were run against it).
 */
#ifndef LARDER_DYNAMODB_FAILURE_H
#define LARDER_DYNAMODB_FAILURE_H

#include "dynamodb/document.h"

#define FAILURE_MESSAGE_BYTES 1280

enum failure_kind {
    FAILURE_NONE,
    FAILURE_SERIALIZATION,
    FAILURE_UNKNOWN_OPERATION,
    FAILURE_VALIDATION,
    FAILURE_CONDITION, /* ConditionalCheckFailedException */
    FAILURE_CANCELED,  /* TransactionCanceledException */
    FAILURE_MISMATCH,  /* IdempotentParameterMismatchException */
    FAILURE_NOT_FOUND, /* ResourceNotFoundException */
    FAILURE_IN_USE,    /* ResourceInUseException */
    FAILURE_LIMIT,     /* LimitExceededException */
    FAILURE_THROTTLED,
    FAILURE_CHANGED, /* the definition that the call goes by is not the table's any more: again */
    FAILURE_ACCESS,
    FAILURE_INTERNAL
};

struct failure {
    enum failure_kind kind;
    char message[FAILURE_MESSAGE_BYTES]; /* "": none */
};

/* Why an action did not let its transaction through. */
struct failure_reason {
    const char *code, *message;     /* "None" and NULL: it would have */
    const struct larder_item *item; /* or NULL */
};

/* Sets it and returns LARDER_E_INVAL. A message that is too long is cut between two characters. */
int failure_set(struct failure *f, enum failure_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int failure_of_change(struct failure *f);
/* What a result of larder.h other than an outcome means: larder_error() has just been set. */
int failure_of_engine(struct failure *f, struct larder *db, int result);

/* The members of the exception, `item` (or NULL) among them. Returns the HTTP status. */
int failure_write(const struct failure *f, const struct larder_item *item, struct document_writer *w);
/* One more member, of a TransactionCanceledException. */
void failure_write_reasons(const struct failure_reason *reasons, uint32_t count, struct document_writer *w);

#endif
