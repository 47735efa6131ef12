/* tests/embed/use.h - what every host does with the library: open, create a table, put, get,
 * increment, delete, close.
 *
 * Method   Through function pointers, so that the same lines serve a linked library and a loaded
 *          one.
 */
#ifndef LARDER_TESTS_EMBED_USE_H
#define LARDER_TESTS_EMBED_USE_H

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "larder.h"

#define USE_CALLS(X)                                                                                                   \
    X(larder_error)                                                                                                    \
    X(larder_open)                                                                                                     \
    X(larder_close)                                                                                                    \
    X(larder_destroy)                                                                                                  \
    X(larder_table_create)                                                                                             \
    X(larder_table_open)                                                                                               \
    X(larder_builder_new)                                                                                              \
    X(larder_builder_free)                                                                                             \
    X(larder_builder_reset)                                                                                            \
    X(larder_builder_finish)                                                                                           \
    X(larder_builder_add)                                                                                              \
    X(larder_page_new)                                                                                                 \
    X(larder_page_free)                                                                                                \
    X(larder_page_count)                                                                                               \
    X(larder_put)                                                                                                      \
    X(larder_get)                                                                                                      \
    X(larder_query)                                                                                                    \
    X(larder_increment)                                                                                                \
    X(larder_delete)                                                                                                   \
    X(larder_expirer_start)

#define USE_MEMBER(name) __typeof__(name) *name;
struct use {
    USE_CALLS(USE_MEMBER)
};
#undef USE_MEMBER

/* NULL, or the name of a function that the library does not have. */
static inline const char *use_find(struct use *u, void *library) {
    memset(u, 0, sizeof *u);
#define USE_FIND(name)                                                                                                 \
    if (!(u->name = (__typeof__(name) *)dlsym(library, #name)))                                                        \
        return #name;
    USE_CALLS(USE_FIND)
#undef USE_FIND
    return NULL;
}

#define USE_TEXT(text)                                                                                                 \
    { .type = LARDER_S, .data = (text), .bytes = sizeof(text) - 1 }
#define USE_STEP(call)                                                                                                 \
    if ((r = (call)) != LARDER_OK) {                                                                                   \
        snprintf(message, sizeof message, "%.60s gave %d: %.150s", #call, r, u->larder_error());                       \
        return message;                                                                                                \
    }

/* NULL, or what went wrong. The segment is made if it is missing, and stays. */
static inline const char *use_segment(const struct use *u, const char *segment) {
    static _Thread_local char message[256];
    const struct larder_options options = {.segment = segment, .flags = LARDER_CREATE, .size_bytes = 8u << 20};
    const struct larder_table_def def = {.name = "embedded", .partition = {"PK", LARDER_S}};
    const struct larder_key key = {.partition = USE_TEXT("key")}, number = {.partition = USE_TEXT("number")};
    const struct larder_value value = USE_TEXT("value");
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    const struct larder_item *item;
    int64_t sum;
    int r;
    USE_STEP(u->larder_open(&options, &db))
    r = u->larder_table_create(db, &def);
    if (r != LARDER_OK && r != LARDER_E_EXISTS)
        return "larder_table_create failed";
    USE_STEP(u->larder_table_open(db, "embedded", &t))
    USE_STEP(u->larder_expirer_start(db))
    USE_STEP(u->larder_builder_new(db, &b))
    USE_STEP(u->larder_page_new(db, &page))
    USE_STEP(u->larder_builder_add(b, "PK", &key.partition))
    USE_STEP(u->larder_builder_add(b, "attribute", &value))
    USE_STEP(u->larder_builder_finish(b, &item))
    USE_STEP(u->larder_put(t, item, NULL))
    USE_STEP(u->larder_get(t, &key, page))
    if (u->larder_page_count(page) != 1)
        return "the item that was put is not there";
    const struct larder_query_spec spec = {.partition = key.partition};
    USE_STEP(u->larder_query(t, &spec, page))
    if (u->larder_page_count(page) != 1)
        return "the query does not find the item";
    USE_STEP(u->larder_increment(t, &number, "n", 1, &sum))
    USE_STEP(u->larder_increment(t, &number, "n", 1, &sum))
    USE_STEP(u->larder_delete(t, &key, NULL))
    if (u->larder_get(t, &key, page) != LARDER_NOT_FOUND)
        return "the item that was deleted is there";
    if (u->larder_get(t, NULL, page) != LARDER_E_INVAL || !strstr(u->larder_error(), "NULL"))
        return "a failure leaves no text in this thread";
    u->larder_page_free(page);
    u->larder_builder_free(b);
    u->larder_close(db);
    return NULL;
}

#endif
