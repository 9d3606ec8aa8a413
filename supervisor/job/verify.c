/* verify.c - proves a model folder: bytes by the manifest, structure by the runtime's own readers. Floor: supervisor/job. */
#include "supervisor/job/verify.h"

#include "base/arena.h"
#include "base/bars.h"
#include "base/auto.h"
#include "base/io.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/notify.h"
#include "runtime/plan/plan.h"
#include "runtime/weights/containers.h"
#include "runtime/weights/prove.h"
#include "supervisor/job/clock.h"
#include "supervisor/job/digest.h"
#include "supervisor/job/gc.h"
#include "supervisor/job/proof.h"
#include "supervisor/job/snapshot.h"
#include "supervisor/job/source.h"
#include "supervisor/policy/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_THREADS 8
#define ARENA_MAX (96u << 20)
#define SAY_EVERY_MS 500
#define DRAW_EVERY_MS 100

struct bench {
    const struct hold_verify *verify;
    struct hold_manifest manifest;
    int folder_fd, state_fd;
    _Atomic uint64_t done_bytes;
    atomic_size_t next, n_running;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under lock */
    size_t n_bad, n_hashed;
    uint64_t hashed_bytes;
    char others[200]; /* names of bad files after the first */
    struct hold_verdict first;
};

/* ---- one file ---- */

static int status_of(enum hold_have have, const struct hold_err *err) {
    switch (have) {
    case HOLD_HAVE_ABSENT: return HOLD_EXIT_VERIFY_MISSING;
    case HOLD_HAVE_WRONG_SIZE:
    case HOLD_HAVE_DAMAGED: return HOLD_EXIT_VERIFY_DIGEST;
    case HOLD_HAVE_UNREADABLE: return err->sys == EACCES || err->sys == EPERM ? HOLD_EXIT_PERMISSION : HOLD_EXIT_VERIFY;
    case HOLD_HAVE_MARKED:
    case HOLD_HAVE_PROVEN:
    case HOLD_HAVE_UNPROVABLE: break;
    }
    return HOLD_EXIT_VERIFY;
}

/* Which of several bad files is told as the verdict: the one that only a person can cure first. */
static int rank_of(int status) {
    return status == HOLD_EXIT_PERMISSION || status == HOLD_EXIT_VERIFY ? 2 : status == HOLD_EXIT_VERIFY_DIGEST ? 1 : 0;
}

static void note_bad(struct bench *bench, const struct hold_manifest_file *file, enum hold_have have, const struct hold_err *err) {
    int status = status_of(have, err);
    hold_bars_clear();
    hold_log(HOLD_LV_ERROR, HOLD_EV_VERIFY_FILE, HOLD_LS("file", file->path), HOLD_LS("text", err->text), HOLD_LI("status", status));
    struct hold_verdict v = { .status = status, .err = *err };
    if (have == HOLD_HAVE_ABSENT)
        hold_verdict_fail(&v, status, HOLD_E_MISSING, 0, "'%.160s' is missing", file->path);
    bench->n_bad++;
    if (bench->n_bad == 1 || rank_of(status) > rank_of(bench->first.status))
        bench->first = v;
    size_t n = strlen(bench->others);
    if (n + strlen(file->path) + 3 < sizeof bench->others)
        snprintf(bench->others + n, sizeof bench->others - n, "%s%s", n ? ", " : "", file->path);
}

static void *work(void *argument) {
    struct bench *bench = argument;
    for (;;) {
        size_t at = atomic_fetch_add(&bench->next, 1);
        if (at >= bench->manifest.n_files)
            break;
        struct hold_manifest_file *file = &bench->manifest.files[at];
        struct hold_err err = { 0 };
        uint8_t sha256[32] = { 0 };
        enum hold_have have = hold_proof_check(bench->folder_fd, bench->state_fd, file, !bench->verify->deep, &bench->done_bytes, sha256, &err);
        pthread_mutex_lock(&bench->lock);
        if (have == HOLD_HAVE_PROVEN) {
            bench->n_hashed++;
            bench->hashed_bytes += file->size;
        } else if (have != HOLD_HAVE_MARKED) {
            note_bad(bench, file, have, &err);
        }
        pthread_mutex_unlock(&bench->lock);
    }
    pthread_mutex_lock(&bench->lock);
    atomic_fetch_sub(&bench->n_running, 1);
    pthread_cond_broadcast(&bench->changed);
    pthread_mutex_unlock(&bench->lock);
    return NULL;
}

static void watch(struct bench *bench, uint64_t total) {
    struct hold_bars bars;
    struct hold_bar bar = { .label = "verify", .total = total };
    uint64_t said = 0;
    hold_bars_open(&bars, hold_job_now_ms());
    pthread_mutex_lock(&bench->lock);
    while (atomic_load(&bench->n_running)) {
        const struct timespec until = hold_job_in_ms(DRAW_EVERY_MS);
        (void) pthread_cond_timedwait(&bench->changed, &bench->lock, &until);
        pthread_mutex_unlock(&bench->lock);
        uint64_t now = hold_job_now_ms(), done = atomic_load(&bench->done_bytes);
        bar.done = done;
        hold_bars_step(&bars, &bar, 1, now);
        if (now - said >= SAY_EVERY_MS) {
            said = now;
            hold_control_say(bench->verify->control_fd, "X_HOLDFAST_PROGRESS=%llu/%llu", (unsigned long long) done, (unsigned long long) total);
        }
        pthread_mutex_lock(&bench->lock);
    }
    pthread_mutex_unlock(&bench->lock);
    bar.done = atomic_load(&bench->done_bytes);
    hold_bars_end(&bars, &bar, hold_job_now_ms());
    hold_control_say(bench->verify->control_fd, "X_HOLDFAST_PROGRESS=%llu/%llu", (unsigned long long) atomic_load(&bench->done_bytes), (unsigned long long) total);
}

static int check_files(struct bench *bench, struct hold_verdict *v) {
    pthread_t threads[MAX_THREADS];
    size_t n = HOLD_MIN(HOLD_MIN((size_t) bench->verify->threads, (size_t) MAX_THREADS), bench->manifest.n_files), started = 0;
    for (; started < n; started++) {
        atomic_fetch_add(&bench->n_running, 1);
        if (pthread_create(&threads[started], NULL, work, bench) != 0) {
            atomic_fetch_sub(&bench->n_running, 1);
            break;
        }
    }
    if (started == 0)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, errno, "start a hashing thread");
    watch(bench, hold_manifest_bytes(&bench->manifest));
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (bench->n_bad == 0)
        return 0;
    *v = bench->first;
    if (bench->n_bad > 1) {
        struct hold_err first = v->err;
        (void) hold_fail(&v->err, first.code, 0, "%.240s; %zu files are bad in all: %s", first.text, bench->n_bad, bench->others);
    }
    return -1;
}

/* ---- the manifest ---- */

static int read_manifest(const char *path, struct hold_arena *arena, struct hold_manifest *ret_manifest, struct hold_verdict *v) {
    hold_autobuf text = hold_buf_with_max(HOLD_MANIFEST_MAX_BYTES);
    if (hold_read_file(path, &text, &v->err) < 0)
        return -1;
    if (hold_manifest_parse(text.data ? text.data : "", text.n, arena, ret_manifest, &v->err) < 0) {
        (void) hold_wrap(&v->err, "'%s'", path);
        return hold_verdict_is(v, HOLD_EXIT_MANIFEST);
    }
    return 0;
}

/* Leaves bench->manifest empty when there is none and none was named. */
static int load_manifest(struct bench *bench, struct hold_arena *arena, struct hold_verdict *v) {
    const struct hold_verify *verify = bench->verify;
    char path[PATH_MAX];
    bool is_named = verify->manifest_file && *verify->manifest_file;
    snprintf(path, sizeof path, "%s/%s", verify->folder, HOLD_MANIFEST_NAME);
    v->status = 0;
    if (read_manifest(is_named ? verify->manifest_file : path, arena, &bench->manifest, v) == 0)
        return 0;
    if (v->status == HOLD_EXIT_MANIFEST)
        return -1;
    if (v->err.code == HOLD_E_MISSING && !is_named)
        return 0;
    return hold_verdict_is(v, v->err.sys == EACCES ? HOLD_EXIT_PERMISSION : HOLD_EXIT_MANIFEST);
}

/* Digest and, for a file of several pieces, the digest of each, so that damage is repaired by piece. A marker saves the
 * reading only where no pieces are wanted. */
static int digest_listed(struct bench *bench, struct hold_manifest_file *file, struct hold_arena *arena, struct hold_verdict *v) {
    hold_autofd fd = -1;
    struct hold_digest_value value;
    struct hold_err ignored;
    uint64_t piece_bytes = bench->verify->piece_bytes;
    bool has_pieces = piece_bytes && file->size > piece_bytes;
    if (hold_snapshot_open(bench->folder_fd, file->path, &fd, &v->err) < 0)
        return hold_verdict_is(v, v->err.sys == EACCES ? HOLD_EXIT_PERMISSION : HOLD_EXIT_VERIFY);
    file->has_sha256 = true;
    if (!has_pieces && !bench->verify->deep && hold_proof_read(bench->state_fd, file->path, fd, file->sha256))
        return 0;
    size_t n = has_pieces ? (size_t) (file->size / piece_bytes + (file->size % piece_bytes != 0)) : 0;
    uint8_t *pieces = n ? hold_arena_array(arena, n, 32) : NULL;
    if (n && !pieces)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "'%.160s': no memory for %zu piece digests", file->path, n);
    int rc = n ? hold_digest_file_pieces(fd, file->size, piece_bytes, NULL, &value, pieces, &v->err)
               : hold_digest_file(fd, file->size, false, NULL, &value, &v->err);
    if (rc < 0)
        return hold_verdict_is(v, HOLD_EXIT_VERIFY);
    memcpy(file->sha256, value.sha256, 32);
    file->chunk_bytes = n ? piece_bytes : 0;
    file->chunks = pieces;
    file->n_chunks = n;
    (void) !hold_proof_write(bench->state_fd, file->path, fd, file->sha256, &ignored);
    return 0;
}

/* A manifest of what is there: trust on first use, said so by the person who asked for it. */
static int write_manifest(struct bench *bench, struct hold_arena *arena, struct hold_verdict *v) {
    struct hold_manifest made;
    if (hold_folder_list(bench->verify->folder, arena, &made, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_VERIFY_MISSING);
    for (size_t i = 0; i < made.n_files; i++)
        if (digest_listed(bench, &made.files[i], arena, v) < 0)
            return -1;
    char path[PATH_MAX];
    hold_autobuf text = hold_buf_with_max(HOLD_MANIFEST_MAX_BYTES);
    snprintf(path, sizeof path, "%s/%s", bench->verify->folder, HOLD_MANIFEST_NAME);
    if (hold_manifest_write(&made, &text, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_INTERNAL);
    return hold_write_file(path, text.data, text.n, 0644, &v->err) < 0 ? hold_verdict_of_write(v) : 0;
}

/* ---- the plan ---- */

struct mapped {
    struct hold_map *maps;
    struct hold_model_file *files;
    size_t n;
};

static int map_files(struct bench *bench, const struct hold_manifest *list, struct mapped *mapped, struct hold_verdict *v) {
    for (size_t i = 0; i < list->n_files; i++) {
        const char *name = list->files[i].path;
        hold_autofd fd = -1;
        if (!hold_model_file_is_read(name))
            continue;
        if (list->files[i].size == 0) { /* nothing to map, and for its reader to refuse */
            mapped->files[mapped->n++] = (struct hold_model_file) { .name = name, .data = "" };
            continue;
        }
        if (hold_snapshot_open(bench->folder_fd, name, &fd, &v->err) < 0 || hold_map_fd(fd, 0, name, &mapped->maps[mapped->n], &v->err) < 0)
            return hold_verdict_is(v, v->err.sys == EACCES ? HOLD_EXIT_PERMISSION : HOLD_EXIT_VERIFY);
        mapped->files[mapped->n] = (struct hold_model_file) { .name = name, .data = mapped->maps[mapped->n].data, .bytes = mapped->maps[mapped->n].bytes };
        mapped->n++;
    }
    return 0;
}

/* A snapshot of a hub's cache is in use from now on: first by us, then by process 1, which keeps the lock with the descriptor. */
static int begin_use(struct bench *bench, int *ret_fd, struct hold_verdict *v) {
    struct stat ours, named;
    if (!hold_snapshot_is(bench->folder_fd))
        return 0;
    *ret_fd = hold_use_take(bench->state_fd);
    if (fstat(bench->folder_fd, &ours) == 0 && stat(bench->verify->folder, &named) == 0 && ours.st_ino == named.st_ino)
        return 0;
    return hold_verdict_fail(v, HOLD_EXIT_VERIFY_MISSING, HOLD_E_MISSING, 0, "'%.160s' was removed meanwhile", bench->verify->folder);
}

static int hand_use_up(int use_fd, int control_fd, struct hold_verdict *v) {
    if (use_fd < 0 || control_fd < 0 || hold_notify_send(control_fd, "FDSTORE=1\nFDNAME=" HOLD_USE_NAME, &use_fd, 1, &v->err) == 0)
        return 0;
    (void) hold_wrap(&v->err, "hand the use lock to process 1");
    return hold_verdict_is(v, HOLD_EXIT_INTERNAL);
}

static int hand_up(const struct hold_buf *plan, const uint8_t digest[32], int control_fd, struct hold_verdict *v) {
    hold_autofd fd = -1;
    static const uint8_t unproven[32];
    char text[128] = "FDSTORE=1\nFDNAME=plan\nX_HOLDFAST_DIGEST=";
    size_t n = strlen(text);
    for (size_t i = 0; i < 32 && memcmp(digest, unproven, 32) != 0; i++)
        n += (size_t) snprintf(text + n, sizeof text - n, "%02x", digest[i]);
    if (control_fd < 0)
        return 0;
    if (hold_memfd_seal("holdfast-plan", plan->data, plan->n, &fd, &v->err) < 0 ||
        hold_notify_send(control_fd, text, &fd, 1, &v->err) < 0) {
        (void) hold_wrap(&v->err, "hand the plan to process 1");
        return hold_verdict_is(v, HOLD_EXIT_INTERNAL);
    }
    return 0;
}

static void log_warnings(const struct hold_buf *warnings) {
    for (const char *line = warnings->data; line && *line;) {
        size_t n = strcspn(line, "\n");
        char text[400];
        snprintf(text, sizeof text, "%.*s", (int) HOLD_MIN(n, sizeof text - 1), line);
        hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("text", text));
        line += n + (line[n] == '\n');
    }
}

/* Another architecture is a verdict of its own: no fetch cures it. */
static bool is_other_model(const struct mapped *mapped) {
    for (size_t i = 0; i < mapped->n; i++) {
        hold_autojson *root = NULL;
        struct hold_err ignored;
        const char *type = NULL;
        const struct hold_json_limits limits = { .max_bytes = 1u << 20, .max_tokens = 100000 };
        if (strcmp(mapped->files[i].name, "config.json") == 0 && hold_json_parse(mapped->files[i].data, mapped->files[i].bytes, "config.json", limits, &root, &ignored) == 0)
            return hold_json_str(hold_json_get(root, "model_type"), &type) && !hold_preflight_knows_model(type);
    }
    return false;
}

/* options NULL: the files by the rules of their containers, whatever the model. */
static int prove_structure(const struct mapped *mapped, const struct hold_prove_options *options, struct hold_buf *plan, struct hold_buf *warnings,
                           struct hold_verdict *v) {
    int rc = options ? hold_model_prove(mapped->files, mapped->n, options, plan, warnings, &v->err) : hold_containers_prove(mapped->files, mapped->n, warnings, &v->err);
    if (rc == 0)
        return 0;
    if (options && is_other_model(mapped))
        return hold_verdict_is(v, HOLD_EXIT_VERIFY_MODEL);
    return hold_verdict_is(v, v->err.code == HOLD_E_MISSING ? HOLD_EXIT_VERIFY_MISSING : HOLD_EXIT_VERIFY_FORMAT);
}

static int make_plan(struct bench *bench, const struct hold_manifest *list, struct hold_arena *arena, const uint8_t digest[32],
                     struct hold_verify_result *result, struct hold_verdict *v) {
    struct mapped mapped = { .maps = hold_arena_array(arena, list->n_files, sizeof *mapped.maps),
                             .files = hold_arena_array(arena, list->n_files, sizeof *mapped.files) };
    if (!mapped.maps || !mapped.files)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "no memory for %zu mappings", list->n_files);
    hold_autobuf plan = hold_buf_with_max(HOLD_PLAN_MAX_BYTES), warnings = hold_buf_with_max(64u << 10);
    struct hold_prove_options options = { .needs_tokenizer = true, .takes_other_template = bench->verify->takes_other_template };
    memcpy(options.digest, digest, 32);
    int rc = map_files(bench, list, &mapped, v);
    if (rc == 0)
        rc = prove_structure(&mapped, bench->verify->needs_plan ? &options : NULL, &plan, &warnings, v);
    for (size_t i = 0; i < mapped.n; i++)
        hold_map_close(&mapped.maps[i]);
    log_warnings(&warnings);
    if (rc < 0 || !bench->verify->needs_plan)
        return rc;
    result->plan_bytes = plan.n;
    return hand_up(&plan, digest, bench->verify->control_fd, v);
}

/* ---- all of it ---- */

static int open_folders(struct bench *bench, struct hold_verdict *v) {
    const struct hold_verify *verify = bench->verify;
    bench->folder_fd = open(verify->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (bench->folder_fd < 0)
        return hold_verdict_fail(v, errno == EACCES ? HOLD_EXIT_PERMISSION : HOLD_EXIT_VERIFY_MISSING, HOLD_E_MISSING, errno, "model folder '%s'", verify->folder);
    bool is_elsewhere = verify->state_dir && *verify->state_dir;
    int made = is_elsewhere ? mkdir(verify->state_dir, 0755) : mkdirat(bench->folder_fd, HOLD_STATE_FOLDER, 0755);
    (void) made; /* without it nothing is remembered, and everything is hashed */
    bench->state_fd = openat(is_elsewhere ? AT_FDCWD : bench->folder_fd, is_elsewhere ? verify->state_dir : HOLD_STATE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return 0;
}

static int prove_bytes(struct bench *bench, uint8_t ret_digest[32], struct hold_verify_result *result, struct hold_verdict *v) {
    if (check_files(bench, v) < 0)
        return -1;
    if (hold_manifest_identity(&bench->manifest, ret_digest, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_INTERNAL);
    hold_hex_write(ret_digest, 32, result->digest);
    result->bytes = hold_manifest_bytes(&bench->manifest);
    result->n_files = bench->manifest.n_files;
    result->n_hashed = bench->n_hashed;
    result->hashed_bytes = bench->hashed_bytes;
    const char *pin = bench->verify->digest;
    if (pin && *pin && strcasecmp(pin, result->digest) != 0)
        return hold_verdict_fail(v, HOLD_EXIT_MANIFEST, HOLD_E_FORMAT, 0, "the model is %s, the configuration pins %.64s", result->digest, pin);
    return 0;
}

static int run(struct bench *bench, struct hold_arena *arena, struct hold_verify_result *result, struct hold_verdict *v) {
    uint8_t digest[32] = { 0 };
    if ((bench->verify->write_manifest && write_manifest(bench, arena, v) < 0) || load_manifest(bench, arena, v) < 0)
        return -1;
    if (bench->manifest.n_files) {
        if (prove_bytes(bench, digest, result, v) < 0)
            return -1;
    } else if (bench->verify->digest && *bench->verify->digest) {
        return hold_verdict_fail(v, HOLD_EXIT_MANIFEST, HOLD_E_MISSING, 0, "a digest is pinned, but '%s' has no %s", bench->verify->folder, HOLD_MANIFEST_NAME);
    } else {
        hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("text", "no manifest: bytes are not proven, only the structure of the files; verify --write-manifest makes one"), HOLD_LS("folder", bench->verify->folder));
    }
    struct hold_manifest list = bench->manifest;
    if (list.n_files == 0 && hold_folder_list(bench->verify->folder, arena, &list, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_VERIFY_MISSING);
    return make_plan(bench, &list, arena, digest, result, v);
}

int hold_verify_run(const struct hold_verify *verify, struct hold_verify_result *ret_result, struct hold_verdict *v) {
    hold_autoarena arena = hold_arena_with_max(ARENA_MAX);
    struct bench bench = { .verify = verify, .folder_fd = -1, .state_fd = -1 };
    struct hold_verify_result result = { 0 };
    pthread_mutex_init(&bench.lock, NULL);
    hold_job_cond_init(&bench.changed);
    hold_autofd use = -1;
    int rc = open_folders(&bench, v);
    if (rc == 0)
        rc = begin_use(&bench, &use, v);
    if (rc == 0)
        rc = run(&bench, &arena, &result, v);
    if (rc == 0)
        rc = hand_use_up(use, verify->control_fd, v);
    pthread_mutex_destroy(&bench.lock);
    pthread_cond_destroy(&bench.changed);
    hold_close_fd(&bench.folder_fd);
    hold_close_fd(&bench.state_fd);
    if (rc == 0)
        *ret_result = result;
    return rc;
}
