/* cli/template_json.h - members of a template's objects, by kind; errors name the place. */
#ifndef LARDER_CLI_TEMPLATE_JSON_H
#define LARDER_CLI_TEMPLATE_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/place.h"

/* Each looks up a member of `object` and checks its kind: LARDER_OK, or LARDER_E_INVAL with
 * place->problem. A member that is missing, or is {"Ref": "AWS::NoValue"}, gives NULL, or fails if
 * is_required. Any other intrinsic function fails: only CloudFormation knows its value. */
int template_json_text(struct place *place, const json_t *object, const char *name, bool is_required, const char **out);
int template_json_array(struct place *place, const json_t *object, const char *name, bool is_required,
                        const json_t **out);
int template_json_object(struct place *place, const json_t *object, const char *name, bool is_required,
                         const json_t **out);
/* true, false, or the texts "true" and "false", which CloudFormation takes, too; *out is unchanged
 * if the member is missing. */
int template_json_flag(struct place *place, const json_t *object, const char *name, bool is_required, bool *out);

/* The i-th element of an array, which must be an object, or text. The caller has entered the place
 * of the array. */
int template_json_object_at(struct place *place, const json_t *array, size_t i, const json_t **out);
int template_json_text_at(struct place *place, const json_t *array, size_t i, const char **out);

#endif
