/* core/err.h - the text of this thread's last failure. */
#ifndef LARDER_CORE_ERR_H
#define LARDER_CORE_ERR_H

/* Keeps the message for larder_error() and returns `result`, so that failing reads: return err_set(LARDER_E_INVAL,
 * "..."). Bytes of names and values in messages are to be cut to a few dozen ("%.*s"). Never allocates. */
int err_set(int result, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* LARDER_E_OS (or LARDER_FULL for ENOSPC and ENOMEM of the filesystem, LARDER_E_ACCESS for EACCES and EPERM) with
 * "<what> <object>: <strerror>". */
int err_set_errno(const char *what, const char *object);

#endif
