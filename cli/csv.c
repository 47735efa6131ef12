/* cli/csv.c - items from a CSV file with a header.
 *
 * Rules    V1 RFC 4180: cells may be quoted, "" in a quoted cell is a quote, and a quoted cell may
 *             have commas and line ends. Lines end in LF or CR LF; empty lines are none. Where the
 *             first line ends in CR alone, as old programs and some of today's on a Mac write it,
 *             all do.
 *          V2 Every record has as many cells as the header.
 *          V3 A cell of type M, L, SS, NS or BS has what DynamoDB JSON has there: for an L
 *             [{"S":"a"},{"N":"1"}], for an SS ["a","b"].
 * Tests    tests/unit/cli/csv_test.c, tests/fuzz/import_fuzz.c
 */
#include "cli/csv.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/index_keys.h"
#include "cli/report.h"

static const struct {
    const char *name;
    enum larder_type type;
} csv_types[] = {{"S", LARDER_S}, {"N", LARDER_N}, {"B", LARDER_B},   {"BOOL", LARDER_BOOL}, {"NULL", LARDER_NULL},
                 {"M", LARDER_M}, {"L", LARDER_L}, {"SS", LARDER_SS}, {"NS", LARDER_NS},     {"BS", LARDER_BS}};
#define CSV_TYPES (sizeof csv_types / sizeof csv_types[0])

static const char *csv_type_name(enum larder_type type) {
    for (size_t i = 0; i < CSV_TYPES; i++)
        if (csv_types[i].type == type)
            return csv_types[i].name;
    return "?";
}

/* ---- Records --------------------------------------------------------------------------------- */

/* Whether there is a byte at the offset: 1, 0, or -1 with *code. */
static int csv_has_byte(struct input *input, size_t offset, int *code) {
    while (input->end - input->at <= offset) {
        if (input->is_at_end)
            return 0;
        *code = input_fill(input);
        if (*code != EXIT_DONE)
            return -1;
    }
    return 1;
}

/* Which byte ends the lines; at the offset is the first CR or LF. Returns as csv_has_byte(). */
static int csv_take_line_end(struct csv *csv, size_t offset, int *code) {
    bool is_cr = csv->input->buffer[csv->input->at + offset] == '\r';
    int more = is_cr ? csv_has_byte(csv->input, offset + 1, code) : 1;
    csv->line_end = is_cr && (more == 0 || csv->input->buffer[csv->input->at + offset + 1] != '\n') ? '\r' : '\n';
    return more;
}

/* Bytes of the next record, its line end included: 1, 0 at the end of the file, -1. */
static int csv_find(struct csv *csv, size_t *bytes, int *code) {
    bool is_quoted = false;
    int more;
    for (*bytes = 0; (more = csv_has_byte(csv->input, *bytes, code)) > 0;) {
        char c = csv->input->buffer[csv->input->at + *bytes];
        is_quoted ^= c == '"';
        if (!is_quoted && csv->line_end == 0 && (c == '\r' || c == '\n') && csv_take_line_end(csv, *bytes, code) < 0)
            return -1;
        ++*bytes;
        if (c == csv->line_end && !is_quoted)
            return 1;
    }
    return more < 0 ? -1 : *bytes > 0;
}

static int csv_cell(struct csv *csv, const struct csv_cell *cell, struct place *place) {
    if (csv->cell_count == csv->cell_capacity) {
        size_t capacity = csv->cell_capacity > 0 ? csv->cell_capacity * 2 : 64;
        struct csv_cell *grown = capacity <= CSV_COLUMNS_MAX * 2 ? realloc(csv->cells, capacity * sizeof *grown) : NULL;
        if (grown == NULL)
            return place_fail(place, "out of memory, or more than %d cells", CSV_COLUMNS_MAX);
        csv->cells = grown;
        csv->cell_capacity = capacity;
    }
    csv->cells[csv->cell_count++] = *cell;
    return LARDER_OK;
}

/* Takes the cell at *at out of its quotes; moves behind it. */
static int csv_take(struct csv *csv, char **at, char *end, struct place *place) {
    struct csv_cell cell = {.text = *at};
    char *to = *at;
    if (*at < end && **at == '"') {
        cell.is_quoted = true;
        for ((*at)++;; (*at)++) {
            if (*at == end)
                return place_fail(place, "a quote has no other behind it");
            if (**at == '"' && (*at + 1 == end || (*at)[1] != '"'))
                break;
            *at += **at == '"';
            *to++ = **at;
        }
        (*at)++;
        if (*at < end && **at != ',')
            return place_fail(place, "'%c' stands behind a closing quote; a quote in a quoted cell is written twice",
                              (unsigned char)**at < 0x80 ? **at : '?');
    } else {
        to = memchr(*at, ',', (size_t)(end - *at));
        *at = to = to != NULL ? to : end;
    }
    cell.bytes = (size_t)(to - cell.text);
    return csv_cell(csv, &cell, place);
}

static int csv_split(struct csv *csv, size_t bytes, struct place *place) {
    char *at = csv->record, *end = at + bytes;
    int result;
    csv->cell_count = 0;
    for (;;) {
        result = csv_take(csv, &at, end, place);
        if (result < 0 || at == end)
            return result;
        at++; /* the comma */
    }
}

/* The next record that is not empty, in csv->cells: 1; or 0, -1, and 1 with *result < 0. */
static int csv_record(struct csv *csv, struct place *place, int *result, int *code) {
    struct input *input = csv->input;
    for (;;) {
        size_t bytes = 0;
        int more = csv_find(csv, &bytes, code);
        if (more <= 0)
            return more;
        csv->line = input->number + 1;
        if (bytes + 1 > csv->record_capacity) {
            char *grown = realloc(csv->record, bytes + 1);
            if (grown == NULL) {
                *code = report_error(EXIT_OTHER, "out of memory");
                return -1;
            }
            csv->record = grown;
            csv->record_capacity = bytes + 1;
        }
        memcpy(csv->record, input->buffer + input->at, bytes);
        input->at += bytes;
        for (size_t i = 0; i < bytes; i++)
            input->number += csv->record[i] == (csv->line_end != 0 ? csv->line_end : '\n');
        if (bytes > 0 && csv->record[bytes - 1] == '\n')
            bytes--;
        if (bytes > 0 && csv->record[bytes - 1] == '\r')
            bytes--;
        if (bytes == 0)
            continue;
        *result = csv_split(csv, bytes, place);
        return 1;
    }
}

/* ---- The header ------------------------------------------------------------------------------ */

static void csv_key_type(const struct larder_key_def *key, struct csv_column *column) {
    if (key->name != NULL && strcmp(key->name, column->name) == 0)
        column->type = key->type;
}

/* The type that the schema gives a column: the table's keys come before those of indexes. */
static void csv_schema_type(const struct larder_table_def *def, struct csv_column *column) {
    for (uint32_t i = def->index_count; i > 0; i--)
        for (uint32_t k = 0; k < index_keys_count(&def->indexes[i - 1]); k++)
            csv_key_type(index_keys_at(&def->indexes[i - 1], k), column);
    csv_key_type(&def->partition, column);
    csv_key_type(&def->sort, column);
}

static int csv_header_cell(struct csv *csv, const struct csv_cell *cell, const struct larder_table_def *def,
                           struct place *place) {
    struct csv_column *column = &csv->columns[csv->column_count];
    if (memchr(cell->text, 0, cell->bytes) != NULL)
        return place_fail(place, "a name has a zero byte");
    column->name = malloc(cell->bytes + 1);
    if (column->name == NULL)
        return place_fail(place, "out of memory");
    memcpy(column->name, cell->text, cell->bytes);
    column->name[cell->bytes] = 0;
    csv->column_count++;
    json_t *text = json_string(column->name);
    json_decref(text);
    if (text == NULL)
        return place_fail(place, "the name of column %zu is not UTF-8", csv->column_count);
    column->type = LARDER_S;
    char *colon = strrchr(column->name, ':');
    bool is_typed = false;
    for (size_t i = 0; colon != NULL && i < CSV_TYPES && !is_typed; i++)
        if (strcmp(colon + 1, csv_types[i].name) == 0) {
            column->type = csv_types[i].type;
            *colon = 0;
            is_typed = true;
        }
    if (!is_typed)
        csv_schema_type(def, column);
    if (column->name[0] == 0)
        return place_fail(place, "column %zu has no name", csv->column_count);
    for (size_t i = 0; i + 1 < csv->column_count; i++)
        if (strcmp(csv->columns[i].name, column->name) == 0)
            return place_fail(place, "two columns have the name \"%.80s\"", column->name);
    return LARDER_OK;
}

int csv_open(struct csv *csv, struct input *input, const struct larder_table_def *def) {
    struct place place = {0};
    int result = LARDER_OK, code = EXIT_DONE;
    csv->input = input;
    int more = csv_record(csv, &place, &result, &code);
    if (more < 0)
        return code;
    if (more == 0)
        return report_error(EXIT_INPUT, "%s: the file is empty: its first line must name the attributes", input->name);
    if (result >= 0 && csv->cell_count > CSV_COLUMNS_MAX)
        result = place_fail(&place, "has %zu columns; %d are allowed", csv->cell_count, CSV_COLUMNS_MAX);
    if (result >= 0) {
        csv->columns = calloc(csv->cell_count, sizeof *csv->columns);
        if (csv->columns == NULL)
            return report_error(EXIT_OTHER, "out of memory");
    }
    for (size_t i = 0; i < csv->cell_count && result >= 0; i++)
        result = csv_header_cell(csv, &csv->cells[i], def, &place);
    return result >= 0 ? EXIT_DONE
                       : report_error(EXIT_INPUT, "%s:%llu: the header: %s", input->name, (unsigned long long)csv->line,
                                      place.problem);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* What stands behind the type in DynamoDB JSON; NULL and place->problem. */
static json_t *csv_payload(const struct csv_cell *cell, enum larder_type type, struct place *place) {
    json_error_t error;
    json_t *payload;
    switch (type) {
    case LARDER_BOOL:
        if (cell->bytes == 4 && strncasecmp(cell->text, "true", 4) == 0)
            return json_true();
        if (cell->bytes == 5 && strncasecmp(cell->text, "false", 5) == 0)
            return json_false();
        place_fail(place, "is \"%.*s\"; a BOOL is true or false", (int)(cell->bytes < 40 ? cell->bytes : 40),
                   cell->text);
        return NULL;
    case LARDER_NULL:
        return json_true();
    case LARDER_S:
    case LARDER_N:
    case LARDER_B:
        payload = json_stringn(cell->bytes > 0 ? cell->text : "", cell->bytes);
        if (payload == NULL)
            place_fail(place, "is not UTF-8");
        return payload;
    default:
        payload = json_loadb(cell->text, cell->bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        if (payload == NULL)
            place_fail(place, "%s takes JSON as in DynamoDB JSON: %s", csv_type_name(type), error.text);
        return payload;
    }
}

static int csv_row(const struct csv *csv, struct place *place, json_t *item) {
    int result = LARDER_OK;
    if (csv->cell_count != csv->column_count)
        return place_fail(place, "has %zu cell%s; the header has %zu", csv->cell_count, csv->cell_count == 1 ? "" : "s",
                          csv->column_count);
    for (size_t i = 0; i < csv->cell_count && result >= 0; i++) {
        const struct csv_cell *cell = &csv->cells[i];
        const struct csv_column *column = &csv->columns[i];
        if (cell->bytes == 0 && !cell->is_quoted)
            continue;
        size_t mark = place_enter_name(place, column->name);
        json_t *payload = csv_payload(cell, column->type, place), *value = json_object();
        if (payload == NULL) {
            json_decref(value);
            result = LARDER_E_INVAL;
        } else if (json_object_set_new(value, csv_type_name(column->type), payload) != 0 ||
                   json_object_set_new(item, column->name, value) != 0) {
            result = place_fail(place, "out of memory, or the name is not UTF-8");
        }
        place_leave(place, mark);
    }
    return result;
}

int csv_next(struct csv *csv, struct place *place, json_t **out, int *code) {
    int result = LARDER_OK, more = csv_record(csv, place, &result, code);
    *out = NULL;
    if (more <= 0)
        return more;
    json_t *item = json_object();
    if (item == NULL) {
        *code = report_error(EXIT_OTHER, "out of memory");
        return -1;
    }
    if (result >= 0)
        result = csv_row(csv, place, item);
    if (result >= 0)
        *out = item;
    else
        json_decref(item);
    return 1;
}

void csv_close(struct csv *csv) {
    for (size_t i = 0; i < csv->column_count; i++)
        free(csv->columns[i].name);
    free(csv->columns);
    free(csv->cells);
    free(csv->record);
    memset(csv, 0, sizeof *csv);
}
