/* spec.c - roles and layers to names and back. Floor: runtime/weights, pure. */
#include "runtime/weights/spec.h"

#include <stdio.h>
#include <string.h>

int hold_spec_for(const struct hold_record *record, struct hold_arena *arena, const struct hold_spec_row **ret_rows, size_t *ret_n,
                  struct hold_err *err) {
    size_t n = 0, at = 0;
    for (int role = 0; role < HOLD_ROLE_COUNT; role++)
        n += hold_role_count(record, (enum hold_role) role);
    struct hold_spec_row *rows = hold_arena_array(arena, n, sizeof *rows);
    if (!rows)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for a list of %zu tensors", n);
    for (int role = 0; role < HOLD_ROLE_COUNT; role++)
        for (uint32_t layer = 0; layer < hold_role_count(record, (enum hold_role) role); layer++) {
            struct hold_spec_row *row = &rows[at++];
            row->role = (enum hold_role) role;
            row->layer = layer;
            row->n_dims = hold_role_shape(record, row->role, row->dims);
        }
    *ret_rows = rows;
    *ret_n = n;
    return 0;
}

void hold_spec_name(const struct hold_record *record, enum hold_role role, uint32_t layer, char out[HOLD_SPEC_NAME_BYTES]) {
    const bool is_vision = hold_role_is_vision(role);
    const char *prefix = is_vision ? "model.visual." : record->vision_depth ? "model.language_model." : "model.";
    if (role == HOLD_ROLE_LM_HEAD)
        snprintf(out, HOLD_SPEC_NAME_BYTES, "%s", hold_role_name(role));
    else if (hold_role_is_layered(role))
        snprintf(out, HOLD_SPEC_NAME_BYTES, "%s%s.%u.%s", prefix, is_vision ? "blocks" : "layers", layer, hold_role_name(role));
    else
        snprintf(out, HOLD_SPEC_NAME_BYTES, "%s%s", prefix, hold_role_name(role));
}

static bool skip(const char **at, const char *prefix) {
    const size_t n = strlen(prefix);
    if (strncmp(*at, prefix, n) != 0)
        return false;
    *at += n;
    return true;
}

/* "12.rest": one spelling for each number, at most five digits. */
static bool layer_read(const char **at, uint32_t *ret_layer) {
    uint32_t layer = 0;
    int digits = 0;
    const char *p = *at;
    for (; *p >= '0' && *p <= '9' && digits < 6; p++, digits++)
        layer = layer * 10 + (uint32_t) (*p - '0');
    if (digits == 0 || digits > 5 || *p != '.' || (digits > 1 && **at == '0'))
        return false;
    *at = p + 1;
    *ret_layer = layer;
    return true;
}

bool hold_spec_find(const struct hold_record *record, const char *name, enum hold_role *ret_role, uint32_t *ret_layer) {
    const char *rest = name;
    uint32_t layer = 0;
    const bool is_head = strcmp(name, hold_role_name(HOLD_ROLE_LM_HEAD)) == 0;
    const bool is_vision = skip(&rest, "model.visual.") || skip(&rest, "visual.");
    bool is_layered = false;
    if (!is_head && !is_vision && !(record->vision_depth && skip(&rest, "model.language_model.")) && !skip(&rest, "model."))
        return false;
    if (skip(&rest, is_vision ? "blocks." : "layers.")) {
        is_layered = true;
        if (!layer_read(&rest, &layer))
            return false;
    }
    for (int r = 0; r < HOLD_ROLE_COUNT; r++) {
        const enum hold_role role = (enum hold_role) r;
        if (hold_role_is_vision(role) != is_vision || hold_role_is_layered(role) != is_layered || (role == HOLD_ROLE_LM_HEAD) != is_head ||
            layer >= hold_role_count(record, role) || strcmp(rest, hold_role_name(role)) != 0)
            continue;
        *ret_role = role;
        *ret_layer = layer;
        return true;
    }
    return false;
}
