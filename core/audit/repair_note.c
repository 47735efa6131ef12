/* core/audit/repair_note.c - the repair's notes to its caller.
 *
 * Job      Keeps each line until all locks are dropped (core/base/notes.h): no user code runs under
 *          a lock.
 * Tests    tests/crash/repair_exact_test.c
 */
#include "core/audit/repair.h"
#include "core/table/db.h"
#include <stdarg.h>
#include <stdio.h>

void repair_note(struct repair *p, const char *format, ...) {
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    notes_keep(&p->notes, db_priv(p->db), line);
}
