/* bench/blobs.c - the values of engines that store plain bytes. See bench/engine.h. */
#include "bench/engine.h"
#include "bench/fail.h"
#include <string.h>

#define CHUNK_BYTES (4u << 20)

struct blob_chunk {
    struct blob_chunk *next;
    size_t used;
    char bytes[];
};

void blob_fill(uint64_t n, uint32_t version, char *to, size_t bytes) {
    dataset_payload(n, version, to, bytes);
    memset(to, 0, 8);
    memcpy(to + 8, &n, sizeof n);
}

uint64_t blob_number(const char *value) {
    uint64_t n;
    memcpy(&n, value + 8, sizeof n);
    return n;
}

char *blobs_room(struct blobs *b, size_t bytes) {
    size_t rounded = (bytes + 15) / 16 * 16;
    if (!b->chunks || b->chunks->used + rounded > CHUNK_BYTES) {
        struct blob_chunk *chunk = malloc(sizeof *chunk + CHUNK_BYTES);
        if (!chunk || rounded > CHUNK_BYTES)
            fail("no memory for values of %zu bytes", bytes);
        *chunk = (struct blob_chunk){.next = b->chunks};
        b->chunks = chunk;
    }
    char *at = b->chunks->bytes + b->chunks->used;
    b->chunks->used += rounded;
    return at;
}

void blobs_prepare(struct blobs *b, struct write *w) {
    char *at = blobs_room(b, b->bytes);
    blob_fill(w->n, w->version, at, b->bytes);
    w->prepared = at;
    w->bytes = b->bytes;
}

static char *lay(char *at, const char *text, uint32_t bytes) {
    *at++ = (char)bytes; /* index keys are short */
    return mempcpy(at, text, bytes);
}

/* As blob_fill(): a counter and the number come first. */
void blobs_build(struct blobs *b, struct write *w) {
    const struct item_values *v = w->values;
    if (!b->built && !(b->built = malloc(b->bytes + sizeof *v)))
        fail("no memory for values of %u bytes", b->bytes);
    char *at = b->built;
    memset(at, 0, 8);
    memcpy(at + 8, &w->n, sizeof w->n);
    at = mempcpy(at + 16, &v->key, KEY_BYTES);
    for (int i = 0; i < v->indexes; i++) {
        at = lay(at, v->index[i].partition, v->index[i].partition_bytes);
        at = lay(at, v->index[i].sort, v->index[i].sort_bytes);
    }
    if (at < b->built + b->bytes)
        memcpy(at, v->data, (size_t)(b->built + b->bytes - at));
    w->prepared = b->built;
    w->bytes = b->bytes;
}

void blobs_free(struct blobs *b) {
    free(b->built);
    while (b->chunks) {
        struct blob_chunk *next = b->chunks->next;
        free(b->chunks);
        b->chunks = next;
    }
}
