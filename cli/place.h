/* cli/place.h - a position in a JSON document, and the problem there. */
#ifndef LARDER_CLI_PLACE_H
#define LARDER_CLI_PLACE_H

#include <stddef.h>

struct node_lines;

/* A path such as KeySchema[0].AttributeName and the text of a problem. Zero it to start at the
 * top. */
struct place {
    char path[256]; /* cut when longer; the mark still counts right */
    size_t path_bytes;
    char problem[768];              /* after place_fail(): "path: text" */
    char stand_in[4];               /* "", or the stand-in for a zero byte in the document's names (json_nul) */
    const struct node_lines *lines; /* of the document; NULL: unknown */
    int line, column;               /* after place_fail(): of the problem; 0: unknown */
};

/* Steps into a member or element; returns the mark for place_leave(). */
size_t place_enter_name(struct place *place, const char *name);
size_t place_enter_index(struct place *place, size_t index);
void place_leave(struct place *place, size_t mark);

/* Keeps "path: <text>" as the problem, and its line; returns LARDER_E_INVAL. */
int place_fail(struct place *place, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds words to the problem that place_fail() has kept. */
void place_add(struct place *place, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Removes characters of UTF-8 that were cut in the middle. */
void place_whole_characters(char *text);
/* "FILE:12:5: problem", as far as line and column are known. */
void place_message(const struct place *place, const char *file, char *text, size_t text_bytes);

#endif
