/* plan.c - writes and opens the plan block. Floor: runtime/plan, pure.
 *
 * Layout: one fixed head, then record, tensor rows, file rows, file names (each terminated), token table; every part starts
 * at a multiple of 16. Numbers are the machine's own: a plan never leaves the container that made it. */
#include "runtime/plan/plan.h"

#include "base/name.h"
#include "base/num.h"

#include <math.h>
#include <string.h>

static const char MAGIC[8] = { 'H', 'O', 'L', 'D', 'P', 'L', 'A', 'N' };

struct part {
    uint64_t offset, bytes;
};

struct head {
    char magic[8];
    uint32_t version, head_bytes;
    uint64_t total_bytes;
    struct part record, tensors, files, names, tokens;
    uint8_t digest[32];
};

struct file_row {
    uint64_t name; /* offset into the names */
    uint64_t bytes;
};

static const struct {
    const char *name;
    bool is_layered;
} roles[HOLD_ROLE_COUNT] = {
#define X(id, name, is_layered) [HOLD_ROLE_##id] = { name, is_layered },
    HOLD_ROLE_LIST(X)
#undef X
};

const char *hold_role_name(enum hold_role role) {
    return (unsigned) role < HOLD_ROLE_COUNT ? roles[role].name : "unknown";
}

bool hold_role_is_layered(enum hold_role role) {
    return (unsigned) role < HOLD_ROLE_COUNT && roles[role].is_layered;
}

bool hold_role_is_vision(enum hold_role role) {
    return role >= HOLD_ROLE_V_PATCH && role < HOLD_ROLE_COUNT;
}

uint32_t hold_role_count(const struct hold_record *record, enum hold_role role) {
    if ((unsigned) role >= HOLD_ROLE_COUNT)
        return 0;
    if (hold_role_is_vision(role)) {
        if (record->vision_depth == 0)
            return 0;
        return roles[role].is_layered ? record->vision_depth : 1;
    }
    if (role == HOLD_ROLE_LM_HEAD)
        return record->is_tied ? 0 : 1;
    if (role == HOLD_ROLE_Q_BIAS || role == HOLD_ROLE_K_BIAS || role == HOLD_ROLE_V_BIAS)
        return record->has_qkv_bias ? record->n_layers : 0;
    return roles[role].is_layered ? record->n_layers : 1;
}

static uint32_t shape(uint64_t ret[HOLD_PLAN_MAX_DIMS], uint32_t n, const uint64_t *dims) {
    for (uint32_t i = 0; i < HOLD_PLAN_MAX_DIMS; i++)
        ret[i] = i < n ? dims[i] : 1;
    return n;
}

uint32_t hold_role_shape(const struct hold_record *r, enum hold_role role, uint64_t ret_dims[HOLD_PLAN_MAX_DIMS]) {
    const uint64_t q = (uint64_t) r->n_heads * r->head_dim, kv = (uint64_t) r->n_kv_heads * r->head_dim;
    const uint64_t vh = r->vision_hidden;
#define DIMS(...) shape(ret_dims, sizeof((uint64_t[]) { __VA_ARGS__ }) / sizeof(uint64_t), (uint64_t[]) { __VA_ARGS__ })
    switch (role) {
    case HOLD_ROLE_EMBED:
    case HOLD_ROLE_LM_HEAD: return DIMS(r->vocab, r->hidden);
    case HOLD_ROLE_FINAL_NORM:
    case HOLD_ROLE_INPUT_NORM:
    case HOLD_ROLE_POST_ATTN_NORM:
    case HOLD_ROLE_PRE_MLP_NORM:
    case HOLD_ROLE_POST_MLP_NORM: return DIMS(r->hidden);
    case HOLD_ROLE_Q: return DIMS(q, r->hidden);
    case HOLD_ROLE_Q_BIAS: return DIMS(q);
    case HOLD_ROLE_K:
    case HOLD_ROLE_V: return DIMS(kv, r->hidden);
    case HOLD_ROLE_K_BIAS:
    case HOLD_ROLE_V_BIAS: return DIMS(kv);
    case HOLD_ROLE_O: return DIMS(r->hidden, q);
    case HOLD_ROLE_GATE_UP: return DIMS(2 * (uint64_t) r->intermediate, r->hidden);
    case HOLD_ROLE_DOWN: return DIMS(r->hidden, r->intermediate);
    case HOLD_ROLE_V_PATCH: return DIMS(vh, r->vision_channels, r->temporal_patch, r->patch, r->patch);
    case HOLD_ROLE_V_PATCH_BIAS:
    case HOLD_ROLE_V_CONV_NORM:
    case HOLD_ROLE_V_NORM1:
    case HOLD_ROLE_V_NORM2:
    case HOLD_ROLE_V_POST_NORM: return DIMS(vh);
    case HOLD_ROLE_V_POSITION: return DIMS((uint64_t) r->position_rows * r->position_rows, vh);
    case HOLD_ROLE_V_QKV: return DIMS(3 * vh, vh);
    case HOLD_ROLE_V_PROJ: return DIMS(vh, vh);
    case HOLD_ROLE_V_GATE:
    case HOLD_ROLE_V_UP: return DIMS(r->vision_mlp, vh);
    case HOLD_ROLE_V_DOWN: return DIMS(vh, r->vision_mlp);
    case HOLD_ROLE_V_DOWNSAMPLE: return DIMS(r->vision_out, vh, r->merge, r->merge);
    case HOLD_ROLE_V_DOWNSAMPLE_BIAS:
    case HOLD_ROLE_M_NORM:
    case HOLD_ROLE_M_NORM_BIAS: return DIMS(r->vision_out);
    case HOLD_ROLE_M_PROJ: return DIMS(r->vision_out, r->vision_out);
    case HOLD_ROLE_M_GATE:
    case HOLD_ROLE_M_UP: return DIMS(r->merger_mlp, r->vision_out);
    case HOLD_ROLE_M_DOWN: return DIMS(r->vision_out, r->merger_mlp);
    case HOLD_ROLE_COUNT: break;
    }
#undef DIMS
    return shape(ret_dims, 1, (uint64_t[]) { 0 });
}

/* ---- the record ---- */

static int within(const char *field, uint64_t value, uint64_t min, uint64_t max, struct hold_err *err) {
    if (value >= min && value <= max)
        return 0;
    return hold_fail(err, HOLD_E_FORMAT, 0, "%s is %llu, allowed are %llu to %llu", field, (unsigned long long) value,
                     (unsigned long long) min, (unsigned long long) max);
}

#define WITHIN(field, min, max)                              \
    do {                                                     \
        if (within(#field, r->field, (min), (max), err) < 0) \
            return -1;                                       \
    } while (0)

static int token_check(const struct hold_record *r, const char *field, uint32_t id, struct hold_err *err) {
    if (id == UINT32_MAX || id < r->vocab)
        return 0;
    return hold_fail(err, HOLD_E_FORMAT, 0, "%s is %u, the vocabulary has %u rows", field, id, r->vocab);
}

static int text_check(const struct hold_record *r, struct hold_err *err) {
    WITHIN(hidden, 8, 65536);
    WITHIN(n_layers, 1, HOLD_PLAN_MAX_LAYERS);
    WITHIN(n_heads, 1, 1024);
    WITHIN(n_kv_heads, 1, r->n_heads);
    WITHIN(head_dim, 2, 1024);
    WITHIN(intermediate, 8, 1u << 20);
    WITHIN(vocab, 1, 1u << 22);
    WITHIN(max_positions, 1, 1u << 24);
    WITHIN(rotary_dim, 2, r->head_dim);
    WITHIN(has_qkv_bias, 0, 1);
    WITHIN(is_tied, 0, 1);
    if (r->n_heads % r->n_kv_heads)
        return hold_fail(err, HOLD_E_FORMAT, 0, "%u heads do not divide into %u key/value heads", r->n_heads, r->n_kv_heads);
    if (r->rotary_dim % 2)
        return hold_fail(err, HOLD_E_FORMAT, 0, "rotary_dim %u is odd", r->rotary_dim);
    uint64_t sections = 0;
    for (int i = 0; i < 3; i++)
        sections += r->mrope_sections[i];
    if (sections != 0 && sections * 2 != r->rotary_dim)
        return hold_fail(err, HOLD_E_FORMAT, 0, "mrope_section [%u, %u, %u] times 2 is not the rotary part %u of head_dim %u",
                         r->mrope_sections[0], r->mrope_sections[1], r->mrope_sections[2], r->rotary_dim, r->head_dim);
    if (!(r->rope_theta >= 1 && r->rope_theta <= 1e12))
        return hold_fail(err, HOLD_E_FORMAT, 0, "rope_theta %g is not between 1 and 1e12", r->rope_theta);
    if (!(r->rms_eps > 0 && r->rms_eps <= 0.1))
        return hold_fail(err, HOLD_E_FORMAT, 0, "rms_norm_eps %g is not between 0 and 0.1", r->rms_eps);
    return 0;
}

static int vision_check(const struct hold_record *r, struct hold_err *err) {
    WITHIN(vision_depth, 1, HOLD_PLAN_MAX_LAYERS);
    WITHIN(vision_hidden, 8, 65536);
    WITHIN(vision_heads, 1, 1024);
    WITHIN(vision_channels, 3, 3);
    WITHIN(patch, 1, 64);
    WITHIN(temporal_patch, 1, 8);
    WITHIN(merge, 1, 8);
    WITHIN(vision_image_size, r->patch, 16384);
    WITHIN(position_rows, 1, 1024);
    WITHIN(vision_mlp, 8, 1u << 20);
    WITHIN(vision_out, r->hidden, r->hidden);
    WITHIN(merger_mlp, 8, 1u << 20);
    WITHIN(min_pixels, 1, UINT64_C(1) << 40);
    WITHIN(max_pixels, r->min_pixels, UINT64_C(1) << 40);
    if (r->vision_hidden % r->vision_heads || r->vision_hidden / r->vision_heads % 4)
        return hold_fail(err, HOLD_E_FORMAT, 0, "vision hidden %u over %u heads does not give a multiple of 4", r->vision_hidden,
                         r->vision_heads);
    if (r->position_rows != r->vision_image_size / r->patch)
        return hold_fail(err, HOLD_E_FORMAT, 0, "position table side %u is not image_size %u over patch %u", r->position_rows,
                         r->vision_image_size, r->patch);
    if (!(r->vision_eps > 0 && r->vision_eps <= 0.1))
        return hold_fail(err, HOLD_E_FORMAT, 0, "vision rms_norm_eps %g is not between 0 and 0.1", r->vision_eps);
    if (!(r->vision_theta >= 1 && r->vision_theta <= 1e12))
        return hold_fail(err, HOLD_E_FORMAT, 0, "vision theta %g is not between 1 and 1e12", r->vision_theta);
    for (int i = 0; i < 3; i++)
        if (!isfinite(r->image_mean[i]) || !(r->image_std[i] > 0) || !isfinite(r->image_std[i]))
            return hold_fail(err, HOLD_E_FORMAT, 0, "image_mean or image_std of channel %d is not usable", i);
    return 0;
}

int hold_record_check(const struct hold_record *r, struct hold_err *err) {
    if (text_check(r, err) < 0)
        return -1;
    if (r->vision_depth && vision_check(r, err) < 0)
        return -1;
    const struct {
        const char *name;
        uint32_t id;
    } ids[] = {
        { "image_token_id", r->image_token },       { "image_start_token_id", r->image_start },
        { "image_end_token_id", r->image_end },     { "video_token_id", r->video_token },
        { "video_start_token_id", r->video_start }, { "video_end_token_id", r->video_end },
        { "pad_token_id", r->pad_token },
    };
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (token_check(r, ids[i].name, ids[i].id, err) < 0)
            return -1;
    WITHIN(n_eos, 0, HOLD_PLAN_MAX_EOS);
    for (uint32_t i = 0; i < r->n_eos; i++) {
        if (r->eos[i] >= r->vocab)
            return hold_fail(err, HOLD_E_FORMAT, 0, "eos_token_id %u is outside the vocabulary of %u rows", r->eos[i], r->vocab);
    }
    return 0;
}

/* ---- the block ---- */

uint32_t hold_plan_dtype_bytes(uint32_t dtype) {
    return dtype == HOLD_PLAN_F32 ? 4 : dtype == HOLD_PLAN_BF16 || dtype == HOLD_PLAN_F16 ? 2 : 0;
}

/* The tensors in order are exactly what the record needs: walking both lists together finds the first difference. */
static int tensors_check(const struct hold_plan *plan, struct hold_err *err) {
    size_t at = 0;
    for (uint32_t role = 0; role < HOLD_ROLE_COUNT; role++) {
        const uint32_t count = hold_role_count(plan->record, role);
        uint64_t dims[HOLD_PLAN_MAX_DIMS];
        const uint32_t n_dims = hold_role_shape(plan->record, role, dims);
        for (uint32_t layer = 0; layer < count; layer++, at++) {
            const struct hold_plan_tensor *t = at < plan->n_tensors ? &plan->tensors[at] : NULL;
            if (!t || t->role != role || t->layer != layer)
                return hold_fail(err, HOLD_E_FORMAT, 0, "plan: tensor row %zu is not %s of layer %u", at, roles[role].name, layer);
            uint64_t bytes = hold_plan_dtype_bytes(t->dtype), end;
            if (bytes == 0)
                return hold_fail(err, HOLD_E_FORMAT, 0, "plan: %s of layer %u has dtype %u", roles[role].name, layer, t->dtype);
            bool fits = t->n_dims == n_dims && memcmp(t->dims, dims, sizeof dims) == 0;
            for (uint32_t i = 0; i < n_dims && fits; i++)
                fits = hold_mul_u64(bytes, dims[i], &bytes);
            if (!fits || bytes != t->bytes)
                return hold_fail(err, HOLD_E_FORMAT, 0, "plan: %s of layer %u has the wrong shape or size", roles[role].name, layer);
            if (t->file >= plan->n_files || !hold_add_u64(t->offset, t->bytes, &end) ||
                end > hold_plan_file_at(plan, t->file).bytes)
                return hold_fail(err, HOLD_E_FORMAT, 0, "plan: %s of layer %u lies outside its file", roles[role].name, layer);
        }
    }
    if (at != plan->n_tensors)
        return hold_fail(err, HOLD_E_FORMAT, 0, "plan: %zu tensors, the record needs %zu", plan->n_tensors, at);
    return 0;
}

static bool part_is_inside(const struct part *p, uint64_t total) {
    uint64_t end;
    return p->offset % 16 == 0 && p->offset >= sizeof(struct head) && hold_add_u64(p->offset, p->bytes, &end) && end <= total;
}

static int files_check(const struct hold_plan *plan, uint64_t names_bytes, struct hold_err *err) {
    const struct file_row *rows = plan->file_rows;
    if (plan->n_files == 0 || plan->n_files > HOLD_PLAN_MAX_FILES)
        return hold_fail(err, HOLD_E_FORMAT, 0, "plan: %zu files, allowed are 1 to %u", plan->n_files, HOLD_PLAN_MAX_FILES);
    if (names_bytes == 0 || plan->names[names_bytes - 1] != 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "plan: file names do not end with a zero");
    for (size_t i = 0; i < plan->n_files; i++) {
        if (rows[i].name >= names_bytes || !hold_name_is_safe(plan->names + rows[i].name))
            return hold_fail(err, HOLD_E_FORMAT, 0, "plan: the name of file %zu is not safe", i);
    }
    return 0;
}

int hold_plan_open(const void *bytes, size_t n, struct hold_plan *ret_plan, struct hold_err *err) {
    struct head h;
    if ((uintptr_t) bytes % 16 != 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "plan: not aligned to 16 bytes");
    if (n < sizeof h)
        return hold_fail(err, HOLD_E_FORMAT, 0, "plan: %zu bytes, the head alone has %zu", n, sizeof h);
    memcpy(&h, bytes, sizeof h);
    if (memcmp(h.magic, MAGIC, sizeof MAGIC) != 0)
        return hold_fail(err, HOLD_E_FORMAT, 0, "plan: the first bytes are not those of a plan");
    if (h.version != HOLD_PLAN_VERSION || h.head_bytes != sizeof h)
        return hold_fail(err, HOLD_E_FORMAT, 0, "plan: version %u, this program reads version %u", h.version, HOLD_PLAN_VERSION);
    if (h.total_bytes != n || n > HOLD_PLAN_MAX_BYTES)
        return hold_fail(err, HOLD_E_FORMAT, 0, "plan: %zu bytes, its head says %llu", n, (unsigned long long) h.total_bytes);
    const struct part *parts[] = { &h.record, &h.tensors, &h.files, &h.names, &h.tokens };
    static const char *const names[] = { "record", "tensors", "files", "names", "tokens" };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!part_is_inside(parts[i], n))
            return hold_fail(err, HOLD_E_FORMAT, 0, "plan: its %s lie outside", names[i]);
    if (h.record.bytes != sizeof(struct hold_record) || h.tensors.bytes % sizeof(struct hold_plan_tensor) ||
        h.files.bytes % sizeof(struct file_row))
        return hold_fail(err, HOLD_E_FORMAT, 0, "plan: record, tensors or files have a wrong size");

    const char *base = bytes;
    struct hold_plan plan = {
        .record = (const void *) (base + h.record.offset),
        .tensors = (const void *) (base + h.tensors.offset),
        .n_tensors = h.tensors.bytes / sizeof(struct hold_plan_tensor),
        .tokens = h.tokens.bytes ? base + h.tokens.offset : NULL,
        .tokens_bytes = h.tokens.bytes,
        .digest = (const uint8_t *) base + offsetof(struct head, digest),
        .n_files = h.files.bytes / sizeof(struct file_row),
        .file_rows = base + h.files.offset,
        .names = base + h.names.offset,
    };
    if (hold_record_check(plan.record, err) < 0)
        return hold_wrap(err, "plan");
    if (files_check(&plan, h.names.bytes, err) < 0 || tensors_check(&plan, err) < 0)
        return -1;
    *ret_plan = plan;
    return 0;
}

static struct part add_part(struct hold_buf *out, const void *bytes, size_t n) {
    static const char zeros[16];
    hold_buf_add(out, zeros, (16 - out->n % 16) % 16);
    struct part p = { .offset = out->n, .bytes = n };
    if (n)
        hold_buf_add(out, bytes, n);
    return p;
}

int hold_plan_write(const struct hold_plan_parts *parts, struct hold_buf *out, struct hold_err *err) {
    if (parts->n_files == 0 || parts->n_files > HOLD_PLAN_MAX_FILES)
        return hold_fail(err, HOLD_E_LIMIT, 0, "plan: %zu files, allowed are 1 to %u", parts->n_files, HOLD_PLAN_MAX_FILES);
    struct head h = { .version = HOLD_PLAN_VERSION, .head_bytes = sizeof h };
    memcpy(h.magic, MAGIC, sizeof MAGIC);
    memcpy(h.digest, parts->digest, sizeof h.digest);
    hold_autobuf rows = hold_buf_with_max(HOLD_PLAN_MAX_FILES * sizeof(struct file_row));
    hold_autobuf names = hold_buf_with_max(HOLD_PLAN_MAX_FILES * 4096);
    for (size_t i = 0; i < parts->n_files; i++) {
        const struct file_row row = { .name = names.n, .bytes = parts->files[i].bytes };
        hold_buf_add(&rows, &row, sizeof row);
        hold_buf_add(&names, parts->files[i].name, strlen(parts->files[i].name) + 1);
    }
    if (hold_buf_check(&rows, "plan files", err) < 0 || hold_buf_check(&names, "plan file names", err) < 0)
        return -1;
    hold_buf_add(out, &h, sizeof h);
    h.record = add_part(out, parts->record, sizeof *parts->record);
    h.tensors = add_part(out, parts->tensors, parts->n_tensors * sizeof *parts->tensors);
    h.files = add_part(out, rows.data, rows.n);
    h.names = add_part(out, names.data, names.n);
    h.tokens = add_part(out, parts->tokens, parts->tokens ? parts->tokens_bytes : 0);
    h.total_bytes = out->n;
    if (hold_buf_check(out, "plan", err) < 0)
        return -1;
    memcpy(out->data, &h, sizeof h);
    /* what cannot be opened is not written: the same checks, once */
    struct hold_plan plan;
    return hold_plan_open(out->data, out->n, &plan, err);
}

struct hold_plan_file hold_plan_file_at(const struct hold_plan *plan, size_t index) {
    const struct file_row *rows = plan->file_rows;
    return (struct hold_plan_file) { .name = plan->names + rows[index].name, .bytes = rows[index].bytes };
}

const struct hold_plan_tensor *hold_plan_find(const struct hold_plan *plan, enum hold_role role, uint32_t layer) {
    size_t low = 0, high = plan->n_tensors;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct hold_plan_tensor *t = &plan->tensors[middle];
        if (t->role == (uint32_t) role && t->layer == layer)
            return t;
        if (t->role < (uint32_t) role || (t->role == (uint32_t) role && t->layer < layer))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
