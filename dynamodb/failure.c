/* dynamodb/failure.c - why a request fails. See failure.h.
 *
 * Tests    tests/dynamodb/dynamodb_errors_test.c
 */
#include "dynamodb/failure.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/base/utf8.h"

#define SERVICE "com.amazonaws.dynamodb.v20120810#"
#define CORAL "com.amazon.coral.service#"

static const struct exception {
    struct text type, message_name;
    int status;
} exceptions[] = {
    [FAILURE_SERIALIZATION] = {TEXT(CORAL "SerializationException"), TEXT("Message"), 400},
    [FAILURE_UNKNOWN_OPERATION] = {TEXT(CORAL "UnknownOperationException"), TEXT("message"), 400},
    [FAILURE_VALIDATION] = {TEXT("com.amazon.coral.validate#ValidationException"), TEXT("message"), 400},
    [FAILURE_CONDITION] = {TEXT(SERVICE "ConditionalCheckFailedException"), TEXT("message"), 400},
    [FAILURE_CANCELED] = {TEXT(SERVICE "TransactionCanceledException"), TEXT("Message"), 400},
    [FAILURE_MISMATCH] = {TEXT(SERVICE "IdempotentParameterMismatchException"), TEXT("Message"), 400},
    [FAILURE_NOT_FOUND] = {TEXT(SERVICE "ResourceNotFoundException"), TEXT("message"), 400},
    [FAILURE_IN_USE] = {TEXT(SERVICE "ResourceInUseException"), TEXT("message"), 400},
    [FAILURE_LIMIT] = {TEXT(SERVICE "LimitExceededException"), TEXT("message"), 400},
    [FAILURE_THROTTLED] = {TEXT("com.amazon.coral.availability#ThrottlingException"), TEXT("message"), 400},
    [FAILURE_CHANGED] = {TEXT("com.amazon.coral.availability#ThrottlingException"), TEXT("message"), 400},
    [FAILURE_ACCESS] = {TEXT(CORAL "AccessDeniedException"), TEXT("Message"), 400},
    [FAILURE_INTERNAL] = {TEXT(SERVICE "InternalServerError"), TEXT("message"), 500},
};

int failure_set(struct failure *f, enum failure_kind kind, const char *format, ...) {
    va_list arguments;
    f->kind = kind;
    va_start(arguments, format);
    vsnprintf(f->message, sizeof f->message, format, arguments);
    va_end(arguments);
    f->message[utf8_valid_bytes(f->message, strlen(f->message))] = 0;
    return LARDER_E_INVAL;
}

/* The segment has no room: what was asked for, and what there is. */
static int failure_of_full(struct failure *f, struct larder *db) {
    struct larder_segment_stats stats;
    char asked[512];
    snprintf(asked, sizeof asked, "%s", larder_error());
    if (larder_segment_stats(db, &stats) != LARDER_OK)
        return failure_set(f, FAILURE_LIMIT, "%s", asked);
    return failure_set(f, FAILURE_LIMIT, "%s; the segment has %llu bytes, of which %llu are in use", asked,
                       (unsigned long long)stats.size_bytes, (unsigned long long)stats.used_bytes);
}

int failure_of_change(struct failure *f) {
    return failure_set(f, FAILURE_CHANGED, "The table is being changed. Try again.");
}

int failure_of_engine(struct failure *f, struct larder *db, int result) {
    switch (result) {
    case LARDER_E_INVAL:
        return failure_set(f, FAILURE_VALIDATION, "%s", larder_error());
    case LARDER_E_NO_TABLE:
        return failure_set(f, FAILURE_NOT_FOUND, "Requested resource not found");
    case LARDER_E_NO_INDEX:
        return failure_of_change(f);
    case LARDER_E_FULL:
        return failure_of_full(f, db);
    case LARDER_E_BUSY:
    case LARDER_E_NO_SLOT:
        return failure_set(f, FAILURE_THROTTLED, "%s", larder_error());
    case LARDER_E_READ_ONLY:
    case LARDER_E_ACCESS:
        return failure_set(f, FAILURE_ACCESS, "%s", larder_error());
    default:
        return failure_set(f, FAILURE_INTERNAL, "%s: %s", larder_result_name(result), larder_error());
    }
}

int failure_write(const struct failure *f, const struct larder_item *item, struct document_writer *w) {
    const struct exception *e = &exceptions[f->kind];
    document_put_name(w, TEXT("__type"));
    document_put_text(w, e->type);
    if (f->message[0]) {
        document_put_name(w, e->message_name);
        document_put_text(w, (struct text){f->message, strlen(f->message)});
    }
    if (item) {
        document_put_name(w, TEXT("Item"));
        document_put_item(w, item);
    }
    return e->status;
}

void failure_write_reasons(const struct failure_reason *reasons, uint32_t count, struct document_writer *w) {
    document_put_name(w, TEXT("CancellationReasons"));
    document_put_begin(w, DOCUMENT_ARRAY);
    for (uint32_t i = 0; i < count; i++) {
        document_put_begin(w, DOCUMENT_OBJECT);
        document_put_name(w, TEXT("Code"));
        document_put_text(w, (struct text){reasons[i].code, strlen(reasons[i].code)});
        if (reasons[i].item) {
            document_put_name(w, TEXT("Item"));
            document_put_item(w, reasons[i].item);
        }
        if (reasons[i].message) {
            document_put_name(w, TEXT("Message"));
            document_put_text(w, (struct text){reasons[i].message, strlen(reasons[i].message)});
        }
        document_put_end(w, DOCUMENT_OBJECT);
    }
    document_put_end(w, DOCUMENT_ARRAY);
}
