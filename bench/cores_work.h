/* bench/cores_work.h - what the cores of bench/cores.c do, and the child that does it traced.
 *
 * Picture  parent: makes the segment, loads it, starts itself again under valgrind's lackey
 *          child:  attaches once for each core, like so many processes. Scene after scene it makes
 *                  the cores' calls in turn
 * Marks    The child stores into the page at CORES_MARKS before and after each call. Lackey prints
 *          the address, which says which core begins or ends.
 */
#ifndef LARDER_BENCH_CORES_WORK_H
#define LARDER_BENCH_CORES_WORK_H

#include "bench/coherence.h"
#include "core/segment/layout.h"

#define CORES_MARKS UINT64_C(0x700000000)
#define CORES_MARKS_BYTES 4096u
#define CORES_MARK_CALL_BEGINS 1024u
#define CORES_MARK_CALL_ENDS 2048u /* both: + 8 times the core */

#define CORES_SEGMENT_BYTES (UINT64_C(1) << 30)

/* Where the child's attachments mapped the segment. */
struct cores_bases {
    uint64_t base[COHERENCE_CORES_MAX], bytes;
};

struct cores_scene {
    const char *name, *text;
    unsigned calls, first_calls; /* of each core, and of core 0; the first call warms up */
};
extern const struct cores_scene cores_scenes[];
extern const unsigned cores_scene_count;

/* Makes the segment and its tables. Returns a memfd that a child may inherit, and
 * the bytes of the heap's blocks by class. */
int cores_load(uint32_t class_bytes[CLASS_COUNT]);
/* The child. wanted: bit per scene. to_parent gets the bases; then a byte before and after each
 * scene, and the child waits for one from_parent. */
int cores_work(int memfd, int to_parent, int from_parent, uint64_t wanted);

#endif
