/* core/base/debug.h - assertions on our own logic. Bytes from a segment are input: checked, not
 * asserted.
 *
 * Tests    tests/unit/memory/lock_test.c
 */
#ifndef LARDER_BASE_DEBUG_H
#define LARDER_BASE_DEBUG_H

#if LARDER_ASSERT
#include <assert.h>
#define DEBUG_ASSERT(condition) assert(condition)
#else
#define DEBUG_ASSERT(condition) ((void)sizeof(!(condition)))
#endif

#endif
