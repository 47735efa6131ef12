/* core/audit/links.h - whether the heap knows of all that tables link.
 *
 * Job      For a recovery that is about to take memory: in a segment with damaged bitmaps a block
 *          that is in use could be handed out, and an item be overwritten that a repair would have
 *          kept.
 * Why so   A block's bit is set before it is linked, and cleared after it was unlinked and the
 *          stripe's sequence bumped. So a block that is linked and not taken, under a sequence that
 *          stands still, is damage at any time, whoever is dead or at work.
 * Tests    tests/crash/repair_history_test.c
 */
#ifndef LARDER_AUDIT_LINKS_H
#define LARDER_AUDIT_LINKS_H

struct larder;

/* LARDER_OK, or LARDER_E_CORRUPT with a message. Needs no lock. */
int links_check(struct larder *db);

#endif
