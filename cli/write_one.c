/* cli/write_one.c - see write_one.h.
 *
 * Tests    tests/cli/expressions_test.sh
 */
#include "cli/write_one.h"

#include <string.h>

#include "cli/report.h"
#include "cli/sink.h"

/* In the order of enum larder_returns. The service allows a put and a delete the first two. */
static const char *const return_names[] = {"NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"};
enum { RETURNS_OF_REFUSAL = 2, RETURNS_OF_PUT = 2, RETURNS_OF_UPDATE = 5 };

/* The number of the name that was given, one of the first `count`; 0 without the option. */
static int returns_of(const struct args *args, int option, int count, int *out) {
    const char *wanted = args->option[option].value[0];
    *out = 0;
    for (int i = 0; args->option[option].is_given && i < count; i++)
        if (strcmp(wanted, return_names[i]) == 0) {
            *out = i;
            return EXIT_DONE;
        }
    if (!args->option[option].is_given)
        return EXIT_DONE;
    return report_error(EXIT_USAGE, "--%s %s: %s are allowed",
                        option == WRITE_RETURNS ? "return-values" : "return-values-on-condition-check-failure", wanted,
                        count == RETURNS_OF_UPDATE ? "NONE, ALL_OLD, ALL_NEW, UPDATED_OLD and UPDATED_NEW"
                                                   : "NONE and ALL_OLD");
}

int write_one_returns(const struct args *args, struct larder_action *action) {
    int returns, count = action->kind == LARDER_ACTION_UPDATE ? RETURNS_OF_UPDATE : RETURNS_OF_PUT;
    int code = returns_of(args, WRITE_RETURNS, count, &returns);
    action->returns = (enum larder_returns)returns;
    return code == EXIT_DONE ? returns_of(args, WRITE_RETURNS_REFUSED, RETURNS_OF_REFUSAL, &action->returns_on_refusal)
                             : code;
}

/* Writes, and prints what the page has got. */
static int write_and_print(const struct larder_action *action, struct larder *db) {
    struct larder_page *page;
    int result = larder_page_new(db, &page);
    if (result < 0)
        return report_result(result, NULL);
    int code = report_write(larder_write(action, page)), printed = EXIT_DONE;
    if ((code == EXIT_DONE || code == EXIT_REFUSED) && larder_page_count(page) > 0)
        printed = sink_one(larder_page_item(page, 0));
    larder_page_free(page);
    return code == EXIT_DONE ? printed : code;
}

int write_one(struct attach *attach, const struct args *args, int update, struct larder_action *action) {
    struct expressions expressions = {0};
    int code = expressions_open(&expressions, attach, args, WRITE_NAMES);
    if (code == EXIT_DONE && update)
        code = expressions_prepare(&expressions, attach, args, update, LARDER_EXPR_UPDATE, &action->update);
    if (code == EXIT_DONE)
        code =
            expressions_prepare(&expressions, attach, args, WRITE_CONDITION, LARDER_EXPR_CONDITION, &action->condition);
    if (code == EXIT_DONE) {
        action->table = attach->table;
        action->values = expressions.values;
        code = write_and_print(action, attach->db);
    }
    expressions_close(&expressions);
    return code;
}
