/* split.c - one file in pieces over several connections. Floor: supervisor/job.
 *
 * The thread of hold_fetch_run leads: it takes pieces like everyone else, counts the tries of the file, proves and ends it.
 * Connections that have no file of their own help. A helper that fails goes away quietly and closes the file to helpers:
 * an origin that serves one connection well may refuse four. Where ranges are ignored, refused or wrong to the last try, the
 * file comes as one stream instead. */
#include "base/auto.h"
#include "base/list.h"
#include "supervisor/job/attempt.h"
#include "supervisor/job/clock.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_MS 200
#define PACE_EVERY_MS 20

static void copy_via(struct hold_fetch_shared *shared, struct hold_fetch_split *split, char *ret_via) {
    pthread_mutex_lock(&shared->lock);
    memcpy(ret_via, split->via, HOLD_URL_BYTES);
    pthread_mutex_unlock(&shared->lock);
}

/* A signed address that ran out, or a host that wants the token after all: the first address is asked again. */
static void drop_via(struct hold_fetch_shared *shared, struct hold_fetch_split *split, bool for_good) {
    pthread_mutex_lock(&shared->lock);
    split->via[0] = '\0';
    split->has_no_via |= for_good;
    pthread_mutex_unlock(&shared->lock);
}

static size_t wanted(struct hold_fetch_shared *shared, struct hold_fetch_split *split) {
    pthread_mutex_lock(&shared->lock);
    size_t n = split->n_wanted;
    pthread_mutex_unlock(&shared->lock);
    return n;
}

/* One request: one piece or, for a leader alone, all that are free behind it too. False when nothing is free to take. */
static bool try_piece(struct hold_attempt *a) {
    struct hold_fetch_split *split = a->split;
    struct hold_fetch_shared *shared = hold_fetcher_shared(a->fetcher);
    char via[HOLD_URL_BYTES];
    if (!hold_pieces_take(split->pieces, &a->piece, &a->offset, &a->piece_end))
        return false;
    /* Alone, one request runs on through the pieces behind; with helpers it would run into theirs. */
    a->end_offset = a->leads && wanted(shared, split) == 1 ? hold_pieces_free_end(split->pieces, a->piece) : a->piece_end;
    copy_via(shared, split, via);
    hold_attempt_perform(a, via[0] ? via : a->file->url, via[0] ? NULL : a->file->auth);
    hold_attempt_flush(a);
    if (a->end == HOLD_TRY_DONE && !a->is_met && a->offset + a->received < a->end_offset)
        hold_attempt_ends(a, HOLD_TRY_NET, "cut at byte %llu", (unsigned long long) (a->offset + a->received));
    if (via[0] && a->end != HOLD_TRY_DONE) {
        bool is_refused = a->end == HOLD_TRY_DENIED || a->end == HOLD_TRY_MISSING || a->end == HOLD_TRY_REFUSED;
        drop_via(shared, split, is_refused && a->received == 0);
        if (is_refused)
            a->end = HOLD_TRY_EXPIRED;
    }
    atomic_fetch_add(&split->fetched_bytes, a->received);
    atomic_fetch_add(&split->n_tries, 1);
    if (a->leads)
        split->own_ms += a->blocked_ms;
    hold_pieces_give(split->pieces, a->piece);
    return true;
}

/* ---- the leader ---- */

void hold_split_pace(struct hold_attempt *a, uint64_t now_ms) {
    struct hold_fetch_split *split = a->split;
    struct hold_fetch_shared *shared = hold_fetcher_shared(a->fetcher);
    if (now_ms < a->paced_ms + PACE_EVERY_MS)
        return;
    a->paced_ms = now_ms;
    uint64_t have = hold_pieces_have(split->pieces);
    pthread_mutex_lock(&shared->lock);
    size_t was = split->n_wanted;
    split->n_wanted = hold_pace_step(&split->pace, now_ms, have, split->own_ms + a->blocked_ms, (uint32_t) split->n_helpers + 1);
    if (split->n_wanted > was)
        pthread_cond_broadcast(&shared->changed);
    pthread_mutex_unlock(&shared->lock);
}

/* Forgets what is wrong and says it. */
static int blame(struct hold_attempt *a, const uint8_t got[32]) {
    const struct hold_fetch_file *file = a->file;
    struct hold_pieces *pieces = a->split->pieces;
    size_t n_bad = 0, first_bad = 0;
    bool by_piece = file->n_chunks == pieces->n && file->chunk_bytes == pieces->piece_bytes;
    char got_hex[65], wanted_hex[65], which[64] = "";
    for (size_t i = 0; by_piece && i < pieces->n; i++) {
        uint8_t sha256[32];
        struct hold_err unreadable;
        if (hold_pieces_hash(pieces, pieces->fd, i, sha256, &unreadable) == 0 && memcmp(sha256, file->chunks + 32 * i, 32) == 0)
            continue;
        first_bad = n_bad++ ? first_bad : i;
        if (hold_pieces_forget(pieces, i, a->v) < 0)
            return -1;
    }
    if (n_bad == 0 && hold_pieces_forget(pieces, SIZE_MAX, a->v) < 0)
        return -1;
    if (n_bad)
        snprintf(which, sizeof which, "; piece %zu of %zu is wrong, %zu in all", first_bad + 1, pieces->n, n_bad);
    else if (by_piece)
        snprintf(which, sizeof which, "; each piece is right: the manifest is not");
    hold_hex_write(got, 32, got_hex);
    hold_hex_write(file->sha256, 32, wanted_hex);
    if (a->split->changed_to[0])
        hold_attempt_ends(a, HOLD_TRY_CHANGED, "changed at the origin while it was fetched: ETag %s, then %s; its digest is not the one pinned",
                          a->split->first.etag, a->split->changed_to);
    else
        hold_attempt_ends(a, HOLD_TRY_DIGEST, "SHA-256 %s came, %s is wanted%s", got_hex, wanted_hex, which);
    return 0;
}

static int prove(struct hold_attempt *a, uint8_t ret_sha256[32]) {
    if (hold_pieces_digest(a->split->pieces, ret_sha256, a->v) < 0) {
        a->end = HOLD_TRY_INTERNAL;
        return -1;
    }
    if (memcmp(ret_sha256, a->file->sha256, 32) == 0)
        return 0;
    if (blame(a, ret_sha256) < 0)
        a->end = HOLD_TRY_INTERNAL;
    return -1;
}

static void list(struct hold_fetch_shared *shared, struct hold_fetch_split *split) {
    pthread_mutex_lock(&shared->lock);
    split->next = shared->splits;
    shared->splits = split;
    pthread_cond_broadcast(&shared->changed);
    pthread_mutex_unlock(&shared->lock);
}

/* Waits for the helpers to leave. */
static void unlist(struct hold_fetch_shared *shared, struct hold_fetch_split *split) {
    atomic_store(&split->is_over, true);
    pthread_mutex_lock(&shared->lock);
    struct hold_fetch_split **at = &shared->splits;
    while (*at != split)
        at = &(*at)->next;
    *at = split->next;
    pthread_cond_broadcast(&shared->changed);
    while (split->n_helpers)
        pthread_cond_wait(&shared->changed, &shared->lock);
    pthread_mutex_unlock(&shared->lock);
}

static int lead(struct hold_fetcher *fetcher, struct hold_fetch_split *split, uint8_t **gather, uint8_t ret_sha256[32], struct hold_verdict *v) {
    struct hold_fetch_shared *shared = hold_fetcher_shared(fetcher);
    struct hold_tries tries = hold_attempt_tries(fetcher);
    tries.furthest = hold_pieces_have(split->pieces);
    for (;;) {
        struct hold_attempt a = { .fetcher = fetcher, .file = split->file, .turn = split->turn, .v = v, .split = split, .leads = true, .gather = gather };
        if (!try_piece(&a)) {
            bool is_whole = hold_pieces_wait(split->pieces, LOOK_EVERY_MS);
            if (is_whole && prove(&a, ret_sha256) == 0)
                return 0;
            if (!is_whole && !atomic_load(&shared->stop) && !atomic_load(&split->turn->is_lost))
                continue;
            if (!is_whole)
                hold_attempt_ends(&a, HOLD_TRY_STOPPED, "ended because another file failed, or another fetcher brings this one");
        } else if (atomic_load(&split->ignores_ranges)) {
            return 1;
        } else if (a.end == HOLD_TRY_DONE) {
            continue; /* what it brought counts when the next failure is folded */
        }
        struct hold_try_next next = { 0 };
        if (hold_attempt_wait(&a, &tries, hold_pieces_have(split->pieces), &next) == 0)
            continue;
        if (a.end != HOLD_TRY_RANGE && a.end != HOLD_TRY_REFUSED)
            return -1;
        *v = (struct hold_verdict) { 0 }; /* its ranges are of no use; the whole file may be had all the same */
        return 1;
    }
}

int hold_split_run(struct hold_fetcher *fetcher, const struct hold_fetch_file *file, struct hold_turn *turn, struct hold_partial *partial,
                   struct hold_fetch_result *result, struct hold_digest_value *ret_value, struct hold_verdict *v) {
    hold_autofree struct hold_fetch_split *split = calloc(1, sizeof *split);
    hold_autofree uint8_t *gather = malloc(HOLD_PIECES_BLOCK);
    if (!split || !gather)
        return hold_verdict_fail(v, HOLD_EXIT_INTERNAL, HOLD_E_LIMIT, 0, "no memory for a transfer in pieces");
    const struct hold_fetch_rules *rules = &hold_fetcher_shared(fetcher)->rules;
    *split = (struct hold_fetch_split) { .file = file, .turn = turn, .pieces = &partial->pieces, .n_wanted = 1,
                                          .pace = { .max = (uint32_t) rules->connections, .window_ms = rules->window_ms } };
    struct hold_fetch_shared *shared = hold_fetcher_shared(fetcher);
    split->n_wanted = hold_pace_step(&split->pace, hold_job_now_ms(), hold_pieces_have(split->pieces), 0, 1);
    list(shared, split);
    int rc = lead(fetcher, split, &gather, ret_value->sha256, v);
    unlist(shared, split);
    result->fetched_bytes += atomic_load(&split->fetched_bytes);
    result->n_tries += atomic_load(&split->n_tries);
    return rc;
}

/* ---- helpers ---- */

static struct hold_fetch_split *join(struct hold_fetch_shared *shared) {
    struct hold_fetch_split *best = NULL;
    pthread_mutex_lock(&shared->lock);
    for (struct hold_fetch_split *s = shared->splits; s; s = s->next)
        if (!s->is_closed && !atomic_load(&s->is_over) && s->n_helpers + 1 < s->n_wanted && (!best || s->n_helpers < best->n_helpers))
            best = s;
    if (best)
        best->n_helpers++;
    pthread_mutex_unlock(&shared->lock);
    return best;
}

/* A helper that is one too many goes after its piece. */
static bool is_wanted(struct hold_fetch_shared *shared, struct hold_fetch_split *split) {
    pthread_mutex_lock(&shared->lock);
    bool is = split->n_helpers < split->n_wanted;
    pthread_mutex_unlock(&shared->lock);
    return is;
}

static void part(struct hold_fetch_shared *shared, struct hold_fetch_split *split, bool closes) {
    pthread_mutex_lock(&shared->lock);
    split->is_closed |= closes;
    split->n_helpers--;
    pthread_cond_broadcast(&shared->changed);
    pthread_mutex_unlock(&shared->lock);
}

bool hold_fetch_help(struct hold_fetcher *fetcher) {
    struct hold_fetch_shared *shared = hold_fetcher_shared(fetcher);
    struct hold_fetch_split *split = join(shared);
    if (!split)
        return false;
    hold_autofree uint8_t *gather = malloc(HOLD_PIECES_BLOCK);
    bool has_helped = false, closes = !gather;
    while (!closes && !atomic_load(&split->is_over) && !atomic_load(&split->ignores_ranges) && is_wanted(shared, split)) {
        struct hold_verdict v = { 0 };
        struct hold_attempt a = { .fetcher = fetcher, .file = split->file, .turn = split->turn, .v = &v, .split = split, .gather = &gather };
        if (!try_piece(&a))
            break;
        has_helped |= a.received > 0;
        /* A connection that broke after it brought something was worth having; anything else is for the leader to judge. */
        closes = a.end != HOLD_TRY_DONE && a.end != HOLD_TRY_EXPIRED && a.received < HOLD_TRY_PROGRESS_BYTES;
    }
    part(shared, split, closes);
    return has_helped;
}
