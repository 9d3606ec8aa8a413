/* preflight.c - what is wrong with this machine, model and configuration, all at once. Floor: supervisor/policy, pure. */
#include "supervisor/policy/preflight.h"

#include "base/exit.h"
#include "base/list.h"
#include "base/num.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define RUNTIME_OWN_BYTES (256 * MIB) /* front, engine and process 1 beside the weights */
#define SHM_WANTED_BYTES GIB          /* tensor-parallel servers exchange through it */
#define MIN_INODES 64

/* What findings are made of, so that a rule is one call. */
struct judge {
    const struct hold_facts *facts;
    const struct hold_wants *wants;
    struct hold_findings *out;
    struct hold_finding spare; /* takes what the full table does not */
};

const char *hold_severity_name(enum hold_severity severity) {
    static const char *const names[] = { "ok", "note", "warn", "fail" };
    return hold_name_at(names, HOLD_COUNT_OF(names), (size_t) severity);
}

/* A new finding, or a spare one when the table is full. */
static struct hold_finding *add(struct judge *j, enum hold_severity severity, const char *id, int status) {
    struct hold_finding *f = j->out->n < HOLD_FINDING_MAX ? &j->out->at[j->out->n++] : &j->spare;
    j->out->n_lost += f == &j->spare;
    *f = (struct hold_finding) { .severity = severity, .id = id, .status = severity == HOLD_SEV_FAIL ? status : 0 };
    return f;
}

HOLD_PRINTF(3, 4) static void put(char *to, size_t n, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(to, n, format, args);
    va_end(args);
}
#define WHAT(f, ...) put((f)->what, sizeof (f)->what, __VA_ARGS__)
#define MEASURED(f, ...) put((f)->measured, sizeof (f)->measured, __VA_ARGS__)
#define NEEDED(f, ...) put((f)->needed, sizeof (f)->needed, __VA_ARGS__)
#define CURE(f, ...) put((f)->cure, sizeof (f)->cure, __VA_ARGS__)

struct size_text {
    char text[24];
};
static struct size_text size_of(uint64_t bytes) {
    struct size_text t = { "" };
    if (bytes == HOLD_FACT_NO_LIMIT)
        put(t.text, sizeof t.text, "no limit");
    else if (bytes >= GIB)
        put(t.text, sizeof t.text, "%.1f GiB", (double) bytes / (double) GIB);
    else if (bytes >= MIB)
        put(t.text, sizeof t.text, "%.1f MiB", (double) bytes / (double) MIB);
    else
        put(t.text, sizeof t.text, "%llu B", (unsigned long long) bytes);
    return t;
}
#define SIZE(bytes) (size_of(bytes).text)

static const char *text_of(const char *text) {
    return text ? text : "";
}

/* ---- kernel ---- */

static void judge_kernel(struct judge *j) {
    const struct hold_fact_kernel *k = &j->facts->kernel;
    bool is_new = k->major > 5 || (k->major == 5 && k->minor >= 10);
    bool is_sound = is_new && k->has_pidfd;
    struct hold_finding *f = add(j, is_sound ? HOLD_SEV_OK : HOLD_SEV_FAIL, "kernel", HOLD_EXIT_KERNEL);
    WHAT(f, "kernel");
    MEASURED(f, "%s%s", text_of(k->release), k->has_pidfd ? "" : ", no pidfd");
    NEEDED(f, "5.10 or newer, pidfd");
    if (!is_sound)
        CURE(f, "%s", is_new ? "allow pidfd_open in the container's seccomp profile" : "move to a node with Linux 5.10 or newer");
    if (!j->wants->is_sandboxed)
        return;
    bool has_all = k->has_seccomp && k->landlock_abi > 0 && k->has_no_new_privs;
    f = add(j, has_all ? HOLD_SEV_OK : HOLD_SEV_WARN, "kernel-sandbox", 0);
    WHAT(f, "sandbox layers of the kernel");
    MEASURED(f, "seccomp %s, Landlock %s", k->has_seccomp ? "yes" : "no", k->landlock_abi > 0 ? "yes" : "no");
    NEEDED(f, "seccomp and Landlock (5.13)");
    if (!has_all)
        CURE(f, "the other layers still apply; a node with lsm=landlock gives this one too");
}

/* ---- paths ---- */

static const char *use_name(enum hold_path_use use) {
    switch (use) {
    case HOLD_PATH_MODEL: return "model folder";
    case HOLD_PATH_TARGET: return "folder to fetch into";
    case HOLD_PATH_STATE: return "state folder";
    case HOLD_PATH_WRITABLE: return "writable folder";
    }
    return "folder";
}

/* Is something to be brought into the model folder? */
static bool must_fetch(const struct judge *j) {
    const struct hold_fact_model *m = &j->facts->model;
    return j->wants->has_source && (!m->has_folder || m->config != HOLD_MODEL_CONFIG_READ || m->n_missing > 0 || m->has_pointer ||
                                    m->n_weights == 0 || m->bytes_present < m->bytes_total);
}

static void judge_path_write(struct judge *j, const struct hold_fact_path *p) {
    struct hold_finding *f = add(j, p->can_write ? HOLD_SEV_OK : HOLD_SEV_FAIL, "path-write", HOLD_EXIT_PERMISSION);
    WHAT(f, "%s %.90s", use_name(p->use), p->path);
    NEEDED(f, "writable for uid %u gid %u", j->facts->uid, j->facts->gid);
    if (p->can_write) {
        MEASURED(f, "writable, %s free", SIZE(p->free_bytes));
        return;
    }
    const char *where = p->unwritable ? p->unwritable : p->path;
    if (p->is_read_only) {
        MEASURED(f, "on a read-only file system");
        CURE(f, "mount it read-write, or mount an emptyDir or volume at %.120s", p->path);
    } else {
        const bool is_itself = strcmp(where, p->path) == 0;
        MEASURED(f, "%.80s%sowner %u:%u mode %04o", is_itself ? "" : where, is_itself ? "" : ": ", p->owner, p->group, p->mode & 07777);
        if (p->use == HOLD_PATH_STATE)
            CURE(f, "name a folder that it can write (--state-dir), or mount an emptyDir at %.100s", p->path);
        else
            CURE(f, "chown it to %u, or set fsGroup: %u in the pod, or mount a writable volume at %.100s", j->facts->uid, j->facts->gid, p->path);
    }
}

static void judge_path_read(struct judge *j, const struct hold_fact_path *p) {
    if (!p->exists)
        return; /* the model's rules say what that means */
    bool is_sound = p->is_folder && p->can_read;
    struct hold_finding *f = add(j, is_sound ? HOLD_SEV_OK : HOLD_SEV_FAIL, "path-read", HOLD_EXIT_PERMISSION);
    WHAT(f, "%s %.90s", use_name(p->use), p->path);
    NEEDED(f, "a folder that uid %u gid %u can read", j->facts->uid, j->facts->gid);
    MEASURED(f, "%s, owner %u:%u mode %04o", p->is_folder ? p->can_read ? "readable" : "not readable" : "not a folder", p->owner, p->group, p->mode & 07777);
    if (!is_sound)
        CURE(f, "%s", p->is_folder ? "make it readable (chmod -R a+rX), or set runAsUser or fsGroup to its owner" : "name the folder that holds config.json");
}

static void judge_inodes(struct judge *j, const struct hold_fact_path *p) {
    if (!p->can_write || p->free_inodes >= MIN_INODES)
        return;
    struct hold_finding *f = add(j, HOLD_SEV_FAIL, "disk-inodes", HOLD_EXIT_DISK);
    WHAT(f, "%s %.90s", use_name(p->use), p->path);
    MEASURED(f, "%llu free inodes", (unsigned long long) p->free_inodes);
    NEEDED(f, "%d", MIN_INODES);
    CURE(f, "remove files from the volume, or make it with more inodes");
}

static void judge_paths(struct judge *j) {
    for (size_t i = 0; i < HOLD_MIN(j->facts->n_paths, (size_t) HOLD_FACT_MAX_PATHS); i++) {
        const struct hold_fact_path *p = &j->facts->paths[i];
        bool is_written = p->use == HOLD_PATH_STATE || p->use == HOLD_PATH_WRITABLE || (p->use == HOLD_PATH_TARGET && must_fetch(j));
        if (p->use == HOLD_PATH_MODEL)
            judge_path_read(j, p);
        if (is_written) {
            judge_path_write(j, p);
            judge_inodes(j, p);
        }
    }
}

/* ---- model ---- */

bool hold_preflight_knows_model(const char *model_type) {
    return strcmp(model_type, "glm4v") == 0 || strcmp(model_type, "glm4") == 0;
}

static void judge_config(struct judge *j) {
    const struct hold_fact_model *m = &j->facts->model;
    bool has_source = j->wants->has_source;
    struct hold_finding *f = NULL;
    switch (m->config) {
    case HOLD_MODEL_CONFIG_ABSENT:
        f = add(j, has_source ? HOLD_SEV_NOTE : HOLD_SEV_FAIL, "model-config", HOLD_EXIT_NO_MODEL);
        MEASURED(f, "%s", m->has_folder ? "no config.json in the model folder" : "the model folder does not exist");
        CURE(f, "%s", has_source ? "it will be fetched" : "mount the model there, or set --model-source");
        break;
    case HOLD_MODEL_CONFIG_UNREADABLE:
        f = add(j, HOLD_SEV_FAIL, "model-config", HOLD_EXIT_PERMISSION);
        MEASURED(f, "%.150s", text_of(m->config_text));
        CURE(f, "make the model's files readable for uid %u gid %u (chmod -R a+rX, or fsGroup)", j->facts->uid, j->facts->gid);
        break;
    case HOLD_MODEL_CONFIG_WRONG:
        f = add(j, has_source ? HOLD_SEV_WARN : HOLD_SEV_FAIL, "model-config", HOLD_EXIT_PREFLIGHT);
        MEASURED(f, "%.150s", text_of(m->config_text));
        CURE(f, "%s", has_source ? "it will be fetched again" : "bring config.json again: it is damaged or not a model's");
        break;
    case HOLD_MODEL_CONFIG_READ: {
        bool is_known = !j->wants->is_own_server || hold_preflight_knows_model(text_of(m->type));
        f = add(j, is_known ? HOLD_SEV_OK : HOLD_SEV_FAIL, "model-config", HOLD_EXIT_VERIFY_MODEL); /* as verify says after a fetch */
        MEASURED(f, "model_type \"%.60s\"", text_of(m->type));
        if (!is_known)
            CURE(f, "holdfast-runtime runs glm4v; run another server with `holdfast -- COMMAND`");
        break;
    }
    }
    if (!f)
        return;
    WHAT(f, "config.json");
    NEEDED(f, "%s", j->wants->is_own_server ? "a readable model of type glm4v" : "a readable model configuration");
}

static void judge_weights(struct judge *j) {
    const struct hold_fact_model *m = &j->facts->model;
    struct hold_finding *f;
    if (m->n_unreadable) {
        f = add(j, HOLD_SEV_FAIL, "model-weights", HOLD_EXIT_PERMISSION);
        MEASURED(f, "%zu not readable, first %.100s", m->n_unreadable, text_of(m->first_unreadable));
        CURE(f, "make the model's files readable for uid %u gid %u (chmod -R a+rX, or fsGroup)", j->facts->uid, j->facts->gid);
    } else if (m->has_pointer) {
        f = add(j, j->wants->has_source ? HOLD_SEV_WARN : HOLD_SEV_FAIL, "model-weights", HOLD_EXIT_NO_MODEL);
        MEASURED(f, "%.90s is a git-lfs pointer, not weights", text_of(m->pointer));
        CURE(f, "%s", j->wants->has_source ? "it will be fetched" : "run `git lfs pull` where the model was cloned, or set --model-source");
    } else if (m->n_missing || m->n_weights == 0) {
        f = add(j, j->wants->has_source ? HOLD_SEV_NOTE : HOLD_SEV_FAIL, "model-weights", HOLD_EXIT_NO_MODEL);
        if (m->n_weights == 0 && m->n_missing == 0)
            MEASURED(f, "no weight file is there");
        else
            MEASURED(f, "%zu missing, first %.100s", m->n_missing, text_of(m->first_missing));
        CURE(f, "%s", j->wants->has_source ? "what is missing will be fetched" : "mount the whole model, or set --model-source");
    } else {
        f = add(j, HOLD_SEV_OK, "model-weights", 0);
        MEASURED(f, "%zu files, %s", m->n_weights, SIZE(m->bytes_present));
    }
    WHAT(f, "model files");
    NEEDED(f, "every file that the manifest or index names");
}

static void judge_model(struct judge *j) {
    const struct hold_fact_model *m = &j->facts->model;
    if (!m->is_asked)
        return;
    judge_config(j);
    judge_weights(j);
    if (!j->wants->is_own_server || m->config != HOLD_MODEL_CONFIG_READ)
        return;
    struct hold_finding *f = add(j, m->has_tokenizer ? HOLD_SEV_OK : j->wants->has_source ? HOLD_SEV_NOTE : HOLD_SEV_FAIL, "model-tokenizer", HOLD_EXIT_NO_MODEL);
    WHAT(f, "tokenizer.json");
    MEASURED(f, "%s", m->has_tokenizer ? "there" : "missing");
    NEEDED(f, "there");
    if (!m->has_tokenizer)
        CURE(f, "%s", j->wants->has_source ? "it will be fetched" : "bring it from the model's repository");
}

/* ---- memory and disk ---- */

static uint64_t memory_needed(const struct judge *j) {
    if (j->wants->memory_bytes)
        return j->wants->memory_bytes;
    uint64_t model = HOLD_MAX(j->facts->model.bytes_total, j->facts->model.bytes_present);
    uint64_t needed = 0;
    if (!j->facts->model.is_asked || model == 0 || !hold_add_u64(model, model / 16 + RUNTIME_OWN_BYTES, &needed))
        return 0;
    return needed;
}

static void judge_limit(struct judge *j, uint64_t needed, bool must_fit) {
    const struct hold_fact_memory *m = &j->facts->memory;
    bool is_limited = m->limit != HOLD_FACT_NO_LIMIT;
    uint64_t most = is_limited ? m->limit : m->total;
    if (most == 0)
        return;
    bool fits = needed <= most;
    struct hold_finding *f = add(j, fits ? HOLD_SEV_OK : must_fit ? HOLD_SEV_FAIL : HOLD_SEV_WARN, "memory-limit", HOLD_EXIT_MEMORY);
    WHAT(f, "%s", is_limited ? "memory limit of the container" : "memory of the machine");
    MEASURED(f, "%s%s%.80s%s", SIZE(most), is_limited && *text_of(m->limit_from) ? " (" : "", is_limited ? text_of(m->limit_from) : "",
             is_limited && *text_of(m->limit_from) ? ")" : "");
    if (needed)
        NEEDED(f, "%s for weights and server", SIZE(needed));
    else
        NEEDED(f, "unknown until the model is there");
    if (!fits)
        CURE(f, "raise resources.limits.memory to at least %lluMi, or take a smaller dtype", (unsigned long long) ((needed - 1) / MIB + 1));
}

static void judge_memory(struct judge *j) {
    const struct hold_fact_memory *m = &j->facts->memory;
    uint64_t needed = memory_needed(j);
    bool uses_gpu = j->wants->device != HOLD_WANT_CPU && j->facts->device.n_gpus > 0;
    judge_limit(j, needed, (j->wants->is_own_server && !uses_gpu) || j->wants->memory_bytes);
    if (needed && needed <= m->total && m->available < needed && m->available) {
        struct hold_finding *f = add(j, HOLD_SEV_WARN, "memory-available", 0);
        WHAT(f, "memory available now");
        MEASURED(f, "%s of %s", SIZE(m->available), SIZE(m->total));
        NEEDED(f, "%s", SIZE(needed));
        CURE(f, "other processes on this node hold the rest; set a memory request so that the scheduler reserves it");
    }
    if (m->swap_total) {
        uint64_t used = m->swap_total - HOLD_MIN(m->swap_free, m->swap_total);
        bool is_used = used > m->swap_total / 4;
        struct hold_finding *f = add(j, is_used ? HOLD_SEV_WARN : HOLD_SEV_OK, "swap", 0);
        WHAT(f, "swap");
        MEASURED(f, "%s of %s used", SIZE(used), SIZE(m->swap_total));
        NEEDED(f, "little used: weights in swap make each token wait for the disk");
        if (is_used)
            CURE(f, "free memory on this node, or turn swap off for this container");
    }
    if (!j->wants->is_own_server && m->shm_bytes < SHM_WANTED_BYTES) {
        struct hold_finding *f = add(j, HOLD_SEV_NOTE, "shm", 0);
        WHAT(f, "/dev/shm");
        MEASURED(f, "%s", SIZE(m->shm_bytes));
        NEEDED(f, "%s for servers that run one process a GPU", SIZE(SHM_WANTED_BYTES));
        CURE(f, "mount an emptyDir with medium: Memory at /dev/shm, or run with --shm-size");
    }
}

static void judge_disk(struct judge *j) {
    const struct hold_fact_model *m = &j->facts->model;
    for (size_t i = 0; i < HOLD_MIN(j->facts->n_paths, (size_t) HOLD_FACT_MAX_PATHS); i++) {
        const struct hold_fact_path *p = &j->facts->paths[i];
        if (p->use != HOLD_PATH_TARGET || !must_fetch(j) || p->free_bytes == HOLD_FACT_NO_LIMIT)
            continue;
        uint64_t missing = m->bytes_total > m->bytes_present ? m->bytes_total - m->bytes_present : 0, needed = 0;
        if (!hold_add_u64(missing, j->wants->reserve_bytes, &needed))
            needed = UINT64_MAX - 1;
        bool fits = p->free_bytes >= needed;
        struct hold_finding *f = add(j, fits ? HOLD_SEV_OK : HOLD_SEV_FAIL, "disk", HOLD_EXIT_DISK);
        WHAT(f, "disk at %.120s", p->path);
        MEASURED(f, "%s free", SIZE(p->free_bytes));
        if (missing)
            NEEDED(f, "%s to fetch and %s reserve", SIZE(missing), SIZE(j->wants->reserve_bytes));
        else
            NEEDED(f, "%s reserve, and what the source turns out to hold", SIZE(j->wants->reserve_bytes));
        if (!fits)
            CURE(f, "free or grow the volume by %s", SIZE(needed - p->free_bytes));
    }
}

/* ---- devices ---- */

/* The first thing between us and a GPU, in the order in which a driver stack is built up. NULL: nothing. */
static const char *device_obstacle(const struct judge *j, struct hold_finding *f) {
    const struct hold_fact_device *d = &j->facts->device;
    if (!d->has_module && d->n_nodes == 0) {
        MEASURED(f, "no NVIDIA driver and no /dev/nvidia* here");
        return "schedule on a GPU node, ask for nvidia.com/gpu, and use the NVIDIA runtime class";
    }
    if (d->n_nodes == 0) {
        MEASURED(f, "driver %.40s is loaded, but no /dev/nvidia* in the container", text_of(d->module_version));
        return "ask for nvidia.com/gpu (or --gpus, --device): the container runtime makes the nodes";
    }
    for (size_t i = 0; i < HOLD_MIN(d->n_nodes, (size_t) HOLD_FACT_MAX_NODES); i++)
        if (!d->nodes[i].can_open) {
            MEASURED(f, "%.60s: %.60s", d->nodes[i].path, strerrordesc_np(d->nodes[i].sys) ? strerrordesc_np(d->nodes[i].sys) : "cannot be opened");
            return "add the node's group to supplementalGroups, or allow the device in the container's cgroup";
        }
    if (!d->has_library) {
        MEASURED(f, "libcuda: %.120s", text_of(d->library_error));
        return "set NVIDIA_DRIVER_CAPABILITIES=compute,utility so that the runtime mounts the driver's libraries";
    }
    if (d->init_code != 0) {
        MEASURED(f, "cuInit: %d %.100s", d->init_code, text_of(d->init_text));
        return d->init_code == 100 || d->init_code == 101 ? "no device is visible: check CUDA_VISIBLE_DEVICES and NVIDIA_VISIBLE_DEVICES"
                                                          : "driver and library do not fit each other, or the GPU is lost: see dmesg for Xid, restart the node's driver";
    }
    if (d->n_gpus == 0) {
        MEASURED(f, "the driver shows no GPU");
        return "check CUDA_VISIBLE_DEVICES and NVIDIA_VISIBLE_DEVICES";
    }
    return NULL;
}

static void judge_gpus(struct judge *j) {
    const struct hold_fact_device *d = &j->facts->device;
    uint64_t model = HOLD_MAX(j->facts->model.bytes_total, j->facts->model.bytes_present);
    for (size_t i = 0; i < HOLD_MIN(d->n_gpus, (size_t) HOLD_FACT_MAX_GPUS); i++) {
        const struct hold_fact_gpu *g = &d->gpus[i];
        bool is_new = g->major >= 8 || !j->wants->is_own_server;
        bool fits = g->bytes_total >= model || !j->wants->is_own_server;
        struct hold_finding *f = add(j, is_new && fits ? HOLD_SEV_OK : HOLD_SEV_WARN, "gpu", 0);
        WHAT(f, "GPU %zu %.100s", i, text_of(g->name));
        MEASURED(f, "compute %u.%u, %s", g->major, g->minor, SIZE(g->bytes_total));
        NEEDED(f, "compute 8.0, %s for the weights", SIZE(model));
        if (!is_new)
            CURE(f, "this GPU is too old for holdfast-runtime: it will use the CPU, or take a newer one");
        else if (!fits)
            CURE(f, "take a larger GPU, or allow int8 (--dtype int8)");
    }
}

static void judge_device(struct judge *j) {
    const struct hold_fact_device *d = &j->facts->device;
    if (j->wants->device == HOLD_WANT_CPU)
        return;
    bool is_wanted = j->wants->device == HOLD_WANT_CUDA;
    struct hold_finding *f = add(j, HOLD_SEV_OK, "device", 0);
    WHAT(f, "GPU and driver");
    NEEDED(f, "%s", is_wanted ? "a usable GPU (--device cuda)" : "a usable GPU, else the CPU is used");
    const char *cure = device_obstacle(j, f);
    if (!cure) {
        MEASURED(f, "%zu GPU%s, driver %.40s, CUDA %u.%u", d->n_gpus, d->n_gpus == 1 ? "" : "s", text_of(d->module_version), d->driver_api / 1000, d->driver_api % 1000 / 10);
        judge_gpus(j);
        return;
    }
    bool is_half_there = d->has_module || d->n_nodes > 0;
    f->severity = is_wanted ? HOLD_SEV_FAIL : is_half_there ? HOLD_SEV_WARN : HOLD_SEV_NOTE;
    f->status = is_wanted ? HOLD_EXIT_DEVICE : 0;
    CURE(f, "%s", cure);
}

/* ---- packages and dependencies ---- */

/* Compares dotted numbers; what follows digits and points ("rc1", "+cu12") is not looked at. */
static int compare_versions(const char *a, const char *b) {
    for (;;) {
        uint64_t x = 0, y = 0;
        for (; *a >= '0' && *a <= '9' && x < 1000000000; a++)
            x = x * 10 + (uint64_t) (*a - '0');
        for (; *b >= '0' && *b <= '9' && y < 1000000000; b++)
            y = y * 10 + (uint64_t) (*b - '0');
        if (x != y)
            return x < y ? -1 : 1;
        bool more_a = *a == '.' && a[1] >= '0' && a[1] <= '9', more_b = *b == '.' && b[1] >= '0' && b[1] <= '9';
        if (!more_a && !more_b)
            return 0;
        a += more_a;
        b += more_b;
    }
}

static bool version_is_right(const char *version, const char *wanted) {
    if (strncmp(wanted, ">=", 2) == 0)
        return compare_versions(version, wanted + 2) >= 0;
    if (strncmp(wanted, "==", 2) == 0)
        return compare_versions(version, wanted + 2) == 0;
    return true;
}

static void judge_packages(struct judge *j) {
    for (size_t i = 0; i < HOLD_MIN(j->facts->n_packages, (size_t) HOLD_FACT_MAX_PACKAGES); i++) {
        const struct hold_fact_package *p = &j->facts->packages[i];
        bool is_right = p->version && version_is_right(p->version, text_of(p->wanted));
        struct hold_finding *f = add(j, is_right ? HOLD_SEV_OK : HOLD_SEV_FAIL, "package", HOLD_EXIT_PACKAGE);
        WHAT(f, "python package %.100s", p->name);
        MEASURED(f, "%.100s", p->version ? p->version : "not found");
        NEEDED(f, "%.100s", *text_of(p->wanted) ? p->wanted : "installed");
        if (!is_right)
            CURE(f, "install it in the image, or name its folder with --python (looked in %.120s)", *text_of(j->facts->python) ? j->facts->python : "no folder");
    }
}

static void judge_needs(struct judge *j) {
    for (size_t i = 0; i < HOLD_MIN(j->facts->n_needs, (size_t) HOLD_FACT_MAX_NEEDS); i++) {
        const struct hold_fact_need *n = &j->facts->needs[i];
        struct hold_finding *f = add(j, n->is_up ? HOLD_SEV_OK : HOLD_SEV_FAIL, "dependency", HOLD_EXIT_DEPENDENCY);
        f->may_pass = !n->is_up;
        WHAT(f, "dependency %.120s", n->url);
        MEASURED(f, "%.110s%s", text_of(n->answer), n->waited_ms >= 1000 ? ", waited for" : "");
        NEEDED(f, "%s", strncmp(n->url, "tcp://", 6) == 0 ? "accepts connections" : "answers 2xx or 3xx");
        if (!n->is_up)
            CURE(f, "start it, or correct its address; --need-timeout says how long it is waited for");
    }
}

static void judge_home(struct judge *j) {
    if (j->wants->is_own_server || j->facts->home_writable)
        return;
    struct hold_finding *f = add(j, HOLD_SEV_WARN, "home", 0);
    WHAT(f, "HOME %.120s", *text_of(j->facts->home) ? j->facts->home : "(not set)");
    MEASURED(f, "not writable for uid %u", j->facts->uid);
    NEEDED(f, "writable: servers keep caches below it");
    CURE(f, "set HOME to a writable folder, for example HOME=/tmp");
}

void hold_preflight_judge(const struct hold_facts *facts, const struct hold_wants *wants, struct hold_findings *ret_findings) {
    struct judge j = { .facts = facts, .wants = wants, .out = ret_findings };
    ret_findings->n = ret_findings->n_lost = 0;
    judge_kernel(&j);
    judge_paths(&j);
    judge_model(&j);
    judge_memory(&j);
    judge_disk(&j);
    judge_device(&j);
    judge_packages(&j);
    judge_needs(&j);
    judge_home(&j);
}

const struct hold_finding *hold_preflight_worst(const struct hold_findings *findings) {
    const struct hold_finding *worst = NULL;
    for (size_t i = 0; i < findings->n; i++) {
        const struct hold_finding *f = &findings->at[i];
        if (f->severity == HOLD_SEV_OK)
            continue;
        if (!worst || f->severity > worst->severity || (f->severity == worst->severity && worst->may_pass && !f->may_pass))
            worst = f;
    }
    return worst;
}

int hold_preflight_status(const struct hold_findings *findings) {
    const struct hold_finding *worst = hold_preflight_worst(findings);
    return worst && worst->severity == HOLD_SEV_FAIL ? worst->status : HOLD_EXIT_OK;
}

bool hold_preflight_may_pass(const struct hold_findings *findings) {
    bool has_fail = false;
    for (size_t i = 0; i < findings->n; i++) {
        if (findings->at[i].severity != HOLD_SEV_FAIL)
            continue;
        if (!findings->at[i].may_pass)
            return false;
        has_fail = true;
    }
    return has_fail;
}
