/* facts.c - user, paths, memory, kernel, python packages, dependencies. Floor: supervisor/job. */
#include "supervisor/job/facts.h"

#include "base/auto.h"
#include "base/io.h"
#include "base/list.h"
#include "base/num.h"
#include "supervisor/job/fetch.h"
#include "supervisor/job/gpu.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define LANDLOCK_VERSION_FLAG 1u
#define UNLIMITED_FROM (UINT64_C(1) << 62) /* cgroup v1 says "no limit" with a number near 2^63 */
#define MAX_PYTHON_FOLDERS 64

static const char *copy(struct hold_arena *arena, const char *text) {
    const char *c = hold_arena_copy(arena, text, strlen(text));
    return c ? c : "";
}

/* ---- paths ---- */

static void gather_path(struct hold_facts *facts, struct hold_arena *arena, const char *path, enum hold_path_use use) {
    if (!path || !*path || facts->n_paths == HOLD_FACT_MAX_PATHS)
        return;
    struct hold_fact_path *p = &facts->paths[facts->n_paths++];
    char at[PATH_MAX];
    struct stat st;
    struct statvfs fs;
    *p = (struct hold_fact_path) { .path = path, .use = use, .free_bytes = HOLD_FACT_NO_LIMIT, .free_inodes = HOLD_FACT_NO_LIMIT };
    snprintf(at, sizeof at, "%s", path);
    p->exists = stat(at, &st) == 0;
    p->sys = p->exists ? 0 : errno;
    p->is_folder = p->exists && S_ISDIR(st.st_mode);
    /* What does not exist yet is made in the nearest folder that does. */
    while (stat(at, &st) < 0 && strcmp(at, "/") != 0 && strcmp(at, ".") != 0) {
        char *slash = strrchr(at, '/');
        if (!slash)
            snprintf(at, sizeof at, ".");
        else if (slash == at)
            at[1] = '\0';
        else
            *slash = '\0';
    }
    if (stat(at, &st) < 0)
        return;
    p->owner = st.st_uid;
    p->group = st.st_gid;
    p->mode = st.st_mode;
    p->unwritable = copy(arena, at);
    p->can_read = faccessat(AT_FDCWD, at, R_OK | X_OK, AT_EACCESS) == 0;
    p->can_write = S_ISDIR(st.st_mode) && faccessat(AT_FDCWD, at, W_OK | X_OK, AT_EACCESS) == 0;
    p->is_read_only = !p->can_write && errno == EROFS;
    if (statvfs(at, &fs) < 0)
        return;
    p->free_bytes = (uint64_t) fs.f_bavail * fs.f_frsize;
    p->free_inodes = fs.f_files ? fs.f_favail : HOLD_FACT_NO_LIMIT;
}

/* ---- memory ---- */

/* "MemTotal:  16384 kB" */
static uint64_t meminfo(const char *text, const char *key) {
    size_t n = strlen(key);
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        if (strncmp(line, key, n) == 0 && line[n] == ':')
            return strtoull(line + n + 1, NULL, 10) * 1024;
    return 0;
}

static bool read_number(const char *path, uint64_t *ret) {
    hold_autobuf text = hold_buf_with_max(128);
    struct hold_err ignored;
    if (hold_read_file(path, &text, &ignored) < 0 || !text.n || !isdigit((unsigned char) text.data[0]))
        return false; /* "max" is no limit */
    *ret = strtoull(text.data, NULL, 10);
    return true;
}

/* Page cache that goes when memory is needed is not used memory. */
static uint64_t used_of(const char *folder, const char *current, const char *inactive_key) {
    char path[PATH_MAX + 32];
    uint64_t used = 0, inactive = 0;
    hold_autobuf stat_text = hold_buf_with_max(64u << 10);
    struct hold_err ignored;
    snprintf(path, sizeof path, "%s/%s", folder, current);
    (void) read_number(path, &used);
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    if (hold_read_file(path, &stat_text, &ignored) == 0 && stat_text.n) {
        const char *line = strstr(stat_text.data, inactive_key);
        inactive = line ? strtoull(line + strlen(inactive_key), NULL, 10) : 0;
    }
    return used - HOLD_MIN(used, inactive);
}

/* From our own group up to the top: the smallest limit holds. Without a cgroup namespace the path may lie outside of what
 * is mounted; then only the top is read, which is the container's own. */
static void walk_limits(const char *top, const char *group, bool is_v2, struct hold_arena *arena, struct hold_fact_memory *m) {
    char folder[PATH_MAX], path[PATH_MAX + 32];
    snprintf(folder, sizeof folder, "%s%s", top, strcmp(group, "/") == 0 ? "" : group);
    for (;;) {
        uint64_t limit = 0;
        snprintf(path, sizeof path, "%s/%s", folder, is_v2 ? "memory.max" : "memory.limit_in_bytes");
        if (read_number(path, &limit) && limit < UNLIMITED_FROM && limit < m->limit) {
            m->limit = limit;
            m->limit_from = copy(arena, path);
            m->limit_used = used_of(folder, is_v2 ? "memory.current" : "memory.usage_in_bytes", is_v2 ? "\ninactive_file " : "\ntotal_inactive_file ");
        }
        char *slash = strrchr(folder, '/');
        if (strlen(folder) <= strlen(top) || !slash)
            return;
        *slash = '\0';
    }
}

static void gather_limits(struct hold_arena *arena, struct hold_fact_memory *m) {
    hold_autobuf text = hold_buf_with_max(64u << 10);
    struct hold_err ignored;
    m->limit = HOLD_FACT_NO_LIMIT;
    m->limit_from = "";
    if (hold_read_file("/proc/self/cgroup", &text, &ignored) < 0 || !text.n)
        return;
    char *rest = NULL;
    for (char *line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        if (strcmp(controllers + 1, "") == 0)
            walk_limits("/sys/fs/cgroup", group, true, arena, m);
        else if (strcmp(controllers + 1, "memory") == 0)
            walk_limits("/sys/fs/cgroup/memory", group, false, arena, m);
    }
}

void hold_facts_memory(struct hold_arena *arena, struct hold_fact_memory *m) {
    hold_autobuf text = hold_buf_with_max(64u << 10);
    struct hold_err ignored;
    struct statvfs shm;
    if (hold_read_file("/proc/meminfo", &text, &ignored) == 0 && text.n) {
        m->total = meminfo(text.data, "MemTotal");
        m->available = meminfo(text.data, "MemAvailable");
        m->swap_total = meminfo(text.data, "SwapTotal");
        m->swap_free = meminfo(text.data, "SwapFree");
    }
    m->shm_bytes = statvfs("/dev/shm", &shm) == 0 ? (uint64_t) shm.f_blocks * shm.f_frsize : 0;
    gather_limits(arena, m);
}

/* ---- kernel ---- */

static void gather_kernel(struct hold_arena *arena, struct hold_fact_kernel *k) {
    struct utsname name;
    if (uname(&name) == 0) {
        k->release = copy(arena, name.release);
        char *point = NULL;
        k->major = (uint32_t) strtoul(name.release, &point, 10);
        k->minor = point && *point == '.' ? (uint32_t) strtoul(point + 1, NULL, 10) : 0;
    } else {
        k->release = "unknown";
    }
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    k->landlock_abi = abi > 0 ? (int) abi : 0;
    uint32_t action = SECCOMP_RET_ERRNO;
    k->has_seccomp = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
    hold_autofd pidfd = (int) syscall(SYS_pidfd_open, getpid(), 0);
    k->has_pidfd = pidfd >= 0;
    k->has_openat2 = !(syscall(SYS_openat2, -1, NULL, NULL, 0) < 0 && errno == ENOSYS);
    k->has_no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) >= 0;
}

/* ---- python packages, without running python ---- */

/* Names are equal when they are after lower case and '-', '_', '.' runs as one '-'. */
static size_t same_name(const char *entry, const char *name) {
    const char *e = entry;
    while (*name) {
        bool is_mark = strchr("-_.", *name) != NULL;
        if (is_mark ? !strchr("-_.", *e) || !*e : tolower((unsigned char) *e) != tolower((unsigned char) *name))
            return 0;
        e++, name++;
        while (is_mark && *name && strchr("-_.", *name))
            name++;
        while (is_mark && *e && strchr("-_.", *e))
            e++;
    }
    return (size_t) (e - entry);
}

/* "vllm-0.8.5.dist-info" -> "0.8.5" */
static const char *version_in(const char *entry, const char *name, struct hold_arena *arena) {
    size_t n = same_name(entry, name);
    const char *end = strstr(entry, ".dist-info");
    end = end ? end : strstr(entry, ".egg-info");
    if (n == 0 || entry[n] != '-' || !end || end <= entry + n + 1)
        return NULL;
    char version[64];
    size_t m = strcspn(entry + n + 1, "-"); /* egg-info: "1.0-py3.11" */
    m = HOLD_MIN(HOLD_MIN(m, (size_t) (end - entry) - n - 1), sizeof version - 1);
    memcpy(version, entry + n + 1, m);
    version[m] = '\0';
    return copy(arena, version);
}

static void look_through(const char *folder, struct hold_facts *facts, struct hold_arena *arena, struct hold_buf *looked) {
    DIR *entries = opendir(folder);
    if (!entries)
        return;
    hold_buf_addf(looked, "%s%s", looked->n ? ":" : "", folder);
    for (struct dirent *e = readdir(entries); e; e = readdir(entries))
        for (size_t i = 0; i < facts->n_packages; i++)
            if (!facts->packages[i].version)
                facts->packages[i].version = version_in(e->d_name, facts->packages[i].name, arena);
    closedir(entries);
}

static void gather_packages(const struct hold_facts_asked *asked, struct hold_facts *facts, struct hold_arena *arena) {
    static const char *const usual[] = { "/usr/local/lib/python3*/site-packages", "/usr/local/lib/python3*/dist-packages", "/usr/lib/python3/dist-packages",
                                         "/usr/lib/python3*/site-packages",       "/opt/*/lib/python3*/site-packages",      "/opt/conda/envs/*/lib/python3*/site-packages" };
    for (size_t i = 0; i < asked->packages.n && facts->n_packages < HOLD_FACT_MAX_PACKAGES; i++) {
        const char *spec = asked->packages.at[i];
        size_t n = strcspn(spec, "<>=!~ ");
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int) HOLD_MIN(n, sizeof name - 1), spec);
        facts->packages[facts->n_packages++] = (struct hold_fact_package) { .name = copy(arena, name), .wanted = spec + n };
    }
    facts->python = "";
    if (facts->n_packages == 0)
        return;
    hold_autobuf looked = hold_buf_with_max(4096);
    glob_t found = { 0 };
    char pattern[PATH_MAX];
    for (size_t i = 0; i < asked->python.n; i++)
        look_through(asked->python.at[i], facts, arena, &looked);
    for (const char *at = asked->python_path ? asked->python_path : ""; *at; at += strcspn(at, ":"), at += *at == ':') {
        snprintf(pattern, sizeof pattern, "%.*s", (int) strcspn(at, ":"), at);
        look_through(pattern, facts, arena, &looked);
    }
    int flags = 0;
    const char *const homes[] = { asked->virtual_env, asked->home };
    for (size_t i = 0; i < HOLD_COUNT_OF(homes); i++) {
        snprintf(pattern, sizeof pattern, "%s%s/lib/python3*/site-packages", homes[i] ? homes[i] : "", i ? "/.local" : "");
        if (homes[i] && *homes[i] && glob(pattern, flags, NULL, &found) == 0)
            flags = GLOB_APPEND;
    }
    for (size_t i = 0; i < HOLD_COUNT_OF(usual); i++)
        if (glob(usual[i], flags, NULL, &found) == 0)
            flags = GLOB_APPEND;
    for (size_t i = 0; flags && i < HOLD_MIN((size_t) found.gl_pathc, (size_t) MAX_PYTHON_FOLDERS); i++)
        look_through(found.gl_pathv[i], facts, arena, &looked);
    if (flags)
        globfree(&found);
    facts->python = copy(arena, looked.data ? looked.data : "");
}

/* ---- all ---- */

void hold_facts_ask_needs(const struct hold_facts_asked *asked, uint64_t waited_ms, struct hold_arena *arena, struct hold_facts *facts) {
    for (size_t i = 0; i < facts->n_needs; i++) {
        struct hold_fact_need *need = &facts->needs[i];
        if (need->is_up)
            continue;
        char answer[200] = "";
        need->is_up = hold_fetch_ask(need->url, asked->ca_file, asked->ask_timeout_ms, answer, sizeof answer);
        if (!need->answer || strcmp(need->answer, answer) != 0)
            need->answer = copy(arena, answer);
        need->waited_ms = waited_ms;
    }
}

void hold_facts_gather(const struct hold_facts_asked *asked, struct hold_arena *arena, struct hold_facts *ret_facts) {
    struct hold_facts *f = ret_facts;
    *f = (struct hold_facts) { .uid = geteuid(), .gid = getegid(), .is_root = geteuid() == 0, .home = asked->home ? asked->home : "" };
    f->home_writable = *f->home && faccessat(AT_FDCWD, f->home, W_OK | X_OK, AT_EACCESS) == 0;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    f->n_cpus = cpus > 0 ? (size_t) cpus : 1;
    gather_path(f, arena, asked->model, HOLD_PATH_MODEL);
    if (asked->has_source)
        gather_path(f, arena, asked->model, HOLD_PATH_TARGET);
    gather_path(f, arena, asked->state_dir, HOLD_PATH_STATE);
    for (size_t i = 0; i < asked->writable.n; i++)
        gather_path(f, arena, asked->writable.at[i], HOLD_PATH_WRITABLE);
    hold_facts_model(asked, arena, &f->model);
    hold_facts_memory(arena, &f->memory);
    gather_kernel(arena, &f->kernel);
    f->device.module_version = f->device.library_error = f->device.init_text = "";
    if (asked->ask_gpu)
        hold_gpu_facts("", asked->gpu_timeout_ms, arena, &f->device);
    gather_packages(asked, f, arena);
    for (size_t i = 0; i < asked->needs.n && f->n_needs < HOLD_FACT_MAX_NEEDS; i++)
        f->needs[f->n_needs++] = (struct hold_fact_need) { .url = asked->needs.at[i] };
}
