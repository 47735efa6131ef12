/* core/base/err.h - the text of this thread's last failure. */
#ifndef LARDER_BASE_ERR_H
#define LARDER_BASE_ERR_H

#include <stddef.h>

#define ERR_TEXT_BYTES 512

/* Keeps the message for larder_error() and returns `result`: return err_set(LARDER_E_INVAL, "...").
 * Messages cut names and values to a few dozen bytes ("%.*s"). Never allocates. */
int err_set(int result, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For public functions: true if the argument is NULL; the message names function and argument.
 *     if (ERR_IS_NULL(t) || ERR_IS_NULL(key)) return LARDER_E_INVAL; */
#define ERR_IS_NULL(argument) (__builtin_expect((argument) == NULL, 0) && (err_null(__func__, #argument), 1))
void err_null(const char *function, const char *argument) __attribute__((cold));

/* After err_set(): the system's error number, for larder_errno(). Returns `result`. */
int err_note_errno(int result, int number);

/* For calls that may succeed although an inner call failed: keep the text before, and put it
 * back. */
struct err_kept {
    char text[ERR_TEXT_BYTES];
    int number; /* of larder_errno() */
};
void err_keep(struct err_kept *kept);
void err_put_back(const struct err_kept *kept);

/* The text is "<what> <object>: <strerror>". LARDER_E_FULL for ENOSPC, EDQUOT and ENOMEM;
 * LARDER_E_ACCESS for EACCES and EPERM; else LARDER_E_OS. */
int err_set_errno(const char *what, const char *object);

#endif
