/* fetch_file.c - one file from what a dead life left to the published and proven one. Floor: supervisor/job. */
#include "base/auto.h"
#include "base/io.h"
#include "base/list.h"
#include "supervisor/job/attempt.h"
#include "supervisor/job/proof.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int write_failed(struct hold_attempt *a) {
    a->end = hold_try_of_write(a->v->status);
    return -1;
}

static bool is_complete(const struct hold_attempt *a) {
    if (hold_attempt_wants_size(a))
        return a->partial->bytes == a->file->size;
    return a->end == HOLD_TRY_DONE && (a->partial->from.total == UINT64_MAX || a->partial->bytes == a->partial->from.total);
}

/* The digests of a complete partial against what is wanted; -1 with a->end DIGEST, CHANGED, or a failure of writing. */
static int prove(struct hold_attempt *a, struct hold_digest_value *ret_value) {
    if (hold_partial_digest(a->partial, ret_value, a->v) < 0)
        return write_failed(a);
    const struct hold_fetch_file *file = a->file;
    const uint8_t *got = file->has_sha256 ? ret_value->sha256 : ret_value->git_blob;
    const uint8_t *wanted = file->has_sha256 ? file->sha256 : file->git_blob;
    size_t n = file->has_sha256 ? 32 : 20;
    if (!hold_attempt_is_pinned(a) || memcmp(got, wanted, n) == 0)
        return 0;
    char got_hex[65], wanted_hex[65];
    hold_hex_write(got, n, got_hex);
    hold_hex_write(wanted, n, wanted_hex);
    a->end = HOLD_TRY_DONE;
    if (a->changed_to[0])
        hold_attempt_ends(a, HOLD_TRY_CHANGED, "changed at the origin while it was fetched: ETag %s, then %s; its digest is not the one pinned", a->first->etag, a->changed_to);
    else
        hold_attempt_ends(a, HOLD_TRY_DIGEST, "%s %s came, %s is wanted", file->has_sha256 ? "SHA-256" : "git blob", got_hex, wanted_hex);
    return -1;
}

/* Tries until the partial is complete and proven. */
static int fetch_partial(struct hold_fetcher *fetcher, const struct hold_fetch_file *file, struct hold_turn *turn, struct hold_partial *partial,
                         struct hold_fetch_result *result, struct hold_digest_value *ret_value, struct hold_verdict *v) {
    struct hold_tries tries = hold_attempt_tries(fetcher);
    struct hold_validator first = partial->from;
    char changed_to[HOLD_VALIDATOR_BYTES] = "";
    tries.furthest = partial->bytes;
    bool ask = !(file->size != UINT64_MAX && partial->bytes == file->size);
    for (;;) {
        struct hold_attempt a = { .fetcher = fetcher, .file = file, .turn = turn, .partial = partial, .v = v, .first = &first, .changed_to = changed_to };
        if (!ask) {
            if (prove(&a, ret_value) == 0)
                return 0;
        } else {
            a.offset = hold_attempt_is_pinned(&a) || partial->from.etag[0] ? partial->bytes : 0;
            if (a.offset == 0 && partial->bytes && hold_partial_restart(partial, v) < 0)
                return -1;
            hold_attempt_perform(&a, file->url, file->auth);
            result->fetched_bytes += a.received;
            result->n_tries++;
            if (a.end == HOLD_TRY_DONE && !is_complete(&a))
                hold_attempt_ends(&a, HOLD_TRY_NET, "cut at byte %llu", (unsigned long long) partial->bytes);
            if (hold_partial_flush(partial, v) < 0)
                (void) write_failed(&a);
            else if (a.end == HOLD_TRY_DONE && prove(&a, ret_value) == 0)
                return 0;
        }
        struct hold_try_next next = { 0 };
        if (hold_attempt_wait(&a, &tries, partial->bytes, &next) < 0) {
            if (hold_try_status(a.end) == HOLD_EXIT_VERIFY_DIGEST || a.end == HOLD_TRY_CHANGED) {
                struct hold_verdict ignored = { 0 };
                (void) !hold_partial_restart(partial, &ignored); /* wrong bytes are no start for the next life */
            }
            return -1;
        }
        if (next.from_zero && hold_partial_restart(partial, v) < 0)
            return -1;
        ask = true;
    }
}

static const char *name_of_target(const struct hold_fetch_file *file) {
    return file->as ? file->as : file->path;
}

/* 8 bytes that name target and wanted content, so that a partial is only continued towards the same. */
static int make_key(const struct hold_fetch_file *file, uint8_t ret_key[8], struct hold_verdict *v) {
    char text[4096];
    uint8_t sha256[32];
    char hex[65] = "";
    if (file->has_sha256)
        hold_hex_write(file->sha256, 32, hex);
    else if (file->has_git_blob)
        hold_hex_write(file->git_blob, 20, hex);
    char shown[HOLD_URL_BYTES];
    hold_url_shown(file->url, shown, sizeof shown); /* a signed query changes with each life */
    int n = snprintf(text, sizeof text, "%s\n%s", name_of_target(file), hex[0] ? hex : shown);
    if (hold_digest_bytes(text, HOLD_MIN((size_t) n, sizeof text - 1), sha256, &v->err) < 0)
        return hold_verdict_is(v, HOLD_EXIT_INTERNAL);
    memcpy(ret_key, sha256, 8);
    return 0;
}

static int open_folder_of(const struct hold_fetch_file *file, int *ret_fd, const char **ret_name, struct hold_verdict *v) {
    const char *target = name_of_target(file), *slash = strrchr(target, '/');
    if (hold_folder_below(file->folder_fd, target, ret_fd, &v->err) < 0)
        return hold_verdict_of_write(v);
    *ret_name = slash ? slash + 1 : target;
    return 0;
}

/* The size of the pieces in which a file is fetched; 0: as one stream. */
static uint64_t piece_bytes_of(const struct hold_fetch_file *file, const struct hold_fetch_rules *rules) {
    bool can_be = file->has_sha256 && file->size != UINT64_MAX && file->size > 0 && strncmp(file->url, "http", 4) == 0;
    if (can_be && file->n_chunks > 1 && file->n_chunks <= HOLD_PIECES_MAX)
        return file->chunk_bytes;
    return can_be && rules->split_bytes && file->size >= rules->split_bytes ? HOLD_MIN(HOLD_PIECE_BYTES, HOLD_MAX(rules->split_bytes / 2, UINT64_C(1) << 20)) : 0;
}

static int fetch_pieces(struct hold_fetcher *fetcher, const struct hold_fetch_file *file, const char *name, struct hold_turn *turn, struct hold_partial *partial,
                        struct hold_fetch_result *result, struct hold_digest_value *ret_value, struct hold_verdict *v) {
    struct hold_err ignored;
    hold_autofd damaged = -1;
    if (file->has_damaged && file->n_chunks == partial->pieces.n && hold_open_below(partial->folder_fd, name, O_RDONLY, 0, &damaged, &ignored) == 0 &&
        hold_pieces_salvage(&partial->pieces, damaged, file->chunks, v) < 0)
        return -1;
    int rc = hold_split_run(fetcher, file, turn, partial, result, ret_value, v);
    if (rc <= 0)
        return rc;
    if (hold_partial_to_stream(partial, v) < 0 || hold_partial_reserve(partial, file->size, v) < 0)
        return -1;
    return fetch_partial(fetcher, file, turn, partial, result, ret_value, v);
}

/* The file is ours to bring. */
static int bring(struct hold_fetcher *fetcher, const struct hold_fetch_file *file, const char *name, const struct hold_partial_target *target,
                 struct hold_turn *turn, struct hold_fetch_result *ret_result, struct hold_verdict *v) {
    struct hold_partial partial = { .fd = -1 };
    if (hold_partial_open(&partial, target, v) < 0)
        return -1;
    struct hold_fetch_result result = { 0 };
    struct hold_digest_value value = { 0 };
    int rc = hold_partial_reserve(&partial, file->size, v);
    if (rc == 0)
        rc = target->piece_bytes ? fetch_pieces(fetcher, file, name, turn, &partial, &result, &value, v) : fetch_partial(fetcher, file, turn, &partial, &result, &value, v);
    if (rc == 0)
        rc = hold_partial_publish(&partial, name, v);
    if (rc == 0) {
        memcpy(result.sha256, value.sha256, 32);
        result.size = partial.bytes;
        struct hold_err ignored; /* without a marker the next start hashes again */
        (void) !hold_proof_write(file->state_fd, name_of_target(file), partial.fd, value.sha256, &ignored);
        *ret_result = result;
    }
    hold_partial_close(&partial);
    return rc;
}

int hold_fetch_run(struct hold_fetcher *fetcher, const struct hold_fetch_file *file, struct hold_fetch_result *ret_result, struct hold_verdict *v) {
    struct hold_fetch_shared *shared = hold_fetcher_shared(fetcher);
    hold_autofd folder = -1;
    const char *name = NULL;
    struct hold_turn turn;
    struct stat st;
    struct hold_partial_target target = { .size = file->size, .is_pinned = file->has_sha256 || file->has_git_blob,
                                          .with_git = file->has_git_blob && !file->has_sha256, .piece_bytes = piece_bytes_of(file, &shared->rules),
                                          .uses_flock = shared->rules.uses_flock, .drops_cache = shared->drops_cache, .progress = &turn.done };
    if (open_folder_of(file, &folder, &name, v) < 0 || make_key(file, target.key, v) < 0)
        return -1;
    target.folder_fd = folder;
    int rc = hold_turn_take(&turn, shared, file, folder, target.key, v);
    bool is_there = false;
    target.is_owner = turn.owner.fd >= 0;
    /* Between the caller's look and our record another may have published it. */
    if (rc == 0 && file->is_absent && fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        rc = 1, is_there = true;
    if (rc == 0)
        rc = bring(fetcher, file, name, &target, &turn, ret_result, v);
    /* Another took us for dead: it brings the file, and our partial may be gone from under us. */
    if (rc < 0 && turn.is_ours && !atomic_load(&shared->stop) && (hold_turn_was_lost(&turn) || (v->status == HOLD_EXIT_FETCH_WRITE && v->err.sys == ENOENT)))
        rc = 1;
    hold_turn_end(&turn, &shared->turns, rc == 0 || is_there, rc == 0, &shared->done_bytes);
    return rc;
}

void hold_fetch_tidy(struct hold_fetcher *fetcher, const struct hold_fetch_file *file) {
    struct hold_verdict ignored = { 0 };
    hold_autofd folder = -1;
    const char *name = NULL;
    uint8_t key[8];
    if (open_folder_of(file, &folder, &name, &ignored) == 0 && make_key(file, key, &ignored) == 0)
        hold_turn_tidy(&hold_fetcher_shared(fetcher)->turns, folder, key);
}
