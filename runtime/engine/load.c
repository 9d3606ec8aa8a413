/* load.c - a plan and its files to struct hold_weights, tensor by tensor. Floor: runtime/engine. */
#include "runtime/engine/load.h"

#include "base/auto.h"
#include "base/list.h"
#include "base/map.h"
#include "base/num.h"
#include "runtime/engine/slots.h"

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

/* The merge x merge filter of the tower is stored [out][channel][y][x] and used [out][y][x][channel]. */
static bool is_reordered(uint32_t role) {
    return role == HOLD_ROLE_V_DOWNSAMPLE;
}

/* The matrix that a tensor is used as: vectors are one row, filters [out, everything else]. The plan has proven the shape. */
static int shape_of(const struct hold_plan_tensor *t, const struct hold_record *record, struct hold_t2 *ret, struct hold_err *err) {
    uint64_t dims[HOLD_PLAN_MAX_DIMS], cols = 1, bytes;
    uint32_t n = hold_role_shape(record, (enum hold_role) t->role, dims);
    for (uint32_t i = n > 1 ? 1 : 0; i < n; i++)
        cols *= dims[i];
    uint64_t rows = n > 1 ? dims[0] : 1;
    if (rows > UINT32_MAX || cols > UINT32_MAX || !hold_mul_u64(rows * cols, hold_plan_dtype_bytes(t->dtype), &bytes) || bytes != t->bytes || bytes == 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s %u: %ju bytes do not hold [%ju, %ju]", hold_role_name((enum hold_role) t->role), t->layer,
                         (uintmax_t) t->bytes, (uintmax_t) rows, (uintmax_t) cols);
    *ret = hold_t2_of(NULL, (uint32_t) rows, (uint32_t) cols, stored_dtype(t->dtype));
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
static int read_tensor(struct job *job, const struct hold_plan_tensor *t, struct hold_t2 shape, struct hold_t2 *ret_view, struct hold_err *err) {
    enum hold_dtype stored = shape.dtype, wanted = wanted_dtype(stored, job->load->act);
    const char *name = hold_plan_file_at(job->load->plan, t->file).name;
    size_t size = hold_dtype_bytes(stored), row_bytes = shape.cols * size;
    void *data = NULL;
    if (row_bytes > WINDOW_BYTES)
        return hold_fail(err, HOLD_E_LIMIT, 0, "%s: a row of %zu bytes; the window has %u", hold_role_name((enum hold_role) t->role),
                         row_bytes, WINDOW_BYTES);
    if (take_room(job, (uint64_t) shape.rows * shape.cols * hold_dtype_bytes(wanted), &data, err) < 0)
        return -1;
    *ret_view = hold_t2_of(data, shape.rows, shape.cols, wanted);
    for (uint32_t row = 0; row < shape.rows;) {
        uint32_t n = (uint32_t) HOLD_MIN(shape.rows - row, WINDOW_BYTES / row_bytes);
        size_t bytes = n * row_bytes;
        if (read_window(job->parts->files[t->file].fd, job->window, bytes, t->offset + (uint64_t) row * row_bytes, name, err) < 0)
            return -1;
        const unsigned char *from = job->window;
        if (is_reordered(t->role)) {
            size_t channels = job->out->weights.record.vision_hidden;
            reorder_rows(job->spare, job->window, n, channels, shape.cols / channels, size);
            from = job->spare;
        }
        if (put_window(job, from, bytes, hold_t2_rows(*ret_view, row, n), stored, err) < 0 || tell(job, bytes, err) < 0)
            return -1;
        row += n;
    }
    job->out->read_bytes += t->bytes;
    return 0;
}

/* Brings mapped bytes in, a window at a time: the first inference then waits for no disk, and progress is what was read. */
static int touch_tensor(struct job *job, const unsigned char *data, uint64_t bytes, struct hold_err *err) {
    const uintptr_t page = 4096;
    for (uint64_t done = 0; done < bytes;) {
        uint64_t n = HOLD_MIN(bytes - done, WINDOW_BYTES), ahead = HOLD_MIN(bytes - done, 2 * (uint64_t) WINDOW_BYTES);
        uintptr_t first = ((uintptr_t) data + (uintptr_t) done) & ~(page - 1), end = (uintptr_t) data + (uintptr_t) (done + ahead);
        (void) madvise((void *) first, end - first, MADV_WILLNEED); /* advice: nothing is lost where it is refused */
        for (uint64_t at = 0; at < n; at += page)
            (void) *(const volatile unsigned char *) (data + done + at);
        done += n;
        if (tell(job, n, err) < 0)
            return -1;
    }
    return 0;
}

/* A tensor of the wanted type on a host device needs no copy. */
static bool stays_mapped(const struct job *job, const struct hold_plan_tensor *t) {
    enum hold_dtype stored = stored_dtype(t->dtype);
    return job->is_host && wanted_dtype(stored, job->load->act) == stored && !is_reordered(t->role) && t->offset % hold_dtype_bytes(stored) == 0;
}

static int place_tensor(struct job *job, const struct hold_plan_tensor *t, struct hold_err *err) {
    struct hold_t2 shape = { 0 }, *view = hold_slot_of(&job->out->weights, t->role, t->layer);
    if (!view)
        return hold_fail(err, HOLD_E_FORMAT, 0, "the plan has a tensor of role %u, layer %u that the model has no place for", t->role, t->layer);
    if (shape_of(t, &job->out->weights.record, &shape, err) < 0 || open_file(job, t->file, err) < 0)
        return -1;
    if (!stays_mapped(job, t))
        return read_tensor(job, t, shape, view, err);
    if (map_file(job, t->file, err) < 0)
        return -1;
    const struct part_file *file = &job->parts->files[t->file];
    if (t->offset > file->map.bytes || t->bytes > file->map.bytes - t->offset)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%s reaches behind its file", hold_role_name((enum hold_role) t->role));
    *view = shape;
    view->data = (void *) ((uintptr_t) file->map.data + (uintptr_t) t->offset);
    job->out->mapped_bytes += t->bytes;
    return touch_tensor(job, view->data, t->bytes, err);
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

/* Every slot that the record asks for is filled. A tied head is the embedding. */
static int check_whole(struct hold_weights *w, struct hold_err *err) {
    for (uint32_t role = 0; role < HOLD_ROLE_COUNT; role++)
        for (uint32_t i = 0; i < hold_role_count(&w->record, (enum hold_role) role); i++) {
            const struct hold_t2 *view = hold_slot_of(w, role, i);
            if (!view || !view->data)
                return hold_fail(err, HOLD_E_FORMAT, 0, "the plan has no tensor %s %u", hold_role_name((enum hold_role) role), i);
        }
    if (!w->decoder.lm_head.data)
        w->decoder.lm_head = w->decoder.embed;
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
