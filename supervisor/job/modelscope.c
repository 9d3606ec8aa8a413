/* modelscope.c - reading ModelScope's listing. Floor: supervisor/job; no I/O in here. */
#include "supervisor/job/modelscope.h"

#include "base/json.h"
#include "supervisor/job/hub.h"

#include <string.h>

#define MAX_TOKENS 200000u

static int read_entry(const struct cJSON *entry, struct hold_arena *arena, struct hold_manifest *manifest, struct hold_err *err) {
    /* of no bytes at all */
    static const uint8_t of_nothing[32] = { 0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
                                            0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55 };
    const char *type = "blob", *path = "", *sha256 = "";
    struct hold_manifest_file file = { 0 };
    (void) hold_json_str(hold_json_get(entry, "Type"), &type);
    if (strcmp(type, "tree") == 0)
        return 0;
    if (!hold_json_str(hold_json_get(entry, "Path"), &path) || !hold_json_u64(hold_json_get(entry, "Size"), &file.size))
        return hold_fail(err, HOLD_E_FORMAT, 0, "listing: '%.120s' has no path or size", path);
    file.has_sha256 = hold_json_str(hold_json_get(entry, "Sha256"), &sha256) && hold_hex_read(sha256, 32, file.sha256);
    if (!file.has_sha256)
        return hold_fail(err, HOLD_E_FORMAT, 0, "listing: '%.120s' has the digest '%.70s', which is no SHA-256", path, sha256);
    if (file.size == 0 && memcmp(file.sha256, of_nothing, 32) != 0) /* it says 0 for what it does not know, too */
        return hold_fail(err, HOLD_E_FORMAT, 0, "listing: '%.120s' has no size: give a manifest (--manifest)", path);
    file.path = path;
    return hold_manifest_add(manifest, arena, &file, err) < 0 ? hold_wrap(err, "listing") : 0;
}

int hold_modelscope_files(const char *text, size_t n, struct hold_arena *arena, struct hold_manifest *manifest, char ret_commit[41],
                          struct hold_err *err) {
    const struct hold_json_limits limits = { .max_bytes = HOLD_HUB_MAX_BYTES, .max_depth = 24, .max_tokens = MAX_TOKENS };
    hold_autojson *root = NULL;
    if (hold_json_parse(text, n, "listing", limits, &root, err) < 0)
        return -1;
    const char *message = "", *commit = "";
    bool is_success = true;
    uint64_t code = 200;
    (void) hold_json_bool(hold_json_get(root, "Success"), &is_success);
    (void) hold_json_u64(hold_json_get(root, "Code"), &code);
    (void) hold_json_str(hold_json_get(root, "Message"), &message);
    if (!is_success || code != 200)
        return hold_fail(err, HOLD_E_DENIED, 0, "ModelScope says %llu: %.160s", (unsigned long long) code, message);
    const struct cJSON *data = hold_json_get(root, "Data"), *files = hold_json_get(data, "Files");
    if (!files || hold_json_type_of(files) != HOLD_JSON_ARRAY)
        return hold_fail(err, HOLD_E_FORMAT, 0, "listing: an array Data.Files is wanted");
    if (hold_json_size(files) >= HOLD_MODELSCOPE_CUT)
        return hold_fail(err, HOLD_E_LIMIT, 0, "listing: it ends at %u entries, where ModelScope cuts it: give a manifest (--manifest)", HOLD_MODELSCOPE_CUT);
    for (const struct cJSON *entry = hold_json_first(files); entry; entry = hold_json_next(entry))
        if (read_entry(entry, arena, manifest, err) < 0)
            return -1;
    (void) hold_json_str(hold_json_get(hold_json_get(data, "LatestCommitter"), "Id"), &commit);
    memset(ret_commit, 0, 41);
    if (hold_hub_is_commit(commit))
        memcpy(ret_commit, commit, 40);
    return 0;
}
