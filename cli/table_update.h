/* cli/table_update.h - makes a table that exists what a definition says. */
#ifndef LARDER_CLI_TABLE_UPDATE_H
#define LARDER_CLI_TABLE_UPDATE_H

#include "larder.h"

/* Whether table_update() can do it: keys and local indexes cannot change. EXIT_DONE, or an exit
 * code after a message for each difference that stays. */
int table_update_check(const struct larder_table_def *there, const struct larder_table_def *wanted);

/* Drops and adds global indexes, sets TTL attribute and removal policy; eviction only towards
 * SIEVE. A line for each change. EXIT_DONE, or an exit code after a message: what was changed
 * before stays. */
int table_update(struct larder *db, const struct larder_table_def *wanted);

#endif
