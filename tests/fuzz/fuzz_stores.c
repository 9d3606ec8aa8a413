/* fuzz_stores.c - S3's listing, checksum and credentials file, ModelScope's listing, the sentence of an error answer: no
 * crash, no size or name that was not there, and a checked list never names a path outside. */
#include "base/name.h"
#include "supervisor/job/modelscope.h"
#include "supervisor/job/s3.h"
#include "supervisor/policy/tries.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(struct hold_manifest *m) {
    struct hold_err err;
    if (hold_manifest_check(m, &err) < 0)
        return;
    for (size_t i = 0; i < m->n_files; i++)
        if (!hold_name_is_safe(m->files[i].path))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static bool has_sha256[HOLD_MANIFEST_MAX_FILES];
    hold_autoarena arena = hold_arena_with_max(32 << 20);
    struct hold_manifest s3 = { .files = hold_arena_array(&arena, HOLD_MANIFEST_MAX_FILES, sizeof *s3.files) };
    struct hold_manifest modelscope = { .files = hold_arena_array(&arena, HOLD_MANIFEST_MAX_FILES, sizeof *s3.files) };
    struct hold_err err;
    struct hold_s3_profile profile;
    struct hold_s3_name name;
    char next[HOLD_S3_NEXT_BYTES], commit[41], sentence[64], address[300], *text = hold_arena_copy(&arena, (const char *) data, n);
    uint8_t sha256[32];
    if (!s3.files || !modelscope.files || !text)
        return 0;
    if (hold_s3_listing((const char *) data, n, "m/", &arena, &s3, has_sha256, next, &err) == 0)
        check(&s3);
    if (hold_modelscope_files((const char *) data, n, &arena, &modelscope, commit, &err) == 0)
        check(&modelscope);
    hold_error_sentence(data, n, sentence, sizeof sentence);
    if (memchr(sentence, '\n', strlen(sentence)))
        abort();
    (void) hold_s3_checksum(text, sha256);
    if (hold_s3_name_parse(text, &name, &err) == 0)
        (void) hold_s3_address(&name, "", "eu-west-1", HOLD_S3_AUTO, address, sizeof address);
    (void) hold_s3_profile_find(text, "default", &profile);
    return 0;
}
