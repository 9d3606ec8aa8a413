/* turn.h - whose turn it is to bring a file: ours, or another fetcher's that we wait for. Floor: supervisor/job. */
#ifndef HOLD_SUPERVISOR_JOB_TURN_H
#define HOLD_SUPERVISOR_JOB_TURN_H

#include "base/bars.h"
#include "supervisor/job/owner.h"
#include "supervisor/job/verdict.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct hold_fetch_shared;
struct hold_fetch_file;

/* One file in work, or waited for. Between hold_turn_take and hold_turn_end it is in the list of all. */
struct hold_turn {
    struct hold_turn *next;
    const char *path;          /* borrowed, for messages */
    uint64_t size;             /* of it; UINT64_MAX: unknown */
    _Atomic uint64_t done;     /* bytes of it in hand, ours or the other's */
    atomic_bool is_lost;       /* somebody took us for dead and brings it: stop, and wait like everyone */
    bool is_ours;
    struct hold_owner owner;   /* fd -1 when no record could be made: then it is brought without one */
    struct hold_owner_text other;
};

/* All of one errand. */
struct hold_turns {
    pthread_mutex_t lock;
    struct hold_turn *first;
    uint64_t still_ms; /* a record that stands still for so long is a dead fetcher's */
    bool uses_flock;
};

void hold_turns_open(struct hold_turns *turns, uint64_t still_ms, bool uses_flock);
void hold_turns_close(struct hold_turns *turns);

/* Makes the record of file in folder_fd, or waits while another's moves. 0: it is ours; 1: the other is done or dead, and the file
 * must be looked at again; -1: the errand was stopped or its deadline passed. Blocks. hold_turn_end in any case. */
HOLD_MUST int hold_turn_take(struct hold_turn *turn, struct hold_fetch_shared *shared, const struct hold_fetch_file *file, int folder_fd,
                             const uint8_t key[8], struct hold_verdict *v);
/* Whether another took it over: asks the record itself. */
bool hold_turn_was_lost(struct hold_turn *turn);
/* Leaves the list and drops the record. is_done: the file is there, and partials of it are rubbish. counts: its bytes go to *done_bytes. */
void hold_turn_end(struct hold_turn *turn, struct hold_turns *turns, bool is_done, bool counts, _Atomic uint64_t *done_bytes);
/* The file is there: removes what a fetcher left that died between publishing it and dropping its record. Never waits. */
void hold_turn_tidy(const struct hold_turns *turns, int folder_fd, const uint8_t key[8]);

/* Lets the counters of all records of ours move; call it at least every hold_turns_every_ms. Blocks on the folder. */
void hold_turns_beat(struct hold_turns *turns);
uint64_t hold_turns_every_ms(const struct hold_turns *turns);
/* Bytes in hand of all files in work. told: whom we wait for when no file is ours, else "". */
#define HOLD_TURN_TOLD_BYTES 240
uint64_t hold_turns_done(struct hold_turns *turns, char *told, size_t told_bytes);
/* The files in work as bars, the one longest in work first. Returns how many, at most max. */
size_t hold_turns_bars(struct hold_turns *turns, struct hold_bar *ret_bars, size_t max);

#endif
