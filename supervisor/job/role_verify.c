/* role_verify.c - `holdfast-job verify`: options to one errand. Floor: supervisor/job. */
#include "base/exit.h"
#include "base/list.h"
#include "base/log.h"
#include "supervisor/job/clock.h"
#include "supervisor/job/hubcache.h"
#include "supervisor/job/roles.h"
#include "supervisor/job/verify.h"
#include "supervisor/policy/manifest.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

struct verify_config {
    struct hold_hub_cache_where where;
    const char *state, *manifest, *digest;
    uint64_t threads, piece_bytes;
    bool deep, write_manifest, plan, other_template;
};

#define ROW(n, t, f, d, lo, hi, h, ...) { .name = n, .type = HOLD_OPT_##t, .offset = offsetof(struct verify_config, f), .initial = d, .min = lo, .max = hi, .help = h, __VA_ARGS__ }

static const struct hold_opt rows[] = {
    ROW("deep", BOOL, deep, NULL, 0, 0, "believe no marker: hash every file"),
    ROW("write-manifest", BOOL, write_manifest, NULL, 0, 0, "hash what is there and write holdfast.manifest.json first"),
    ROW("piece-size", BYTES, piece_bytes, "64MiB", 0, 0, "size of the pieces whose digests that manifest carries, so that damage is repaired by piece; 0: none, else at least 1MiB"),
    ROW("manifest", STR, manifest, NULL, 0, 0, "pinned list of files instead of the folder's own", .value = "FILE", .env = "HOLDFAST_MODEL_MANIFEST"),
    ROW("digest", STR, digest, NULL, 0, 0, "identity that the model must have", .value = "HEX", .env = "HOLDFAST_MODEL_DIGEST"),
    ROW("state", STR, state, NULL, 0, 0, "folder for the markers, for a model folder that cannot be written", .value = "DIR"),
    HOLD_HUB_CACHE_ROWS(offsetof(struct verify_config, where)),
    ROW("plan", BOOL, plan, "true", 0, 0, "the model must be one that holdfast-runtime runs; --no-plan proves bytes and the structure of weights and indices, whatever the model"),
    ROW("other-template", BOOL, other_template, NULL, 0, 0, "go on although the chat template is not a known one; prompts follow the built-in rule"),
    ROW("verify-threads", U64, threads, "2", 1, 8, "files hashed at once"),
};

/* hf://org/repo@rev stands for its snapshot in the hub's cache. */
static int find_folder(const struct verify_config *c, const char *word, char snapshot[PATH_MAX], const char **ret_folder, struct hold_verdict *v) {
    struct hold_hub_name name;
    char root[PATH_MAX], commit[41];
    *ret_folder = word;
    if (strncmp(word, "hf://", 5) != 0)
        return 0;
    if (hold_hub_name_parse(word, &name, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_CONFIG);
    if (hold_hub_cache_root(&c->where, root, v) < 0)
        return -1;
    if (!hold_hub_cache_find(root, &name, commit, snapshot))
        return hold_verdict_fail(v, HOLD_EXIT_VERIFY_MISSING, HOLD_E_MISSING, 0, "the hub's cache '%.160s' has no snapshot of '%.120s'", root, word);
    *ret_folder = snapshot;
    return 0;
}

int hold_role_verify(int argc, char **argv) {
    struct verify_config config = { 0 };
    enum hold_opt_source sources[HOLD_COUNT_OF(rows)];
    hold_autobuf store = hold_buf_with_max(64u << 10);
    struct hold_strs words = { 0 };
    int control_fd = -1;
    const struct hold_role_begin begin = {
        .log_name = "job:verify",
        .synopsis = "holdfast verify DIR|hf://ORG/REPO[@REV] [--deep] [--write-manifest] [--manifest FILE] [options]",
        .set = { .rows = rows, .n_rows = HOLD_COUNT_OF(rows), .sources = sources, .store = &store },
        .config = &config,
        .max_words = 1,
    };
    int status = hold_role_begin(&begin, argc, argv, &words, &control_fd);
    if (status >= 0)
        return status;
    struct hold_verdict v = { 0 };
    if (words.n != 1) {
        hold_verdict_fail(&v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, "the model's folder is missing");
        return hold_verdict_end(&v, control_fd);
    }
    if (config.piece_bytes && config.piece_bytes < HOLD_MANIFEST_MIN_CHUNK) {
        hold_verdict_fail(&v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, "--piece-size %llu: 0 or at least 1MiB is wanted", (unsigned long long) config.piece_bytes);
        return hold_verdict_end(&v, control_fd);
    }
    char snapshot[PATH_MAX];
    const char *folder;
    if (find_folder(&config, words.at[0], snapshot, &folder, &v) < 0)
        return hold_verdict_end(&v, control_fd);
    struct hold_verify_result result;
    uint64_t begun = hold_job_now_ms();
    const struct hold_verify verify = { .folder = folder, .state_dir = config.state, .manifest_file = config.manifest, .digest = config.digest,
                                        .deep = config.deep, .write_manifest = config.write_manifest, .piece_bytes = config.piece_bytes, .needs_plan = config.plan,
                                        .takes_other_template = config.other_template, .threads = config.threads, .control_fd = control_fd };
    if (hold_verify_run(&verify, &result, &v) < 0)
        return hold_verdict_end(&v, control_fd);
    hold_log(HOLD_LV_INFO, HOLD_EV_VERIFY_DONE, HOLD_LS("folder", folder), HOLD_LS("digest", result.digest), HOLD_LU("files", result.n_files),
             HOLD_LU("bytes", result.bytes), HOLD_LU("hashed_bytes", result.hashed_bytes), HOLD_LU("plan_bytes", result.plan_bytes),
             HOLD_LU("ms", hold_job_now_ms() - begun));
    return HOLD_EXIT_OK;
}
