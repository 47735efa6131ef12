/* core/base/err.h - the text of this thread's last failure. */
#ifndef LARDER_BASE_ERR_H
#define LARDER_BASE_ERR_H

#include <stddef.h>

#define ERR_TEXT_BYTES 512

/* Keeps the message for larder_error() and returns `result`, so that failing reads: return
 * err_set(LARDER_E_INVAL, "..."). Bytes of names and values in messages are to be cut to a few
 * dozen ("%.*s"). Never allocates. */
int err_set(int result, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For public functions: true if the argument is NULL; the message names function and argument.
 *     if (ERR_IS_NULL(t) || ERR_IS_NULL(key)) return LARDER_E_INVAL; */
#define ERR_IS_NULL(argument) (__builtin_expect((argument) == NULL, 0) && (err_null(__func__, #argument), 1))
void err_null(const char *function, const char *argument) __attribute__((cold));

/* After err_set(): the system's error number, for larder_errno(). Returns `result`. */
int err_note_errno(int result, int number);

/* For calls whose failures inside need not be failures of the call: keeps the text as it was
 * before, and puts that text back. */
struct err_kept {
    char text[ERR_TEXT_BYTES];
    int number; /* of larder_errno() */
};
void err_keep(struct err_kept *kept);
void err_put_back(const struct err_kept *kept);

/* LARDER_E_OS (or LARDER_E_FULL for ENOSPC and ENOMEM of the filesystem, LARDER_E_ACCESS for EACCES
 * and EPERM) with "<what> <object>: <strerror>". */
int err_set_errno(const char *what, const char *object);

#endif
