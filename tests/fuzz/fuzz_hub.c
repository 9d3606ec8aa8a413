/* fuzz_hub.c - a hub's listing, link to the next page, commit answer and names: no crash, and a checked list never names a path outside. */
#include "base/name.h"
#include "supervisor/job/hub.h"
#include "supervisor/policy/tries.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    hold_autoarena arena = hold_arena_with_max(16 << 20);
    struct hold_manifest m = { .files = hold_arena_array(&arena, HOLD_MANIFEST_MAX_FILES, sizeof *m.files) };
    struct hold_err err;
    struct hold_hub_name name;
    char commit[41], text[300];
    (void) !hold_hub_commit((const char *) data, n, commit, &err);
    if (m.files && hold_hub_tree((const char *) data, n, &arena, &m, &err) == 0) {
        hold_hub_choose(&m);
        if (hold_manifest_check(&m, &err) == 0)
            for (size_t i = 0; i < m.n_files; i++)
                if (!hold_name_is_safe(m.files[i].path))
                    abort();
    }
    size_t k = n < sizeof text - 1 ? n : sizeof text - 1;
    memcpy(text, data, k);
    text[k] = '\0';
    (void) !hold_hub_name_parse(text, &name, &err);
    char next[64];
    if (hold_link_next(text, next, sizeof next) && (next[0] == '\0' || strchr(next, '>')))
        abort();
    return 0;
}
