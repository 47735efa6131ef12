/* serve/heard.h - whether a line for people can be written now.
 *
 * Why      A reader of standard error that has stopped reading must not stop supervisor or worker.
 *          Then a line is lost.
 * Tests    tests/serve/serve_kill_test.c
 */
#ifndef LARDER_SERVE_HEARD_H
#define LARDER_SERVE_HEARD_H

#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

static inline bool is_heard(void) {
    struct pollfd errors = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&errors, 1, 0) == 1;
}

#endif
