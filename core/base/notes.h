/* core/base/notes.h - lines of text that are kept until the caller's function may be called.
 *
 * Why      larder_check() and larder_repair() find what they report under locks, where no user code
 *          may run.
 * Rules    A line that does not fit, or finds no memory, is left out: that is no reason to fail.
 * Tests    tests/crash/check_live_test.c
 */
#ifndef LARDER_BASE_NOTES_H
#define LARDER_BASE_NOTES_H

#include <stddef.h>

struct priv;

struct kept_notes {
    void (*to)(void *arg, const char *line); /* NULL: lines are dropped */
    void *arg;
    char *lines; /* each 0-terminated. Private memory */
    size_t used, capacity;
};

void notes_keep(struct kept_notes *n, struct priv *priv, const char *line);
/* Calls the function for each line, then forgets the lines. Outside locks. */
void notes_hand_out(struct kept_notes *n, struct priv *priv);

#endif
