/* index.c - reads the shard index. Floor: runtime/weights, pure. */
#include "runtime/weights/index.h"

#include "base/json.h"
#include "base/name.h"
#include "runtime/plan/plan.h"
#include "runtime/weights/safetensors.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b) {
    const struct hold_index_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

int hold_index_parse(const char *text, size_t n, const char *what, struct hold_arena *arena, struct hold_index *ret_index, struct hold_err *err) {
    hold_autojson *root = NULL;
    const struct hold_json_limits limits = { .max_bytes = HOLD_INDEX_MAX_BYTES, .max_depth = 4, .max_tokens = 4 * HOLD_ST_MAX_TENSORS };
    if (hold_json_parse(text, n, what, limits, &root, err) < 0)
        return -1;
    const struct cJSON *map = hold_json_get(root, "weight_map");
    if (hold_json_type_of(map) != HOLD_JSON_OBJECT || !hold_json_first(map))
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s: weight_map is missing or empty", what);
    struct hold_index index = { .total_bytes = UINT64_MAX };
    uint64_t total;
    if (hold_json_u64(hold_json_get(hold_json_get(root, "metadata"), "total_size"), &total))
        index.total_bytes = total;
    const size_t most = hold_json_size(map);
    struct hold_index_entry *entries = hold_arena_array(arena, most, sizeof *entries);
    const char **files = hold_arena_array(arena, most, sizeof *files);
    if (!entries || !files)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: no memory for %zu entries", what, most);
    for (const struct cJSON *v = hold_json_first(map); v; v = hold_json_next(v)) {
        const char *name = hold_json_key(v), *file;
        if (!hold_json_str(v, &file) || !hold_name_is_safe(file))
            return hold_fail(err, HOLD_E_FORMAT, 0, "%s: the file of '%.120s' is not a safe relative name", what, name);
        struct hold_index_entry *e = &entries[index.n_entries];
        e->name = hold_arena_copy(arena, name, strlen(name));
        e->file = index.n_entries && strcmp(e[-1].file, file) == 0 ? e[-1].file : hold_arena_copy(arena, file, strlen(file));
        if (!e->name || !e->file)
            return hold_fail(err, HOLD_E_LIMIT, 0, "%s: no memory for %zu entries", what, most);
        files[index.n_entries++] = e->file;
    }
    qsort(files, most, sizeof *files, by_text);
    for (size_t i = 0; i < most; i++)
        if (i == 0 || strcmp(files[i], files[index.n_files - 1]) != 0)
            files[index.n_files++] = files[i];
    if (index.n_files > HOLD_PLAN_MAX_FILES)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: %zu files, the limit is %u", what, index.n_files, HOLD_PLAN_MAX_FILES);
    qsort(entries, most, sizeof *entries, by_name);
    index.entries = entries;
    index.files = files;
    *ret_index = index;
    return 0;
}

const char *hold_index_find(const struct hold_index *index, const char *name) {
    const struct hold_index_entry key = { .name = name };
    const struct hold_index_entry *found = bsearch(&key, index->entries, index->n_entries, sizeof key, by_name);
    return found ? found->file : NULL;
}

bool hold_index_names(const struct hold_index *index, const char *file) {
    return index->n_files && bsearch(&file, index->files, index->n_files, sizeof file, by_text);
}

static const struct hold_st *directory_of(const struct hold_bind_file *files, size_t n_files, const char *name) {
    for (size_t i = 0; i < n_files; i++)
        if (strcmp(files[i].name, name) == 0)
            return &files[i].st;
    return NULL;
}

void hold_index_check(const struct hold_index *index, const struct hold_bind_file *files, size_t n_files, struct hold_findings *findings) {
    for (size_t i = 0; i < index->n_files; i++)
        if (!directory_of(files, n_files, index->files[i])) {
            hold_findings_add(findings, "shard %.200s is not there", index->files[i]);
            findings->is_missing = true;
        }
    for (size_t i = 0; i < index->n_entries; i++) {
        const struct hold_index_entry *e = &index->entries[i];
        const struct hold_st *st = directory_of(files, n_files, e->file);
        if (st && !hold_st_find(st, e->name))
            hold_findings_add(findings, "the index says that %.160s is in %.100s, but it is not", e->name, e->file);
    }
    for (size_t i = 0; i < n_files; i++)
        for (size_t k = 0; k < files[i].st.n_tensors; k++) {
            const char *name = files[i].st.tensors[k].name, *file = hold_index_find(index, name);
            if (!file || strcmp(file, files[i].name) != 0)
                hold_findings_add(findings, "%.100s holds %.160s, which the index places %s%.100s", files[i].name, name, file ? "in " : "nowhere", file ? file : "");
        }
}
