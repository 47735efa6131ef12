/* bench/cores_names.h - what lies at an offset of a segment: "item stripe: lock". */
#ifndef LARDER_BENCH_CORES_NAMES_H
#define LARDER_BENCH_CORES_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define NAMES_MAX 512u

struct names;

/* base: the segment, mapped. class_bytes: blocks of each class of the heap. names_look: notes which
 * blocks are items and which are not, as of now; a block that comes and goes between two looks is
 * named by its first bytes. */
struct names *names_new(const unsigned char *base, const uint32_t *class_bytes);
void names_look(struct names *n);
/* The number of the name, below NAMES_MAX. */
uint16_t names_at(struct names *n, uint64_t off);
const char *names_text(const struct names *n, uint16_t number);
/* Whether the word at off is a lock (core/memory/lock.h). */
int names_is_lock(const struct names *n, uint64_t off);

#endif
