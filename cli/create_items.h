/* cli/create_items.h - the items that come with a table's template. */
#ifndef LARDER_CLI_CREATE_ITEMS_H
#define LARDER_CLI_CREATE_ITEMS_H

#include "cli/template.h"
#include "larder.h"

/* Puts the items of a table that exists, if it comes with some. is_trial: to learn whether they are
 * allowed; that there is no room for them says nothing. EXIT_DONE, or an exit code after a
 * message. */
int create_items_put(struct larder *db, const struct template_table *table, int is_trial);

#endif
