/* cli/json_pieces.h - the items of a JSON file, whatever stands around them, one after another. */
#ifndef LARDER_CLI_JSON_PIECES_H
#define LARDER_CLI_JSON_PIECES_H

#include <stdbool.h>

#include "cli/input.h"

#define JSON_PIECES_DEPTH_MAX 8 /* of lists and pages around an item */
#define JSON_PIECES_NAME_BYTES 256

/* Zero it, set input and is_plain. */
struct json_pieces {
    struct input *input;
    bool is_plain; /* plain JSON: lists and numbers are values of items */
    /* the lists and pages around the next piece; the last is the innermost */
    struct json_pieces_around {
        enum { PIECES_LIST, PIECES_PAGE } kind;
        bool has_element;                  /* a comma must stand before the next */
        char name[JSON_PIECES_NAME_BYTES]; /* of a list that is a member of a page: its name, as written */
    } around[JSON_PIECES_DEPTH_MAX];
    unsigned depth;
    uint64_t line;        /* of the piece, from 1 */
    bool is_more_to_scan; /* a page had a LastEvaluatedKey or NextToken: it is not the end of its scan */
};

/* The next piece: the text of a JSON object. A page, {"Items": [..], "Count": 2} or a member of
 * batch-write-item {"Table": [..]}, gives the elements of its lists. 1: a piece, valid until the
 * next call, 0: no more, -1: cannot go on, with a message and the exit code in *code. */
int json_pieces_next(struct json_pieces *pieces, const char **text, size_t *bytes, int *code);

/* The name of the list that the piece stands in, in its page; "": none. */
const char *json_pieces_list(const struct json_pieces *pieces);

/* Whether the file has one JSON object on each line, as far as its first line shows. EXIT_DONE, or
 * an exit code after a message. Consumes nothing. */
int json_pieces_is_lines(struct json_pieces *pieces, bool *out);

#endif
