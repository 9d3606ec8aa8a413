/* facts.h - what this machine, model folder and network have. Floor: supervisor/job. */
#ifndef HOLD_SUPERVISOR_JOB_FACTS_H
#define HOLD_SUPERVISOR_JOB_FACTS_H

#include "base/arena.h"
#include "base/opt.h"
#include "supervisor/policy/preflight.h"

#define HOLD_FACTS_ARENA (64u << 20)

struct hold_facts_asked {
    const char *model;          /* model folder; "": none */
    const char *manifest_file;  /* pinned manifest; "": none */
    bool has_source;
    const char *state_dir;      /* "": none */
    struct hold_strs writable;  /* folders that the server must be able to write */
    struct hold_strs packages;  /* "vllm", "torch>=2.4" */
    struct hold_strs python;    /* folders with *.dist-info; the usual places are looked through as well */
    const char *python_path, *virtual_env, *home; /* of the environment; "" when not set */
    struct hold_strs needs;     /* tcp://host:port, http(s)://... */
    const char *ca_file;        /* NULL: libcurl's own */
    uint64_t ask_timeout_ms;    /* one question to a dependency */
    bool ask_gpu;
    uint64_t gpu_timeout_ms;
};

/* Everything but needs, which hold_facts_ask_needs asks. Strings live in the arena or in asked. Never fails: what cannot be
 * looked at is said so in the facts. Blocks (disk, driver). */
void hold_facts_gather(const struct hold_facts_asked *asked, struct hold_arena *arena, struct hold_facts *ret_facts);
/* Memory of the machine and the nearest limit of this cgroup and its parents, v1 or v2. Strings live in the arena. */
void hold_facts_memory(struct hold_arena *arena, struct hold_fact_memory *ret);
/* Asks each dependency that is not up yet, once; waited_ms goes into the facts. Blocks up to ask_timeout_ms for each. */
void hold_facts_ask_needs(const struct hold_facts_asked *asked, uint64_t waited_ms, struct hold_arena *arena, struct hold_facts *facts);
/* The model folder's part (facts_model.c). */
void hold_facts_model(const struct hold_facts_asked *asked, struct hold_arena *arena, struct hold_fact_model *ret_model);

#endif
