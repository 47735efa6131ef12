/* core/base/notes.c - see core/base/notes.h. */
#include "core/base/notes.h"
#include "core/base/priv.h"
#include <string.h>

#define NOTES_BYTES_MAX (4u << 20)

void notes_keep(struct kept_notes *n, struct priv *priv, const char *line) {
    size_t bytes = strlen(line) + 1;
    if (!n->to || n->used + bytes > NOTES_BYTES_MAX)
        return;
    if (n->used + bytes > n->capacity) {
        char *grown = priv_realloc(priv, n->lines, (n->used + bytes) * 2);
        if (!grown)
            return;
        n->lines = grown;
        n->capacity = (n->used + bytes) * 2;
    }
    memcpy(n->lines + n->used, line, bytes);
    n->used += bytes;
}

void notes_hand_out(struct kept_notes *n, struct priv *priv) {
    for (size_t at = 0; at < n->used; at += strlen(n->lines + at) + 1)
        n->to(n->arg, n->lines + at);
    priv_free(priv, n->lines);
    n->lines = NULL;
    n->used = n->capacity = 0;
}
