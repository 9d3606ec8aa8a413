/* step.h - one batch through the whole decoder, for a backend that fuses it. Floor: kernels; may include kernels/types.h
 * and kernels/attn.h. */
#ifndef HOLD_KERNELS_STEP_H
#define HOLD_KERNELS_STEP_H

#include "kernels/attn.h"
#include "kernels/types.h"

/* Weights of one layer; matrices are [out, in], norms and biases [1, dim]; the three biases may be absent. */
struct hold_layer {
    struct hold_t2 input_norm, q, q_bias, k, k_bias, v, v_bias, o, post_attn_norm, pre_mlp_norm;
    struct hold_t2 gate_up; /* rows 0..intermediate-1 gate, the others up */
    struct hold_t2 down, post_mlp_norm;
};

struct hold_decoder {
    uint32_t hidden, n_layers, n_heads, n_kv_heads, head_dim, intermediate, vocab, rotary_dim;
    float eps;
    struct hold_t2 embed, final_norm, lm_head; /* lm_head is the view of embed where the checkpoint ties them */
    const struct hold_layer *layers;           /* n_layers of them, host memory */
};

/* Work space of a batch, all of one type: [rows, width]. Contents mean nothing before and after. */
struct hold_scratch {
    struct hold_t2 h;       /* width hidden */
    struct hold_t2 q, o;    /* width n_heads * head_dim */
    struct hold_t2 k, v;    /* width n_kv_heads * head_dim */
    struct hold_t2 gate_up; /* width 2 * intermediate */
    struct hold_t2 mlp;     /* width intermediate */
};

/* Decode rows and pieces of prompts of many sequences together. */
struct hold_step {
    const struct hold_decoder *decoder;
    const struct hold_kv *kv;
    struct hold_places places;
    uint32_t max_index;    /* as in hold_attend */
    struct hold_t2 x;      /* [rows, hidden] f32 or bf16: embedded tokens and image rows; overwritten */
    struct hold_t2 cs;     /* [rows, rotary_dim] f32 from hold_rope_angles */
    struct hold_t2 want;   /* [n, 1] i32: the rows of x that want logits, n >= 0 */
    struct hold_t2 picked; /* [n, hidden], work space */
    struct hold_t2 logits; /* [n, vocab] f32 */
    struct hold_scratch scratch;
};

#endif
