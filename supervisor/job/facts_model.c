/* facts_model.c - what lies in the model folder, by name, size and first bytes; nothing is hashed. Floor: supervisor/job. */
#include "supervisor/job/facts.h"

#include "base/auto.h"
#include "base/io.h"
#include "base/json.h"
#include "base/name.h"
#include "supervisor/job/source.h"
#include "supervisor/policy/manifest.h"
#include "supervisor/policy/tries.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIG_MAX (1u << 20)
#define INDEX_MAX (64u << 20)
#define POINTER_MAX 1024

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_weights(const char *name) {
    return ends_with(name, ".safetensors") || ends_with(name, ".bin") || ends_with(name, ".pth") || ends_with(name, ".pt");
}

static const char *copy(struct hold_arena *arena, const char *text) {
    const char *c = hold_arena_copy(arena, text, strlen(text));
    return c ? c : "";
}

static void read_config(int folder_fd, struct hold_arena *arena, struct hold_fact_model *m) {
    hold_autofd fd = openat(folder_fd, "config.json", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct hold_err err = { 0 };
    hold_autobuf text = hold_buf_with_max(CONFIG_MAX);
    hold_autojson *root = NULL;
    const char *type = "";
    if (fd < 0 && errno == ENOENT)
        return;
    m->config = HOLD_MODEL_CONFIG_UNREADABLE;
    if (fd < 0) {
        (void) hold_fail(&err, HOLD_E_IO, errno, "open config.json");
    } else if (hold_read_all(fd, &text, "config.json", &err) == 0) {
        m->config = HOLD_MODEL_CONFIG_WRONG;
        if (hold_json_parse(text.data ? text.data : "", text.n, "config.json", (struct hold_json_limits) { .max_bytes = CONFIG_MAX, .max_tokens = 100000 }, &root, &err) == 0) {
            if (hold_json_str(hold_json_get(root, "model_type"), &type))
                m->config = HOLD_MODEL_CONFIG_READ;
            else
                (void) hold_fail(&err, HOLD_E_FORMAT, 0, "config.json has no model_type");
        }
    }
    m->type = copy(arena, type);
    m->config_text = copy(arena, err.text);
}

static void note_missing(struct hold_arena *arena, struct hold_fact_model *m, const char *name) {
    if (m->n_missing++ == 0)
        m->first_missing = copy(arena, name);
}

static void look_at_weights(int folder_fd, struct hold_arena *arena, struct hold_fact_model *m, const struct hold_manifest_file *file) {
    m->n_weights++;
    m->bytes_present += file->size;
    hold_autofd fd = openat(folder_fd, file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        if (m->n_unreadable++ == 0)
            m->first_unreadable = copy(arena, file->path);
        return;
    }
    uint8_t head[64];
    ssize_t n = file->size <= POINTER_MAX ? pread(fd, head, sizeof head, 0) : 0;
    if (n > 0 && hold_looks_like_pointer(head, (size_t) n)) {
        m->has_pointer = true;
        m->pointer = copy(arena, file->path);
    }
}

/* False when there is no manifest that can be read: verify says what is wrong with it. */
static bool compare_manifest(const char *path, int folder_fd, struct hold_arena *arena, struct hold_fact_model *m) {
    hold_autobuf text = hold_buf_with_max(HOLD_MANIFEST_MAX_BYTES);
    struct hold_manifest manifest;
    struct hold_err ignored;
    if (hold_read_file(path, &text, &ignored) < 0 || hold_manifest_parse(text.data ? text.data : "", text.n, arena, &manifest, &ignored) < 0)
        return false;
    m->has_manifest = true;
    m->bytes_total = hold_manifest_bytes(&manifest);
    m->bytes_present = 0;
    for (size_t i = 0; i < manifest.n_files; i++) {
        struct stat st;
        if (folder_fd < 0 || fstatat(folder_fd, manifest.files[i].path, &st, 0) < 0 || (uint64_t) st.st_size != manifest.files[i].size)
            note_missing(arena, m, manifest.files[i].path);
        else
            m->bytes_present += manifest.files[i].size;
    }
    return true;
}

static void compare_index(const char *folder, int folder_fd, struct hold_arena *arena, struct hold_fact_model *m) {
    char path[PATH_MAX];
    hold_autobuf text = hold_buf_with_max(INDEX_MAX);
    hold_autojson *root = NULL;
    struct hold_err ignored;
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    if (hold_read_file(path, &text, &ignored) < 0 ||
        hold_json_parse(text.data ? text.data : "", text.n, "index", (struct hold_json_limits) { .max_bytes = INDEX_MAX, .max_tokens = 1000000 }, &root, &ignored) < 0)
        return;
    const char *last = "";
    uint64_t total = 0;
    (void) hold_json_u64(hold_json_get(hold_json_get(root, "metadata"), "total_size"), &total);
    m->bytes_total = total > m->bytes_total ? total : m->bytes_total;
    for (const struct cJSON *v = hold_json_first(hold_json_get(root, "weight_map")); v; v = hold_json_next(v)) {
        const char *name = "";
        struct stat st;
        if (!hold_json_str(v, &name) || strcmp(name, last) == 0 || !hold_name_is_safe(name))
            continue; /* shards follow one another in the map: the same name again is no news */
        last = name;
        bool is_known = m->n_missing && strcmp(name, m->first_missing) == 0;
        if (!is_known && fstatat(folder_fd, name, &st, 0) < 0)
            note_missing(arena, m, name);
    }
}

void hold_facts_model(const struct hold_facts_asked *asked, struct hold_arena *arena, struct hold_fact_model *ret_model) {
    struct hold_fact_model m = { .config_text = "", .type = "", .first_missing = "", .first_unreadable = "", .pointer = "" };
    struct hold_manifest list = { 0 };
    struct hold_err ignored;
    char own[PATH_MAX];
    bool has_pin = asked->manifest_file && *asked->manifest_file;
    m.is_asked = asked->model && *asked->model;
    if (m.is_asked) {
        hold_autofd folder_fd = open(asked->model, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat st;
        m.has_folder = stat(asked->model, &st) == 0 && S_ISDIR(st.st_mode);
        if (folder_fd >= 0) {
            read_config(folder_fd, arena, &m);
            (void) !hold_folder_list(asked->model, arena, &list, &ignored); /* an empty folder has an empty list */
        } else if (m.has_folder) {
            m.config = HOLD_MODEL_CONFIG_UNREADABLE;
            m.config_text = "the model folder cannot be opened";
        }
        for (size_t i = 0; i < list.n_files; i++) {
            if (is_weights(list.files[i].path))
                look_at_weights(folder_fd, arena, &m, &list.files[i]);
            m.has_tokenizer |= strcmp(list.files[i].path, "tokenizer.json") == 0;
        }
        m.bytes_total = m.bytes_present;
        snprintf(own, sizeof own, "%s/%s", asked->model, HOLD_MANIFEST_NAME);
        if (!compare_manifest(has_pin ? asked->manifest_file : own, folder_fd, arena, &m) && folder_fd >= 0)
            compare_index(asked->model, folder_fd, arena, &m);
    }
    *ret_model = m;
}
