/* core/base/notes.h - lines of text for a caller's function, kept until it may be called.
 *
 * Why      larder_check() and larder_repair() find what they report while they hold locks, and call
 *          no user code under them.
 * Rules    What does not fit is left out: a line more or less is no reason to fail.
 * Tests    tests/crash/check_live_test.c
 */
#ifndef LARDER_BASE_NOTES_H
#define LARDER_BASE_NOTES_H

#include <stddef.h>

struct priv;

struct kept_notes {
    void (*to)(void *arg, const char *line); /* NULL: nobody wants them */
    void *arg;
    char *lines; /* each 0-terminated. Private memory */
    size_t used, capacity;
};

void notes_keep(struct kept_notes *n, struct priv *priv, const char *line);
/* Calls the function for each line, and forgets them. Outside locks. */
void notes_hand_out(struct kept_notes *n, struct priv *priv);

#endif
