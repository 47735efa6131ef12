/* tests/support/testseg.h - a fresh segment for a test.
 *
 * Job      Opens a segment of the wanted size and number of stripes that no other test uses,
 *          through larder_open() only.
 * Rules    T1 A memfd segment ends with its last process. A named one is removed by
 *             testseg_destroy(), and if the test dies before that, by run_suite, which gives every
 *             run a prefix of its own (LARDER_TEST_PREFIX).
 *          T2 Failing to open fails the test, with larder_error().
 */
#ifndef LARDER_TESTS_SUPPORT_TESTSEG_H
#define LARDER_TESTS_SUPPORT_TESTSEG_H

#include <stdint.h>

#include "larder.h"

#define TESTSEG_NAME_MAX 128

/* A new memfd segment. Close it with larder_close(). stripe_count 0: the library's default. */
struct larder *testseg_open(uint64_t size_bytes, uint32_t stripe_count);

/* A second attachment of db's memfd segment, mapped elsewhere, so that a stored pointer shows. */
struct larder *testseg_attach(const struct larder *db, uint32_t flags);

/* A segment name in shared memory that no other test uses. */
void testseg_name(char name[TESTSEG_NAME_MAX]);

/* A new named segment, for tests in which other processes open it themselves. */
struct larder *testseg_open_named(const char *name, uint64_t size_bytes, uint32_t stripe_count);

/* Removes a named segment, whatever state it is in; a missing one is fine. */
void testseg_destroy(const char *name);

#endif
