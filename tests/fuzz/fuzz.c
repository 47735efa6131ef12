/* tests/fuzz/fuzz.c - see fuzz.h. */
#include "tests/fuzz/fuzz.h"

#include "core/base/priv.h"
#include "core/base/utf8.h"

#define MESSAGE_BYTES_MAX 767 /* of struct place; larder_error() is shorter */

struct larder_builder *fuzz_builder(struct larder_builder **kept) {
    static struct priv *priv;
    if (!priv)
        priv = priv_new();
    if (!*kept)
        *kept = item_builder_new(priv, LARDER_ITEM_BYTES_MAX);
    FUZZ_CHECK(*kept, "out of memory");
    return *kept;
}

void fuzz_check_message(const char *text) {
    size_t bytes = strlen(text);
    FUZZ_CHECK(bytes >= 10 && bytes <= MESSAGE_BYTES_MAX, "%zu bytes: \"%s\"", bytes, text);
    FUZZ_CHECK(utf8_valid_bytes(text, bytes) == bytes, "no text from byte %zu on: \"%s\"",
               utf8_valid_bytes(text, bytes), text);
}

int fuzz_compare_bytes(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < a_bytes && i < b_bytes; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return a_bytes < b_bytes ? -1 : a_bytes > b_bytes;
}

uint8_t fuzz_byte(struct fuzz_input *in) {
    if (!in->left)
        return 0;
    in->left--;
    return *in->at++;
}

struct bytes fuzz_bytes(struct fuzz_input *in, size_t bytes_max) {
    struct bytes run = {in->at, in->left < bytes_max ? in->left : bytes_max};
    in->at += run.len;
    in->left -= run.len;
    return run;
}
