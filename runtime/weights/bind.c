/* bind.c - binds tensors both ways. Floor: runtime/weights, pure.
 *
 * A table with one slot for each needed tensor; every tensor of every file finds its slot or is extra; every slot is filled or
 * missing. All findings are collected: a person who repairs a checkpoint wants the list, not the first line of it. */
#include "runtime/weights/bind.h"

#include "base/list.h"
#include "runtime/weights/findings.h"
#include "runtime/weights/spec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint32_t dtype_of(const char *name) {
    return strcmp(name, "BF16") == 0 ? HOLD_PLAN_BF16 : strcmp(name, "F32") == 0 ? HOLD_PLAN_F32 : strcmp(name, "F16") == 0 ? HOLD_PLAN_F16 : 0;
}

static void shape_print(const uint64_t *dims, uint32_t n, char out[96]) {
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < n && used < 80; i++)
        used += (size_t) snprintf(out + used, 96 - used, "%s%" PRIu64, i ? ", " : "", dims[i]);
}

static void compare(struct hold_findings *f, const struct hold_spec_row *row, const struct hold_st_tensor *t) {
    bool fits = t->n_dims == row->n_dims;
    for (uint32_t i = 0; i < row->n_dims && fits; i++)
        fits = t->dims[i] == row->dims[i];
    if (!fits) {
        char has[96], needs[96];
        shape_print(t->dims, t->n_dims, has);
        shape_print(row->dims, row->n_dims, needs);
        hold_findings_add(f, "%s has shape [%s], needed is [%s]", t->name, has, needs);
    }
    if (dtype_of(t->dtype) == 0)
        hold_findings_add(f, "%s has dtype %s, usable are BF16, F32 and F16", t->name, t->dtype);
}

static size_t slot_of(const struct hold_spec_row *rows, size_t n, enum hold_role role, uint32_t layer) {
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (rows[middle].role < role || (rows[middle].role == role && rows[middle].layer < layer))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void take(struct hold_findings *f, const struct hold_st_tensor *t, uint64_t file, const struct hold_spec_row *row,
                 struct hold_plan_tensor *slot) {
    if (slot->dtype) {
        hold_findings_add(f, "%s is there twice", t->name);
        return;
    }
    compare(f, row, t);
    *slot = (struct hold_plan_tensor) { .role = row->role,
                                        .layer = row->layer,
                                        .dtype = dtype_of(t->dtype) ? dtype_of(t->dtype) : HOLD_PLAN_F32,
                                        .n_dims = row->n_dims,
                                        .file = file,
                                        .offset = t->offset,
                                        .bytes = t->bytes };
    memcpy(slot->dims, row->dims, sizeof slot->dims);
}

int hold_spec_bind(const struct hold_record *record, const struct hold_bind_file *files, size_t n_files, struct hold_arena *arena,
                   const struct hold_plan_tensor **ret_tensors, size_t *ret_n, struct hold_buf *ret_findings, struct hold_err *err) {
    const struct hold_spec_row *rows;
    size_t n;
    if (hold_spec_for(record, arena, &rows, &n, err) < 0)
        return -1;
    struct hold_plan_tensor *slots = hold_arena_array(arena, n, sizeof *slots);
    if (!slots)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for %zu tensors", n);
    struct hold_findings f = { .lines = ret_findings };
    for (size_t i = 0; i < n_files; i++)
        for (size_t k = 0; k < files[i].st.n_tensors; k++) {
            const struct hold_st_tensor *t = &files[i].st.tensors[k];
            enum hold_role role;
            uint32_t layer;
            if (!hold_spec_find(record, t->name, &role, &layer)) {
                hold_findings_add(&f, "extra: %.160s in %.100s", t->name, files[i].name);
                continue;
            }
            const size_t slot = slot_of(rows, n, role, layer);
            take(&f, t, i, &rows[slot], &slots[slot]);
        }
    for (size_t i = 0; i < n; i++) {
        char name[HOLD_SPEC_NAME_BYTES];
        if (slots[i].dtype)
            continue;
        hold_spec_name(record, rows[i].role, rows[i].layer, name);
        hold_findings_add(&f, "missing: %s", name);
    }
    if (hold_findings_check(&f, "tensors do not fit config.json", err) < 0)
        return -1;
    *ret_tensors = slots;
    *ret_n = n;
    return 0;
}
