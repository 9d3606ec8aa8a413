/* tree.h - which processes belong to which child: scan, sweep, prove gone, name the unkillable. Floor: host.
 *
 * As process 1, or as subreaper, everything that our children leave behind becomes our child: a tree whose root was reaped
 * is gone when no process of it is left in /proc. A process belongs to a member when its line of parents reaches the
 * member's main process, or, once that is broken, by its process group, its session or the HOLDFAST_MEMBER in its
 * environment; one that nothing can be said about belongs to whoever is being swept. What came in by exec (parent 0) is
 * nobody's and never touched; nothing outside our own descendants is ever signalled. */
#ifndef HOLD_HOST_TREE_H
#define HOLD_HOST_TREE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HOLD_TREE_BEFORE 16
#define HOLD_TREE_OWNERS 20
#define HOLD_TREE_ANY (-1)    /* every descendant of ours, jobs and probes too */
#define HOLD_TREE_NOBODY (-2) /* a known child that is no member (a job, an exec probe) */
#define HOLD_TREE_FOREIGN (-3) /* no descendant of ours, or one that came with us through exec */
#define HOLD_TREE_GONE (-4)    /* nothing of it is left to look at */

/* A child whose tree is told apart from the others'. pid: its main process, also when it is dead (its group and session
 * carry the number on). 0: no such child. */
struct hold_tree_owner {
    pid_t pid;
    bool is_apart;    /* a job or exec probe: not a member's, only found by HOLD_TREE_ANY */
    const char *name; /* HOLDFAST_MEMBER */
};

struct hold_tree {
    struct hold_tree_owner owners[HOLD_TREE_OWNERS]; /* index: the caller's number */
    struct hold_tree_proc *procs; /* of the last scan; kept for the next one */
    size_t n, capacity;
    bool is_cut;   /* /proc could not be read whole: then nothing is proven */
    bool is_blind; /* there is none to read */
    bool is_childless; /* the last reap found no child at all; the caller clears it when time passes or it starts one */
    struct {
        pid_t pid;
        uint64_t born;
    } before[HOLD_TREE_BEFORE]; /* children that came with us through exec: a shell's `> >(tee log)` is one */
    size_t n_before;
};

void hold_tree_release(struct hold_tree *t);

/* Before anything is started: whatever child there is already was started by whoever became us. It and its descendants are
 * nobody's tree: never signalled, never waited for by a restart. */
void hold_tree_spare(struct hold_tree *t);
/* How many of those still live. */
size_t hold_tree_spared(const struct hold_tree *t);

/* How many processes of owner (or HOLD_TREE_ANY) there are, zombies included; 0 is the proof. Reads /proc unless no child
 * is left at all. When /proc cannot be read, everything counts as one left as long as there is any child. */
size_t hold_tree_left(struct hold_tree *t, int owner);
/* The same, sending sig to each that is no zombie (after TERM a stopped one also CONT, or it could not end). skip_main: the
 * owner's main process is left out. */
size_t hold_tree_signal(struct hold_tree *t, int owner, int sig, bool skip_main);
/* The living processes of owner, at most max of them; returns how many were written. */
size_t hold_tree_pids(struct hold_tree *t, int owner, pid_t *ret_pids, size_t max);
/* Whose a process is, alive or not reaped yet: an owner's index, HOLD_TREE_ANY (a descendant that nothing more can be said of),
 * NOBODY, FOREIGN or GONE. Its parents are followed upwards, no scan. */
int hold_tree_owner_of(const struct hold_tree *t, pid_t pid);
/* "4711 python3 (D), 4712 ray (Z)": at most eight, then how many more. */
void hold_tree_name(struct hold_tree *t, int owner, struct hold_buf *out);

/* Whether it is stopped by a signal. */
bool hold_tree_is_stopped(pid_t pid);
/* Reaps one dead child, or tells of one that was stopped (WIFSTOPPED): its pid and wait status, or 0 when there is none
 * (*ret_any_left says whether children live). */
pid_t hold_tree_reap(int *ret_wait_status, bool *ret_any_left);
/* Becomes the one that orphans come to, unless process 1 already. */
HOLD_MUST int hold_tree_adopt(struct hold_err *err);

#endif
