/* cli/write_one.h - a write of one item: its condition, what it prints, its exit code.
 *
 * Job      What larder put, delete and update have in common.
 */
#ifndef LARDER_CLI_WRITE_ONE_H
#define LARDER_CLI_WRITE_ONE_H

#include "cli/expressions.h"

/* Options that follow each other in a command's table, the first with the number ARGS_OWN. */
enum { WRITE_CONDITION = ARGS_OWN, WRITE_NAMES, WRITE_VALUES, WRITE_RETURNS, WRITE_RETURNS_REFUSED, WRITE_OWN };
#define WRITE_OPTIONS(which)                                                                                           \
    {"condition-expression", 1, "TEXT", "only if this is true of the item that is there"}, EXPRESSIONS_OPTIONS,        \
        {"return-values", 1, "WHICH", "print the item: " which "; default NONE"}, {                                    \
        "return-values-on-condition-check-failure", 1, "WHICH",                                                        \
            "print the item for which the condition is not true: ALL_OLD; default NONE"                                \
    }

/* Reads --return-values and --return-values-on-condition-check-failure, before anything is attached
 * to. EXIT_DONE, or an exit code after a message. */
int write_one_returns(const struct args *args, struct larder_action *action);
/* Adds the condition, the update of option `update` (0: none), and the values to the action, does
 * it, and prints the item that it gives. */
int write_one(struct attach *attach, const struct args *args, int update, struct larder_action *action);

#endif
