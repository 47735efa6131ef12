/* sink.h - where the attributes of an item go: into a builder, into a fingerprint, or both.
 *
 * Job      item.c names each attribute once. The loader turns it into an item of the engine. The
 *          judge turns it into a 64-bit fingerprint without touching the engine, and computes the
 *          same fingerprint of the item that the engine returned.
 * Rules    S1 The fingerprint covers names, types, values and nesting.
 *          S2 It depends on the order of list members, but not on that of attributes, map members
 *             or set members, which have none.
 *          S3 Numbers count as integers: all numbers of the load are integers.
 */
#ifndef SHUTTLE_SINK_H
#define SHUTTLE_SINK_H

#include <larder.h>
#include <stdbool.h>
#include <stdint.h>

#define SINK_DEPTH_MAX 6 /* the deepest item of the load has 3 */

struct sink {
    struct larder_builder *builder; /* NULL: fingerprint only */
    int depth;
    struct sink_level {
        enum larder_type type;
        uint64_t name, sum;
        uint32_t count;
    } level[SINK_DEPTH_MAX];
};

/** Starts an item; empties the builder, if any. */
void sink_open(struct sink *s, struct larder_builder *builder);
void sink_s(struct sink *s, const char *name, const char *text);
void sink_n(struct sink *s, const char *name, int64_t value);
void sink_bool(struct sink *s, const char *name, bool is_true);
void sink_null(struct sink *s, const char *name);
void sink_begin(struct sink *s, const char *name, enum larder_type type);
void sink_end(struct sink *s);
uint64_t sink_fingerprint(const struct sink *s);

/** The same fingerprint, of an item that the engine returned. */
uint64_t sink_fingerprint_item(const struct larder_item *item);

#endif
