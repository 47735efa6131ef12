/* core/table/finish.h - finishing or undoing the operation of a dead slot.
 *
 * Job      The upper half of recovery (core/memory/recover.h). It knows what a put, a drop or an
 *          index being filled is. The last stage of recovery calls it through
 *          core_hooks->finish_operation.
 * Tests    tests/crash/enum_test.c, tests/crash/recovery_test.c
 */
#ifndef LARDER_TABLE_FINISH_H
#define LARDER_TABLE_FINISH_H

struct writer;

/* In the dead slot's name, with its locks. LARDER_OK: nothing is half done, and its stripes are
 * unlocked. LARDER_E_BUSY, LARDER_E_CORRUPT, and what else finishing the operation returns.
 * Idempotent. */
int finish_operation(struct writer *dead);

#endif
