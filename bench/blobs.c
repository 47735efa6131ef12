/* bench/blobs.c - the values of engines that store plain bytes. See bench/engine.h. */
#include "bench/engine.h"
#include <stdlib.h>
#include <string.h>

struct blob_chunk {
    struct blob_chunk *next;
    char bytes[];
};

void blobs_prepare(struct blobs *b, struct write *w) {
    struct blob_chunk *chunk = malloc(sizeof *chunk + b->bytes);
    if (!chunk)
        abort();
    chunk->next = b->chunks;
    b->chunks = chunk;
    dataset_payload(w->n, w->version, chunk->bytes, b->bytes);
    memset(chunk->bytes, 0, 8);
    w->prepared = chunk->bytes;
    w->bytes = b->bytes;
}

void blobs_free(struct blobs *b) {
    while (b->chunks) {
        struct blob_chunk *next = b->chunks->next;
        free(b->chunks);
        b->chunks = next;
    }
}
