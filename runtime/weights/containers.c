/* containers.c - the weights of any model, by the rules of their containers alone. Floor: runtime/weights, pure. */
#include "runtime/weights/containers.h"

#include "base/arena.h"
#include "base/list.h"
#include "runtime/weights/index.h"
#include "runtime/weights/safetensors.h"
#include "runtime/weights/torch.h"

#include <stdio.h>
#include <string.h>

enum { MAX_ARENA_BYTES = 512 << 20 };

static bool ends_with(const char *name, const char *end) {
    const size_t n = strlen(name), n_end = strlen(end);
    return n >= n_end && strcmp(name + n - n_end, end) == 0;
}

static const char *file_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_torch_name(const char *name) {
    return ends_with(name, ".bin") || ends_with(name, ".pth") || ends_with(name, ".pt") || ends_with(name, ".ckpt");
}

bool hold_torch_name_is_weights(const char *name) {
    static const char *const others[] = { "training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt" };
    const char *file = file_part(name);
    return is_torch_name(file) && hold_index_of(others, HOLD_COUNT_OF(others), file) < 0 && strncmp(file, "rng_state", 9) != 0;
}

static bool is_index_name(const char *name) {
    return ends_with(name, ".safetensors.index.json") || ends_with(name, ".bin.index.json");
}

bool hold_containers_reads(const char *name) {
    return ends_with(name, ".safetensors") || is_torch_name(name) || is_index_name(name);
}

/* A .bin may be anything; what is called pytorch_model or ends in .pth is one of PyTorch or damaged. */
static bool is_torch(const struct hold_model_file *f) {
    if (!hold_torch_name_is_weights(f->name))
        return false;
    return !ends_with(f->name, ".bin") || strncmp(file_part(f->name), "pytorch_model", 13) == 0 || hold_torch_begins(f->data, f->bytes);
}

/* Names and sizes are all that an index is compared by. */
static int torch_directory(const struct hold_model_file *f, struct hold_arena *arena, struct hold_st *ret_st, struct hold_err *err) {
    struct hold_torch torch;
    if (hold_torch_parse(f->data, f->bytes, f->name, arena, &torch, err) < 0)
        return -1;
    struct hold_st_tensor *tensors = hold_arena_array(arena, torch.n_tensors, sizeof *tensors);
    if (!tensors)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: no memory for a directory of %zu tensors", f->name, torch.n_tensors);
    for (size_t i = 0; i < torch.n_tensors; i++)
        tensors[i] = (struct hold_st_tensor) { .name = torch.tensors[i].name, .dtype = torch.tensors[i].dtype, .offset = torch.tensors[i].offset, .bytes = torch.tensors[i].bytes };
    *ret_st = (struct hold_st) { .tensors = tensors, .n_tensors = torch.n_tensors };
    return 0;
}

struct proof {
    const struct hold_model_file *files;
    size_t n_files;
    struct hold_bind_file *shards;
    size_t n_shards;
    struct hold_arena arena;
    struct hold_buf *warnings;
};

static int directories_read(struct proof *p, struct hold_err *err) {
    p->shards = hold_arena_array(&p->arena, p->n_files, sizeof *p->shards);
    if (!p->shards)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for %zu files", p->n_files);
    for (size_t i = 0; i < p->n_files; i++) {
        const struct hold_model_file *f = &p->files[i];
        struct hold_bind_file *shard = &p->shards[p->n_shards];
        int rc;
        if (ends_with(f->name, ".safetensors"))
            rc = hold_st_parse(f->data, f->bytes, f->name, &p->arena, &shard->st, err);
        else if (is_torch(f))
            rc = torch_directory(f, &p->arena, &shard->st, err);
        else
            continue;
        if (rc < 0)
            return -1;
        shard->name = f->name;
        p->n_shards++;
    }
    return 0;
}

static bool has_safetensors_beside(const struct proof *p, const char *name, size_t folder_n) {
    for (size_t i = 0; i < p->n_shards; i++)
        if (ends_with(p->shards[i].name, ".safetensors") && strncmp(p->shards[i].name, name, folder_n) == 0)
            return true;
    return false;
}

/* The files that an index speaks of lie in its own folder, and are of its kind. */
static int index_prove(struct proof *p, const struct hold_model_file *f, struct hold_err *err) {
    const size_t folder_n = (size_t) (file_part(f->name) - f->name);
    struct hold_index index;
    if (hold_index_parse(f->data, f->bytes, f->name, &p->arena, &index, err) < 0)
        return -1;
    struct hold_bind_file *beside = hold_arena_array(&p->arena, p->n_shards, sizeof *beside);
    size_t n = 0;
    if (!beside)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for %zu files", p->n_shards);
    for (size_t i = 0; i < p->n_shards; i++)
        if (strncmp(p->shards[i].name, f->name, folder_n) == 0 && hold_index_names(&index, p->shards[i].name + folder_n))
            beside[n++] = (struct hold_bind_file) { .name = p->shards[i].name + folder_n, .st = p->shards[i].st };
    if (n == 0 && ends_with(f->name, ".bin.index.json") && has_safetensors_beside(p, f->name, folder_n)) {
        if (p->warnings)
            hold_buf_addf(p->warnings, "%s names shards of which none is here: the weights beside it are safetensors\n", f->name);
        return 0;
    }
    struct hold_findings findings = { .lines = p->warnings };
    hold_index_check(&index, beside, n, &findings);
    return hold_findings_check(&findings, f->name, err);
}

int hold_containers_prove(const struct hold_model_file *files, size_t n_files, struct hold_buf *ret_warnings, struct hold_err *err) {
    struct proof p = { .files = files, .n_files = n_files, .arena = hold_arena_with_max(MAX_ARENA_BYTES), .warnings = ret_warnings };
    int rc = directories_read(&p, err);
    for (size_t i = 0; i < n_files && rc == 0; i++)
        if (is_index_name(files[i].name))
            rc = index_prove(&p, &files[i], err);
    for (size_t i = 0; i < n_files && rc == 0 && ret_warnings; i++)
        if (is_torch_name(files[i].name) && !is_torch(&files[i]))
            hold_buf_addf(ret_warnings, "%s is not one of a server's weights: it is not looked into\n", files[i].name);
    hold_arena_release(&p.arena);
    return rc;
}
