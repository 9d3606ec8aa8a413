/* tree.c - descendants. Floor: host. */
#include "supervisor/host/tree.h"

#include "base/auto.h"
#include "base/list.h"
#include "base/num.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOLD_TREE_MAX ((size_t) 1 << 17) /* processes looked at; more than a container can have by default */
#define HOLD_TREE_DEPTH 4096             /* parents followed before a line counts as broken */
#define HOLD_TREE_ENV_BYTES 65536        /* of an environment that is searched */

struct hold_tree_proc {
    pid_t pid, parent, group, session;
    uint64_t born; /* start time in clock ticks: tells a reused number apart */
    int owner;     /* index, HOLD_TREE_NOBODY, or HOLD_TREE_FOREIGN */
    char state;
    char name[16];
};

#define HOLD_TREE_UNKNOWN (-5) /* while a scan is being settled */

void hold_tree_release(struct hold_tree *t) {
    free(t->procs);
    t->procs = NULL;
    t->n = t->capacity = 0;
}

/* One line of /proc/PID/stat. The name is in parentheses and may itself hold any byte, so the last ')' ends it. */
static bool parse_stat(const char *text, struct hold_tree_proc *p) {
    const char *open = strchr(text, '(');
    const char *close = strrchr(text, ')');
    if (!open || !close || close < open)
        return false;
    size_t n = HOLD_MIN((size_t) (close - open - 1), sizeof(p->name) - 1);
    memcpy(p->name, open + 1, n);
    p->name[n] = '\0';
    int parent, group, session;
    unsigned long long born;
    /* state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime cutime cstime prio nice threads it start */
    if (sscanf(close + 1, " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &p->state, &parent, &group, &session,
               &born) != 5)
        return false;
    p->parent = parent;
    p->group = group;
    p->session = session;
    p->born = born;
    return true;
}

static bool read_proc(pid_t pid, const char *what, char *out, size_t out_bytes, size_t *ret_n) {
    char path[64];
    (void) snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, what);
    hold_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    size_t n = 0;
    while (n < out_bytes - 1) {
        ssize_t got = read(fd, out + n, out_bytes - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t) got;
    }
    out[n] = '\0';
    *ret_n = n;
    return n > 0;
}

static bool look_at(pid_t pid, struct hold_tree_proc *ret) {
    char text[1024];
    size_t n;
    *ret = (struct hold_tree_proc) { .pid = pid, .owner = HOLD_TREE_UNKNOWN };
    return read_proc(pid, "stat", text, sizeof(text), &n) && parse_stat(text, ret);
}

static int by_pid(const void *left, const void *right) {
    const struct hold_tree_proc *a = left, *b = right;
    return (a->pid > b->pid) - (a->pid < b->pid);
}

static struct hold_tree_proc *find(struct hold_tree *t, pid_t pid) {
    struct hold_tree_proc key = { .pid = pid };
    return t->n ? bsearch(&key, t->procs, t->n, sizeof(key), by_pid) : NULL;
}

/* HOLDFAST_MEMBER of a process, matched against the owners; UNKNOWN when it cannot be read or says nothing. */
static int owner_by_tag(const struct hold_tree *t, pid_t pid) {
    hold_autofree char *text = malloc(HOLD_TREE_ENV_BYTES);
    size_t n;
    if (!text || !read_proc(pid, "environ", text, HOLD_TREE_ENV_BYTES, &n))
        return HOLD_TREE_UNKNOWN;
    static const char key[] = "HOLDFAST_MEMBER=";
    for (const char *at = text; at < text + n; at += strlen(at) + 1) {
        if (strncmp(at, key, sizeof(key) - 1) != 0)
            continue;
        for (int i = 0; i < HOLD_TREE_OWNERS; i++)
            if (t->owners[i].pid && t->owners[i].name && strcmp(at + sizeof(key) - 1, t->owners[i].name) == 0)
                return i;
    }
    return HOLD_TREE_UNKNOWN;
}

/* The owner of a direct child of ours. */
static int owner_of_root(const struct hold_tree *t, const struct hold_tree_proc *root) {
    for (int i = 0; i < HOLD_TREE_OWNERS; i++) {
        const struct hold_tree_owner *o = &t->owners[i];
        if (o->pid && (root->pid == o->pid || root->group == o->pid || root->session == o->pid))
            return o->is_apart ? HOLD_TREE_NOBODY : i;
    }
    return owner_by_tag(t, root->pid);
}

static bool was_before(const struct hold_tree *t, const struct hold_tree_proc *p) {
    for (size_t i = 0; i < t->n_before; i++)
        if (t->before[i].pid == p->pid && t->before[i].born == p->born)
            return true;
    return false;
}

/* Follows the parents up to us. A cycle cannot be: parents are older, but a snapshot is not one moment, so depth is bounded. */
static void settle_owner(struct hold_tree *t, struct hold_tree_proc *p, pid_t self) {
    struct hold_tree_proc *at = p;
    for (int depth = 0; depth < HOLD_TREE_DEPTH; depth++) {
        if (at->owner != HOLD_TREE_UNKNOWN) {
            p->owner = at->owner;
            return;
        }
        if (at->parent == self && was_before(t, at))
            break;
        if (at->parent == self) {
            int owner = owner_of_root(t, at);
            /* UNKNOWN would be asked for again for each of its children: remembered as ANY, "whoever is swept" */
            at->owner = p->owner = owner == HOLD_TREE_UNKNOWN ? HOLD_TREE_ANY : owner;
            return;
        }
        struct hold_tree_proc *parent = at->parent > 0 ? find(t, at->parent) : NULL;
        if (!parent)
            break;
        at = parent;
    }
    p->owner = HOLD_TREE_FOREIGN;
}

static bool room_for_one(struct hold_tree *t) {
    if (t->n < t->capacity)
        return true;
    size_t more = t->capacity ? t->capacity * 2 : 256;
    struct hold_tree_proc *grown = more > HOLD_TREE_MAX ? NULL : realloc(t->procs, more * sizeof(t->procs[0]));
    if (!grown)
        return false;
    t->procs = grown;
    t->capacity = more;
    return true;
}

static void scan(struct hold_tree *t) {
    t->n = 0;
    t->is_cut = t->is_blind = false;
    DIR *proc = opendir("/proc");
    if (!proc) {
        t->is_cut = true;
        t->is_blind = errno == ENOENT || errno == EACCES;
        return;
    }
    pid_t self = getpid();
    bool saw_self = false;
    for (struct dirent *entry; (entry = readdir(proc));) {
        uint64_t pid;
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || hold_parse_u64(entry->d_name, 1, INT32_MAX, &pid, NULL) < 0)
            continue;
        if ((pid_t) pid == self) {
            saw_self = true;
            continue;
        }
        if (!room_for_one(t)) {
            t->is_cut = true;
            break;
        }
        t->n += look_at((pid_t) pid, &t->procs[t->n]);
    }
    closedir(proc);
    t->is_cut |= !saw_self; /* another namespace's /proc proves nothing */
    t->is_blind = t->n == 0 && !saw_self;
    if (t->n > 1)
        qsort(t->procs, t->n, sizeof(t->procs[0]), by_pid);
    for (size_t i = 0; i < t->n; i++)
        settle_owner(t, &t->procs[i], self);
}

static bool belongs(const struct hold_tree_proc *p, int owner) {
    if (p->owner == HOLD_TREE_FOREIGN)
        return false;
    return owner == HOLD_TREE_ANY || p->owner == owner || p->owner == HOLD_TREE_ANY;
}

static bool has_any_child(void) {
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

void hold_tree_spare(struct hold_tree *t) {
    if (!has_any_child())
        return;
    scan(t);
    pid_t self = getpid();
    for (size_t i = 0; i < t->n && t->n_before < HOLD_TREE_BEFORE; i++)
        if (t->procs[i].parent == self) {
            t->before[t->n_before].pid = t->procs[i].pid;
            t->before[t->n_before++].born = t->procs[i].born;
        }
}

size_t hold_tree_spared(const struct hold_tree *t) {
    size_t n = 0;
    for (size_t i = 0; i < t->n_before; i++) {
        struct hold_tree_proc p;
        n += look_at(t->before[i].pid, &p) && p.born == t->before[i].born && p.state != 'Z';
    }
    return n;
}

static void send_to(const struct hold_tree_proc *p, int sig) {
    if (p->parent == getpid()) { /* ours to reap, so the number cannot have been given away */
        (void) kill(p->pid, sig);
        if (sig == SIGTERM && p->state == 'T') /* a stopped process cannot end */
            (void) kill(p->pid, SIGCONT);
        return;
    }
    hold_autofd pidfd = (int) syscall(SYS_pidfd_open, p->pid, 0);
    struct hold_tree_proc now;
    if (pidfd < 0 || !look_at(p->pid, &now) || now.born != p->born)
        return;
    (void) syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
    if (sig == SIGTERM && now.state == 'T')
        (void) syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0);
}

bool hold_tree_is_stopped(pid_t pid) {
    char text[4096];
    size_t n;
    if (pid <= 0 || !read_proc(pid, "status", text, sizeof(text), &n))
        return false;
    const char *state = strstr(text, "\nState:\t"), *pending = strstr(text, "\nShdPnd:\t");
    bool is_about_to = pending && (strtoull(pending + 9, NULL, 16) >> (SIGSTOP - 1) & 1); /* it stops when it runs next */
    return (state && state[8] == 'T') || is_about_to;
}

/* Without a /proc to look at. Where there is none at all, everybody in a namespace that we are process 1 of is ours, unless others
 * are to be spared; elsewhere the groups that our children were started in are all that can be named. */
static void signal_blind(const struct hold_tree *t, int owner, int sig) {
    size_t others = t->n_before;
    for (int i = 0; i < HOLD_TREE_OWNERS; i++)
        others += owner != HOLD_TREE_ANY && i != owner && t->owners[i].pid > 0;
    if (t->is_blind && getpid() == 1 && others == 0) {
        (void) kill(-1, sig);
        return;
    }
    for (int i = 0; i < HOLD_TREE_OWNERS; i++)
        if ((owner == HOLD_TREE_ANY || i == owner) && t->owners[i].pid > 0)
            (void) kill(-t->owners[i].pid, sig);
}

size_t hold_tree_signal(struct hold_tree *t, int owner, int sig, bool skip_main) {
    if (t->is_childless || !has_any_child())
        return 0;
    scan(t);
    if (t->is_cut && t->n == 0) {
        if (sig != 0)
            signal_blind(t, owner, sig);
        return 1;
    }
    size_t n = 0;
    pid_t main_pid = owner >= 0 && owner < HOLD_TREE_OWNERS ? t->owners[owner].pid : 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct hold_tree_proc *p = &t->procs[i];
        if (!belongs(p, owner))
            continue;
        n++;
        if (sig != 0 && p->state != 'Z' && p->state != 'X' && !(skip_main && p->pid == main_pid))
            send_to(p, sig);
    }
    return n + (t->is_cut ? 1 : 0);
}

size_t hold_tree_left(struct hold_tree *t, int owner) {
    return hold_tree_signal(t, owner, 0, false);
}

size_t hold_tree_pids(struct hold_tree *t, int owner, pid_t *ret_pids, size_t max) {
    size_t n = 0;
    scan(t);
    for (size_t i = 0; i < t->n && n < max; i++)
        if (belongs(&t->procs[i], owner) && t->procs[i].state != 'Z' && t->procs[i].state != 'X')
            ret_pids[n++] = t->procs[i].pid;
    return n;
}

int hold_tree_owner_of(const struct hold_tree *t, pid_t pid) {
    pid_t self = getpid(), asked = pid;
    struct hold_tree_proc p;
    if (pid <= 0 || pid == self)
        return HOLD_TREE_FOREIGN;
    for (int depth = 0; depth < HOLD_TREE_DEPTH; depth++) {
        if (!look_at(pid, &p)) {
            if (pid == asked)
                return HOLD_TREE_GONE;
            pid = asked; /* a parent ended while we looked: its child has another one now */
            continue;
        }
        for (int i = 0; i < HOLD_TREE_OWNERS; i++)
            if (pid == t->owners[i].pid)
                return t->owners[i].is_apart ? HOLD_TREE_NOBODY : i;
        if (p.parent == self && was_before(t, &p))
            return HOLD_TREE_FOREIGN;
        if (p.parent == self) {
            int owner = owner_of_root(t, &p);
            return owner == HOLD_TREE_UNKNOWN ? HOLD_TREE_ANY : owner;
        }
        if (p.parent <= 0)
            return HOLD_TREE_FOREIGN;
        pid = p.parent;
    }
    return HOLD_TREE_FOREIGN;
}

void hold_tree_name(struct hold_tree *t, int owner, struct hold_buf *out) {
    size_t said = 0, more = 0;
    scan(t);
    if (t->is_cut && t->n == 0)
        hold_buf_adds(out, "unknown: /proc cannot be read");
    for (size_t i = 0; i < t->n; i++) {
        const struct hold_tree_proc *p = &t->procs[i];
        if (!belongs(p, owner))
            continue;
        if (said == 8) {
            more++;
            continue;
        }
        hold_buf_addf(out, "%s%d %s (%c)", said ? ", " : "", (int) p->pid, p->name, p->state);
        said++;
    }
    if (more)
        hold_buf_addf(out, " and %zu more", more);
}

pid_t hold_tree_reap(int *ret_wait_status, bool *ret_any_left) {
    pid_t pid;
    do
        pid = waitpid(-1, ret_wait_status, WNOHANG | WUNTRACED);
    while (pid < 0 && errno == EINTR);
    *ret_any_left = pid > 0 || pid == 0;
    return pid > 0 ? pid : 0;
}

int hold_tree_adopt(struct hold_err *err) {
    if (getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "become the one that orphans come to");
    return 0;
}
