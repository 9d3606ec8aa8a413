/* t_plan.h - the tiny model T as a loaded model, its plan written by hand: no product parser takes part, so that a test of
 * the arithmetic fails for the arithmetic alone. Test part. */
#ifndef HOLD_TESTS_HELPERS_T_PLAN_H
#define HOLD_TESTS_HELPERS_T_PLAN_H

#include "base/buf.h"
#include "runtime/engine/load.h"
#include "runtime/plan/plan.h"
#include "tests/helpers/t_model.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct t_loaded {
    char folder[64];
    struct hold_buf bytes;
    struct hold_plan plan;
    struct hold_stream stream;
    struct hold_device *device;
    const struct hold_backend *backend;
    struct hold_loaded loaded;
};

#define T_IMAGE_TOKEN ((uint32_t) t_id("<|image|>"))

static struct hold_record t_record(const struct t_options *o) {
    return (struct hold_record) {
        .hidden = 128, .n_layers = 3, .n_heads = 4, .n_kv_heads = o->kv_heads ? o->kv_heads : 2, .head_dim = 32, .intermediate = 224,
        .vocab = T_VOCAB, .max_positions = 32768, .rotary_dim = 16, .mrope_sections = { 2, 3, 3 }, .has_qkv_bias = 1,
        .rope_theta = 10000, .rms_eps = 1e-5, .vision_depth = o->text_only ? 0 : 2, .vision_hidden = 48, .vision_heads = 3,
        .vision_channels = 3, .vision_image_size = 56, .patch = 14, .temporal_patch = 2, .merge = 2, .vision_mlp = 128,
        .vision_out = 128, .merger_mlp = 224, .position_rows = 4, .vision_eps = 1e-5, .vision_theta = 10000, .min_pixels = 12544,
        .max_pixels = 9633792, .image_mean = { 0.48145466f, 0.4578275f, 0.40821073f }, .image_std = { 0.26862954f, 0.26130258f, 0.27577711f },
        .image_token = T_IMAGE_TOKEN, .image_start = (uint32_t) t_id("<|begin_of_image|>"), .image_end = (uint32_t) t_id("<|end_of_image|>"),
        .video_token = (uint32_t) t_id("<|video|>"), .video_start = (uint32_t) t_id("<|begin_of_video|>"),
        .video_end = (uint32_t) t_id("<|end_of_video|>"), .pad_token = (uint32_t) t_id("<|endoftext|>"), .n_eos = 1,
        .eos = { (uint32_t) t_id("<|endoftext|>") }, .temperature = NAN, .top_p = NAN, .repetition_penalty = NAN,
    };
}

/* The role that a canonical name ends with; layered names carry the number after "layers." or "blocks.". */
static void t_role(const char *name, uint32_t *ret_role, uint32_t *ret_layer) {
    const char *number = strstr(name, "layers.") ? strstr(name, "layers.") + 7 : strstr(name, "blocks.") ? strstr(name, "blocks.") + 7 : NULL;
    const char *rest = number ? strchr(number, '.') + 1 : name;
    if (!number)
        rest = strncmp(name, "model.language_model.", 21) == 0 ? name + 21 : strncmp(name, "model.visual.", 13) == 0 ? name + 13 : name;
    *ret_layer = number ? (uint32_t) atoi(number) : 0;
    for (uint32_t role = 0; role < HOLD_ROLE_COUNT; role++)
        if (strcmp(hold_role_name((enum hold_role) role), rest) == 0 && hold_role_is_vision((enum hold_role) role) == (strstr(name, "visual") != NULL)) {
            *ret_role = role;
            return;
        }
    abort();
}

static int t_order(const void *a, const void *b) {
    const struct hold_plan_tensor *x = a, *y = b;
    return x->role != y->role ? (x->role < y->role ? -1 : 1) : x->layer < y->layer ? -1 : x->layer > y->layer;
}

/* Writes T into a fresh folder and its plan into t. */
static void t_make(struct t_loaded *t, struct t_options options) {
    static struct t_list list;
    static struct hold_plan_tensor tensors[T_MAX_TENSORS];
    options.single = true;
    memset(t, 0, sizeof *t);
    snprintf(t->folder, sizeof t->folder, "/tmp/hold-t-XXXXXX");
    if (!mkdtemp(t->folder))
        abort();
    t_write(&options, t->folder);
    t_tensors(&options, &list);
    char path[96];
    snprintf(path, sizeof path, "%s/model.safetensors", t->folder);
    uint64_t header = 0, width = options.dtype == T_F32 ? 4 : 2;
    FILE *f = fopen(path, "r");
    if (!f || fread(&header, 8, 1, f) != 1)
        abort();
    fclose(f);
    uint64_t at = 8 + header;
    for (int i = 0; i < list.n; i++) {
        struct hold_plan_tensor *tensor = &tensors[i];
        *tensor = (struct hold_plan_tensor) { .dtype = options.dtype == T_F32 ? HOLD_PLAN_F32 : options.dtype == T_F16 ? HOLD_PLAN_F16 : HOLD_PLAN_BF16,
                                              .n_dims = (uint32_t) list.t[i].n_dims, .offset = at, .bytes = list.t[i].elements * width };
        for (int d = 0; d < 5; d++)
            tensor->dims[d] = d < list.t[i].n_dims ? list.t[i].dims[d] : 1;
        t_role(list.t[i].name, &tensor->role, &tensor->layer);
        at += tensor->bytes;
    }
    qsort(tensors, (size_t) list.n, sizeof *tensors, t_order);
    struct hold_record record = t_record(&options);
    struct hold_plan_file file = { .name = "model.safetensors", .bytes = at };
    struct hold_plan_parts parts = { .record = &record, .files = &file, .n_files = 1, .tensors = tensors, .n_tensors = (size_t) list.n };
    struct hold_err err = { 0 };
    t->bytes = hold_buf_with_max(1 << 20);
    if (hold_plan_write(&parts, &t->bytes, &err) < 0 || hold_plan_open(t->bytes.data, t->bytes.n, &t->plan, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

/* Loads it. -1 with err when it cannot be. */
static int t_load(struct t_loaded *t, const struct hold_backend *backend, const struct hold_backend_options *options, enum hold_dtype act,
                  struct hold_err *err) {
    char error[256] = "";
    t->backend = backend;
    if (backend->open(options, &t->device, error, sizeof error) < 0 || backend->stream_open(t->device, &t->stream) < 0) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
    int dir = open(t->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct hold_load load = { .plan = &t->plan, .dir_fd = dir, .act = act };
    int rc = hold_weights_load(&load, &t->stream, &t->loaded, err);
    close(dir);
    return rc;
}

static void t_unload(struct t_loaded *t) {
    hold_weights_release(&t->loaded);
    if (t->backend) {
        t->backend->stream_close(&t->stream);
        t->backend->close(t->device);
    }
    t->backend = NULL;
}

static void t_drop(struct t_loaded *t) {
    static const char *const names[] = { "config.json", "generation_config.json", "preprocessor_config.json", "model.safetensors" };
    char path[128];
    t_unload(t);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", t->folder, names[i]);
        unlink(path);
    }
    rmdir(t->folder);
    hold_buf_release(&t->bytes);
}

#endif
