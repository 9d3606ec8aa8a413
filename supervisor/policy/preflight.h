/* preflight.h - gathered facts against needs; every finding at once, each with its cure. Floor: supervisor/policy, pure.
 *
 * supervisor/job/facts.c gathers, this judges, supervisor/job/preflight.c waits and prints. The same judgement serves
 * PREFLIGHT in process 1 and `holdfast doctor` in a terminal. */
#ifndef HOLD_SUPERVISOR_POLICY_PREFLIGHT_H
#define HOLD_SUPERVISOR_POLICY_PREFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_FACT_MAX_PATHS 16
#define HOLD_FACT_MAX_GPUS 16
#define HOLD_FACT_MAX_NODES 24
#define HOLD_FACT_MAX_PACKAGES 32
#define HOLD_FACT_MAX_NEEDS 32
#define HOLD_FACT_NO_LIMIT UINT64_MAX
#define HOLD_FINDING_MAX 96

/* What a path is for decides what is asked of it. */
enum hold_path_use { HOLD_PATH_MODEL, HOLD_PATH_TARGET, HOLD_PATH_STATE, HOLD_PATH_WRITABLE };

struct hold_fact_path {
    const char *path;
    enum hold_path_use use;
    bool exists, is_folder, can_read, can_write; /* as the asking user; can_write of the nearest folder when it does not exist */
    bool is_read_only;                           /* file system mounted read-only */
    int sys;                                     /* errno of the failed look, or 0 */
    uint32_t owner, group, mode;
    uint64_t free_bytes;   /* for this user; HOLD_FACT_NO_LIMIT when unknown */
    uint64_t free_inodes;  /* same; some file systems count none */
    const char *unwritable; /* the folder that would have to be writable; equals path or a parent */
};

enum hold_config_state { HOLD_MODEL_CONFIG_ABSENT, HOLD_MODEL_CONFIG_UNREADABLE, HOLD_MODEL_CONFIG_WRONG, HOLD_MODEL_CONFIG_READ };

struct hold_fact_model {
    bool is_asked;           /* false: no model folder is configured; nothing below is judged */
    bool has_folder;
    enum hold_config_state config;
    const char *config_text; /* WRONG or UNREADABLE: why; else "" */
    const char *type;        /* model_type of config.json, or "" */
    uint64_t bytes_present;  /* of weight files that are there */
    uint64_t bytes_total;    /* by manifest or index, when known; else bytes_present */
    size_t n_weights;        /* weight files there */
    size_t n_missing;        /* named by manifest or index and not there */
    const char *first_missing;
    size_t n_unreadable;     /* there, and not readable by this user */
    const char *first_unreadable;
    bool has_pointer;        /* a git-lfs pointer stands in for weights */
    const char *pointer;
    bool has_manifest, has_tokenizer;
};

struct hold_fact_memory {
    uint64_t total, available, swap_total, swap_free;
    uint64_t limit;        /* smallest limit of this cgroup and its parents; HOLD_FACT_NO_LIMIT: none */
    uint64_t limit_used;   /* of that cgroup, less page cache that can be dropped */
    const char *limit_from; /* the file it was read from, or "" */
    uint64_t shm_bytes;    /* size of /dev/shm; 0: not there */
};

struct hold_fact_gpu {
    const char *name;
    uint32_t major, minor; /* compute capability */
    uint64_t bytes_total, bytes_free; /* free: 0 when not measured */
};

struct hold_fact_node {
    const char *path;
    bool can_open;
    int sys;
};

struct hold_fact_device {
    bool has_module;            /* the kernel module is there (/proc/driver/nvidia/version) */
    const char *module_version; /* "" when unknown */
    bool has_library;           /* libcuda could be opened */
    const char *library_error;  /* why not */
    uint32_t driver_api;        /* 12040 for 12.4; 0: unknown */
    int init_code;              /* what cuInit said; 0 is success */
    const char *init_text;
    struct hold_fact_node nodes[HOLD_FACT_MAX_NODES];
    size_t n_nodes;
    struct hold_fact_gpu gpus[HOLD_FACT_MAX_GPUS];
    size_t n_gpus;
};

struct hold_fact_kernel {
    const char *release;
    uint32_t major, minor;
    int landlock_abi; /* 0: none */
    bool has_seccomp, has_pidfd, has_openat2, has_no_new_privs;
};

struct hold_fact_package {
    const char *name;
    const char *version; /* NULL: not found */
    const char *wanted;  /* ">=0.8" or "" */
};

/* A dependency that something else serves. */
struct hold_fact_need {
    const char *url; /* tcp://host:port, http://..., https://... */
    bool is_up;
    const char *answer; /* "connected in 3 ms", "HTTP 503", "name does not resolve" */
    uint64_t waited_ms;
};

struct hold_facts {
    uint32_t uid, gid;
    bool is_root;
    const char *home; /* $HOME or "" */
    bool home_writable;
    size_t n_cpus;
    struct hold_fact_path paths[HOLD_FACT_MAX_PATHS];
    size_t n_paths;
    struct hold_fact_model model;
    struct hold_fact_memory memory;
    struct hold_fact_device device;
    struct hold_fact_kernel kernel;
    const char *python; /* folders looked through, or "" */
    struct hold_fact_package packages[HOLD_FACT_MAX_PACKAGES];
    size_t n_packages;
    struct hold_fact_need needs[HOLD_FACT_MAX_NEEDS];
    size_t n_needs;
};

enum hold_want_device { HOLD_WANT_AUTO, HOLD_WANT_CPU, HOLD_WANT_CUDA };

/* What is asked of the machine. */
struct hold_wants {
    bool is_own_server;        /* holdfast-runtime: the model is judged as its own; else a foreign server */
    bool has_source;           /* missing model files can be fetched */
    bool is_sandboxed;         /* kernel features of the sandbox are wanted */
    enum hold_want_device device;
    uint64_t memory_bytes;     /* 0: judged from the model's bytes */
    uint64_t reserve_bytes;    /* disk that stays free */
};

enum hold_severity { HOLD_SEV_OK, HOLD_SEV_NOTE, HOLD_SEV_WARN, HOLD_SEV_FAIL };
const char *hold_severity_name(enum hold_severity severity);

struct hold_finding {
    enum hold_severity severity;
    const char *id;   /* stable: "memory-limit", "model-config", ... */
    int status;       /* of base/exit.def; 0 unless FAIL */
    bool may_pass;    /* FAIL that time may cure: waited for */
    char what[160];   /* the subject */
    char measured[160];
    char needed[160];
    char cure[240];   /* "" for OK */
};

struct hold_findings {
    struct hold_finding at[HOLD_FINDING_MAX];
    size_t n;
    size_t n_lost; /* more than fit */
};

/* Is model_type of config.json one that holdfast-runtime runs? */
bool hold_preflight_knows_model(const char *model_type);
/* Fills ret_findings with one finding for everything judged, sound ones too, in a fixed order. Total: never fails.
 * No number in facts is trusted to be consistent with another. */
void hold_preflight_judge(const struct hold_facts *facts, const struct hold_wants *wants, struct hold_findings *ret_findings);
/* The worst finding, FAIL before WARN before NOTE, first of its kind; a FAIL that cannot pass before one that may. NULL: none but OK. */
const struct hold_finding *hold_preflight_worst(const struct hold_findings *findings);
/* 0, or the exit status of the worst. */
int hold_preflight_status(const struct hold_findings *findings);
/* True when every FAIL may pass with time, and there is one. */
bool hold_preflight_may_pass(const struct hold_findings *findings);

#endif
