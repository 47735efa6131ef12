/* cli/node_lines.c - the line of each node of a document, by its path.
 *
 * Why      A template is evaluated before its tables are read, and what is read is a new document.
 *          A place in it has the path that it had in the file, as far as that goes: so the path
 *          finds the line, and no node has to remember one.
 * Not here Two paths with the same hash: then a message names a wrong line.
 * Tests    tests/unit/cli/yaml_tree_test.c
 */
#include "cli/node_lines.h"

#include <stdlib.h>
#include <string.h>

static uint64_t node_lines_hash(const char *path, size_t bytes) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (unsigned char)path[i]) * 1099511628211u;
    return hash != 0 ? hash : 1;
}

/* The slot of this hash, or the free one where it belongs. */
static struct node_line *node_lines_slot(struct node_line *slots, size_t capacity, uint64_t hash) {
    size_t i = (size_t)hash & (capacity - 1);
    while (slots[i].hash != 0 && slots[i].hash != hash)
        i = (i + 1) & (capacity - 1);
    return &slots[i];
}

static int node_lines_grow(struct node_lines *lines) {
    size_t capacity = lines->capacity > 0 ? lines->capacity * 2 : 256;
    struct node_line *slots = calloc(capacity, sizeof *slots);
    if (slots == NULL)
        return -1;
    for (size_t i = 0; i < lines->capacity; i++)
        if (lines->slots[i].hash != 0)
            *node_lines_slot(slots, capacity, lines->slots[i].hash) = lines->slots[i];
    free(lines->slots);
    lines->slots = slots;
    lines->capacity = capacity;
    return 0;
}

int node_lines_add(struct node_lines *lines, const char *path, int line) {
    if (lines->count * 2 >= lines->capacity && node_lines_grow(lines) != 0)
        return -1;
    uint64_t hash = node_lines_hash(path, strlen(path));
    struct node_line *slot = node_lines_slot(lines->slots, lines->capacity, hash);
    if (slot->hash == 0) {
        *slot = (struct node_line){.hash = hash, .line = line};
        lines->count++;
    }
    return 0;
}

int node_lines_find(const struct node_lines *lines, const char *path) {
    if (lines == NULL || lines->count == 0)
        return 0;
    for (size_t bytes = strlen(path);;) {
        uint64_t hash = node_lines_hash(path, bytes);
        const struct node_line *slot = node_lines_slot(lines->slots, lines->capacity, hash);
        if (slot->hash != 0)
            return slot->line;
        if (bytes == 0)
            return 0;
        do
            bytes--;
        while (bytes > 0 && path[bytes] != '.' && path[bytes] != '[');
    }
}

void node_lines_free(struct node_lines *lines) {
    free(lines->slots);
    memset(lines, 0, sizeof *lines);
}
