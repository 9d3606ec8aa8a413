/* bind.c - binds tensors both ways. Floor: runtime/weights, pure.
 *
 * A table with one slot for each needed tensor; every tensor of every file finds its slot or is extra; every slot is filled or
 * missing. All findings are collected: a person who repairs a checkpoint wants the list, not the first line of it. */
#include "runtime/weights/bind.h"

#include "base/list.h"
#include "runtime/weights/spec.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct findings {
    struct hold_buf *lines; /* may be NULL */
    char text[HOLD_ERR_TEXT_BYTES];
    size_t n, used;
};

HOLD_PRINTF(2, 3)
static void find(struct findings *f, const char *format, ...) {
    char line[320];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (f->n++ >= HOLD_BIND_MAX_FINDINGS)
        return;
    const int n = snprintf(f->text + f->used, sizeof f->text - f->used, "%s%s", f->used ? "; " : "", line);
    f->used = HOLD_MIN(f->used + (size_t) n, sizeof f->text - 1);
    if (f->lines)
        hold_buf_addf(f->lines, "%s\n", line);
}

static uint32_t dtype_of(const char *name) {
    return strcmp(name, "BF16") == 0 ? HOLD_PLAN_BF16 : strcmp(name, "F32") == 0 ? HOLD_PLAN_F32 : strcmp(name, "F16") == 0 ? HOLD_PLAN_F16 : 0;
}

static void shape_print(const uint64_t *dims, uint32_t n, char out[96]) {
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < n && used < 80; i++)
        used += (size_t) snprintf(out + used, 96 - used, "%s%" PRIu64, i ? ", " : "", dims[i]);
}

static void compare(struct findings *f, const struct hold_spec_row *row, const struct hold_st_tensor *t) {
    bool fits = t->n_dims == row->n_dims;
    for (uint32_t i = 0; i < row->n_dims && fits; i++)
        fits = t->dims[i] == row->dims[i];
    if (!fits) {
        char has[96], needs[96];
        shape_print(t->dims, t->n_dims, has);
        shape_print(row->dims, row->n_dims, needs);
        find(f, "%s has shape [%s], needed is [%s]", t->name, has, needs);
    }
    if (dtype_of(t->dtype) == 0)
        find(f, "%s has dtype %s, usable are BF16, F32 and F16", t->name, t->dtype);
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

static void take(struct findings *f, const struct hold_st_tensor *t, uint64_t file, const struct hold_spec_row *row,
                 struct hold_plan_tensor *slot) {
    if (slot->dtype) {
        find(f, "%s is there twice", t->name);
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
    struct findings f = { .lines = ret_findings };
    for (size_t i = 0; i < n_files; i++)
        for (size_t k = 0; k < files[i].st.n_tensors; k++) {
            const struct hold_st_tensor *t = &files[i].st.tensors[k];
            enum hold_role role;
            uint32_t layer;
            if (!hold_spec_find(record, t->name, &role, &layer)) {
                find(&f, "extra: %.160s in %.100s", t->name, files[i].name);
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
        find(&f, "missing: %s", name);
    }
    if (f.n)
        return hold_fail(err, HOLD_E_FORMAT, 0, "tensors do not fit config.json (%zu finding%s): %s", f.n, f.n == 1 ? "" : "s", f.text);
    *ret_tensors = slots;
    *ret_n = n;
    return 0;
}
