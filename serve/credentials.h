/* serve/credentials.h - the access keys that may ask, and their secrets.
 *
 * Sources  The file is the one that AWS's clients read: sections, aws_access_key_id,
 *          aws_secret_access_key, aws_session_token (AWS CLI user guide, "Configuration and
 *          credential file settings").
 * Tests    tests/serve/serve_signature_test.sh
 */
#ifndef LARDER_SERVE_CREDENTIALS_H
#define LARDER_SERVE_CREDENTIALS_H

#include <stddef.h>

struct credential {
    char *id, *secret, *token; /* token: NULL if there is none */
};

struct credentials {
    struct credential *list;
    size_t count;
};

/* Returns 0, or -1 with a text. */
int credentials_read(const char *path, struct credentials **out, char *problem, size_t problem_bytes);
void credentials_free(struct credentials *credentials);
/* NULL: no such access key. */
const struct credential *credentials_find(const struct credentials *credentials, const char *id, size_t bytes);

#endif
