/* dynamodb/values.c - AttributeValues of a request become an item. See values.h.
 *
 * Sources  Messages: dynalite's suites; the nesting's message: the dynamodb-conformance suite
 *          (PutItem, "exact error messages"), both run against the service. {"NULL": false} is
 *          refused in all regions since July 2026 (that suite's notes).
 * Tests    tests/dynamodb/dynamodb_values_test.c
 */
#include "dynamodb/values.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/utf8.h"
#include "dynamodb/base64.h"
#include "dynamodb/number.h"

#define INVALID "One or more parameter values were invalid: "

static const struct type {
    struct text name;
    enum larder_type type;
} types[] = {{TEXT("S"), LARDER_S},   {TEXT("N"), LARDER_N},   {TEXT("M"), LARDER_M},       {TEXT("BOOL"), LARDER_BOOL},
             {TEXT("L"), LARDER_L},   {TEXT("SS"), LARDER_SS}, {TEXT("NULL"), LARDER_NULL}, {TEXT("B"), LARDER_B},
             {TEXT("NS"), LARDER_NS}, {TEXT("BS"), LARDER_BS}};

/* ---- Problems -------------------------------------------------------------------------------- */

/* The first problem counts. */
static void note(struct values *v, enum values_problem_kind kind, const char *message) {
    if (!v->problem) {
        snprintf(v->message, sizeof v->message, "%s", message);
        v->message[utf8_valid_bytes(v->message, strlen(v->message))] = 0;
        v->problem = kind;
    }
    v->is_muted = 1;
}

/* The builder refused a value. Numbers and names were not checked before; all that is left is the
 * size. */
static int note_refusal(struct values *v, struct wire *w, int result) {
    if (result == LARDER_OK)
        return LARDER_OK;
    if (result != LARDER_E_INVAL)
        return wire_result(w, LARDER_E_NO_MEMORY);
    v->is_too_large = 1;
    v->is_muted = 1;
    return LARDER_OK;
}

/* Also where a number only has to be looked at: in a value of two types. */
static void note_number(struct values *v, struct text text) {
    char message[VALUES_MESSAGE_BYTES];
    if (!number_problem(text, message, sizeof message))
        return;
    note(v, VALUES_PROBLEM_OF_NUMBER_OR_SET, message);
}

/* "[a, b]", as much of it as there is room for. */
static void show_members(const struct values *v, enum larder_type set, char *to, size_t room) {
    char encoded[256];
    size_t used = 0;
    for (uint32_t i = 0; i < v->member_count && used < room; i++) {
        struct text shown = v->members[i];
        if (set == LARDER_BS) {
            size_t bytes = shown.bytes < 180 ? shown.bytes : 180;
            base64_write(shown.at, bytes, encoded);
            shown = (struct text){encoded, base64_encoded_bytes(bytes)};
        }
        used += (size_t)snprintf(to + used, room - used, "%s%.*s", i ? ", " : "", (int)shown.bytes, shown.at);
    }
}

static void note_duplicate(struct values *v, enum larder_type set) {
    char members[VALUES_MESSAGE_BYTES - 160] = "", message[VALUES_MESSAGE_BYTES];
    if (set == LARDER_NS) {
        note(v, VALUES_PROBLEM_OF_NUMBER_OR_SET, "Input collection contains duplicates");
        return;
    }
    show_members(v, set, members, sizeof members);
    snprintf(message, sizeof message, INVALID "Input collection [%s]%s", members,
             set == LARDER_SS ? " contains duplicates." : "of type BS contains duplicates.");
    note(v, VALUES_PROBLEM_OF_NUMBER_OR_SET, message);
}

/* ---- Scalars --------------------------------------------------------------------------------- */

static int add(struct values *v, struct wire *w, const struct larder_value *value) {
    return v->is_muted ? LARDER_OK : note_refusal(v, w, larder_builder_add(v->builder, NULL, value));
}

static int read_number(struct values *v, struct wire *w, struct text *text) {
    int r = wire_string(w, text);
    if (r)
        return r;
    struct larder_value value = {.type = LARDER_N, .data = text->at, .bytes = text->bytes};
    if (!v->is_muted && larder_builder_add(v->builder, NULL, &value) == LARDER_OK)
        return LARDER_OK;
    int was_muted = v->is_muted;
    note_number(v, *text);
    return was_muted || v->is_muted ? LARDER_OK : note_refusal(v, w, LARDER_E_INVAL);
}

static int read_bytes(struct values *v, struct wire *w, enum larder_type type, struct text *text) {
    int r = type == LARDER_B ? wire_blob(w, text) : wire_string(w, text);
    struct larder_value value = {.type = type, .data = text->at, .bytes = text->bytes};
    return r ? r : add(v, w, &value);
}

static int read_truth(struct values *v, struct wire *w, enum larder_type type) {
    struct larder_value value = {.type = type};
    int r = wire_boolean(w, &value.is_true);
    if (r == LARDER_OK && type == LARDER_NULL) {
        if (!value.is_true)
            note(v, VALUES_PROBLEM, INVALID "Null attribute value types must have the value of true");
        value.is_true = 0;
    }
    return r ? r : add(v, w, &value);
}

/* S, N or B; *text is what was read. */
static int read_plain(struct values *v, struct wire *w, enum larder_type type, struct text *text) {
    return type == LARDER_N ? read_number(v, w, text) : read_bytes(v, w, type, text);
}

/* ---- Sets ------------------------------------------------------------------------------------ */

static int keep_member(struct values *v, struct wire *w, struct text text) {
    if (v->member_count == v->member_capacity) {
        uint32_t capacity = v->member_capacity ? 2 * v->member_capacity : 64;
        struct text *members = realloc(v->members, capacity * sizeof *members);
        if (!members)
            return wire_result(w, LARDER_E_NO_MEMORY);
        v->members = members;
        v->member_capacity = capacity;
    }
    v->members[v->member_count++] = text;
    return LARDER_OK;
}

static int end_set(struct values *v, struct wire *w, enum larder_type set) {
    int r = LARDER_OK;
    if (!v->member_count)
        note(v, VALUES_PROBLEM,
             set == LARDER_SS   ? INVALID "An string set  may not be empty"
             : set == LARDER_NS ? INVALID "An number set  may not be empty"
                                : INVALID "Binary sets should not be empty");
    else if (!v->is_muted && (r = larder_builder_end(v->builder)) == LARDER_E_INVAL)
        note_duplicate(v, set);
    return r == LARDER_E_NO_MEMORY ? wire_result(w, r) : LARDER_OK;
}

static int read_set(struct values *v, struct wire *w, enum larder_type set) {
    enum larder_type of = set == LARDER_SS ? LARDER_S : set == LARDER_NS ? LARDER_N : LARDER_B;
    struct text text;
    int r = wire_list(w);
    if (r)
        return r;
    v->member_count = 0;
    if (!v->is_muted && (r = note_refusal(v, w, larder_builder_begin(v->builder, NULL, set))))
        return r;
    while ((r = wire_result(w, document_element(w->reader))) == LARDER_OK) {
        r = read_plain(v, w, of, &text);
        if (r == LARDER_OK)
            r = keep_member(v, w, text);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : end_set(v, w, set);
}

/* ---- Lists and maps -------------------------------------------------------------------------- */

static int read_value(struct values *v, struct wire *w, uint32_t level);

static int read_list(struct values *v, struct wire *w, uint32_t level) {
    int r;
    while ((r = wire_result(w, document_element(w->reader))) == LARDER_OK)
        if ((r = read_value(v, w, level)) < 0)
            return r;
    return r;
}

static int name_value(struct values *v, struct wire *w, struct text name) {
    if (v->is_muted)
        return LARDER_OK;
    if (!name.bytes || name.bytes > LARDER_ATTRIBUTE_NAME_MAX) {
        note(v, VALUES_PROBLEM,
             name.bytes ? INVALID "Attribute name is too large, must be less than 65536 bytes"
                        : INVALID "Attribute name must not be empty");
        return LARDER_OK;
    }
    return note_refusal(v, w, larder_builder_name(v->builder, name.at, name.bytes));
}

static int read_map(struct values *v, struct wire *w, uint32_t level) {
    struct text name;
    int r;
    while ((r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK)
        if ((r = name_value(v, w, name)) < 0 || (r = read_value(v, w, level)) < 0)
            return r;
    return r;
}

static int end_container(struct values *v, struct wire *w) {
    int r = v->is_muted ? LARDER_OK : larder_builder_end(v->builder);
    if (r == LARDER_E_NO_MEMORY)
        return wire_result(w, r);
    if (r)
        v->has_duplicates = v->is_muted = 1;
    return LARDER_OK;
}

/* Deeper values are only skipped: what they are is not looked at. */
static int read_container(struct values *v, struct wire *w, enum larder_type type, uint32_t level) {
    int r;
    if (level == VALUES_LEVELS_MAX) {
        note(v, VALUES_PROBLEM,
             "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond "
             "supported limit");
        return wire_skip(w);
    }
    r = type == LARDER_M ? wire_map(w, "AttributeValue") : wire_list(w);
    if (r)
        return r;
    if (!v->is_muted && (r = note_refusal(v, w, larder_builder_begin(v->builder, NULL, type))))
        return r;
    r = type == LARDER_M ? read_map(v, w, level + 1) : read_list(v, w, level + 1);
    return r < 0 ? r : end_container(v, w);
}

/* ---- AttributeValue -------------------------------------------------------------------------- */

static int read_typed(struct values *v, struct wire *w, enum larder_type type, uint32_t level) {
    struct text text;
    switch (type) {
    case LARDER_S:
    case LARDER_N:
    case LARDER_B:
        return read_plain(v, w, type, &text);
    case LARDER_BOOL:
    case LARDER_NULL:
        return read_truth(v, w, type);
    case LARDER_M:
    case LARDER_L:
        return read_container(v, w, type, level);
    default:
        return read_set(v, w, type);
    }
}

static const struct type *type_of(struct text name) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (text_is(name, types[i].name))
            return &types[i];
    return NULL;
}

/* The second type of a value: it is looked at, and not built. */
static int read_second(struct values *v, struct wire *w, enum larder_type type, uint32_t level) {
    int was_muted = v->is_muted;
    v->is_muted = 1;
    int r = read_typed(v, w, type, level);
    v->is_muted = was_muted || v->problem;
    return r;
}

/* {"S": "text"}. Members that are no types are ignored. One type twice is a name given twice. */
static int read_members(struct values *v, struct wire *w, uint32_t level, uint32_t *count) {
    struct text name;
    unsigned seen = 0;
    int r;
    while ((r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK) {
        const struct type *type = type_of(name);
        if (!type)
            r = wire_skip(w);
        else
            r = *count ? read_second(v, w, type->type, level) : read_typed(v, w, type->type, level);
        if (r < 0)
            return r;
        if (!type || r != LARDER_OK)
            continue;
        if (!*count)
            v->last_type = type->type;
        if (seen >> type->type & 1)
            v->has_duplicates = v->is_muted = 1;
        seen |= 1u << type->type;
        *count += 1;
    }
    return r < 0 ? r : LARDER_OK;
}

/* What follows wire_structure(), whose result is r. */
static int read_structure(struct values *v, struct wire *w, uint32_t level, int r) {
    uint32_t count = 0;
    if (r == LARDER_OK)
        r = read_members(v, w, level, &count);
    if (r < 0)
        return r;
    if (count == 0)
        note(v, VALUES_PROBLEM,
             "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes");
    if (count > 1)
        note(v, VALUES_PROBLEM,
             "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported "
             "datatypes");
    return LARDER_OK;
}

static int read_value(struct values *v, struct wire *w, uint32_t level) {
    return read_structure(v, w, level, wire_structure(w, "AttributeValue"));
}

/* ---- All of them ----------------------------------------------------------------------------- */

static int is_placeholder(struct text name) {
    for (size_t i = 1; i < name.bytes; i++) {
        char c = name.at[i], letter = (char)(c | 0x20);
        if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '_')
            return 0;
    }
    return name.bytes > 1 && name.at[0] == ':';
}

static int read_attributes(struct values *v, struct wire *w) {
    struct text name;
    int r;
    while ((r = wire_result(w, document_member(w->reader, &name))) == LARDER_OK) {
        int had_problem = v->problem;
        if (!v->bad_placeholder.at && !is_placeholder(name))
            v->bad_placeholder = name;
        if ((r = name_value(v, w, name)) < 0 || (r = read_value(v, w, 0)) < 0)
            return r;
        if (v->problem && !had_problem)
            v->problem_at = name;
        v->count++;
    }
    return r;
}

void values_begin(struct values *v) {
    v->item = NULL;
    v->count = 0;
    v->is_too_large = v->has_duplicates = v->is_muted = 0;
    v->problem = VALUES_OK;
    v->bad_placeholder.at = NULL;
    larder_builder_reset(v->builder);
}

int values_add(struct values *v, struct wire *w, struct text name, int is_field) {
    int r = is_field ? wire_field(w, "AttributeValue") : wire_structure(w, "AttributeValue");
    if (r)
        return r;
    v->last_type = LARDER_NULL; /* if it has none */
    v->count++;
    return (r = name_value(v, w, name)) < 0 ? r : read_structure(v, w, 0, LARDER_OK);
}

int values_end(struct values *v, struct wire *w) {
    int r;
    if (v->is_muted)
        return LARDER_OK;
    /* too large in all, or an attribute twice: reading it without duplicates will tell */
    r = larder_builder_finish(v->builder, &v->item);
    if (r == LARDER_OK)
        return LARDER_OK;
    v->has_duplicates = 1;
    return r == LARDER_E_INVAL ? LARDER_OK : wire_result(w, LARDER_E_NO_MEMORY);
}

int values_read(struct values *v, struct wire *w) {
    int r = wire_map(w, "AttributeValue");
    values_begin(v);
    if (r || (r = read_attributes(v, w)) < 0)
        return r;
    return values_end(v, w);
}

void values_free(struct values *v) {
    free(v->members);
    v->members = NULL;
    v->member_capacity = 0;
}
