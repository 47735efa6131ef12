/* cli/place.c - a position in a JSON document, and the problem there.
 *
 * Job      jansson gives line and column for bad syntax, but not for a well-formed value that is
 *          wrong for us. A path that grows and shrinks with the descent says where it is.
 * Tests    tests/unit/cli/template_test.c, tests/unit/cli/json_item_test.c
 */
#include "cli/place.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/node_lines.h"
#include "larder.h"

static size_t place_append(struct place *place, const char *text) {
    size_t mark = place->path_bytes, room = sizeof place->path - 1 - mark, bytes = strlen(text);
    if (bytes > room)
        bytes = room;
    memcpy(place->path + mark, text, bytes);
    place->path[mark + bytes] = 0;
    place->path_bytes = mark + bytes;
    return mark;
}

size_t place_enter_name(struct place *place, const char *name) {
    size_t mark = place->path_bytes;
    if (mark > 0)
        place_append(place, ".");
    place_append(place, name);
    return mark;
}

size_t place_enter_index(struct place *place, size_t index) {
    char text[32];
    snprintf(text, sizeof text, "[%zu]", index);
    return place_append(place, text);
}

void place_leave(struct place *place, size_t mark) {
    place->path_bytes = mark;
    place->path[mark] = 0;
}

/* All text here comes from jansson or libyaml, which have checked it. */
void place_whole_characters(char *text) {
    char *to = text;
    for (const char *at = text; *at != 0;) {
        unsigned char first = (unsigned char)*at;
        size_t bytes = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4, have = 1;
        while (have < bytes && ((unsigned char)at[have] & 0xc0) == 0x80)
            have++;
        if (have == bytes) {
            memmove(to, at, bytes);
            to += bytes;
        }
        at += have;
    }
    *to = 0;
}

int place_fail(struct place *place, const char *format, ...) {
    int used = 0;
    if (place->path_bytes > 0)
        used = snprintf(place->problem, sizeof place->problem, "%s: ", place->path);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(place->problem + used, sizeof place->problem - (size_t)used, format, arguments);
    va_end(arguments);
    place_whole_characters(place->problem);
    place->line = node_lines_find(place->lines, place->path);
    place->column = 0;
    return LARDER_E_INVAL;
}

void place_add(struct place *place, const char *format, ...) {
    size_t used = strlen(place->problem);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(place->problem + used, sizeof place->problem - used, format, arguments);
    va_end(arguments);
    place_whole_characters(place->problem);
}

void place_message(const struct place *place, const char *file, char *text, size_t text_bytes) {
    char where[32] = "";
    if (place->line > 0 && place->column > 0)
        snprintf(where, sizeof where, ":%d:%d", place->line, place->column);
    else if (place->line > 0)
        snprintf(where, sizeof where, ":%d", place->line);
    snprintf(text, text_bytes, "%s%s: %s", file, where, place->problem);
}
