/* core/audit/links.h - whether the heap knows every block that tables link.
 *
 * Job      For a recovery that is about to take memory. In a segment with damaged bitmaps it could
 *          be given a block in use, and overwrite an item that a repair would have kept.
 * Why so   A block's bit is set before the block is linked, and cleared after it was unlinked and
 *          the stripe's sequence moved. So a block that is linked but not marked as taken, under an
 *          unchanged sequence, is damage at any time, whichever process is dead or at work.
 * Tests    tests/crash/repair_history_test.c
 */
#ifndef LARDER_AUDIT_LINKS_H
#define LARDER_AUDIT_LINKS_H

struct larder;

/* LARDER_OK, or LARDER_E_CORRUPT with a message. Needs no lock. */
int links_check(struct larder *db);

#endif
