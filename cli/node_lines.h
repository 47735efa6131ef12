/* cli/node_lines.h - the line of each node of a document, by its path. */
#ifndef LARDER_CLI_NODE_LINES_H
#define LARDER_CLI_NODE_LINES_H

#include <stddef.h>
#include <stdint.h>

/* Zero it to start. */
struct node_lines {
    struct node_line {
        uint64_t hash; /* of a path as struct place writes it; 0: free */
        int line;      /* from 1 */
    } * slots;
    size_t capacity, count;
};

/* Notes the line of a path; of two the first counts. 0, or -1: out of memory. */
int node_lines_add(struct node_lines *lines, const char *path, int line);

/* The line of a path, or of the nearest node above it that is known. 0: none, or lines is NULL. */
int node_lines_find(const struct node_lines *lines, const char *path);

void node_lines_free(struct node_lines *lines);

#endif
