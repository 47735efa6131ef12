/* core/base/err.c - the text of this thread's last failure, and the names of results.
 *
 * Job      One buffer per thread, so a failure in one thread never changes the text that another is
 *          about to read. It needs no allocation, so "out of memory" can be reported too.
 * Tests    tests/unit/item/item_refuse_test.c (every refusal leaves a text)
 */
#include "core/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "larder.h"

static _Thread_local char err_text[ERR_TEXT_BYTES];
static _Thread_local int err_number; /* errno of the failure in err_text, or 0 */

LARDER_API const char *larder_error(void) {
    return err_text;
}

LARDER_API int larder_errno(void) {
    return err_number;
}

int err_set(int result, const char *format, ...) {
    /* Through a second buffer, since an argument may be the present text. */
    char text[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(err_text, text, sizeof text);
    err_number = 0;
    return result;
}

int err_note_errno(int result, int number) {
    err_number = number;
    return result;
}

void err_keep(struct err_kept *kept) {
    memcpy(kept->text, err_text, sizeof err_text);
    kept->number = err_number;
}

void err_put_back(const struct err_kept *kept) {
    memcpy(err_text, kept->text, sizeof err_text);
    err_number = kept->number;
}

void err_null(const char *function, const char *argument) {
    err_set(LARDER_E_INVAL, "%s: %s is NULL; it must not be", function, argument);
}

static int err_result_of_errno(int number) {
    switch (number) {
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
        return LARDER_E_FULL;
    case EACCES:
    case EPERM:
        return LARDER_E_ACCESS;
    default:
        return LARDER_E_OS;
    }
}

int err_set_errno(const char *what, const char *object) {
    int number = errno;
    char text[128];
    int result = err_set(err_result_of_errno(number), "%s %s: %s", what, object, strerror_r(number, text, sizeof text));
    return err_note_errno(result, number);
}

LARDER_API const char *larder_version(void) {
    return LARDER_VERSION;
}

LARDER_API uint32_t larder_version_number(void) {
    return LARDER_VERSION_NUMBER;
}

LARDER_API const char *larder_result_name(int result) {
    switch (result) {
#define ERR_NAME(name)                                                                                                 \
    case name:                                                                                                         \
        return #name
        ERR_NAME(LARDER_OK);
        ERR_NAME(LARDER_NOT_FOUND);
        ERR_NAME(LARDER_MORE);
        ERR_NAME(LARDER_CHANGED);
        ERR_NAME(LARDER_DAMAGED);
        ERR_NAME(LARDER_REFUSED);
        ERR_NAME(LARDER_E_INVAL);
        ERR_NAME(LARDER_E_FULL);
        ERR_NAME(LARDER_E_BUSY);
        ERR_NAME(LARDER_E_NO_TABLE);
        ERR_NAME(LARDER_E_NO_INDEX);
        ERR_NAME(LARDER_E_EXISTS);
        ERR_NAME(LARDER_E_NO_SEGMENT);
        ERR_NAME(LARDER_E_FORMAT);
        ERR_NAME(LARDER_E_READ_ONLY);
        ERR_NAME(LARDER_E_DESTROYED);
        ERR_NAME(LARDER_E_CORRUPT);
        ERR_NAME(LARDER_E_OS);
        ERR_NAME(LARDER_E_NO_MEMORY);
        ERR_NAME(LARDER_E_ACCESS);
        ERR_NAME(LARDER_E_RETAINED);
        ERR_NAME(LARDER_E_NO_SLOT);
#undef ERR_NAME
    default:
        return "unknown result";
    }
}
