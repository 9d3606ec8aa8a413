/* turn.c - taking, waiting, beating. Floor: supervisor/job. */
#include "supervisor/job/turn.h"

#include "base/bars.h"
#include "base/list.h"
#include "base/log.h"
#include "supervisor/job/attempt.h"
#include "supervisor/job/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define EVERY_MS 1000
#define EVERY_MIN_MS 20

void hold_turns_open(struct hold_turns *turns, uint64_t still_ms, bool uses_flock) {
    *turns = (struct hold_turns) { .still_ms = still_ms, .uses_flock = uses_flock };
    pthread_mutex_init(&turns->lock, NULL);
}

void hold_turns_close(struct hold_turns *turns) {
    pthread_mutex_destroy(&turns->lock);
}

uint64_t hold_turns_every_ms(const struct hold_turns *turns) {
    return HOLD_MAX(HOLD_MIN(turns->still_ms / 10, (uint64_t) EVERY_MS), (uint64_t) EVERY_MIN_MS);
}

static void list(struct hold_turns *turns, struct hold_turn *turn, bool is_ours) {
    pthread_mutex_lock(&turns->lock);
    turn->is_ours = is_ours;
    turn->next = turns->first;
    turns->first = turn;
    pthread_mutex_unlock(&turns->lock);
}

static void note_other(struct hold_turns *turns, struct hold_turn *turn, const struct hold_owner_text *other) {
    pthread_mutex_lock(&turns->lock);
    turn->other = *other;
    pthread_mutex_unlock(&turns->lock);
    atomic_store(&turn->done, HOLD_MIN(other->done, other->total));
}

static void say(const struct hold_turn *turn, const char *what) {
    hold_bars_clear();
    hold_log(HOLD_LV_INFO, HOLD_EV_FETCH_WAIT, HOLD_LS("file", turn->path), HOLD_LS("what", what), HOLD_LS("host", turn->other.host), HOLD_LU("pid", turn->other.pid),
             HOLD_LU("done_bytes", turn->other.done), HOLD_LU("total_bytes", turn->other.total == UINT64_MAX ? 0 : turn->other.total));
}

/* Until the other's record is gone or still. */
static int wait_for_other(struct hold_turn *turn, struct hold_fetch_shared *shared, int folder_fd, const uint8_t key[8], struct hold_verdict *v) {
    struct hold_turns *turns = &shared->turns;
    struct hold_owner_seen seen = { 0 };
    uint64_t deadline = shared->rules.deadline_at_ms, every_ms = hold_turns_every_ms(turns);
    for (bool is_said = false;; is_said = true) {
        struct hold_owner_text other = { 0 };
        uint64_t now = hold_job_now_ms();
        enum hold_owner_look look = hold_owner_look(folder_fd, key, now, turns->still_ms, every_ms, turns->uses_flock, &seen, &other);
        if (look == HOLD_OWNER_NONE)
            return 1;
        note_other(turns, turn, &other);
        if (look == HOLD_OWNER_DEAD) {
            say(turn, "taken over: its fetcher is gone or stands still");
            hold_owner_evict(folder_fd, key, &seen);
            return 1;
        }
        if (!is_said)
            say(turn, "another fetcher brings it");
        if (deadline && now + every_ms >= deadline)
            return hold_verdict_fail(v, HOLD_EXIT_FETCH_DEADLINE, HOLD_E_NET, 0, "'%.160s': the total deadline passed while %s brought it", turn->path, other.host);
        if (!hold_fetch_wait(shared, every_ms))
            return hold_verdict_fail(v, HOLD_EXIT_FETCH, HOLD_E_NET, 0, "'%.160s': ended because another file failed", turn->path);
    }
}

int hold_turn_take(struct hold_turn *turn, struct hold_fetch_shared *shared, const struct hold_fetch_file *file, int folder_fd, const uint8_t key[8],
                   struct hold_verdict *v) {
    struct hold_turns *turns = &shared->turns;
    *turn = (struct hold_turn) { .path = file->path, .size = file->size, .owner = { .fd = -1 } };
    bool is_ours = hold_owner_take(&turn->owner, folder_fd, key, file->size, turns->uses_flock) || errno != EEXIST;
    list(turns, turn, is_ours);
    return is_ours ? 0 : wait_for_other(turn, shared, folder_fd, key, v);
}

bool hold_turn_was_lost(struct hold_turn *turn) {
    if (turn->owner.fd >= 0 && !hold_owner_is_ours(&turn->owner))
        atomic_store(&turn->is_lost, true);
    return atomic_load(&turn->is_lost);
}

void hold_turn_end(struct hold_turn *turn, struct hold_turns *turns, bool is_done, bool counts, _Atomic uint64_t *done_bytes) {
    pthread_mutex_lock(&turns->lock);
    struct hold_turn **at = &turns->first;
    while (*at && *at != turn)
        at = &(*at)->next;
    if (*at)
        *at = turn->next;
    if (counts)
        atomic_fetch_add(done_bytes, atomic_load(&turn->done));
    pthread_mutex_unlock(&turns->lock);
    hold_owner_drop(&turn->owner, is_done);
}

void hold_turn_tidy(const struct hold_turns *turns, int folder_fd, const uint8_t key[8]) {
    struct hold_owner_seen seen = { 0 };
    struct hold_owner_text other = { 0 };
    struct hold_owner owner;
    if (hold_owner_look(folder_fd, key, 0, turns->still_ms, 0, turns->uses_flock, &seen, &other) != HOLD_OWNER_DEAD)
        return;
    hold_owner_evict(folder_fd, key, &seen);
    if (hold_owner_take(&owner, folder_fd, key, 0, turns->uses_flock))
        hold_owner_drop(&owner, true);
}

void hold_turns_beat(struct hold_turns *turns) {
    pthread_mutex_lock(&turns->lock);
    for (struct hold_turn *turn = turns->first; turn; turn = turn->next)
        if (turn->is_ours && turn->owner.fd >= 0 && !hold_owner_beat(&turn->owner, atomic_load(&turn->done)))
            atomic_store(&turn->is_lost, true);
    pthread_mutex_unlock(&turns->lock);
}

uint64_t hold_turns_done(struct hold_turns *turns, char *told, size_t told_bytes) {
    uint64_t done = 0;
    bool has_ours = false;
    told[0] = '\0';
    pthread_mutex_lock(&turns->lock);
    for (const struct hold_turn *turn = turns->first; turn; turn = turn->next) {
        done += atomic_load(&turn->done);
        has_ours |= turn->is_ours;
        if (!turn->is_ours && !told[0] && turn->other.host[0])
            snprintf(told, told_bytes, "waiting for %s (process %llu) to bring '%.100s'", turn->other.host, (unsigned long long) turn->other.pid, turn->path);
    }
    pthread_mutex_unlock(&turns->lock);
    if (has_ours)
        told[0] = '\0';
    return done;
}

/* A narrow bar shows the end of its label: that of shards tells them apart, less what they all end with. */
static void name_bar(const char *path, char *label, size_t label_bytes) {
    static const char kind[] = ".safetensors";
    size_t n = strlen(path);
    if (n > sizeof kind && strcmp(path + n - (sizeof kind - 1), kind) == 0)
        n -= sizeof kind - 1;
    size_t skip = n >= label_bytes ? n - label_bytes + 1 : 0;
    snprintf(label, label_bytes, "%.*s", (int) (n - skip), path + skip);
}

size_t hold_turns_bars(struct hold_turns *turns, struct hold_bar *ret_bars, size_t max) {
    size_t n_all = 0, n = 0;
    pthread_mutex_lock(&turns->lock);
    for (const struct hold_turn *turn = turns->first; turn; turn = turn->next)
        n_all++;
    n = HOLD_MIN(n_all, max);
    size_t at = n_all;
    for (const struct hold_turn *turn = turns->first; turn; turn = turn->next) {
        if (--at >= n)
            continue;
        struct hold_bar *bar = &ret_bars[at];
        *bar = (struct hold_bar) { .done = atomic_load(&turn->done), .total = turn->size == UINT64_MAX ? 0 : turn->size };
        name_bar(turn->path, bar->label, sizeof bar->label);
    }
    pthread_mutex_unlock(&turns->lock);
    return n;
}
