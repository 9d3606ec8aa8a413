/* eval.c - the role `eval`: a checkpoint, token ids and pictures to the logits of the last position, by hand. Floor: runtime.
 *
 *   holdfast-runtime eval --model DIR --ids 1,2,3 [--image FILE]... [--dtype bf16|f32] [--next N] [--backend auto|cuda|cpu|ref]
 *
 * The seam through which the engine can be held against another one: no tokenizer, no template, no sampling takes part.
 * The config's image token stands once in --ids for each --image and is expanded here. Prints one JSON object:
 *   {"logits": [of the whole vocabulary], "delta": n, "next": [N greedy ids], "backend": "...", "warnings": "..."} */
#include "runtime/roles.h"

#include "base/auto.h"
#include "base/buf.h"
#include "base/exit.h"
#include "base/io.h"
#include "base/list.h"
#include "base/map.h"
#include "base/num.h"
#include "base/opt.h"
#include "runtime/engine/device.h"
#include "runtime/engine/load.h"
#include "runtime/image/decode.h"
#include "runtime/image/patch.h"
#include "runtime/model/forward.h"
#include "runtime/model/position.h"
#include "runtime/model/sample.h"
#include "runtime/model/vision.h"
#include "runtime/weights/prove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define MOST_FILES 2048u
#define MOST_IDS (1u << 20)
#define MOST_IMAGE_BYTES (64u << 20)
#define CHUNK_ROWS 512u

struct eval_config {
    const char *model, *ids, *library, *driver;
    struct hold_strs images;
    int dtype, backend;
    uint64_t next, threads;
    bool json;
};

#define AT(field) offsetof(struct eval_config, field)

static const char *const backends[] = { "auto", "cuda", "cpu", "ref" };
enum { DTYPE_BF16, DTYPE_F32, DTYPE_INT8 };

static const struct hold_opt rows[] = {
    { "model", HOLD_OPT_STR, AT(model), NULL, 0, 0, "folder of the checkpoint", .value = "DIR" },
    { "ids", HOLD_OPT_STR, AT(ids), NULL, 0, 0, "token ids of the prompt, separated by commas; the image token once for each image", .value = "N,N,..." },
    { "image", HOLD_OPT_STRS, AT(images), NULL, 0, 0, "PNG or JPEG file, in prompt order; may be repeated", .value = "FILE" },
    { "dtype", HOLD_OPT_ENUM, AT(dtype), "bf16", 0, 0, "number format of weights and activations", .choices = "bf16|f32|int8" },
    { "next", HOLD_OPT_U64, AT(next), "0", 0, 65536, "ids to generate, the most probable one each time" },
    { "backend", HOLD_OPT_ENUM, AT(backend), "auto", 0, 0, "what computes", .choices = "auto|cuda|cpu|ref" },
    { "backend-lib", HOLD_OPT_STR, AT(library), NULL, 0, 0, "CUDA plug-in instead of the installed one", .value = "FILE" },
    { "cuda-driver", HOLD_OPT_STR, AT(driver), NULL, 0, 0, "library with the CUDA driver's calls instead of the system's (tests)", .value = "FILE" },
    { "threads", HOLD_OPT_U64, AT(threads), "0", 0, 1024, "threads on the CPU; 0: from affinity and quota" },
    { "json", HOLD_OPT_BOOL, AT(json), "true", 0, 0, "print one JSON object (the only form there is)" },
};

/* The files of the model folder that a plan is made of, mapped. */
struct folder {
    struct hold_model_file files[MOST_FILES];
    struct hold_map maps[MOST_FILES];
    char *names[MOST_FILES];
    size_t n;
};

/* One evaluation; everything in it is given back by eval_end. */
struct eval {
    struct eval_config config;
    struct folder *folder;
    struct hold_buf plan_bytes, warnings;
    struct hold_plan plan;
    int dir_fd;
    struct hold_opened device;
    struct hold_loaded loaded;
    struct hold_kv kv;
    struct hold_forward *forward;
    struct hold_sample_space *space;
    struct hold_grid grids[HOLD_STRS_MAX];
    struct hold_t2 rows[HOLD_STRS_MAX]; /* of each image, on the device */
    uint32_t *ids;                      /* expanded prompt, then what was generated */
    int32_t (*pos)[3];
    int32_t *pages;
    uint32_t n_prompt, n_pages;
    int32_t delta;
};

static int map_folder(struct eval *e, struct hold_err *err) {
    e->dir_fd = open(e->config.model, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    e->folder = calloc(1, sizeof *e->folder);
    DIR *dir = e->dir_fd >= 0 ? opendir(e->config.model) : NULL;
    if (!dir || !e->folder) {
        int code = errno;
        if (dir)
            closedir(dir);
        return hold_fail(err, HOLD_E_MISSING, code, "open model folder '%s'", e->config.model);
    }
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(dir));) {
        struct folder *f = e->folder;
        char path[4096];
        if (!hold_model_file_is_read(entry->d_name))
            continue;
        if (f->n == MOST_FILES || (size_t) snprintf(path, sizeof path, "%s/%s", e->config.model, entry->d_name) >= sizeof path) {
            rc = hold_fail(err, HOLD_E_LIMIT, 0, "model folder '%s' has too many files or too long names", e->config.model);
        } else if ((rc = hold_map_open(path, &f->maps[f->n], err)) == 0) {
            f->names[f->n] = strdup(entry->d_name);
            f->files[f->n] = (struct hold_model_file) { f->names[f->n], f->maps[f->n].data, f->maps[f->n].bytes };
            rc = f->names[f->n] ? 0 : hold_fail(err, HOLD_E_LIMIT, 0, "out of memory");
            f->n++;
        }
    }
    closedir(dir);
    return rc;
}

static int make_plan(struct eval *e, struct hold_err *err) {
    const struct hold_prove_options options = { .takes_other_template = true };
    e->plan_bytes = hold_buf_with_max(HOLD_PLAN_MAX_BYTES);
    e->warnings = hold_buf_with_max(65536);
    if (map_folder(e, err) < 0 || hold_model_prove(e->folder->files, e->folder->n, &options, &e->plan_bytes, &e->warnings, err) < 0)
        return -1;
    return hold_plan_open(e->plan_bytes.data, e->plan_bytes.n, &e->plan, err);
}

static int open_model(struct eval *e, struct hold_err *err) {
    const struct hold_device_wish wish = { .backend = backends[e->config.backend], .library = e->config.library,
                                           .options = { .n_threads = (uint32_t) e->config.threads, .is_deterministic = true, .driver = e->config.driver } };
    const struct hold_load load = { .plan = &e->plan, .dir_fd = e->dir_fd, .act = e->config.dtype == DTYPE_F32 ? HOLD_F32 : HOLD_BF16 };
    return hold_device_open(&wish, &e->device, err) < 0 ? -1 : hold_weights_load(&load, &e->device.stream, &e->loaded, err);
}

static int read_image(struct eval *e, size_t number, struct hold_err *err) {
    const struct hold_record *r = e->plan.record;
    const struct hold_patch_rule rule = { .patch = r->patch, .temporal = r->temporal_patch, .merge = r->merge, .min_pixels = r->min_pixels,
                                          .max_pixels = r->max_pixels, .mean = { r->image_mean[0], r->image_mean[1], r->image_mean[2] },
                                          .std = { r->image_std[0], r->image_std[1], r->image_std[2] } };
    hold_autobuf bytes = hold_buf_with_max(MOST_IMAGE_BYTES);
    hold_autoimage image = { 0 };
    struct hold_patch_size size = { 0 };
    if (hold_read_file(e->config.images.at[number], &bytes, err) < 0 ||
        hold_image_decode(bytes.data, bytes.n, (struct hold_image_limits) { 0 }, &image, err) < 0 ||
        hold_patch_plan(&rule, image.height, image.width, &size, err) < 0)
        return -1;
    hold_autofree float *patches = calloc((size_t) size.n_patches * size.patch_dim, sizeof *patches);
    if (!patches)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for %u patches", size.n_patches);
    if (hold_patchify(&rule, (const uint8_t *) image.pixels.data, image.height, image.width, &size, patches, err) < 0)
        return -1;
    e->grids[number] = (struct hold_grid) { 1, size.grid_h, size.grid_w };
    return hold_vision_encode(&e->loaded.weights, &e->device.stream, patches, e->grids[number], &e->rows[number], err);
}

/* "1,2,3" with the image token expanded, room for what will be generated. */
static int expand_ids(struct eval *e, struct hold_err *err) {
    const struct hold_record *r = e->plan.record;
    hold_autofree char *copy = strdup(e->config.ids);
    size_t image = 0, n = 0;
    e->ids = calloc(MOST_IDS, sizeof *e->ids);
    if (!copy || !e->ids)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for a prompt");
    char *rest = copy;
    for (char *word; (word = strsep(&rest, ",")) != NULL;) {
        uint64_t id, count = 1;
        if (hold_parse_u64(word, 0, r->vocab - 1, &id, err) < 0)
            return hold_wrap(err, "--ids");
        if (id == r->image_token && e->config.images.n > 0) {
            if (image == e->config.images.n)
                return hold_fail(err, HOLD_E_CONFIG, 0, "--ids has more image tokens (%ju) than there are images (%zu)", (uintmax_t) id, image);
            count = hold_grid_tokens(e->grids[image++], r->merge);
        }
        if (n + count + e->config.next > MOST_IDS)
            return hold_fail(err, HOLD_E_LIMIT, 0, "--ids and --next make more than %u tokens", MOST_IDS);
        for (uint64_t i = 0; i < count; i++)
            e->ids[n++] = (uint32_t) id;
    }
    if (image != e->config.images.n)
        return hold_fail(err, HOLD_E_CONFIG, 0, "%zu images, but the image token (%u) stands %zu times in --ids", e->config.images.n, r->image_token, image);
    e->n_prompt = (uint32_t) n;
    e->pos = calloc(n, sizeof *e->pos);
    if (!e->pos)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for a prompt");
    return hold_positions(r, e->ids, n, e->grids, e->config.images.n, e->pos, &e->delta, err);
}

/* Image rows that stand on rows first..first + n - 1 of the prompt. */
static size_t find_spans(const struct eval *e, uint32_t first, uint32_t n, struct hold_image_span *spans) {
    size_t image = 0, n_spans = 0;
    for (uint32_t at = 0; at < e->n_prompt && image < e->config.images.n;) {
        if (e->ids[at] != e->plan.record->image_token) {
            at++;
            continue;
        }
        uint32_t count = e->rows[image].rows, begin = HOLD_MAX(at, first), end = HOLD_MIN(at + count, first + n);
        if (begin < end)
            spans[n_spans++] = (struct hold_image_span) { .row = begin - first, .count = end - begin, .image = e->rows[image], .from = begin - at };
        at += count;
        image++;
    }
    return n_spans;
}

static int feed(struct eval *e, uint32_t first, uint32_t n, const float **ret_logits, struct hold_err *err) {
    uint32_t seq[CHUNK_ROWS] = { 0 }, index[CHUNK_ROWS], want = n - 1;
    int32_t pos[CHUNK_ROWS][3];
    struct hold_image_span spans[HOLD_STRS_MAX];
    for (uint32_t i = 0; i < n; i++) {
        index[i] = first + i;
        for (int axis = 0; axis < 3; axis++)
            pos[i][axis] = first + i < e->n_prompt ? e->pos[first + i][axis] : (int32_t) (first + i) + e->delta;
    }
    const struct hold_batch batch = { .n_rows = n, .ids = e->ids + first, .pos = (const int32_t(*)[3]) pos, .seq = seq, .index = index, .n_seqs = 1,
                                      .pages = e->pages, .spans = spans, .n_spans = find_spans(e, first, n, spans), .want = &want, .n_want = 1 };
    return hold_forward_run(e->forward, &batch, ret_logits, err);
}

static int open_forward(struct eval *e, struct hold_err *err) {
    uint32_t vocab = e->plan.record->vocab;
    e->n_pages = (e->n_prompt + (uint32_t) e->config.next + HOLD_PAGE_TOKENS - 1) / HOLD_PAGE_TOKENS;
    const struct hold_forward_limits limits = { .max_rows = HOLD_MIN(e->n_prompt, CHUNK_ROWS), .max_seqs = 1, .max_pages = e->n_pages, .max_logits = 1 };
    e->pages = calloc(e->n_pages, sizeof *e->pages);
    if (!e->pages)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for a page table");
    for (uint32_t i = 0; i < e->n_pages; i++)
        e->pages[i] = (int32_t) i;
    if (hold_kv_open(&e->loaded.weights, e->n_pages, &e->device.stream, &e->kv, err) < 0 || hold_sample_space_new(vocab, &e->space, err) < 0)
        return -1;
    return hold_forward_open(&e->loaded.weights, &e->kv, &e->device.stream, &limits, &e->forward, err);
}

static void print_logits(const struct eval *e, const float *logits, struct hold_buf *out) {
    hold_buf_adds(out, "{\"logits\":[");
    for (uint32_t i = 0; i < e->plan.record->vocab; i++)
        hold_buf_addf(out, "%s%.9g", i ? "," : "", (double) logits[i]);
    hold_buf_addf(out, "],\"delta\":%d,\"next\":[", e->delta);
}

static int run(struct eval *e, struct hold_buf *out, struct hold_err *err) {
    const struct hold_sampler greedy = hold_sampler_greedy();
    const float *logits = NULL;
    for (size_t i = 0; i < e->config.images.n; i++)
        if (read_image(e, i, err) < 0)
            return hold_wrap(err, "image '%s'", e->config.images.at[i]);
    if (expand_ids(e, err) < 0 || open_forward(e, err) < 0)
        return -1;
    for (uint32_t at = 0; at < e->n_prompt; at += CHUNK_ROWS)
        if (feed(e, at, HOLD_MIN(e->n_prompt - at, CHUNK_ROWS), &logits, err) < 0)
            return -1;
    for (uint32_t i = 0; i <= e->config.next; i++) {
        struct hold_sampled sampled = { 0 };
        if (hold_sample(e->space, &greedy, logits, NULL, 0, NULL, 0, 0, &sampled, err) < 0)
            return -1;
        if (i == 0)
            print_logits(e, logits, out);
        if (i == e->config.next)
            break;
        hold_buf_addf(out, "%s%u", i ? "," : "", sampled.id);
        e->ids[e->n_prompt + i] = sampled.id;
        if (i + 1 < e->config.next && feed(e, e->n_prompt + i, 1, &logits, err) < 0)
            return -1;
    }
    hold_buf_adds(out, "],\"backend\":");
    hold_buf_add_json(out, e->device.caps.name, strlen(e->device.caps.name));
    hold_buf_adds(out, ",\"warnings\":");
    hold_buf_add_json(out, e->warnings.data ? e->warnings.data : "", e->warnings.n);
    hold_buf_adds(out, "}\n");
    return hold_buf_check(out, "the answer", err);
}

static void end(struct eval *e) {
    hold_sample_space_free(e->space);
    hold_forward_free(e->forward);
    if (e->kv.pool)
        hold_kv_close(&e->kv, &e->device.stream);
    for (size_t i = 0; i < HOLD_STRS_MAX; i++)
        if (e->rows[i].data)
            hold_vision_free(&e->device.stream, &e->rows[i]);
    hold_weights_release(&e->loaded);
    hold_device_close(&e->device);
    for (size_t i = 0; e->folder && i < e->folder->n; i++) {
        hold_map_close(&e->folder->maps[i]);
        free(e->folder->names[i]);
    }
    free(e->folder);
    free(e->ids);
    free(e->pos);
    free(e->pages);
    hold_close_fd(&e->dir_fd);
    hold_buf_release(&e->plan_bytes);
    hold_buf_release(&e->warnings);
}

static int exit_status(const struct hold_err *err) {
    switch (err->code) {
    case HOLD_E_CONFIG: return HOLD_EXIT_CONFIG;
    case HOLD_E_MISSING: return HOLD_EXIT_NO_MODEL;
    case HOLD_E_FORMAT: return HOLD_EXIT_VERIFY_FORMAT;
    case HOLD_E_LIMIT: return HOLD_EXIT_MEMORY;
    case HOLD_E_DEVICE: return HOLD_EXIT_DEVICE;
    case HOLD_E_DENIED: return HOLD_EXIT_PERMISSION;
    case HOLD_E_NONE:
    case HOLD_E_IO:
    case HOLD_E_NET:
    case HOLD_E_BUSY:
    case HOLD_E_INTERNAL:
    case HOLD_ERRC_COUNT: break;
    }
    return HOLD_EXIT_INTERNAL;
}

static int fail(const struct hold_err *err, int status) {
    fprintf(stderr, "holdfast-runtime eval: %s\n", err->text);
    return status;
}

static int usage(FILE *to, int status) {
    hold_autobuf text = hold_buf_with_max(65536);
    hold_opt_help(rows, HOLD_COUNT_OF(rows), &text);
    fprintf(to, "usage: holdfast-runtime eval --model DIR --ids N,N,... [OPTION...]\n\n%s", text.data ? text.data : "");
    return status;
}

int hold_eval_main(int argc, char **argv) {
    static const char *const no_environment[] = { NULL };
    enum hold_opt_source sources[HOLD_COUNT_OF(rows)];
    hold_autobuf store = hold_buf_with_max(1 << 16), mistakes = hold_buf_with_max(1 << 16), out = hold_buf_with_max(64u << 20);
    const struct hold_opt_set set = { .rows = rows, .n_rows = HOLD_COUNT_OF(rows), .sources = sources, .store = &store };
    struct hold_strs words = { 0 };
    struct hold_err err = { 0 };
    struct eval e = { .dir_fd = -1 };
    int rest = argc;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0)
            return usage(stdout, 0);
    if (hold_opt_load(&set, &e.config, NULL, NULL, no_environment, argc, argv, false, &words, &rest, &mistakes, &err) < 0)
        return fail(&err, HOLD_EXIT_USAGE);
    if (!e.config.model || !*e.config.model || !e.config.ids || !*e.config.ids || words.n > 0 || rest < argc)
        return usage(stderr, HOLD_EXIT_USAGE);
    if (e.config.dtype == DTYPE_INT8) {
        (void) hold_fail(&err, HOLD_E_CONFIG, 0, "dtype int8 does not exist yet; bf16 and f32 do");
        return fail(&err, HOLD_EXIT_CONFIG);
    }
    int rc = make_plan(&e, &err) < 0 || open_model(&e, &err) < 0 || run(&e, &out, &err) < 0 ? -1 : 0;
    if (rc == 0 && hold_write_all(STDOUT_FILENO, out.data, out.n, "the answer", &err) < 0)
        rc = -1;
    if (rc == 0 && e.device.why[0])
        fprintf(stderr, "holdfast-runtime eval: on %s: %s\n", e.device.caps.name, e.device.why);
    end(&e);
    return rc < 0 ? fail(&err, exit_status(&err)) : 0;
}
