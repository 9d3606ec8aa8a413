/* bring.c - all files of a model, by a few workers. Floor: supervisor/job. */
#include "supervisor/job/bring.h"

#include "base/auto.h"
#include "base/bars.h"
#include "base/io.h"
#include "base/list.h"
#include "base/log.h"
#include "base/notify.h"
#include "supervisor/job/clock.h"
#include "supervisor/job/digest.h"
#include "supervisor/job/hubcache.h"
#include "supervisor/job/partial.h"
#include "supervisor/job/proof.h"
#include "supervisor/job/snapshot.h"
#include "supervisor/job/space.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_WORKERS 16
#define MAX_LEADING 4 /* files at once */
#define ARENA_MAX (96u << 20)
#define SAY_EVERY_MS 500
#define LOG_EVERY_MS 5000
#define DRAW_EVERY_MS 100

struct crew {
    const struct hold_bring *bring;
    struct hold_source *source;
    struct hold_fetch_shared *shared;
    int folder_fd, state_fd;   /* of the model, and its markers */
    int store_fd, store_state_fd; /* where its bytes are: the same, or the blobs of a hub's cache */
    const struct hold_hub_cache *cache; /* NULL: none */
    size_t *order;             /* indices of files, largest first */
    atomic_size_t next;        /* place in order */
    atomic_size_t n_running, n_come;
    atomic_size_t n_leading;   /* workers that may still bring a file of their own */
    struct hold_verdict first; /* of the file that ended the errand; under shared->lock */
    bool has_failed;
    size_t n_fetched, n_kept;  /* under shared->lock */
    uint64_t fetched_bytes;
    const char *one_url;       /* the address of the only file, instead of the source's base; NULL: a model */
};

static bool is_asked_again(const struct hold_bring *bring, const char *path) {
    for (size_t i = 0; i < bring->again.n; i++)
        if (strcmp(bring->again.at[i], path) == 0)
            return true;
    return bring->deep;
}

/* ---- one file, on a worker ---- */

/* One file of the list as a fetch wants it; stored: the name of its bytes in the store. */
static struct hold_fetch_file wanted(const struct crew *crew, const struct hold_manifest_file *file, const char *url, const char *stored, enum hold_have have) {
    struct hold_fetch_file want = { .url = crew->one_url ? crew->one_url : url, .auth = &crew->source->auth, .path = file->path, .as = stored,
                                    .folder_fd = crew->store_fd, .state_fd = crew->store_state_fd,
                                    .size = file->size, .has_sha256 = file->has_sha256, .has_git_blob = file->has_git_blob,
                                    .chunk_bytes = file->chunk_bytes, .chunks = file->chunks, .n_chunks = file->n_chunks,
                                    .has_damaged = have == HOLD_HAVE_DAMAGED, .is_absent = have == HOLD_HAVE_ABSENT && file->size != UINT64_MAX };
    memcpy(want.sha256, file->sha256, 32);
    memcpy(want.git_blob, file->git_blob, 20);
    return want;
}

static int fetch_file(struct crew *crew, struct hold_fetcher *fetcher, const struct hold_manifest_file *file, const char *stored, enum hold_have have,
                      struct hold_fetch_result *ret_result, struct hold_verdict *v) {
    hold_autofd lock = -1;
    if (crew->cache && hold_hub_cache_lock(crew->cache, stored, crew->shared->rules.takeover_ms, &crew->shared->stop, &lock) && have == HOLD_HAVE_ABSENT &&
        faccessat(crew->store_fd, stored, F_OK, 0) == 0)
        return 1; /* the hub's own client brought it while we waited */
    char url[HOLD_URL_BYTES];
    if (!crew->one_url && !hold_source_url(crew->source, file->path, url, sizeof url))
        return hold_verdict_fail(v, HOLD_EXIT_MANIFEST, HOLD_E_LIMIT, 0, "'%.160s': its address is longer than %d bytes", file->path, HOLD_URL_BYTES);
    struct hold_fetch_file want = wanted(crew, file, url, stored, have);
    return hold_fetch_run(fetcher, &want, ret_result, v);
}

/* A proven blob gets its name in the snapshot, and its marker there. */
static int link_blob(struct crew *crew, const struct hold_manifest_file *file, const char *blob, struct hold_verdict *v) {
    struct hold_err ignored;
    uint8_t marked[32];
    if (hold_hub_cache_link(crew->cache, file->path, blob, v) < 0)
        return -1;
    hold_autofd fd = openat(crew->store_fd, blob, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && !(hold_proof_read(crew->state_fd, file->path, fd, marked) && memcmp(marked, file->sha256, 32) == 0))
        (void) !hold_proof_write(crew->state_fd, file->path, fd, file->sha256, &ignored);
    return 0;
}

static int bring_file(struct crew *crew, struct hold_fetcher *fetcher, struct hold_manifest_file *file, struct hold_verdict *v) {
    char blob[HOLD_BLOB_BYTES];
    struct hold_manifest_file stored = *file;
    if (crew->cache) {
        hold_hub_cache_blob(file, blob);
        stored.path = blob;
    }
    uint8_t sha256[32];
    struct hold_fetch_result result = { 0 };
    uint64_t begun = hold_job_now_ms();
    bool is_here = false;
    bool believes_marker = !is_asked_again(crew->bring, file->path);
    for (int rc = 1; rc != 0;) {
        struct hold_err why = { 0 };
        enum hold_have have = HOLD_HAVE_ABSENT;
        if (file->size != UINT64_MAX)
            have = hold_proof_check(crew->store_fd, crew->store_state_fd, &stored, believes_marker, &crew->shared->done_bytes, sha256, &why);
        is_here = have == HOLD_HAVE_MARKED || have == HOLD_HAVE_PROVEN;
        if (is_here)
            break;
        if (have == HOLD_HAVE_DAMAGED || have == HOLD_HAVE_WRONG_SIZE) {
            hold_bars_clear();
            hold_log(HOLD_LV_WARN, HOLD_EV_VERIFY_FILE, HOLD_LS("file", file->path), HOLD_LS("text", why.text), HOLD_LS("action", "fetched again"));
        }
        rc = fetch_file(crew, fetcher, file, stored.path, have, &result, v);
        if (rc < 0)
            return -1;
        believes_marker |= rc == 1; /* another fetcher brought and proved it just now */
    }
    if (is_here) {
        struct hold_fetch_file want = wanted(crew, file, "", stored.path, HOLD_HAVE_PROVEN);
        hold_fetch_tidy(fetcher, &want);
    } else {
        memcpy(sha256, result.sha256, 32);
        file->size = result.size;
    }
    memcpy(file->sha256, sha256, 32);
    file->has_sha256 = true;
    if (crew->cache && link_blob(crew, file, stored.path, v) < 0)
        return -1;
    pthread_mutex_lock(&crew->shared->lock);
    crew->n_kept += is_here;
    crew->n_fetched += !is_here;
    crew->fetched_bytes += result.fetched_bytes;
    pthread_mutex_unlock(&crew->shared->lock);
    hold_bars_clear();
    hold_log(is_here ? HOLD_LV_DEBUG : HOLD_LV_INFO, HOLD_EV_FETCH_FILE, HOLD_LS("file", file->path), HOLD_LU("bytes", file->size),
             HOLD_LU("fetched_bytes", result.fetched_bytes), HOLD_LU("tries", result.n_tries), HOLD_LU("ms", hold_job_now_ms() - begun));
    return 0;
}

/* A connection without a file of its own lends itself to the large files of the others. */
static void help_others(struct crew *crew, struct hold_fetcher *fetcher) {
    struct hold_fetch_shared *shared = crew->shared;
    while (atomic_load(&crew->n_leading) && !atomic_load(&shared->stop)) {
        if (hold_fetch_help(fetcher))
            continue;
        const struct timespec until = hold_job_in_ms(DRAW_EVERY_MS);
        pthread_mutex_lock(&shared->lock);
        if (atomic_load(&crew->n_leading) && !atomic_load(&shared->stop))
            (void) pthread_cond_timedwait(&shared->changed, &shared->lock, &until);
        pthread_mutex_unlock(&shared->lock);
    }
}

static void *work(void *argument) {
    struct crew *crew = argument;
    struct hold_verdict v = { 0 };
    struct hold_fetcher *fetcher = hold_fetcher_new(crew->shared);
    int rc = fetcher ? 0 : hold_verdict_fail(&v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "libcurl cannot be set up");
    bool leads = atomic_fetch_add(&crew->n_come, 1) < MAX_LEADING;
    while (rc == 0 && leads && !atomic_load(&crew->shared->stop)) {
        size_t at = atomic_fetch_add(&crew->next, 1);
        if (at >= crew->source->manifest.n_files)
            break;
        rc = bring_file(crew, fetcher, &crew->source->manifest.files[crew->order[at]], &v);
    }
    if (leads)
        atomic_fetch_sub(&crew->n_leading, 1);
    if (rc == 0)
        help_others(crew, fetcher);
    hold_fetcher_free(fetcher);
    pthread_mutex_lock(&crew->shared->lock);
    if (rc < 0 && !crew->has_failed) {
        crew->has_failed = true;
        crew->first = v;
        atomic_store(&crew->shared->stop, true);
    }
    atomic_fetch_sub(&crew->n_running, 1);
    pthread_cond_broadcast(&crew->shared->changed);
    pthread_mutex_unlock(&crew->shared->lock);
    return NULL;
}

/* ---- progress, on the main thread ---- */

static void tell(const struct crew *crew, uint64_t done, uint64_t total, const char *waits) {
    hold_control_say(crew->bring->control_fd, "X_HOLDFAST_PROGRESS=%llu/%llu\nSTATUS=%s", (unsigned long long) done, (unsigned long long) total, waits);
}

static void stop_when_low(struct crew *crew) {
    struct hold_verdict v = { 0 };
    if (hold_space_look(crew->store_fd, crew->bring->reserve_bytes, crew->bring->out, &v) == 0)
        return;
    pthread_mutex_lock(&crew->shared->lock);
    if (!crew->has_failed)
        crew->first = v;
    crew->has_failed = true;
    pthread_mutex_unlock(&crew->shared->lock);
    hold_fetch_stop(crew->shared);
}

/* Tells process 1, the log or the terminal, and the other fetchers of the folder, until every worker has ended. */
static void watch(struct crew *crew, uint64_t total) {
    struct hold_fetch_shared *shared = crew->shared;
    struct hold_bars bars;
    struct hold_bar lines[HOLD_BARS_MAX], sum = { .label = "fetch", .total = total };
    char waits[HOLD_TURN_TOLD_BYTES] = "";
    uint64_t now = hold_job_now_ms(), said = 0, logged = now, beaten = now, every_ms = hold_turns_every_ms(&shared->turns);
    hold_bars_open(&bars, now);
    pthread_mutex_lock(&shared->lock);
    while (atomic_load(&crew->n_running)) {
        const struct timespec until = hold_job_in_ms(HOLD_MIN((uint64_t) DRAW_EVERY_MS, every_ms));
        (void) pthread_cond_timedwait(&shared->changed, &shared->lock, &until);
        pthread_mutex_unlock(&shared->lock);
        now = hold_job_now_ms();
        if (now - beaten >= every_ms) {
            beaten = now;
            hold_turns_beat(&shared->turns);
            stop_when_low(crew);
        }
        uint64_t done = hold_turns_done(&shared->turns, waits, sizeof waits) + atomic_load(&shared->done_bytes);
        size_t n_lines = hold_turns_bars(&shared->turns, lines, HOLD_BARS_MAX - 1);
        lines[n_lines] = sum;
        lines[n_lines].done = sum.done = done;
        if (waits[0])
            memcpy(lines[n_lines].label, "wait", sizeof "wait");
        hold_bars_step(&bars, lines, n_lines + 1, now);
        if (now - said >= SAY_EVERY_MS) {
            said = now;
            tell(crew, done, total, waits);
        }
        if (!bars.is_tty && now - logged >= LOG_EVERY_MS) {
            logged = now;
            hold_log(HOLD_LV_INFO, HOLD_EV_PROGRESS, HOLD_LU("done_bytes", done), HOLD_LU("total_bytes", total), HOLD_LS("text", waits));
        }
        pthread_mutex_lock(&shared->lock);
    }
    pthread_mutex_unlock(&shared->lock);
    if (!crew->has_failed)
        sum.done = atomic_load(&shared->done_bytes);
    hold_bars_end(&bars, &sum, hold_job_now_ms());
    tell(crew, atomic_load(&shared->done_bytes), total, "");
}

static const char *cache_text(const struct crew *crew) {
    return crew->shared && crew->shared->drops_cache ? "dropped" : "kept";
}

static int run_crew(struct crew *crew, uint64_t total, struct hold_verdict *v) {
    pthread_t threads[MAX_WORKERS];
    size_t n = HOLD_MIN((size_t) crew->bring->connections, (size_t) MAX_WORKERS), started = 0;
    atomic_store(&crew->n_leading, HOLD_MIN(n, (size_t) MAX_LEADING));
    for (; started < n; started++) {
        atomic_fetch_add(&crew->n_running, 1);
        if (pthread_create(&threads[started], NULL, work, crew) != 0) {
            atomic_fetch_sub(&crew->n_running, 1);
            break;
        }
    }
    if (started < HOLD_MIN(n, (size_t) MAX_LEADING))
        atomic_fetch_sub(&crew->n_leading, HOLD_MIN(n, (size_t) MAX_LEADING) - started);
    if (started == 0)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, errno, "start a worker");
    watch(crew, total);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (crew->has_failed)
        *v = crew->first;
    return crew->has_failed ? -1 : 0;
}

/* ---- before: what is needed ---- */

static int by_size(const void *a, const void *b, void *manifest) {
    const struct hold_manifest_file *files = ((const struct hold_manifest *) manifest)->files;
    uint64_t x = files[*(const size_t *) a].size, y = files[*(const size_t *) b].size;
    return (x < y) - (x > y);
}

/* Bytes that must still be written: files that are absent or of another size, less what a dead life left of them. The
 * file that a wrong one replaces goes only when the right one is there, so its room does not count. */
static uint64_t bytes_needed(int folder_fd, bool has_blobs, const struct hold_manifest *manifest) {
    uint64_t needed = 0, partials = 0;
    char blob[HOLD_BLOB_BYTES];
    for (size_t i = 0; i < manifest->n_files; i++) {
        struct stat st;
        hold_hub_cache_blob(&manifest->files[i], blob);
        if (fstatat(folder_fd, has_blobs ? blob : manifest->files[i].path, &st, 0) < 0 || !S_ISREG(st.st_mode) || (uint64_t) st.st_size != manifest->files[i].size)
            needed += manifest->files[i].size;
    }
    if (needed == 0)
        return 0;
    partials = hold_partial_found_all(folder_fd);
    return needed - HOLD_MIN(needed, partials);
}

/* state_dir NULL: inside out; "": none. */
static int open_out(const char *out, const char *state_dir, int *ret_folder, int *ret_state, struct hold_verdict *v) {
    if (hold_mkdirs(out, 0777, &v->err) < 0)
        return hold_verdict_of_write(v);
    *ret_folder = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_folder < 0) {
        (void) hold_fail(&v->err, HOLD_E_IO, errno, "open '%s'", out);
        return hold_verdict_of_write(v);
    }
    /* No markers on a folder that cannot be written: everything is hashed, nothing else changes. */
    if (state_dir && *state_dir && (mkdir(state_dir, 0755) == 0 || errno == EEXIST))
        *ret_state = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    else if (!state_dir && (mkdirat(*ret_folder, HOLD_STATE_FOLDER, 0755) == 0 || errno == EEXIST || errno == EROFS))
        *ret_state = openat(*ret_folder, HOLD_STATE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return 0;
}

/* ---- identity and records ---- */

static int identity(const struct hold_manifest *manifest, char ret_hex[65], struct hold_verdict *v) {
    uint8_t sha256[32];
    if (hold_manifest_identity(manifest, sha256, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_INTERNAL);
    hold_hex_write(sha256, 32, ret_hex);
    return 0;
}

static bool has_all_digests(const struct hold_manifest *manifest) {
    for (size_t i = 0; i < manifest->n_files; i++)
        if (!manifest->files[i].has_sha256)
            return false;
    return true;
}

static int check_pin(const struct hold_bring *bring, const struct hold_manifest *manifest, struct hold_verdict *v) {
    char hex[65];
    if (!bring->digest || !*bring->digest || !has_all_digests(manifest))
        return 0;
    if (identity(manifest, hex, v) < 0)
        return -1;
    if (strcasecmp(hex, bring->digest) == 0)
        return 0;
    return hold_verdict_fail(v, HOLD_EXIT_MANIFEST, HOLD_E_FORMAT, 0, "the source's model is %s, the configuration pins %.64s", hex, bring->digest);
}

/* What was brought and from where: for the next start without a network, and for verify. */
static int write_records(const struct hold_bring *bring, const struct hold_source *source, int folder_fd, int state_fd, struct hold_verdict *v) {
    const struct hold_manifest *manifest = &source->manifest;
    char path[PATH_MAX];
    hold_autobuf text = hold_buf_with_max(HOLD_MANIFEST_MAX_BYTES), old = hold_buf_with_max(HOLD_MANIFEST_MAX_BYTES);
    if (hold_manifest_write(manifest, &text, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_INTERNAL);
    struct hold_err ignored;
    hold_autofd fd = openat(folder_fd, HOLD_MANIFEST_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool is_same = fd >= 0 && hold_read_all(fd, &old, "manifest", &ignored) == 0 && old.n == text.n && memcmp(old.data, text.data, text.n) == 0;
    snprintf(path, sizeof path, "%s/%s", bring->out, HOLD_MANIFEST_NAME);
    if (!is_same && hold_write_file(path, text.data, text.n, 0644, &v->err) < 0)
        return hold_verdict_of_write(v);
    if (state_fd < 0 || source->is_cached) /* the next start asks the hub what belongs to it */
        return 0;
    snprintf(path, sizeof path, "%s/%s/source", bring->out, HOLD_STATE_FOLDER);
    (void) !hold_write_file(path, bring->wants.source, strlen(bring->wants.source), 0644, &ignored); /* its loss costs one question */
    return 0;
}

/* True when the same source was brought here before, by the manifest that lies here, and every file has its marker. */
static bool is_all_here(const struct hold_bring *bring, int folder_fd, int state_fd, struct hold_arena *arena, struct hold_manifest *ret_manifest) {
    struct hold_err err;
    hold_autobuf text = hold_buf_with_max(HOLD_MANIFEST_MAX_BYTES), source = hold_buf_with_max(HOLD_URL_BYTES);
    if (state_fd < 0 || bring->refresh || bring->deep || bring->again.n || (bring->wants.manifest_file && *bring->wants.manifest_file))
        return false;
    hold_autofd manifest_fd = openat(folder_fd, HOLD_MANIFEST_NAME, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    hold_autofd source_fd = openat(state_fd, "source", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (manifest_fd < 0 || source_fd < 0 || hold_read_all(source_fd, &source, "source", &err) < 0 || hold_read_all(manifest_fd, &text, "manifest", &err) < 0)
        return false;
    bool is_ours = false;
    for (size_t i = 0; i < bring->sources.n; i++)
        is_ours |= source.n == strlen(bring->sources.at[i]) && memcmp(source.data, bring->sources.at[i], source.n) == 0;
    if (!is_ours || hold_manifest_parse(text.data ? text.data : "", text.n, arena, ret_manifest, &err) < 0)
        return false;
    struct hold_verdict v;
    if (check_pin(bring, ret_manifest, &v) < 0)
        return false;
    for (size_t i = 0; i < ret_manifest->n_files; i++) {
        uint8_t sha256[32];
        hold_autofd fd = -1;
        const struct hold_manifest_file *file = &ret_manifest->files[i];
        if (hold_snapshot_open(folder_fd, file->path, &fd, &err) < 0 || !hold_proof_read(state_fd, file->path, fd, sha256) ||
            memcmp(sha256, file->sha256, 32) != 0)
            return false;
    }
    return true;
}

static int log_done(const struct hold_manifest *manifest, const struct crew *crew, uint64_t begun, struct hold_verdict *v) {
    char hex[65];
    if (identity(manifest, hex, v) < 0)
        return -1;
    if (crew->bring->ret_folder)
        snprintf(crew->bring->ret_folder, PATH_MAX, "%s", crew->bring->out);
    hold_log(HOLD_LV_INFO, HOLD_EV_FETCH_DONE, HOLD_LS("digest", hex), HOLD_LS("folder", crew->bring->out), HOLD_LU("files", manifest->n_files), HOLD_LU("bytes", hold_manifest_bytes(manifest)),
             HOLD_LU("fetched_files", crew->n_fetched), HOLD_LU("fetched_bytes", crew->fetched_bytes), HOLD_LS("page_cache", cache_text(crew)),
             HOLD_LU("ms", hold_job_now_ms() - begun));
    return 0;
}

/* Folders that are there already stay inside: asked for all files before the first byte is written. */
static int check_folders(int folder_fd, const struct hold_manifest *manifest, struct hold_verdict *v) {
    for (size_t i = 0; i < manifest->n_files; i++) {
        const char *path = manifest->files[i].path, *slash = strrchr(path, '/');
        char inside[1024];
        hold_autofd fd = -1;
        if (!slash || (size_t) snprintf(inside, sizeof inside, "%.*s/.holdfast-x", (int) (slash - path), path) >= sizeof inside)
            continue;
        if (hold_open_below(folder_fd, inside, O_RDONLY, 0, &fd, &v->err) < 0 && v->err.code == HOLD_E_DENIED)
            return hold_verdict_fail(v, HOLD_EXIT_FETCH_WRITE, HOLD_E_DENIED, 0, "the folder of '%.160s' is a link that leaves the model's folder", path);
    }
    return 0;
}

static int bring_listed(struct crew *crew, struct hold_arena *arena, struct hold_verdict *v) {
    const struct hold_bring *bring = crew->bring;
    const struct hold_manifest *manifest = &crew->source->manifest;
    if (check_pin(bring, manifest, v) < 0 || check_folders(crew->folder_fd, manifest, v) < 0)
        return -1;
    if (hold_space_check(crew->store_fd, bytes_needed(crew->store_fd, crew->cache != NULL, manifest), bring->reserve_bytes, bring->out, v) < 0)
        return -1;
    crew->order = hold_arena_array(arena, manifest->n_files, sizeof *crew->order);
    if (!crew->order)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "no memory for the order of files");
    for (size_t i = 0; i < manifest->n_files; i++)
        crew->order[i] = i;
    qsort_r(crew->order, manifest->n_files, sizeof *crew->order, by_size, &crew->source->manifest);
    crew->shared->drops_cache = hold_behind_drops(bring->page_cache, hold_manifest_bytes(manifest));
    if (run_crew(crew, hold_manifest_bytes(manifest), v) < 0 || check_pin(bring, manifest, v) < 0)
        return -1;
    return write_records(bring, crew->source, crew->folder_fd, crew->state_fd, v);
}

/* The listed files as blobs and links; the ref last. */
static int bring_to_cache(const struct crew *plain, struct hold_arena *arena, uint64_t begun, struct hold_verdict *v) {
    struct hold_hub_cache cache = hold_hub_cache_none();
    struct hold_bring now = *plain->bring;
    struct crew crew = *plain;
    struct hold_hub_name name;
    if (hold_hub_name_parse(now.wants.source, &name, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_CONFIG);
    int rc = hold_hub_cache_open(&cache, now.hub_cache, &name, crew.source->commit, v);
    if (rc == 0) {
        now.out = cache.snapshot;
        crew.bring = &now;
        crew.cache = &cache;
        crew.folder_fd = cache.snapshot_fd;
        crew.state_fd = cache.snapshot_state_fd;
        crew.store_fd = cache.blobs_fd;
        crew.store_state_fd = cache.blob_state_fd;
        rc = bring_listed(&crew, arena, v);
    }
    if (rc == 0)
        rc = hold_hub_cache_publish(&cache, v);
    if (rc == 0)
        rc = log_done(&crew.source->manifest, &crew, begun, v);
    hold_hub_cache_close(&cache);
    return rc;
}

static bool is_one_of(const int *statuses, size_t n, int status) {
    for (size_t i = 0; i < n; i++)
        if (statuses[i] == status)
            return true;
    return false;
}

/* The hub itself cannot be had; what it would say is another thing than "no". */
static bool is_away(int status) {
    static const int away[] = { HOLD_EXIT_FETCH_DNS, HOLD_EXIT_FETCH_TLS, HOLD_EXIT_FETCH_NET, HOLD_EXIT_FETCH_STALL, HOLD_EXIT_FETCH_BUSY, HOLD_EXIT_FETCH_SERVER, HOLD_EXIT_FETCH_PROXY };
    return is_one_of(away, HOLD_COUNT_OF(away), status);
}

/* A snapshot that was brought whole before has every file of its manifest. */
static int check_snapshot(const char *folder, const struct hold_manifest *known, struct hold_arena *arena, struct hold_err *err) {
    char path[PATH_MAX + sizeof HOLD_MANIFEST_NAME + 1];
    hold_autobuf text = hold_buf_with_max(HOLD_MANIFEST_MAX_BYTES);
    struct hold_manifest brought = { 0 };
    struct hold_err none;
    snprintf(path, sizeof path, "%s/%s", folder, HOLD_MANIFEST_NAME);
    if (hold_read_file(path, &text, &none) == 0 && hold_manifest_parse(text.data ? text.data : "", text.n, arena, &brought, &none) < 0)
        brought.n_files = 0;
    for (size_t i = 0; i < brought.n_files; i++)
        if (!hold_manifest_find(known, brought.files[i].path))
            return hold_fail(err, HOLD_E_MISSING, 0, "'%.160s' is missing in '%.200s'", brought.files[i].path, folder);
    return 0;
}

/* What the cache has of the source, listed without a word to anybody. The verdict stays what it was when that is nothing. */
static int list_cached(const struct hold_bring *bring, struct hold_fetcher *fetcher, struct hold_arena *arena, struct hold_source *source, struct hold_verdict *v) {
    struct hold_hub_name name;
    struct hold_err why;
    struct hold_manifest known;
    struct hold_verdict ignored = { 0 };
    char commit[41], folder[PATH_MAX], pinned[sizeof name.repo + 64];
    if (!bring->hub_cache || hold_hub_name_parse(bring->wants.source, &name, &why) < 0 || !hold_hub_cache_find(bring->hub_cache, &name, commit, folder))
        return -1;
    if (hold_hub_cache_list(folder, arena, &known, &why) < 0 || check_snapshot(folder, &known, arena, &why) < 0)
        return hold_wrap(&v->err, "%.200s", why.text);
    snprintf(pinned, sizeof pinned, "hf://%s@%s", name.repo, commit);
    struct hold_source_wants wants = bring->wants;
    wants.source = pinned;
    wants.known = &known;
    if (hold_source_list(&wants, fetcher, arena, source, &ignored) < 0)
        return -1;
    hold_log(HOLD_LV_WARN, HOLD_EV_WARN, HOLD_LS("text", "the hub is not asked: the cache's snapshot is proven by the names of its blobs, and taken for whole"), HOLD_LS("folder", folder), HOLD_LS("why", v->err.text));
    *v = (struct hold_verdict) { 0 };
    source->is_cached = true;
    return 0;
}

static int list_source(const struct hold_bring *bring, struct hold_fetcher *fetcher, struct hold_arena *arena, struct hold_source *source, struct hold_verdict *v) {
    bool is_hub = strncmp(bring->wants.source, "hf://", 5) == 0;
    if (bring->offline && is_hub)
        hold_verdict_fail(v, HOLD_EXIT_FETCH_MISSING, HOLD_E_MISSING, 0, "HF_HUB_OFFLINE is set, and '%.160s' is not here whole: unset it, or seed the folder or cache", bring->wants.source);
    else if (hold_source_list(&bring->wants, fetcher, arena, source, v) == 0)
        return 0;
    return is_hub && (bring->offline || is_away(v->status)) ? list_cached(bring, fetcher, arena, source, v) : -1;
}

/* One source, from its list to the last file. */
static int bring_from(const struct hold_bring *bring, int folder_fd, int state_fd, struct hold_fetch_shared *shared, struct hold_verdict *v) {
    uint64_t begun = hold_job_now_ms();
    hold_autoarena arena = hold_arena_with_max(ARENA_MAX);
    struct hold_source source = { 0 };
    struct crew crew = { .bring = bring, .source = &source, .shared = shared, .folder_fd = folder_fd, .state_fd = state_fd, .store_fd = folder_fd, .store_state_fd = state_fd };
    struct hold_fetcher *fetcher = hold_fetcher_new(shared);
    if (!fetcher)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "libcurl cannot be set up");
    int rc = list_source(bring, fetcher, &arena, &source, v);
    hold_fetcher_free(fetcher);
    if (rc < 0)
        return -1;
    if (bring->hub_cache)
        return bring_to_cache(&crew, &arena, begun, v);
    return bring_listed(&crew, &arena, v) < 0 ? -1 : log_done(&source.manifest, &crew, begun, v);
}

/* What another source may cure: not the disk, the time, the configuration or ourselves. */
static bool may_go_on(int status) {
    static const int curable[] = { HOLD_EXIT_FETCH, HOLD_EXIT_FETCH_DNS, HOLD_EXIT_FETCH_TLS, HOLD_EXIT_FETCH_DENIED, HOLD_EXIT_FETCH_MISSING, HOLD_EXIT_FETCH_NET,
                                   HOLD_EXIT_FETCH_STALL, HOLD_EXIT_FETCH_CHANGED, HOLD_EXIT_FETCH_BUSY, HOLD_EXIT_FETCH_FORMAT, HOLD_EXIT_FETCH_SERVER,
                                   HOLD_EXIT_FETCH_RANGE, HOLD_EXIT_FETCH_SIZE, HOLD_EXIT_FETCH_PROXY, HOLD_EXIT_VERIFY, HOLD_EXIT_VERIFY_DIGEST, HOLD_EXIT_MANIFEST };
    return is_one_of(curable, HOLD_COUNT_OF(curable), status);
}

/* The snapshot that the cache's refs name, when there is one and it was ours before; NULL otherwise. */
static const char *find_snapshot(const struct hold_bring *bring, char out[PATH_MAX], int *ret_folder, int *ret_state) {
    struct hold_hub_name name;
    struct hold_err ignored;
    char commit[41];
    if (hold_hub_name_parse(bring->sources.at[0], &name, &ignored) < 0 || !hold_hub_cache_find(bring->hub_cache, &name, commit, out))
        return NULL;
    *ret_folder = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *ret_state = *ret_folder < 0 ? -1 : openat(*ret_folder, HOLD_STATE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return *ret_state < 0 ? NULL : out;
}

int hold_bring_run(const struct hold_bring *bring, struct hold_fetch_shared *shared, struct hold_verdict *v) {
    uint64_t begun = hold_job_now_ms();
    hold_autofd folder = -1, state = -1;
    hold_autoarena arena = hold_arena_with_max(ARENA_MAX);
    struct hold_manifest here = { 0 };
    struct hold_bring known = *bring;
    struct crew idle = { .bring = &known };
    char snapshot[PATH_MAX];
    if (bring->hub_cache)
        known.out = find_snapshot(bring, snapshot, &folder, &state);
    else if (open_out(bring->out, NULL, &folder, &state, v) < 0)
        return -1;
    if (known.out && is_all_here(bring, folder, state, &arena, &here))
        return log_done(&here, &idle, begun, v);
    for (size_t i = 0;; i++) {
        struct hold_bring now = *bring;
        now.wants.source = bring->sources.at[i];
        if (bring_from(&now, folder, state, shared, v) == 0)
            return 0;
        if (i + 1 == bring->sources.n || !may_go_on(v->status))
            return -1;
        char shown[300];
        const struct hold_exit_row *row = hold_exit_find(v->status);
        hold_url_shown(bring->sources.at[i + 1], shown, sizeof shown);
        hold_log(HOLD_LV_WARN, HOLD_EV_FETCH_RETRY, HOLD_LS("why", row ? row->name : "fetch"), HOLD_LS("text", v->err.text), HOLD_LS("next_source", shown));
        atomic_store(&shared->stop, false);
        atomic_store(&shared->done_bytes, 0);
        *v = (struct hold_verdict) { 0 };
    }
}

/* ---- one file by address ---- */

static void log_one(const struct hold_bring_one *one, const struct crew *crew, const uint8_t sha256[32], uint64_t begun) {
    char hex[65];
    hold_hex_write(sha256, 32, hex);
    hold_log(HOLD_LV_INFO, HOLD_EV_FETCH_DONE, HOLD_LS("file", one->out), HOLD_LS("sha256", hex), HOLD_LU("fetched_bytes", crew->fetched_bytes), HOLD_LS("page_cache", cache_text(crew)),
             HOLD_LU("ms", hold_job_now_ms() - begun));
}

int hold_bring_one(const struct hold_bring_one *one, struct hold_fetch_shared *shared, struct hold_verdict *v) {
    char folder_path[PATH_MAX];
    const char *slash = strrchr(one->out, '/'), *name = slash ? slash + 1 : one->out;
    snprintf(folder_path, sizeof folder_path, "%.*s", slash ? (int) (slash - one->out) : 1, slash ? one->out : ".");
    struct hold_manifest_file file = { .path = name, .size = one->size };
    if (one->sha256 && *one->sha256) {
        if (!hold_hex_read(one->sha256, 32, file.sha256))
            return hold_verdict_fail(v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, "--sha256 '%.70s' is not 64 hexadecimal digits", one->sha256);
        file.has_sha256 = true;
    }
    if (!hold_name_is_safe(name))
        return hold_verdict_fail(v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, "--out '%.160s' names no file", one->out);

    hold_autofd folder = -1, state = -1;
    if (open_out(slash == one->out ? "/" : folder_path, one->state_dir && *one->state_dir ? one->state_dir : "", &folder, &state, v) < 0)
        return -1;
    struct stat st;
    bool is_there = fstatat(folder, name, &st, 0) == 0;
    if (is_there && !S_ISREG(st.st_mode)) /* a rename would put a file in the place of /dev/null */
        return hold_verdict_fail(v, HOLD_EXIT_USAGE, HOLD_E_CONFIG, 0, "--out '%.160s' is there and no regular file: name a file", one->out);
    struct hold_source source = { .manifest = { .files = &file, .n_files = 1 }, .auth = one->auth };
    struct hold_bring bring = { .out = one->out, .deep = one->deep, .reserve_bytes = one->reserve_bytes, .connections = one->connections, .control_fd = one->control_fd };
    struct crew crew = { .bring = &bring, .source = &source, .shared = shared, .folder_fd = folder, .state_fd = state, .store_fd = folder, .store_state_fd = state };
    uint64_t begun = hold_job_now_ms();
    struct hold_err ignored;
    uint8_t sha256[32];
    if (one->size == UINT64_MAX && file.has_sha256 && is_there) {
        struct hold_manifest_file there = file;
        there.size = (uint64_t) st.st_size;
        enum hold_have have = hold_proof_check(folder, state, &there, !one->deep, NULL, sha256, &ignored);
        if (have == HOLD_HAVE_MARKED || have == HOLD_HAVE_PROVEN) {
            log_one(one, &crew, sha256, begun);
            return 0;
        }
    }
    if (one->size != UINT64_MAX && hold_space_check(folder, bytes_needed(folder, false, &source.manifest), one->reserve_bytes, one->out, v) < 0)
        return -1;
    size_t order = 0;
    crew.order = &order;
    crew.one_url = one->url;
    shared->drops_cache = hold_behind_drops(one->page_cache, one->size);
    if (run_crew(&crew, one->size == UINT64_MAX ? 0 : one->size, v) < 0)
        return -1;
    log_one(one, &crew, file.sha256, begun);
    return 0;
}
