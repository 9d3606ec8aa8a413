/* hub.c - reading a model hub's answers. Floor: supervisor/job; no I/O in here. */
#include "supervisor/job/hub.h"

#include "base/json.h"
#include "base/list.h"
#include "base/name.h"

#include <stdio.h>
#include <string.h>

#define MAX_TOKENS 200000u

/* also: what may stand in it beside letters, digits, '-', '_' and '.' */
static bool is_word(const char *text, size_t n, const char *also) {
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        if (!is_plain && !strchr(also, c))
            return false;
    }
    return n > 0 && text[0] != '.' && text[0] != '/' && text[n - 1] != '/' && !memmem(text, n, "..", 2) && !memmem(text, n, "//", 2);
}

size_t hold_hub_scheme(const char *source) {
    return strncmp(source, "hf://", 5) == 0 ? 5 : strncmp(source, HOLD_MODELSCOPE_SCHEME, strlen(HOLD_MODELSCOPE_SCHEME)) == 0 ? strlen(HOLD_MODELSCOPE_SCHEME) : 0;
}

int hold_hub_name_parse(const char *source, struct hold_hub_name *ret_name, struct hold_err *err) {
    struct hold_hub_name name = { 0 };
    const char *text = source + hold_hub_scheme(source);
    size_t repo_n = strcspn(text, "@");
    const char *revision = text[repo_n] ? text + repo_n + 1 : hold_hub_scheme(source) > 5 ? "master" : "main";
    const char *slash = memchr(text, '/', repo_n);
    if (repo_n >= sizeof name.repo || !is_word(text, repo_n, "/") || (slash && memchr(slash + 1, '/', repo_n - (size_t) (slash - text) - 1)))
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.200s' is not hf://org/repo@revision or modelscope://org/repo@revision", source);
    if (strlen(revision) >= sizeof name.revision || !is_word(revision, strlen(revision), "/+#=,@%"))
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%.200s': the revision is not a branch, tag or commit", source);
    memcpy(name.repo, text, repo_n);
    memcpy(name.revision, revision, strlen(revision));
    *ret_name = name;
    return 0;
}

bool hold_hub_is_commit(const char *revision) {
    uint8_t bytes[20];
    return hold_hex_read(revision, 20, bytes);
}

static int parse(const char *text, size_t n, const char *what, struct cJSON **ret_root, struct hold_err *err) {
    const struct hold_json_limits limits = { .max_bytes = HOLD_HUB_MAX_BYTES, .max_depth = 24, .max_tokens = MAX_TOKENS };
    return hold_json_parse(text, n, what, limits, ret_root, err);
}

int hold_hub_commit(const char *text, size_t n, char ret_commit[41], struct hold_err *err) {
    hold_autojson *root = NULL;
    const char *sha = "";
    if (parse(text, n, "answer about the revision", &root, err) < 0)
        return -1;
    if (!hold_json_str(hold_json_get(root, "sha"), &sha) || !hold_hub_is_commit(sha))
        return hold_fail(err, HOLD_E_FORMAT, 0, "answer about the revision: \"sha\" is not a commit");
    memcpy(ret_commit, sha, 41);
    return 0;
}

/* 0 also for what is no file. */
static int read_entry(const struct cJSON *entry, struct hold_arena *arena, struct hold_manifest *manifest, struct hold_err *err) {
    const char *type = "", *path = "", *oid = "";
    struct hold_manifest_file file = { 0 };
    if (!hold_json_str(hold_json_get(entry, "type"), &type) || !hold_json_str(hold_json_get(entry, "path"), &path))
        return hold_fail(err, HOLD_E_FORMAT, 0, "listing: an entry has no type or path");
    if (strcmp(type, "file") != 0)
        return 0;
    const struct cJSON *lfs = hold_json_get(entry, "lfs");
    bool is_lfs = lfs && hold_json_type_of(lfs) == HOLD_JSON_OBJECT;
    if (!hold_json_u64(hold_json_get(is_lfs ? lfs : entry, "size"), &file.size) || !hold_json_str(hold_json_get(is_lfs ? lfs : entry, "oid"), &oid))
        return hold_fail(err, HOLD_E_FORMAT, 0, "listing: '%.120s' has no size or digest", path);
    file.has_sha256 = is_lfs && hold_hex_read(oid, 32, file.sha256);
    file.has_git_blob = !is_lfs && hold_hex_read(oid, 20, file.git_blob);
    if (!file.has_sha256 && !file.has_git_blob)
        return hold_fail(err, HOLD_E_FORMAT, 0, "listing: '%.120s' has the digest '%.70s', which is none", path, oid);
    file.path = path;
    return hold_manifest_add(manifest, arena, &file, err) < 0 ? hold_wrap(err, "listing") : 0;
}

int hold_hub_tree(const char *text, size_t n, struct hold_arena *arena, struct hold_manifest *manifest, struct hold_err *err) {
    hold_autojson *root = NULL;
    if (parse(text, n, "listing", &root, err) < 0)
        return -1;
    if (hold_json_type_of(root) != HOLD_JSON_ARRAY)
        return hold_fail(err, HOLD_E_FORMAT, 0, "listing: an array is wanted");
    for (const struct cJSON *entry = hold_json_first(root); entry; entry = hold_json_next(entry))
        if (read_entry(entry, arena, manifest, err) < 0)
            return -1;
    return 0;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The same weights lie as safetensors in the folder of path or one above it. */
static bool has_safetensors(const struct hold_manifest *manifest, const char *path) {
    for (size_t i = 0; i < manifest->n_files; i++) {
        const char *other = manifest->files[i].path, *slash = strrchr(other, '/');
        if (ends_with(other, ".safetensors") && strncmp(other, path, slash ? (size_t) (slash - other) + 1 : 0) == 0)
            return true;
    }
    return false;
}

void hold_hub_choose(struct hold_manifest *manifest) {
    static const char *const other_formats[] = { ".bin", ".bin.index.json", ".pth", ".pt", ".h5", ".msgpack", ".onnx", ".gguf", ".ot", ".ckpt" };
    size_t kept = 0;
    for (size_t i = 0; i < manifest->n_files; i++) {
        const char *path = manifest->files[i].path;
        bool is_other = false, is_ours = path[0] == '.' || strcmp(path, HOLD_MANIFEST_NAME) == 0;
        for (size_t f = 0; f < HOLD_COUNT_OF(other_formats); f++)
            is_other |= ends_with(path, other_formats[f]);
        bool is_left_out = is_ours || (is_other && has_safetensors(manifest, path));
        if (!is_left_out || !hold_name_is_safe(path)) /* a name that could escape is refused, not overlooked */
            manifest->files[kept++] = manifest->files[i];
    }
    manifest->n_files = kept;
}
