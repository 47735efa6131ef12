/* dynamodb/json_once.c - JSON text without names that are given twice. See json_once.h.
 *
 * Idea     One walk. A member is cut out from its quote to that of the next one: one that is cut
 *          has a next one, since a later member has its name.
 */
#include "dynamodb/json_once.h"

#include <stdlib.h>

#include "dynamodb/json_reader.h"

struct member {
    struct text name;
    const char *from; /* behind the comma before it */
    size_t number;    /* in its object */
};

struct cut {
    const char *from, *to;
};

struct once {
    struct json_reader reader;
    struct member *members; /* of the objects that are open; those of the innermost are the last */
    size_t member_count, member_capacity;
    struct cut *cuts;
    size_t cut_count, cut_capacity;
    size_t first[JSON_LEVELS_MAX]; /* in members, of each level */
};

/* Room for one more. 0: out of memory. */
static int grow(void **array, size_t count, size_t *capacity, size_t element_bytes) {
    if (count < *capacity)
        return 1;
    size_t wanted = *capacity ? 2 * *capacity : 64;
    void *grown = realloc(*array, wanted * element_bytes);
    if (!grown)
        return 0;
    *array = grown;
    *capacity = wanted;
    return 1;
}

static int by_name(const void *left, const void *right) {
    const struct member *a = left, *b = right;
    size_t shorter = a->name.bytes < b->name.bytes ? a->name.bytes : b->name.bytes;
    int order = memcmp(a->name.at, b->name.at, shorter);
    if (!order)
        order = (a->name.bytes > b->name.bytes) - (a->name.bytes < b->name.bytes);
    return order ? order : (a->number > b->number) - (a->number < b->number);
}

static int by_place(const void *left, const void *right) {
    const struct cut *a = left, *b = right;
    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return a->to < b->to ? -1 : a->to > b->to;
}

/* Every member of the innermost object that a later one replaces. `starts`: where each begins. */
static int cut_members(struct once *o, struct member *members, size_t count, const char *const *starts) {
    qsort(members, count, sizeof *members, by_name);
    for (size_t i = 0; i + 1 < count; i++) {
        if (!text_is(members[i].name, members[i + 1].name))
            continue;
        if (!grow((void **)&o->cuts, o->cut_count, &o->cut_capacity, sizeof *o->cuts))
            return LARDER_E_NO_MEMORY;
        o->cuts[o->cut_count++] = (struct cut){members[i].from, starts[members[i].number + 1]};
    }
    return LARDER_OK;
}

static int end_object(struct once *o, uint32_t level) {
    size_t count = o->member_count - o->first[level];
    int r = LARDER_OK;
    if (count > 1) {
        struct member *members = o->members + o->first[level];
        const char **starts = malloc(count * sizeof *starts);
        if (!starts)
            return LARDER_E_NO_MEMORY;
        for (size_t i = 0; i < count; i++)
            starts[i] = members[i].from;
        r = cut_members(o, members, count, starts);
        free(starts);
    }
    o->member_count = o->first[level];
    return r;
}

static int add_member(struct once *o, struct text name, const char *from) {
    if (!grow((void **)&o->members, o->member_count, &o->member_capacity, sizeof *o->members))
        return LARDER_E_NO_MEMORY;
    size_t first = o->first[o->reader.level - 1];
    o->members[o->member_count] = (struct member){name, from, o->member_count - first};
    o->member_count++;
    return LARDER_OK;
}

/* The place behind white space and a comma. */
static const char *next_start(const struct json_reader *r) {
    const char *at = r->at;
    while (at < r->end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t' || *at == ','))
        at++;
    return at;
}

/* Takes a scalar, or the start of an object or array. */
static int take_start(struct once *o) {
    struct document_reader *r = &o->reader.reader;
    enum document_kind kind = document_kind(r);
    if (kind != DOCUMENT_OBJECT && kind != DOCUMENT_ARRAY)
        return document_skip(r);
    int error = document_begin(r);
    if (!error)
        o->first[o->reader.level - 1] = o->member_count;
    return error;
}

/* Takes the next member or element as far as its value begins, or the end. */
static int take_next(struct once *o) {
    struct document_reader *r = &o->reader.reader;
    uint32_t level = o->reader.level - 1;
    struct text name;
    if (!o->reader.is_object[level]) {
        int error = document_element(r);
        return error ? error : take_start(o);
    }
    const char *from = next_start(&o->reader);
    int error = document_member(r, &name);
    if (error == LARDER_NOT_FOUND) {
        int failed = end_object(o, level);
        return failed ? failed : error;
    }
    if (!error)
        error = add_member(o, name, from);
    return error ? error : take_start(o);
}

static int walk(struct once *o) {
    int error = take_start(o);
    while (o->reader.level && error >= 0)
        error = take_next(o);
    return error < 0 ? error : json_reader_finish(&o->reader);
}

/* The text without its cuts, some of which lie inside of others. */
static size_t copy_rest(const struct once *o, const char *text, size_t bytes, char *to) {
    const char *at = text, *end = text + bytes;
    char *start = to;
    for (size_t i = 0; i <= o->cut_count; i++) {
        const char *stop = i < o->cut_count ? o->cuts[i].from : end;
        if (stop > at) {
            memcpy(to, at, (size_t)(stop - at));
            to += stop - at;
            at = stop;
        }
        if (i < o->cut_count && o->cuts[i].to > at)
            at = o->cuts[i].to;
    }
    return (size_t)(to - start);
}

int json_once(const char *text, size_t bytes, char **out, size_t *out_bytes) {
    struct once *o = calloc(1, sizeof *o);
    if (!o)
        return LARDER_E_NO_MEMORY;
    json_reader_begin(&o->reader, text, bytes);
    int r = walk(o);
    if (r == LARDER_OK && !o->cut_count)
        r = LARDER_NOT_FOUND;
    if (r == LARDER_OK) {
        qsort(o->cuts, o->cut_count, sizeof *o->cuts, by_place); /* there are some */
        r = (*out = malloc(bytes)) ? LARDER_OK : LARDER_E_NO_MEMORY;
    }
    if (r == LARDER_OK)
        *out_bytes = copy_rest(o, text, bytes, *out);
    json_reader_free(&o->reader);
    free(o->members);
    free(o->cuts);
    free(o);
    return r;
}
