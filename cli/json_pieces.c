/* cli/json_pieces.c - the items of a JSON file, whatever stands around them, one after another.
 *
 * Why      A file of a gigabyte may be one list, or one line. So it is cut into objects by looking
 *          for their ends only; jansson then reads each, and judges it.
 * Picture  [ {...}, {...} ]                            a list: its elements
 *          {"Items": [ {...}, {...} ], "Count": 2}     a page: the elements of its lists of objects
 *          {...}  {...}                                objects, in any number of lines
 * Rules    P1 An object is a page if it has a member that is a list named Items, or a list of
 *             objects: no attribute in DynamoDB JSON is a list. In plain JSON attributes are, so
 *             there it must begin with Items.
 *          P2 Around pieces, JSON's own rules hold: commas, colons, the right closing bracket.
 * Tests    tests/unit/cli/json_pieces_test.c, tests/fuzz/import_fuzz.c
 */
#include "cli/json_pieces.h"

#include <string.h>

#include "cli/report.h"

#define PIECES_END (-1)    /* of the file */
#define PIECES_FAILED (-2) /* a message was given */

/* ---- Bytes ----------------------------------------------------------------------------------- */

/* The byte `offset` behind the unread ones' begin. */
static int pieces_byte(struct json_pieces *pieces, size_t offset, int *code) {
    struct input *input = pieces->input;
    if (*code != EXIT_DONE)
        return PIECES_FAILED;
    while (input->end - input->at <= offset) {
        if (input->is_at_end)
            return PIECES_END;
        *code = input_fill(input);
        if (*code != EXIT_DONE)
            return PIECES_FAILED;
    }
    return (unsigned char)input->buffer[input->at + offset];
}

static void pieces_consume(struct json_pieces *pieces, size_t bytes) {
    struct input *input = pieces->input;
    const char *at = input->buffer + input->at, *end = at + bytes;
    input->at += bytes;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        input->number++;
        at++;
    }
}

static bool pieces_is_blank(int byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* Consumes blanks; the byte behind them. */
static int pieces_skip(struct json_pieces *pieces, int *code) {
    int byte;
    while (pieces_is_blank(byte = pieces_byte(pieces, 0, code)))
        pieces_consume(pieces, 1);
    return byte;
}

/* -1 after a message; what was expected where another byte is. */
static int pieces_fail(struct json_pieces *pieces, int byte, const char *expected, int *code) {
    const char *name = pieces->input->name;
    unsigned long long line = pieces->input->number + 1;
    if (byte == PIECES_END)
        *code = report_error(EXIT_INPUT, "%s:%llu: the file ends where %s is expected", name, line, expected);
    else if (byte != PIECES_FAILED)
        *code = report_error(EXIT_INPUT, "%s:%llu: '%c' stands where %s is expected", name, line,
                             byte < 0x80 ? byte : '?', expected);
    return -1;
}

/* ---- Ends of values -------------------------------------------------------------------------- */

/* The offset behind the string that begins at `offset`; 0 after a failure. */
static size_t pieces_string_end(struct json_pieces *pieces, size_t offset, int *code) {
    for (;;) {
        int byte = pieces_byte(pieces, ++offset, code);
        if (byte == '\\')
            byte = pieces_byte(pieces, ++offset, code) < 0 ? PIECES_END : 0;
        else if (byte == '"')
            return offset + 1;
        if (byte < 0) {
            pieces_fail(pieces, *code == EXIT_DONE ? PIECES_END : PIECES_FAILED, "the end of a string", code);
            return 0;
        }
    }
}

/* The offset behind the value that begins at `offset`; 0 after a failure. */
static size_t pieces_value_end(struct json_pieces *pieces, size_t offset, int *code) {
    size_t depth = 0;
    for (;;) {
        int byte = pieces_byte(pieces, offset, code);
        if (byte == '"') {
            offset = pieces_string_end(pieces, offset, code);
            if (offset == 0)
                return 0;
            if (depth == 0)
                return offset;
            continue;
        }
        if (byte < 0 && (depth > 0 || byte == PIECES_FAILED)) {
            pieces_fail(pieces, byte, "the end of an object or a list", code);
            return 0;
        }
        if (depth == 0 && (byte < 0 || byte == ',' || byte == ']' || byte == '}' || pieces_is_blank(byte)))
            return offset; /* of a number or a word; the reader of the piece judges it */
        depth += byte == '{' || byte == '[';
        depth -= byte == '}' || byte == ']';
        offset++;
        if (depth == 0 && (byte == '}' || byte == ']'))
            return offset;
    }
}

static size_t pieces_blanks(struct json_pieces *pieces, size_t offset, int *code) {
    while (pieces_is_blank(pieces_byte(pieces, offset, code)))
        offset++;
    return offset;
}

/* ---- Pages ----------------------------------------------------------------------------------- */

/* P1: whether the member of this name, whose value begins at `offset`, makes a page of its
 * object. */
static bool pieces_is_list(struct json_pieces *pieces, bool is_items, size_t offset, int *code) {
    if (pieces_byte(pieces, offset, code) != '[')
        return false;
    if (is_items)
        return true;
    int first = pieces_byte(pieces, pieces_blanks(pieces, offset + 1, code), code);
    return first == '{';
}

/* Whether the string at `offset`, with its quotes, is this. */
static bool pieces_is_text(const struct json_pieces *pieces, size_t offset, size_t bytes, const char *text) {
    return strlen(text) == bytes && memcmp(pieces->input->buffer + pieces->input->at + offset, text, bytes) == 0;
}

/* Looks at the object that comes next: its length, or 0 if it is a page. -1 after a failure. What
 * is wrong with its JSON, the reader of the piece says. */
static long long pieces_object(struct json_pieces *pieces, int *code) {
    size_t offset = 1;
    for (bool is_first = true;; is_first = false) {
        offset = pieces_blanks(pieces, offset, code);
        if (pieces_byte(pieces, offset, code) != '"')
            break;
        size_t name = offset, end = pieces_string_end(pieces, offset, code);
        if (end == 0)
            return -1;
        offset = pieces_blanks(pieces, end, code);
        if (pieces_byte(pieces, offset, code) != ':')
            break;
        offset = pieces_blanks(pieces, offset + 1, code);
        bool is_items = pieces_is_text(pieces, name, end - name, "\"Items\"");
        if ((!pieces->is_plain || (is_first && is_items)) && pieces_is_list(pieces, is_items, offset, code))
            return 0;
        size_t behind = pieces_value_end(pieces, offset, code);
        if (behind == 0)
            return -1;
        if (behind == offset)
            break;
        offset = pieces_blanks(pieces, behind, code);
        if (pieces_byte(pieces, offset, code) != ',')
            break;
        offset++;
    }
    offset = pieces_value_end(pieces, 0, code);
    return offset > 0 ? (long long)offset : -1;
}

/* Enters the list or page that begins with the next byte. */
static int pieces_enter(struct json_pieces *pieces, int kind, const char *name, size_t name_bytes, int *code) {
    if (pieces->depth == JSON_PIECES_DEPTH_MAX) {
        *code = report_error(EXIT_INPUT, "%s:%llu: more than %d lists in each other", pieces->input->name,
                             (unsigned long long)pieces->input->number + 1, JSON_PIECES_DEPTH_MAX);
        return -1;
    }
    struct json_pieces_around *around = &pieces->around[pieces->depth++];
    memset(around, 0, sizeof *around);
    around->kind = kind;
    if (name_bytes >= sizeof around->name)
        name_bytes = sizeof around->name - 1;
    if (name_bytes > 0)
        memcpy(around->name, name, name_bytes);
    pieces_consume(pieces, 1);
    return 0;
}

/* The next member of a page: a list is entered, anything else passed over. 0, or -1. */
static int pieces_member(struct json_pieces *pieces, int *code) {
    char name[JSON_PIECES_NAME_BYTES];
    size_t end = pieces_string_end(pieces, 0, code), bytes;
    if (end == 0)
        return -1;
    bytes = end - 2 < sizeof name ? end - 2 : sizeof name;
    memcpy(name, pieces->input->buffer + pieces->input->at + 1, bytes);
    pieces_consume(pieces, end);
    int byte = pieces_skip(pieces, code);
    if (byte != ':')
        return pieces_fail(pieces, byte, "':'", code);
    pieces_consume(pieces, 1);
    byte = pieces_skip(pieces, code);
    bool is_items = bytes == 5 && memcmp(name, "Items", 5) == 0;
    if (pieces_is_list(pieces, is_items, 0, code))
        return pieces_enter(pieces, PIECES_LIST, name, bytes, code);
    if ((byte == '{' && bytes == 16 && memcmp(name, "LastEvaluatedKey", 16) == 0) ||
        (byte == '"' && bytes == 9 && memcmp(name, "NextToken", 9) == 0))
        pieces->is_more_to_scan = true;
    end = byte >= 0 ? pieces_value_end(pieces, 0, code) : 0;
    if (end == 0)
        return *code == EXIT_DONE ? pieces_fail(pieces, byte, "a value", code) : -1;
    pieces_consume(pieces, end);
    return 0;
}

/* ---- The next piece -------------------------------------------------------------------------- */

/* The object or list that comes next: 1 a piece, 0 it was entered, -1 a failure. */
static int pieces_value(struct json_pieces *pieces, int byte, const char **text, size_t *bytes, int *code) {
    if (byte == '[')
        return pieces_enter(pieces, PIECES_LIST, "", 0, code);
    if (byte != '{')
        return pieces_fail(pieces, byte, "an item, '{',", code);
    long long length = pieces_object(pieces, code);
    if (length == 0)
        return pieces_enter(pieces, PIECES_PAGE, "", 0, code);
    if (length < 0)
        return -1;
    pieces->line = pieces->input->number + 1;
    pieces_consume(pieces, (size_t)length);
    *text = pieces->input->buffer + pieces->input->at - (size_t)length;
    *bytes = (size_t)length;
    return 1;
}

/* Inside of a list or page: its end, a comma, the next element. */
static int pieces_inside(struct json_pieces *pieces, const char **text, size_t *bytes, int *code) {
    struct json_pieces_around *around = &pieces->around[pieces->depth - 1];
    bool is_list = around->kind == PIECES_LIST;
    int byte = pieces_skip(pieces, code);
    if (byte == (is_list ? ']' : '}')) {
        pieces_consume(pieces, 1);
        pieces->depth--;
        return 0;
    }
    if (around->has_element) {
        if (byte != ',')
            return pieces_fail(pieces, byte, is_list ? "',' or ']'" : "',' or '}'", code);
        pieces_consume(pieces, 1);
        byte = pieces_skip(pieces, code);
    }
    around->has_element = true;
    if (is_list)
        return pieces_value(pieces, byte, text, bytes, code);
    return byte == '"' ? pieces_member(pieces, code) : pieces_fail(pieces, byte, "the name of a member", code);
}

int json_pieces_next(struct json_pieces *pieces, const char **text, size_t *bytes, int *code) {
    int result = 0;
    while (result == 0) {
        if (pieces->depth > 0) {
            result = pieces_inside(pieces, text, bytes, code);
            continue;
        }
        int byte = pieces_skip(pieces, code);
        if (byte < 0)
            return byte == PIECES_END ? 0 : -1;
        result = pieces_value(pieces, byte, text, bytes, code);
    }
    return result;
}

const char *json_pieces_list(const struct json_pieces *pieces) {
    const struct json_pieces_around *around = pieces->depth > 0 ? &pieces->around[pieces->depth - 1] : NULL;
    return around != NULL ? around->name : "";
}

/* ---- Lines, or not --------------------------------------------------------------------------- */

/* Where the look at the first line is. */
struct first_line {
    size_t depth, offset, name, name_bytes; /* of the last string */
    unsigned member_count;                  /* of the object itself, that are complete */
    bool is_string;
};

/* P1: whether the [ at the offset is a list that makes a page of the object. */
static bool first_line_is_page(struct json_pieces *pieces, const struct first_line *line, int *code) {
    bool is_items = pieces_is_text(pieces, line->name, line->name_bytes, "\"Items\"");
    if (line->depth != 1 || (pieces->is_plain && (line->member_count > 0 || !is_items)))
        return false;
    return pieces_is_list(pieces, is_items, line->offset, code);
}

/* Takes a byte outside of strings. False: the object is a page. */
static bool first_line_take(struct json_pieces *pieces, struct first_line *line, int byte, int *code) {
    if (byte == '[' && first_line_is_page(pieces, line, code))
        return false;
    line->depth += byte == '{' || byte == '[';
    line->depth -= (byte == '}' || byte == ']') && line->depth > 0;
    line->member_count += byte == ',' && line->depth == 1;
    return true;
}

/* Whether the object at the offset is one line, and no page. */
static bool pieces_object_is_line(struct json_pieces *pieces, size_t offset, int *code) {
    struct first_line line = {.offset = offset};
    int byte;
    do {
        byte = pieces_byte(pieces, line.offset, code);
        if (byte < 0)
            return true; /* the reader of the line says what is wrong */
        if (byte == '\n')
            return false;
        if (byte == '"' && !line.is_string)
            line.name = line.offset;
        if (byte == '"' && line.is_string)
            line.name_bytes = line.offset + 1 - line.name;
        if (!line.is_string && !first_line_take(pieces, &line, byte, code))
            return false;
        line.is_string ^= byte == '"';
        line.offset += byte == '\\' && line.is_string ? 2 : 1;
    } while (line.depth > 0 || line.is_string);
    while ((byte = pieces_byte(pieces, line.offset, code)) == ' ' || byte == '\t' || byte == '\r')
        line.offset++;
    return byte == '\n' || byte < 0;
}

int json_pieces_is_lines(struct json_pieces *pieces, bool *out) {
    int code = EXIT_DONE, byte;
    size_t offset = pieces_blanks(pieces, 0, &code);
    byte = pieces_byte(pieces, offset, &code);
    *out = byte != '[' && (byte != '{' || pieces_object_is_line(pieces, offset, &code));
    return code;
}
