/* load.c - a plan and its files to struct hold_weights, tensor by tensor. Floor: runtime/engine. */
#include "runtime/engine/load.h"

#include "base/auto.h"
#include "base/list.h"
#include "base/map.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define WINDOW_BYTES (16u << 20)
#define BLOCK_BYTES (UINT64_C(1) << 30)

/* One file of the plan while its tensors are read, or as long as they are used in place. */
struct part_file {
    int fd; /* -1: not open */
    bool is_ours;
    struct hold_map map; /* empty: not mapped */
};

struct parts {
    struct part_file *files;
    size_t n_files;
    void **blocks; /* device memory */
    size_t n_blocks, max_blocks;
    uint64_t block_used, block_bytes; /* of the last block */
};

/* One load while it runs. */
struct job {
    const struct hold_load *load;
    struct hold_stream *s;
    struct hold_loaded *out;
    struct parts *parts;
    bool is_host;
    uint64_t total_bytes, done_bytes, left_device_bytes;
    unsigned char *window, *spare; /* host, WINDOW_BYTES each; spare is the device's staging area where it is not the host */
    void *staging;                 /* device, WINDOW_BYTES; NULL on a host device */
};

static enum hold_dtype stored_dtype(uint32_t dtype) {
    return dtype == HOLD_PLAN_BF16 ? HOLD_BF16 : dtype == HOLD_PLAN_F32 ? HOLD_F32 : dtype == HOLD_PLAN_F16 ? HOLD_F16 : HOLD_DTYPE_NONE;
}

static enum hold_dtype wanted_dtype(enum hold_dtype stored, enum hold_dtype act) {
    return act == HOLD_BF16 ? HOLD_BF16 : stored == HOLD_F16 ? HOLD_F32 : stored;
}

/* A slot in struct hold_weights and the matrix it wants. */
struct slot {
    struct hold_t2 *view;
    uint64_t rows, cols;
};

/* The merge x merge filter of the tower is stored [out][channel][y][x] and used [out][y][x][channel]. */
static bool is_reordered(uint32_t role) {
    return role == HOLD_ROLE_V_DOWNSAMPLE;
}

static struct slot text_slot(struct hold_weights *w, uint32_t role, uint32_t number) {
    const struct hold_record *r = &w->record;
    struct hold_decoder *d = &w->decoder;
    struct hold_layer *l = number < r->n_layers ? &w->layers[number] : NULL;
    uint64_t q = (uint64_t) r->n_heads * r->head_dim, kv = (uint64_t) r->n_kv_heads * r->head_dim, hidden = r->hidden;
    if (role == HOLD_ROLE_EMBED)
        return (struct slot) { &d->embed, r->vocab, hidden };
    if (role == HOLD_ROLE_FINAL_NORM)
        return (struct slot) { &d->final_norm, 1, hidden };
    if (role == HOLD_ROLE_LM_HEAD)
        return (struct slot) { &d->lm_head, r->vocab, hidden };
    if (!l)
        return (struct slot) { 0 };
    const struct slot slots[] = {
        [HOLD_ROLE_INPUT_NORM] = { &l->input_norm, 1, hidden },
        [HOLD_ROLE_Q] = { &l->q, q, hidden },
        [HOLD_ROLE_Q_BIAS] = { &l->q_bias, 1, q },
        [HOLD_ROLE_K] = { &l->k, kv, hidden },
        [HOLD_ROLE_K_BIAS] = { &l->k_bias, 1, kv },
        [HOLD_ROLE_V] = { &l->v, kv, hidden },
        [HOLD_ROLE_V_BIAS] = { &l->v_bias, 1, kv },
        [HOLD_ROLE_O] = { &l->o, hidden, q },
        [HOLD_ROLE_POST_ATTN_NORM] = { &l->post_attn_norm, 1, hidden },
        [HOLD_ROLE_PRE_MLP_NORM] = { &l->pre_mlp_norm, 1, hidden },
        [HOLD_ROLE_GATE_UP] = { &l->gate_up, 2 * (uint64_t) r->intermediate, hidden },
        [HOLD_ROLE_DOWN] = { &l->down, hidden, r->intermediate },
        [HOLD_ROLE_POST_MLP_NORM] = { &l->post_mlp_norm, 1, hidden },
    };
    return role < HOLD_COUNT_OF(slots) ? slots[role] : (struct slot) { 0 };
}

static struct slot block_slot(struct hold_weights *w, uint32_t role, uint32_t number) {
    const struct hold_record *r = &w->record;
    uint64_t hidden = r->vision_hidden, mlp = r->vision_mlp;
    if (number >= r->vision_depth)
        return (struct slot) { 0 };
    struct hold_block *b = &w->blocks[number];
    const struct slot slots[HOLD_ROLE_COUNT] = {
        [HOLD_ROLE_V_NORM1] = { &b->norm1, 1, hidden },
        [HOLD_ROLE_V_NORM2] = { &b->norm2, 1, hidden },
        [HOLD_ROLE_V_QKV] = { &b->qkv, 3 * hidden, hidden },
        [HOLD_ROLE_V_PROJ] = { &b->proj, hidden, hidden },
        [HOLD_ROLE_V_GATE] = { &b->gate, mlp, hidden },
        [HOLD_ROLE_V_UP] = { &b->up, mlp, hidden },
        [HOLD_ROLE_V_DOWN] = { &b->down, hidden, mlp },
    };
    return slots[role];
}

static struct slot tower_slot(struct hold_weights *w, uint32_t role) {
    const struct hold_record *r = &w->record;
    struct hold_tower *t = &w->tower;
    uint64_t hidden = r->vision_hidden, out = r->vision_out, mlp = r->merger_mlp;
    const struct slot slots[HOLD_ROLE_COUNT] = {
        [HOLD_ROLE_V_PATCH] = { &t->patch, hidden, t->patch_len },
        [HOLD_ROLE_V_PATCH_BIAS] = { &t->patch_bias, 1, hidden },
        [HOLD_ROLE_V_CONV_NORM] = { &t->conv_norm, 1, hidden },
        [HOLD_ROLE_V_POSITION] = { &t->position, (uint64_t) r->position_rows * r->position_rows, hidden },
        [HOLD_ROLE_V_POST_NORM] = { &t->post_norm, 1, hidden },
        [HOLD_ROLE_V_DOWNSAMPLE] = { &t->downsample, out, (uint64_t) r->merge * r->merge * hidden },
        [HOLD_ROLE_V_DOWNSAMPLE_BIAS] = { &t->downsample_bias, 1, out },
        [HOLD_ROLE_M_PROJ] = { &t->merger_proj, out, out },
        [HOLD_ROLE_M_NORM] = { &t->merger_norm, 1, out },
        [HOLD_ROLE_M_NORM_BIAS] = { &t->merger_norm_bias, 1, out },
        [HOLD_ROLE_M_GATE] = { &t->merger_gate, mlp, out },
        [HOLD_ROLE_M_UP] = { &t->merger_up, mlp, out },
        [HOLD_ROLE_M_DOWN] = { &t->merger_down, out, mlp },
    };
    return slots[role];
}

static struct slot slot_of(struct hold_weights *w, uint32_t role, uint32_t number) {
    if (role >= HOLD_ROLE_COUNT)
        return (struct slot) { 0 };
    if (role < HOLD_ROLE_V_PATCH)
        return text_slot(w, role, number);
    if (w->record.vision_depth == 0)
        return (struct slot) { 0 };
    struct slot slot = tower_slot(w, role);
    return slot.view ? slot : block_slot(w, role, number);
}

/* The plan's tensor fits its slot: as many elements, and the same first dimension for matrices. */
static int check_tensor(struct hold_weights *w, const struct hold_plan_tensor *t, struct slot *ret_slot, struct hold_err *err) {
    struct slot slot = slot_of(w, t->role, t->layer);
    const char *name = hold_role_name((enum hold_role) t->role);
    uint64_t elements = 1, bytes;
    if (!slot.view)
        return hold_fail(err, HOLD_E_FORMAT, 0, "the plan has a tensor %s %u that the model has no place for", name, t->layer);
    for (uint32_t i = 0; i < t->n_dims && i < HOLD_PLAN_MAX_DIMS; i++)
        if (!hold_mul_u64(elements, t->dims[i], &elements))
            return hold_fail(err, HOLD_E_FORMAT, 0, "%s %u has more elements than can be", name, t->layer);
    if (elements != slot.rows * slot.cols || elements == 0 || slot.rows > UINT32_MAX || slot.cols > UINT32_MAX ||
        (slot.rows > 1 && t->dims[0] != slot.rows))
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s %u has %ju elements in rows of [%ju], expected [%ju, %ju]", name, t->layer,
                         (uintmax_t) elements, (uintmax_t) t->dims[0], (uintmax_t) slot.rows, (uintmax_t) slot.cols);
    if (stored_dtype(t->dtype) == HOLD_DTYPE_NONE || !hold_mul_u64(elements, hold_dtype_bytes(stored_dtype(t->dtype)), &bytes) || bytes != t->bytes)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s %u: %ju bytes do not hold its %ju elements", name, t->layer, (uintmax_t) t->bytes,
                         (uintmax_t) elements);
    *ret_slot = slot;
    return 0;
}

static int open_file(struct job *job, size_t index, struct hold_err *err) {
    struct part_file *file = &job->parts->files[index];
    struct hold_plan_file planned = hold_plan_file_at(job->load->plan, index);
    if (file->fd >= 0)
        return 0;
    if (job->load->file_fds) {
        file->fd = job->load->file_fds[index];
    } else {
        file->fd = openat(job->load->dir_fd, planned.name, O_RDONLY | O_CLOEXEC);
        file->is_ours = true;
    }
    struct stat st;
    if (file->fd < 0 || fstat(file->fd, &st) < 0)
        return hold_fail(err, HOLD_E_IO, errno, "open model file '%s'", planned.name);
    if (!S_ISREG(st.st_mode) || (uint64_t) st.st_size != planned.bytes)
        return hold_fail(err, HOLD_E_FORMAT, 0, "model file '%s' has %ju bytes, the plan says %ju", planned.name, (uintmax_t) st.st_size,
                         (uintmax_t) planned.bytes);
    return 0;
}

static int map_file(struct job *job, size_t index, struct hold_err *err) {
    struct part_file *file = &job->parts->files[index];
    return file->map.data ? 0 : hold_map_fd(file->fd, 0, hold_plan_file_at(job->load->plan, index).name, &file->map, err);
}

/* Room in device memory, from few large blocks. */
static int take_room(struct job *job, uint64_t bytes, void **ret_data, struct hold_err *err) {
    struct parts *parts = job->parts;
    bytes = (bytes + 255) / 256 * 256;
    if (parts->block_bytes - parts->block_used < bytes) {
        uint64_t block = HOLD_MAX(bytes, HOLD_MIN(job->left_device_bytes, BLOCK_BYTES));
        if (parts->n_blocks == parts->max_blocks || job->s->ops->alloc(job->s, block, &parts->blocks[parts->n_blocks]) < 0)
            return hold_fail(err, HOLD_E_LIMIT, 0, "%ju bytes for weights: %s", (uintmax_t) block, job->s->error);
        parts->n_blocks++;
        parts->block_bytes = block;
        parts->block_used = 0;
        job->out->device_bytes += block;
    }
    *ret_data = (char *) parts->blocks[parts->n_blocks - 1] + parts->block_used;
    parts->block_used += bytes;
    job->left_device_bytes -= HOLD_MIN(bytes, job->left_device_bytes);
    return 0;
}

static int read_window(int fd, unsigned char *to, size_t n, uint64_t offset, const char *name, struct hold_err *err) {
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(fd, to + done, n - done, (off_t) (offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return hold_fail(err, HOLD_E_IO, errno, "read %zu bytes of model file '%s' at %ju", n, name, (uintmax_t) offset);
        if (got == 0)
            return hold_fail(err, HOLD_E_FORMAT, 0, "model file '%s' ends at %ju", name, (uintmax_t) (offset + done));
        done += (size_t) got;
    }
    return 0;
}

/* [row][channel][place] to [row][place][channel], element by element of size bytes. */
static void reorder_rows(unsigned char *to, const unsigned char *from, size_t rows, size_t channels, size_t places, size_t size) {
    for (size_t row = 0; row < rows; row++)
        for (size_t c = 0; c < channels; c++)
            for (size_t p = 0; p < places; p++)
                memcpy(to + ((row * places + p) * channels + c) * size, from + ((row * channels + c) * places + p) * size, size);
}

/* A window's bytes to their place on the device, converted on the way. */
static int put_window(struct job *job, const unsigned char *bytes, size_t n, struct hold_t2 to, enum hold_dtype stored, struct hold_err *err) {
    struct hold_stream *s = job->s;
    int rc;
    if (to.dtype == stored) {
        rc = s->ops->copy_in(s, to.data, bytes, n);
    } else {
        struct hold_t2 from = to;
        from.dtype = stored;
        from.data = job->staging;
        rc = s->ops->copy_in(s, job->staging, bytes, n);
        rc = rc < 0 ? rc : hold_convert(s, to, from);
    }
    if (rc < 0 || s->ops->sync(s) < 0)
        return hold_fail(err, HOLD_E_DEVICE, 0, "weights to the device: %s", s->error);
    return 0;
}

static int tell(struct job *job, uint64_t bytes, struct hold_err *err) {
    job->done_bytes += bytes;
    if (job->load->progress && !job->load->progress(job->load->context, job->done_bytes, job->total_bytes))
        return hold_fail(err, HOLD_E_BUSY, 0, "loading was cancelled after %ju of %ju bytes", (uintmax_t) job->done_bytes, (uintmax_t) job->total_bytes);
    return 0;
}

/* Through the window, whole rows at a time; a vector is one row, cut anywhere. */
static int read_tensor(struct job *job, const struct hold_plan_tensor *t, struct slot slot, struct hold_err *err) {
    enum hold_dtype stored = stored_dtype(t->dtype), wanted = wanted_dtype(stored, job->load->act);
    const char *name = hold_plan_file_at(job->load->plan, t->file).name;
    size_t size = hold_dtype_bytes(stored), row_bytes = (size_t) slot.cols * size;
    void *data = NULL;
    if (row_bytes > WINDOW_BYTES)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: a row of %zu bytes; the window has %u", hold_role_name((enum hold_role) t->role),
                         row_bytes, WINDOW_BYTES);
    if (take_room(job, slot.rows * slot.cols * hold_dtype_bytes(wanted), &data, err) < 0)
        return -1;
    *slot.view = hold_t2_of(data, (uint32_t) slot.rows, (uint32_t) slot.cols, wanted);
    for (uint64_t row = 0; row < slot.rows;) {
        uint64_t n = HOLD_MIN(slot.rows - row, WINDOW_BYTES / row_bytes);
        size_t bytes = (size_t) n * row_bytes;
        if (read_window(job->parts->files[t->file].fd, job->window, bytes, t->offset + row * row_bytes, name, err) < 0)
            return -1;
        const unsigned char *from = job->window;
        if (is_reordered(t->role)) {
            size_t channels = job->out->weights.record.vision_hidden;
            reorder_rows(job->spare, job->window, (size_t) n, channels, (size_t) slot.cols / channels, size);
            from = job->spare;
        }
        if (put_window(job, from, bytes, hold_t2_rows(*slot.view, (uint32_t) row, (uint32_t) n), stored, err) < 0 || tell(job, bytes, err) < 0)
            return -1;
        row += n;
    }
    job->out->read_bytes += t->bytes;
    return 0;
}

/* A tensor of the wanted type on a host device needs no copy. */
static bool stays_mapped(const struct job *job, const struct hold_plan_tensor *t) {
    enum hold_dtype stored = stored_dtype(t->dtype);
    return job->is_host && wanted_dtype(stored, job->load->act) == stored && !is_reordered(t->role) && t->offset % hold_dtype_bytes(stored) == 0;
}

static int place_tensor(struct job *job, const struct hold_plan_tensor *t, struct hold_err *err) {
    struct slot slot = { 0 };
    if (check_tensor(&job->out->weights, t, &slot, err) < 0 || open_file(job, t->file, err) < 0)
        return -1;
    if (!stays_mapped(job, t))
        return read_tensor(job, t, slot, err);
    if (map_file(job, t->file, err) < 0)
        return -1;
    const struct part_file *file = &job->parts->files[t->file];
    if (t->offset > file->map.bytes || t->bytes > file->map.bytes - t->offset)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s reaches behind its file", hold_role_name((enum hold_role) t->role));
    *slot.view = hold_t2_of((void *) ((uintptr_t) file->map.data + (uintptr_t) t->offset), (uint32_t) slot.rows, (uint32_t) slot.cols,
                            stored_dtype(t->dtype));
    job->out->mapped_bytes += t->bytes;
    return tell(job, t->bytes, err);
}

static void fill_dimensions(struct hold_weights *w) {
    const struct hold_record *r = &w->record;
    w->decoder = (struct hold_decoder) {
        .hidden = r->hidden, .n_layers = r->n_layers, .n_heads = r->n_heads, .n_kv_heads = r->n_kv_heads, .head_dim = r->head_dim,
        .intermediate = r->intermediate, .vocab = r->vocab, .rotary_dim = r->rotary_dim, .eps = (float) r->rms_eps, .layers = w->layers,
    };
    w->tower = (struct hold_tower) { .depth = r->vision_depth };
    if (r->vision_depth == 0)
        return;
    w->tower = (struct hold_tower) {
        .depth = r->vision_depth, .hidden = r->vision_hidden, .n_heads = r->vision_heads, .head_dim = r->vision_hidden / r->vision_heads,
        .mlp = r->vision_mlp, .out = r->vision_out, .merger_mlp = r->merger_mlp,
        .patch_len = r->vision_channels * r->temporal_patch * r->patch * r->patch, .merge = r->merge, .position_side = r->position_rows,
        .eps = (float) r->vision_eps, .theta = (float) r->vision_theta, .blocks = w->blocks,
    };
}

/* Every slot that the record asks for is filled. A tied head is the embedding; biases may be absent as a whole. */
static int check_whole(struct hold_weights *w, struct hold_err *err) {
    if (!w->decoder.lm_head.data && w->record.is_tied)
        w->decoder.lm_head = w->decoder.embed;
    for (uint32_t role = 0; role < HOLD_ROLE_COUNT; role++) {
        bool is_vision = role >= HOLD_ROLE_V_PATCH;
        bool is_bias = role == HOLD_ROLE_Q_BIAS || role == HOLD_ROLE_K_BIAS || role == HOLD_ROLE_V_BIAS;
        if ((is_vision && w->record.vision_depth == 0) || (is_bias && !w->record.has_qkv_bias))
            continue;
        uint32_t n = !hold_role_is_layered((enum hold_role) role) ? 1 : is_vision ? w->record.vision_depth : w->record.n_layers;
        for (uint32_t i = 0; i < n; i++) {
            struct slot slot = slot_of(w, role, i);
            if (!slot.view || !slot.view->data)
                return hold_fail(err, HOLD_E_FORMAT, 0, "the plan has no tensor %s %u", hold_role_name((enum hold_role) role), i);
        }
    }
    return 0;
}

/* The device bytes that this load will take, so that blocks are not larger than needed. */
static int add_up(struct job *job, struct hold_err *err) {
    const struct hold_plan *plan = job->load->plan;
    for (size_t i = 0; i < plan->n_tensors; i++) {
        const struct hold_plan_tensor *t = &plan->tensors[i];
        enum hold_dtype stored = stored_dtype(t->dtype);
        if (stored == HOLD_DTYPE_NONE || t->file >= plan->n_files || !hold_add_u64(job->total_bytes, t->bytes, &job->total_bytes))
            return hold_fail(err, HOLD_E_FORMAT, 0, "tensor %zu of the plan cannot be read", i);
        uint64_t bytes = t->bytes / hold_dtype_bytes(stored) * hold_dtype_bytes(wanted_dtype(stored, job->load->act));
        if (!stays_mapped(job, t))
            job->left_device_bytes += (bytes + 255) / 256 * 256;
    }
    return 0;
}

static int run_load(struct job *job, struct hold_err *err) {
    const struct hold_plan *plan = job->load->plan;
    if (add_up(job, err) < 0)
        return -1;
    hold_autofree unsigned char *window = malloc(WINDOW_BYTES);
    hold_autofree unsigned char *spare = malloc(WINDOW_BYTES);
    if (!window || !spare)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for the load window of %u bytes", WINDOW_BYTES);
    job->window = window;
    job->spare = spare;
    if (job->left_device_bytes > 0 && job->s->ops->alloc(job->s, WINDOW_BYTES, &job->staging) < 0)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no device memory for the load window: %s", job->s->error);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < plan->n_tensors; i++)
        rc = place_tensor(job, &plan->tensors[i], err);
    job->s->ops->free(job->s, job->staging);
    if (rc == 0)
        rc = check_whole(&job->out->weights, err);
    if (rc == 0 && job->out->read_bytes + job->out->mapped_bytes != job->total_bytes)
        rc = hold_fail(err, HOLD_E_INTERNAL, 0, "loaded %ju + %ju bytes of %ju", (uintmax_t) job->out->read_bytes,
                       (uintmax_t) job->out->mapped_bytes, (uintmax_t) job->total_bytes);
    return rc;
}

static int take_parts(const struct hold_load *load, struct hold_loaded *out, struct hold_err *err) {
    const struct hold_record *r = load->plan->record;
    struct parts *parts = calloc(1, sizeof *parts);
    out->parts = parts;
    if (!parts)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory to load a model");
    parts->max_blocks = load->plan->n_tensors + 1;
    parts->blocks = calloc(parts->max_blocks, sizeof *parts->blocks);
    parts->files = calloc(load->plan->n_files + 1, sizeof *parts->files);
    parts->n_files = parts->files ? load->plan->n_files : 0;
    for (size_t i = 0; i < parts->n_files; i++)
        parts->files[i].fd = -1;
    out->weights.layers = calloc(r->n_layers, sizeof *out->weights.layers);
    out->weights.blocks = calloc(r->vision_depth + 1, sizeof *out->weights.blocks);
    if (!parts->blocks || !parts->files || !out->weights.layers || !out->weights.blocks)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory to load a model of %u layers", r->n_layers);
    return 0;
}

/* Descriptors are needed while loading only: mappings stay without them. */
static void close_files(struct parts *parts) {
    for (size_t i = 0; i < parts->n_files; i++) {
        if (parts->files[i].is_ours && parts->files[i].fd >= 0)
            close(parts->files[i].fd);
        parts->files[i].fd = -1;
    }
}

int hold_weights_load(const struct hold_load *load, struct hold_stream *s, struct hold_loaded *ret, struct hold_err *err) {
    struct hold_caps caps;
    if (load->act != HOLD_F32 && load->act != HOLD_BF16)
        return hold_fail(err, HOLD_E_CONFIG, 0, "weights and activations in %s are not supported yet; f32 and bf16 are", hold_dtype_name(load->act));
    s->ops->caps(s->device, &caps);
    *ret = (struct hold_loaded) { .stream = s };
    ret->weights.record = *load->plan->record;
    ret->weights.act = load->act;
    int rc = take_parts(load, ret, err);
    if (rc == 0) {
        struct job job = { .load = load, .s = s, .out = ret, .parts = ret->parts, .is_host = caps.is_host };
        fill_dimensions(&ret->weights);
        rc = run_load(&job, err);
        close_files(ret->parts);
    }
    if (rc < 0)
        hold_weights_release(ret);
    return rc;
}

void hold_weights_release(struct hold_loaded *loaded) {
    struct parts *parts = loaded->parts;
    if (parts) {
        close_files(parts);
        for (size_t i = 0; i < parts->n_files; i++)
            hold_map_close(&parts->files[i].map);
        for (size_t i = 0; i < parts->n_blocks; i++)
            loaded->stream->ops->free(loaded->stream, parts->blocks[i]);
        free(parts->blocks);
        free(parts->files);
        free(parts);
    }
    free(loaded->weights.layers);
    free(loaded->weights.blocks);
    *loaded = (struct hold_loaded) { 0 };
}
