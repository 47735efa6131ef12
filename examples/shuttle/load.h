/* load.h - stores the load, and records in the table what it was made from.
 *
 * Job      Two processes put every item of the generator; the parent draws the progress. The last
 *          item, under CONFIG / LOAD#CURRENT, has the seed, the number of shops and the day, from
 *          which any process can make the same items again. It is there exactly if the load is
 *          complete.
 */
#ifndef SHUTTLE_LOAD_H
#define SHUTTLE_LOAD_H

#include <larder.h>
#include <stdbool.h>

#include "gen.h"

/** Loads a segment whose table exists. @return The exit code of `shuttle load`. */
int load_run(const char *segment, const struct gen_load *load);

/** Reads what the table was loaded from. A failure is explained on stderr. */
bool load_read(struct larder_table *t, struct larder_page *page, struct gen_load *out);

#endif
