/* dynamodb/document.h - documents: what operations read and write, whatever their form.
 *
 * Job      A request is an object with members, a reply is one, too. Operations read and write them
 *          through the functions here, and do not know whether they are JSON text or the values of
 *          a language. json_reader.h and json_writer.h are JSON.
 * Picture  reader: the caller asks for what comes next, and takes it.
 *
 *            document_kind()  what the next value is        begin, then member or element until it
 *            document_text()  takes a string                gives LARDER_NOT_FOUND
 *
 * Rules    D1 A reader and a writer remember their first failure. After it every call gives it
 *             again, so a caller may look once, at the end.
 *          D2 Texts that a reader gives live as long as the document. They are UTF-8.
 *          D3 Of several members with one name the last counts. A reader may give all of them: the
 *             later one replaces the earlier.
 * Tests    tests/dynamodb/dynamodb_values_test.c
 */
#ifndef LARDER_DYNAMODB_DOCUMENT_H
#define LARDER_DYNAMODB_DOCUMENT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "larder.h"

/* Not 0-terminated. at NULL: there is none. */
struct text {
    const char *at;
    size_t bytes;
};

#define TEXT(literal) ((struct text){literal, sizeof(literal) - 1})

static inline int text_is(struct text text, struct text other) {
    return text.bytes == other.bytes && memcmp(text.at, other.at, other.bytes) == 0;
}

/* ---- Reading --------------------------------------------------------------------------------- */

enum document_kind {
    DOCUMENT_BAD, /* no document: the reader has failed */
    DOCUMENT_NULL,
    DOCUMENT_FALSE,
    DOCUMENT_TRUE,
    DOCUMENT_INTEGER,
    DOCUMENT_DECIMAL, /* a number with a point or an exponent */
    DOCUMENT_STRING,
    DOCUMENT_ARRAY,
    DOCUMENT_OBJECT
};

struct document_reader;

/* All but kind: LARDER_OK, or LARDER_E_INVAL, LARDER_E_NO_MEMORY. */
struct document_reader_ops {
    enum document_kind (*kind)(struct document_reader *r); /* looks, takes nothing */
    int (*text)(struct document_reader *r, struct text *out);
    int (*binary)(struct document_reader *r, struct text *out, struct text *problem);
    int (*integer)(struct document_reader *r, int64_t *out);
    int (*begin)(struct document_reader *r);
    int (*member)(struct document_reader *r, struct text *name);
    int (*element)(struct document_reader *r);
    int (*skip)(struct document_reader *r);
};

struct document_reader {
    const struct document_reader_ops *ops;
    int error; /* D1 */
};

static inline enum document_kind document_kind(struct document_reader *r) {
    return r->ops->kind(r);
}
/* Takes a DOCUMENT_STRING. */
static inline int document_text(struct document_reader *r, struct text *out) {
    return r->ops->text(r, out);
}
/* Takes a DOCUMENT_STRING as the bytes of a B. A text that stands for no bytes is taken, too:
 * problem->at then says what is wrong with it, and is NULL otherwise. */
static inline int document_binary(struct document_reader *r, struct text *out, struct text *problem) {
    return r->ops->binary(r, out, problem);
}
/* Takes a number, as an integer: rounded down, and clamped to 64 bits. */
static inline int document_integer(struct document_reader *r, int64_t *out) {
    return r->ops->integer(r, out);
}
/* Takes the start of a DOCUMENT_ARRAY or DOCUMENT_OBJECT. */
static inline int document_begin(struct document_reader *r) {
    return r->ops->begin(r);
}
/* The name of the next member, whose value comes next. LARDER_NOT_FOUND: the end was taken. */
static inline int document_member(struct document_reader *r, struct text *name) {
    return r->ops->member(r, name);
}
/* LARDER_OK: another element comes next. LARDER_NOT_FOUND: the end was taken. */
static inline int document_element(struct document_reader *r) {
    return r->ops->element(r);
}
/* Takes any value. */
static inline int document_skip(struct document_reader *r) {
    return r->ops->skip(r);
}

/* ---- Writing --------------------------------------------------------------------------------- */

struct document_writer;

struct document_writer_ops {
    void (*begin)(struct document_writer *w, enum document_kind kind); /* an array or object */
    void (*end)(struct document_writer *w, enum document_kind kind);
    void (*name)(struct document_writer *w, struct text name);
    void (*text)(struct document_writer *w, struct text text);
    void (*integer)(struct document_writer *w, int64_t value);
    void (*halves)(struct document_writer *w, uint64_t halves); /* a number of halves: 3 is 1.5 */
    void (*boolean)(struct document_writer *w, int is_true);
    void (*item)(struct document_writer *w, const struct larder_item *item); /* {"name": {"S": ..}} */
    void (*items)(struct document_writer *w, const struct larder_item *const *items, uint32_t count); /* each */
};

struct document_writer {
    const struct document_writer_ops *ops;
    int error; /* D1: LARDER_E_NO_MEMORY, LARDER_E_CORRUPT */
};

static inline void document_put_name(struct document_writer *w, struct text name) {
    w->ops->name(w, name);
}
static inline void document_put_begin(struct document_writer *w, enum document_kind kind) {
    w->ops->begin(w, kind);
}
static inline void document_put_end(struct document_writer *w, enum document_kind kind) {
    w->ops->end(w, kind);
}
static inline void document_put_text(struct document_writer *w, struct text text) {
    w->ops->text(w, text);
}
static inline void document_put_integer(struct document_writer *w, int64_t value) {
    w->ops->integer(w, value);
}
static inline void document_put_halves(struct document_writer *w, uint64_t halves) {
    w->ops->halves(w, halves);
}
static inline void document_put_boolean(struct document_writer *w, int is_true) {
    w->ops->boolean(w, is_true);
}
static inline void document_put_item(struct document_writer *w, const struct larder_item *item) {
    w->ops->item(w, item);
}
/* The same as that many document_put_item(). */
static inline void document_put_items(struct document_writer *w, const struct larder_item *const *items,
                                      uint32_t count) {
    w->ops->items(w, items, count);
}

#endif
