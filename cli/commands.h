/* cli/commands.h - the commands; each is defined in a cli/cmd_*.c. */
#ifndef LARDER_CLI_COMMANDS_H
#define LARDER_CLI_COMMANDS_H

#include "cli/args.h"

extern const struct command cmd_create, cmd_destroy, cmd_ls, cmd_info, cmd_put, cmd_get, cmd_delete, cmd_update,
    cmd_transact, cmd_query, cmd_scan, cmd_import, cmd_export, cmd_expire, cmd_check, cmd_dynamodb, cmd_table,
    cmd_serve;

#endif
