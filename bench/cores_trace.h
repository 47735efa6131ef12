/* bench/cores_trace.h - reads what lackey prints into streams for bench/replay.h, by scenes. */
#ifndef LARDER_BENCH_CORES_TRACE_H
#define LARDER_BENCH_CORES_TRACE_H

#include "bench/cores_names.h"
#include "bench/cores_work.h"
#include "bench/replay.h"
#include <stdio.h>

struct trace {
    FILE *lines; /* of lackey: a file in memory, which is emptied after each scene */
    int from_child, to_child;
    const unsigned char *base; /* the segment, as this process mapped it */
    struct names *names;
    struct cores_bases bases;
    /* of the scene that was read last */
    struct replay_stream stream[COHERENCE_CORES_MAX];
    uint32_t line_count;
    uint64_t *line_off; /* by number of line: its offset in the segment / 64 */
    /* private */
    uint32_t *number; /* by offset / 64: number of the line + 1 */
    size_t line_room;
    uint64_t held[16]; /* offsets of the locks that the call holds */
    int core;          /* in a call; else -1 */
    uint32_t instructions;
};

/* Waits for the child, which has attached. */
void trace_begin(struct trace *t);
/* Lets it do the next scene, and reads that. */
void trace_read_scene(struct trace *t);

#endif
