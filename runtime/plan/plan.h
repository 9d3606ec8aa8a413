/* plan.h - everything known about a model's files, as one versioned block of bytes. Floor: runtime/plan, pure.
 *
 * `holdfast-job verify` (and `holdfast-runtime eval`) parse config.json, the safetensors headers and tokenizer.json once
 * and write a plan; front and engine map it and parse nothing else from disk. The block is position independent: offsets,
 * no pointers. Source of the shapes and roles: the published GLM-4.1V class (text decoder and vision tower). */
#ifndef HOLD_RUNTIME_PLAN_H
#define HOLD_RUNTIME_PLAN_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_PLAN_VERSION 1u
#define HOLD_PLAN_MAX_BYTES (256u << 20)
#define HOLD_PLAN_MAX_LAYERS 512u
#define HOLD_PLAN_MAX_FILES 1024u
#define HOLD_PLAN_MAX_EOS 16u
#define HOLD_PLAN_MAX_DIMS 5u

/* What the checkpoint is, whatever dialect its JSON files speak. Every count is checked against zero and a maximum by
 * runtime/weights/record.c; plain fixed-width fields, since the struct is stored as it is. */
struct hold_record {
    /* text decoder */
    uint32_t hidden, n_layers, n_heads, n_kv_heads, head_dim, intermediate, vocab, max_positions;
    uint32_t rotary_dim;        /* head_dim * partial factor; even */
    uint32_t mrope_sections[3]; /* frequencies of the t, h and w axes; their sum is rotary_dim / 2; all zero: one axis */
    uint32_t has_qkv_bias, is_tied;
    double rope_theta, rms_eps;
    /* vision tower; vision_depth 0: text only */
    uint32_t vision_depth, vision_hidden, vision_heads, vision_channels, vision_image_size;
    uint32_t patch, temporal_patch, merge;
    uint32_t vision_mlp;        /* width of the blocks' MLP (out_hidden_size) */
    uint32_t vision_out;        /* rows handed to the decoder; equals hidden */
    uint32_t merger_mlp;        /* width of the merger's MLP (vision intermediate_size) */
    uint32_t position_rows;     /* side of the learned position table: image_size / patch */
    double vision_eps, vision_theta;
    /* image pre-processing */
    uint64_t min_pixels, max_pixels; /* of the temporal_patch-frame volume */
    float image_mean[3], image_std[3];
    /* token ids; UINT32_MAX: the checkpoint names none */
    uint32_t image_token, image_start, image_end, video_token, video_start, video_end, pad_token;
    uint32_t n_eos, eos[HOLD_PLAN_MAX_EOS];
    /* generation defaults; NAN or 0 where the checkpoint gives none */
    float temperature, top_p, repetition_penalty;
    uint32_t top_k;
};

/* Where a tensor belongs: its role and, for the roles of a layer or block, the number of it. X(ID, "name", is_layered).
 * Shapes are [out, in] as stored in the checkpoint. */
#define HOLD_ROLE_LIST(X)                              \
    X(EMBED, "embed_tokens.weight", 0)                 \
    X(FINAL_NORM, "norm.weight", 0)                    \
    X(LM_HEAD, "lm_head.weight", 0)                    \
    X(INPUT_NORM, "input_layernorm.weight", 1)         \
    X(Q, "self_attn.q_proj.weight", 1)                 \
    X(Q_BIAS, "self_attn.q_proj.bias", 1)              \
    X(K, "self_attn.k_proj.weight", 1)                 \
    X(K_BIAS, "self_attn.k_proj.bias", 1)              \
    X(V, "self_attn.v_proj.weight", 1)                 \
    X(V_BIAS, "self_attn.v_proj.bias", 1)              \
    X(O, "self_attn.o_proj.weight", 1)                 \
    X(POST_ATTN_NORM, "post_self_attn_layernorm.weight", 1) \
    X(PRE_MLP_NORM, "post_attention_layernorm.weight", 1)   \
    X(GATE_UP, "mlp.gate_up_proj.weight", 1)           \
    X(DOWN, "mlp.down_proj.weight", 1)                 \
    X(POST_MLP_NORM, "post_mlp_layernorm.weight", 1)   \
    X(V_PATCH, "patch_embed.proj.weight", 0)           \
    X(V_PATCH_BIAS, "patch_embed.proj.bias", 0)        \
    X(V_CONV_NORM, "post_conv_layernorm.weight", 0)    \
    X(V_POSITION, "embeddings.position_embedding.weight", 0) \
    X(V_NORM1, "norm1.weight", 1)                      \
    X(V_NORM2, "norm2.weight", 1)                      \
    X(V_QKV, "attn.qkv.weight", 1)                     \
    X(V_PROJ, "attn.proj.weight", 1)                   \
    X(V_GATE, "mlp.gate_proj.weight", 1)               \
    X(V_UP, "mlp.up_proj.weight", 1)                   \
    X(V_DOWN, "mlp.down_proj.weight", 1)               \
    X(V_POST_NORM, "post_layernorm.weight", 0)         \
    X(V_DOWNSAMPLE, "downsample.weight", 0)            \
    X(V_DOWNSAMPLE_BIAS, "downsample.bias", 0)         \
    X(M_PROJ, "merger.proj.weight", 0)                 \
    X(M_NORM, "merger.post_projection_norm.weight", 0) \
    X(M_NORM_BIAS, "merger.post_projection_norm.bias", 0) \
    X(M_GATE, "merger.gate_proj.weight", 0)            \
    X(M_UP, "merger.up_proj.weight", 0)                \
    X(M_DOWN, "merger.down_proj.weight", 0)

enum hold_role {
#define X(id, name, is_layered) HOLD_ROLE_##id,
    HOLD_ROLE_LIST(X)
#undef X
    HOLD_ROLE_COUNT
};

const char *hold_role_name(enum hold_role role);
bool hold_role_is_layered(enum hold_role role);
bool hold_role_is_vision(enum hold_role role); /* the tower and its merger */
/* How often a checkpoint of this record has the role: its layer or block count, 1, or 0 when it is not there (biases, a
 * tied lm_head, the tower of a text-only model). */
uint32_t hold_role_count(const struct hold_record *record, enum hold_role role);
/* Writes the stored shape, unused axes 1, and returns the number of axes (1..HOLD_PLAN_MAX_DIMS). The record must be checked. */
uint32_t hold_role_shape(const struct hold_record *record, enum hold_role role, uint64_t ret_dims[HOLD_PLAN_MAX_DIMS]);
/* Every count within its range, every pair of fields that must agree does. Fails with FORMAT and names the field. */
HOLD_MUST int hold_record_check(const struct hold_record *record, struct hold_err *err);

/* dtypes a checkpoint may carry for a tensor that is used; values are stored. */
enum hold_plan_dtype { HOLD_PLAN_BF16 = 1, HOLD_PLAN_F32 = 2, HOLD_PLAN_F16 = 3 };
uint32_t hold_plan_dtype_bytes(uint32_t dtype); /* 2, 4, or 0 for a number that is no dtype */

struct hold_plan_tensor {
    uint32_t role, layer; /* layer is 0 for roles without layers */
    uint32_t dtype, n_dims;
    uint64_t dims[HOLD_PLAN_MAX_DIMS];
    uint64_t file;          /* index into the files */
    uint64_t offset, bytes; /* in that file; inside its data area, proven */
};

struct hold_plan_file {
    const char *name; /* relative to the model folder; safe (base/io.h) */
    uint64_t bytes;
};

/* What goes into a plan. All borrowed for the call. */
struct hold_plan_parts {
    const struct hold_record *record;
    const struct hold_plan_file *files;
    size_t n_files;
    const struct hold_plan_tensor *tensors; /* sorted by role, then layer; each needed one exactly once */
    size_t n_tensors;
    const void *tokens; /* the flat token table of runtime/text/token.h; NULL: none (eval without a tokenizer) */
    size_t tokens_bytes;
    uint8_t digest[32]; /* the model's identity: SHA-256 over path, size and sha256 of each file, or zeros when unproven */
};

/* A checked view of plan bytes; borrows them. */
struct hold_plan {
    const struct hold_record *record;
    const struct hold_plan_tensor *tensors;
    size_t n_tensors;
    const void *tokens; /* 16-byte aligned, or NULL */
    size_t tokens_bytes;
    const uint8_t *digest; /* 32 bytes */
    size_t n_files;
    const void *file_rows; /* private: hold_plan_file_at */
    const char *names;     /* private */
};

/* Appends the block to out (empty, maximum at least HOLD_PLAN_MAX_BYTES for large models). */
HOLD_MUST int hold_plan_write(const struct hold_plan_parts *parts, struct hold_buf *out, struct hold_err *err);
/* Checks magic, version, size, every offset, count, name, role and dtype, the record (hold_record_check), that each role the
 * record needs is there with its shape, none twice, none more, and that tensors lie inside their files. The token table
 * is handed on unread (hold_tok_open checks it). bytes must be 16-byte aligned (a mapping is) and outlive ret_plan. Fails with FORMAT and names the field. */
HOLD_MUST int hold_plan_open(const void *bytes, size_t n, struct hold_plan *ret_plan, struct hold_err *err);
struct hold_plan_file hold_plan_file_at(const struct hold_plan *plan, size_t index);
/* The tensor of a role and layer, or NULL. */
const struct hold_plan_tensor *hold_plan_find(const struct hold_plan *plan, enum hold_role role, uint32_t layer);

#endif
