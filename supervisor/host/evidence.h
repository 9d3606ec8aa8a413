/* evidence.h - bounded facts before a kill and after a death. Floor: supervisor/host.
 *
 * A restart destroys the evidence, so it is taken first: memory counters and limits of the cgroup (v1 and v2), pressure,
 * state and wait channel of each thread, what it read, its memory and swap. Only small /proc and cgroup files are read, none
 * that takes the lock of a process's memory map (cmdline, smaps), so a process stuck in the kernel cannot hold us. */
#ifndef HOLD_SUPERVISOR_HOST_EVIDENCE_H
#define HOLD_SUPERVISOR_HOST_EVIDENCE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes; UINT64_MAX limit: none. known is false when no memory controller can be seen. */
struct hold_memory {
    bool known;
    int version;             /* 1 or 2 */
    uint64_t current, limit, peak; /* peak 0: unknown (v2 before Linux 5.19) */
    uint64_t inactive_file;  /* page cache that can be given back: current - this is what counts towards 90 % */
    uint64_t oom_kills;      /* since the cgroup was made */
    uint64_t swap_current;
};

/* Where the memory cgroup is: looked up once. root: "" for the real one, a folder with proc/ and sys/ in tests. */
struct hold_cgroup {
    int version;             /* 0: none seen */
    char folder[256];
};
void hold_cgroup_find(const char *root, struct hold_cgroup *ret);
void hold_cgroup_memory(const struct hold_cgroup *c, struct hold_memory *ret);
/* A descriptor that epoll wakes (EPOLLPRI, edge) when the group runs against its limit, before the kernel kills: cgroup v2's
 * memory.events. -1 where there is none; the caller closes it. Costs nothing while nothing happens. */
int hold_cgroup_watch(const struct hold_cgroup *c);

/* One process, summed over nothing: 0 where it could not be read. */
struct hold_proc {
    char state;              /* R S D Z T ..., or 0: gone */
    uint64_t read_bytes;     /* rchar */
    uint64_t disk_read_bytes;/* read_bytes of /proc/PID/io */
    uint64_t rss_bytes, swap_bytes;
    uint64_t major_faults;
    uint32_t n_threads;
};
void hold_proc_read(const char *root, pid_t pid, struct hold_proc *ret);

#define HOLD_EVIDENCE_THREADS 64

/* Facts as JSON: {"memory":{...},"psi":{"memory":{...},"io":{...}},"process":{...},"threads":[{"tid","comm","state","wchan"}...]}
 * at most HOLD_EVIDENCE_THREADS of them, then "threads_left_out". pid 0: no process. */
void hold_evidence_gather(const char *root, const struct hold_cgroup *c, pid_t pid, struct hold_buf *out);
/* What is kept of one moment: facts as above and the last lines of output, as one JSON object in folder/NAME.json, which is
 * replaced in place (not durable: nothing here may wait for a disk). At most 64 KiB. Text may be NULL. */
struct hold_evidence_moment {
    const char *folder, *name; /* "kill-engine", "death-engine" */
    const char *member, *why;
    uint64_t unix_s;
    pid_t pid;                 /* 0: it is gone */
    const char *last_lines;
};
HOLD_MUST int hold_evidence_keep(const struct hold_cgroup *c, const struct hold_evidence_moment *m, struct hold_err *err);
/* One clause for people: "41 of 44 threads in D at nfs_wait_bit_killable, 1.2 MiB/s ..."; empty when nothing stands out. */
void hold_evidence_sentence(const char *root, pid_t pid, char *out, size_t out_bytes);

#endif
