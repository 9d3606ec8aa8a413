/* evidence.c - bounded facts from /proc and the memory cgroup. Floor: supervisor/host. */
#include "supervisor/host/evidence.h"

#include "base/auto.h"
#include "base/err.h"
#include "base/io.h"
#include "base/list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES 8192
#define KEPT_BYTES 65536
#define THREADS_SEEN 4096 /* counted for the sentence; more are not looked at */

/* At most FILE_BYTES - 1 bytes of a file, terminated; the number of bytes, 0 when it cannot be read. */
HOLD_PRINTF(2, 3) static size_t read_small(char out[FILE_BYTES], const char *format, ...) {
    char path[512];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(path, sizeof path, format, args);
    va_end(args);
    out[0] = '\0';
    if (length < 0 || (size_t) length >= sizeof path)
        return 0;
    hold_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return 0;
    size_t n = 0;
    while (n < FILE_BYTES - 1) {
        const ssize_t got = read(fd, out + n, FILE_BYTES - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t) got;
    }
    out[n] = '\0';
    return n;
}

static uint64_t number(const char *text) {
    uint64_t value = 0;
    while (*text == ' ' || *text == '\t')
        text++;
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, (uint64_t) (*text - '0'), &value))
            return UINT64_MAX;
    return value;
}

/* The number behind "key" at the start of a line; 0 when there is none. */
static uint64_t field(const char *text, const char *key) {
    const size_t n = strlen(key);
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        if (*line == '\n')
            line++;
        if (strncmp(line, key, n) == 0 && (line[n] == ' ' || line[n] == '\t' || line[n] == ':'))
            return number(line + n + (line[n] == ':' ? 1 : 0));
    }
    return 0;
}

/* ---- the memory cgroup ---- */

static bool has_file(const char *folder, const char *name) {
    char text[FILE_BYTES];
    return read_small(text, "%s/%s", folder, name) > 0;
}

/* "N:controllers:/path" lines of /proc/self/cgroup: v1 first, since on a mixed host the memory controller is there. */
void hold_cgroup_find(const char *root, struct hold_cgroup *ret) {
    *ret = (struct hold_cgroup) { 0 };
    char text[FILE_BYTES];
    read_small(text, "%s/proc/self/cgroup", root);
    char v1[200] = "", v2[200] = "";
    for (char *line = text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path || strlen(path + 1) >= sizeof v1)
            continue;
        *path = '\0';
        controllers++;
        if (controllers[0] == '\0')
            snprintf(v2, sizeof v2, "%s", path + 1);
        else if (strcmp(controllers, "memory") == 0 || strstr(controllers, ",memory") || strncmp(controllers, "memory,", 7) == 0)
            snprintf(v1, sizeof v1, "%s", path + 1);
    }
    /* Inside a container the mount shows our own group at its root, whatever the path says; so both are tried. */
    const struct {
        int version;
        const char *base, *path, *probe;
    } tries[] = {
        { 1, "/sys/fs/cgroup/memory", v1, "memory.usage_in_bytes" },
        { 1, "/sys/fs/cgroup/memory", "", "memory.usage_in_bytes" },
        { 2, "/sys/fs/cgroup", v2, "memory.current" },
        { 2, "/sys/fs/cgroup", "", "memory.current" },
        { 2, "/sys/fs/cgroup/unified", v2, "memory.current" },
    };
    for (size_t i = 0; i < HOLD_COUNT_OF(tries); i++) {
        if (tries[i].version == 1 && v1[0] == '\0')
            continue;
        char folder[sizeof ret->folder];
        const int n = snprintf(folder, sizeof folder, "%s%s%s", root, tries[i].base, strcmp(tries[i].path, "/") == 0 ? "" : tries[i].path);
        if (n > 0 && (size_t) n < sizeof folder && has_file(folder, tries[i].probe)) {
            ret->version = tries[i].version;
            memcpy(ret->folder, folder, (size_t) n + 1);
            return;
        }
    }
}

static uint64_t cgroup_number(const struct hold_cgroup *c, const char *name) {
    char text[FILE_BYTES];
    if (read_small(text, "%s/%s", c->folder, name) == 0)
        return 0;
    return strncmp(text, "max", 3) == 0 ? UINT64_MAX : number(text);
}

void hold_cgroup_memory(const struct hold_cgroup *c, struct hold_memory *ret) {
    *ret = (struct hold_memory) { .version = c->version, .limit = UINT64_MAX };
    char text[FILE_BYTES];
    if (c->version == 0)
        return;
    ret->known = true;
    if (c->version == 2) {
        ret->current = cgroup_number(c, "memory.current");
        const uint64_t limit = cgroup_number(c, "memory.max");
        ret->limit = limit == 0 ? UINT64_MAX : limit; /* the root group has no such file */
        ret->peak = cgroup_number(c, "memory.peak");
        ret->swap_current = cgroup_number(c, "memory.swap.current");
        read_small(text, "%s/memory.events", c->folder);
        ret->oom_kills = field(text, "oom_kill");
        read_small(text, "%s/memory.stat", c->folder);
        ret->inactive_file = field(text, "inactive_file");
        return;
    }
    ret->current = cgroup_number(c, "memory.usage_in_bytes");
    const uint64_t limit = cgroup_number(c, "memory.limit_in_bytes");
    ret->limit = limit == 0 || limit >= (uint64_t) 1 << 62 ? UINT64_MAX : limit; /* v1's "none" is the largest page count */
    ret->peak = cgroup_number(c, "memory.max_usage_in_bytes");
    read_small(text, "%s/memory.oom_control", c->folder);
    ret->oom_kills = field(text, "oom_kill");
    read_small(text, "%s/memory.stat", c->folder);
    ret->inactive_file = field(text, "total_inactive_file");
    ret->swap_current = field(text, "total_swap");
}

int hold_cgroup_watch(const struct hold_cgroup *c) {
    char path[sizeof c->folder + 16];
    if (c->version != 2)
        return -1;
    snprintf(path, sizeof path, "%s/memory.events", c->folder);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    char seen[512];
    if (fd >= 0 && read(fd, seen, sizeof seen) < 0) /* what nobody has read yet counts as news at once */
        seen[0] = '\0';
    return fd;
}

/* ---- processes ---- */

/* The fields behind the name of /proc/PID/stat, which may hold anything but ends with the last ')'. */
static const char *behind_name(const char *stat) {
    const char *end = strrchr(stat, ')');
    return end && end[1] == ' ' ? end + 2 : NULL;
}

void hold_proc_read(const char *root, pid_t pid, struct hold_proc *ret) {
    *ret = (struct hold_proc) { 0 };
    char text[FILE_BYTES];
    if (pid <= 0 || read_small(text, "%s/proc/%d/stat", root, (int) pid) == 0)
        return;
    const char *at = behind_name(text);
    if (!at)
        return;
    ret->state = at[0];
    for (int i = 3; i < 12 && at; i++) { /* state is field 3, majflt field 12 */
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    ret->major_faults = at ? number(at) : 0;
    read_small(text, "%s/proc/%d/status", root, (int) pid);
    ret->rss_bytes = field(text, "VmRSS") * 1024;
    ret->swap_bytes = field(text, "VmSwap") * 1024;
    ret->n_threads = (uint32_t) HOLD_MIN(field(text, "Threads"), (uint64_t) UINT32_MAX);
    read_small(text, "%s/proc/%d/io", root, (int) pid);
    ret->read_bytes = field(text, "rchar");
    ret->disk_read_bytes = field(text, "read_bytes");
}

struct thread {
    int tid;
    char state;
    char comm[32], wchan[64];
};

static bool read_thread(const char *root, pid_t pid, int tid, struct thread *ret) {
    char text[FILE_BYTES];
    if (read_small(text, "%s/proc/%d/task/%d/stat", root, (int) pid, tid) == 0)
        return false;
    const char *begin = strchr(text, '(');
    const char *at = behind_name(text);
    if (!begin || !at)
        return false;
    *ret = (struct thread) { .tid = tid, .state = at[0] };
    const size_t n = HOLD_MIN((size_t) (at - 2 - (begin + 1)), sizeof ret->comm - 1);
    memcpy(ret->comm, begin + 1, n);
    read_small(text, "%s/proc/%d/task/%d/wchan", root, (int) pid, tid);
    snprintf(ret->wchan, sizeof ret->wchan, "%.63s", strcmp(text, "0") == 0 ? "" : text);
    return true;
}

typedef void thread_fn(void *context, const struct thread *t);

static unsigned each_thread(const char *root, pid_t pid, unsigned max, thread_fn *fn, void *context) {
    char path[512];
    snprintf(path, sizeof path, "%s/proc/%d/task", root, (int) pid);
    DIR *folder = opendir(path);
    if (!folder)
        return 0;
    unsigned seen = 0;
    for (struct dirent *e; seen < THREADS_SEEN && (e = readdir(folder)) != NULL;) {
        struct thread t;
        const uint64_t tid = number(e->d_name);
        if (tid == 0 || tid > INT32_MAX)
            continue;
        seen++;
        if (seen <= max && read_thread(root, pid, (int) tid, &t))
            fn(context, &t);
    }
    closedir(folder);
    return seen;
}

/* ---- what is shown ---- */

static void add_memory(struct hold_buf *out, const struct hold_cgroup *c) {
    struct hold_memory m;
    hold_cgroup_memory(c, &m);
    if (!m.known) {
        hold_buf_adds(out, "null");
        return;
    }
    hold_buf_addf(out, "{\"cgroup\":%d,\"current_bytes\":%" PRIu64 ",\"peak_bytes\":%" PRIu64, m.version, m.current, m.peak);
    if (m.limit != UINT64_MAX)
        hold_buf_addf(out, ",\"limit_bytes\":%" PRIu64, m.limit);
    hold_buf_addf(out, ",\"inactive_file_bytes\":%" PRIu64 ",\"swap_bytes\":%" PRIu64 ",\"oom_kills\":%" PRIu64 "}", m.inactive_file,
                  m.swap_current, m.oom_kills);
}

/* "some avg10=1.23 avg60=... total=5" to {"some_avg10":1.23,"full_avg10":...}. */
static void add_pressure(struct hold_buf *out, const char *root, const char *what) {
    char text[FILE_BYTES];
    read_small(text, "%s/proc/pressure/%s", root, what);
    hold_buf_addf(out, "\"%s\":{", what);
    bool is_first = true;
    static const char *const kinds[] = { "some", "full" };
    for (size_t i = 0; i < HOLD_COUNT_OF(kinds); i++) {
        char key[24];
        snprintf(key, sizeof key, "%s avg10=", kinds[i]);
        const char *at = strstr(text, key);
        size_t n = 0;
        if (at) {
            at += strlen(key);
            n = strspn(at, "0123456789.");
        }
        if (n == 0 || n > 8)
            continue;
        hold_buf_addf(out, "%s\"%s_avg10\":%.*s", is_first ? "" : ",", kinds[i], (int) n, at);
        is_first = false;
    }
    hold_buf_addc(out, '}');
}

struct listing {
    struct hold_buf *out;
    bool is_first;
};

static void add_thread(void *context, const struct thread *t) {
    struct listing *l = context;
    const char state[2] = { t->state, '\0' };
    hold_buf_addf(l->out, "%s{\"tid\":%d,\"comm\":", l->is_first ? "" : ",", t->tid);
    hold_buf_add_json(l->out, t->comm, strlen(t->comm));
    hold_buf_adds(l->out, ",\"state\":");
    hold_buf_add_json(l->out, state, 1);
    hold_buf_adds(l->out, ",\"wchan\":");
    hold_buf_add_json(l->out, t->wchan, strlen(t->wchan));
    hold_buf_addc(l->out, '}');
    l->is_first = false;
}

void hold_evidence_gather(const char *root, const struct hold_cgroup *c, pid_t pid, struct hold_buf *out) {
    hold_buf_adds(out, "{\"memory\":");
    add_memory(out, c);
    hold_buf_adds(out, ",\"psi\":{");
    add_pressure(out, root, "memory");
    hold_buf_addc(out, ',');
    add_pressure(out, root, "io");
    hold_buf_addc(out, '}');
    struct hold_proc p;
    hold_proc_read(root, pid, &p);
    if (p.state != 0) {
        const char state[2] = { p.state, '\0' };
        hold_buf_addf(out, ",\"process\":{\"pid\":%d,\"state\":", (int) pid);
        hold_buf_add_json(out, state, 1);
        hold_buf_addf(out, ",\"threads\":%u,\"rss_bytes\":%" PRIu64 ",\"swap_bytes\":%" PRIu64 ",\"read_bytes\":%" PRIu64
                      ",\"disk_read_bytes\":%" PRIu64 ",\"major_faults\":%" PRIu64 "},\"threads\":[",
                      p.n_threads, p.rss_bytes, p.swap_bytes, p.read_bytes, p.disk_read_bytes, p.major_faults);
        struct listing l = { out, true };
        const unsigned seen = each_thread(root, pid, HOLD_EVIDENCE_THREADS, add_thread, &l);
        hold_buf_addf(out, "],\"threads_left_out\":%u", seen > HOLD_EVIDENCE_THREADS ? seen - HOLD_EVIDENCE_THREADS : 0);
    }
    hold_buf_addc(out, '}');
}

int hold_evidence_keep(const struct hold_cgroup *c, const struct hold_evidence_moment *m, struct hold_err *err) {
    char path[512];
    hold_autobuf out = hold_buf_with_max(KEPT_BYTES);
    const struct {
        const char *key, *value;
    } texts[] = { { "member", m->member }, { "why", m->why }, { "last_lines", m->last_lines } };
    hold_buf_addf(&out, "{\"unix_s\":%" PRIu64, m->unix_s);
    for (size_t i = 0; i < HOLD_COUNT_OF(texts); i++)
        if (texts[i].value) {
            hold_buf_addf(&out, ",\"%s\":", texts[i].key);
            hold_buf_add_json(&out, texts[i].value, strlen(texts[i].value));
        }
    hold_buf_adds(&out, ",\"facts\":");
    hold_evidence_gather("", c, m->pid, &out);
    hold_buf_adds(&out, "}\n");
    if (hold_buf_check(&out, "evidence", err) < 0)
        return -1;
    const int n = snprintf(path, sizeof path, "%s/%s.json", m->folder, m->name);
    if (n < 0 || (size_t) n >= sizeof path)
        return hold_fail(err, HOLD_E_LIMIT, 0, "evidence '%s': the path is too long", m->name);
    hold_autofd fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return hold_fail(err, HOLD_E_IO, errno, "open '%s'", path);
    if (hold_pwrite_all(fd, out.data, out.n, 0, path, err) < 0)
        return -1;
    return ftruncate(fd, (off_t) out.n) < 0 ? hold_fail(err, HOLD_E_IO, errno, "cut '%s'", path) : 0;
}

/* Which pair of state and wait channel most threads share: two passes would race, so the first places are counted. */
struct tally {
    struct {
        char state, wchan[64];
        unsigned n;
    } place[16];
    unsigned n_places, n_threads, n_stuck;
};

static void count_thread(void *context, const struct thread *t) {
    struct tally *all = context;
    all->n_threads++;
    if (t->state == 'D')
        all->n_stuck++;
    for (unsigned i = 0; i < all->n_places; i++)
        if (all->place[i].state == t->state && strcmp(all->place[i].wchan, t->wchan) == 0) {
            all->place[i].n++;
            return;
        }
    if (all->n_places < HOLD_COUNT_OF(all->place)) {
        all->place[all->n_places].state = t->state;
        snprintf(all->place[all->n_places].wchan, sizeof t->wchan, "%s", t->wchan);
        all->place[all->n_places++].n = 1;
    }
}

void hold_evidence_sentence(const char *root, pid_t pid, char *out, size_t out_bytes) {
    out[0] = '\0';
    struct hold_proc p;
    hold_proc_read(root, pid, &p);
    if (p.state == 0)
        return;
    struct tally all = { 0 };
    each_thread(root, pid, 256, count_thread, &all);
    unsigned most = 0;
    for (unsigned i = 1; i < all.n_places; i++) {
        const bool is_stuck = all.place[i].state == 'D', most_is_stuck = all.place[most].state == 'D';
        if ((is_stuck && !most_is_stuck) || (is_stuck == most_is_stuck && all.place[i].n > all.place[most].n))
            most = i;
    }
    if (all.n_places == 0)
        return;
    const char *wchan = all.place[most].wchan;
    const int n = snprintf(out, out_bytes, "%u of %u threads in state %c%s%s, %" PRIu64 " MiB resident, %" PRIu64 " MiB read",
                           all.place[most].n, all.n_threads, all.place[most].state, wchan[0] ? " at " : "", wchan, p.rss_bytes >> 20,
                           p.read_bytes >> 20);
    if (n > 0 && (size_t) n < out_bytes && p.swap_bytes > 0)
        snprintf(out + n, out_bytes - (size_t) n, ", %" PRIu64 " MiB swapped out", p.swap_bytes >> 20);
    for (char *c = out; *c; c++)
        if ((unsigned char) *c < 0x20)
            *c = '?';
}
