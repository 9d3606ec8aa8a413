/* slots.c - the table from role to view. Floor: runtime/engine, pure. */
#include "runtime/engine/slots.h"

#include <stddef.h>

enum home { HOME_NONE, HOME_DECODER, HOME_LAYER, HOME_TOWER, HOME_BLOCK };

struct slot {
    enum home home;
    size_t offset;
};

#define DECODER(field) { HOME_DECODER, offsetof(struct hold_decoder, field) }
#define LAYER(field) { HOME_LAYER, offsetof(struct hold_layer, field) }
#define TOWER(field) { HOME_TOWER, offsetof(struct hold_tower, field) }
#define BLOCK(field) { HOME_BLOCK, offsetof(struct hold_block, field) }

static const struct slot slots[HOLD_ROLE_COUNT] = {
    [HOLD_ROLE_EMBED] = DECODER(embed),
    [HOLD_ROLE_FINAL_NORM] = DECODER(final_norm),
    [HOLD_ROLE_LM_HEAD] = DECODER(lm_head),
    [HOLD_ROLE_INPUT_NORM] = LAYER(input_norm),
    [HOLD_ROLE_Q] = LAYER(q),
    [HOLD_ROLE_Q_BIAS] = LAYER(q_bias),
    [HOLD_ROLE_K] = LAYER(k),
    [HOLD_ROLE_K_BIAS] = LAYER(k_bias),
    [HOLD_ROLE_V] = LAYER(v),
    [HOLD_ROLE_V_BIAS] = LAYER(v_bias),
    [HOLD_ROLE_O] = LAYER(o),
    [HOLD_ROLE_POST_ATTN_NORM] = LAYER(post_attn_norm),
    [HOLD_ROLE_PRE_MLP_NORM] = LAYER(pre_mlp_norm),
    [HOLD_ROLE_GATE_UP] = LAYER(gate_up),
    [HOLD_ROLE_DOWN] = LAYER(down),
    [HOLD_ROLE_POST_MLP_NORM] = LAYER(post_mlp_norm),
    [HOLD_ROLE_V_PATCH] = TOWER(patch),
    [HOLD_ROLE_V_PATCH_BIAS] = TOWER(patch_bias),
    [HOLD_ROLE_V_CONV_NORM] = TOWER(conv_norm),
    [HOLD_ROLE_V_POSITION] = TOWER(position),
    [HOLD_ROLE_V_NORM1] = BLOCK(norm1),
    [HOLD_ROLE_V_NORM2] = BLOCK(norm2),
    [HOLD_ROLE_V_QKV] = BLOCK(qkv),
    [HOLD_ROLE_V_PROJ] = BLOCK(proj),
    [HOLD_ROLE_V_GATE] = BLOCK(gate),
    [HOLD_ROLE_V_UP] = BLOCK(up),
    [HOLD_ROLE_V_DOWN] = BLOCK(down),
    [HOLD_ROLE_V_POST_NORM] = TOWER(post_norm),
    [HOLD_ROLE_V_DOWNSAMPLE] = TOWER(downsample),
    [HOLD_ROLE_V_DOWNSAMPLE_BIAS] = TOWER(downsample_bias),
    [HOLD_ROLE_M_PROJ] = TOWER(merger_proj),
    [HOLD_ROLE_M_NORM] = TOWER(merger_norm),
    [HOLD_ROLE_M_NORM_BIAS] = TOWER(merger_norm_bias),
    [HOLD_ROLE_M_GATE] = TOWER(merger_gate),
    [HOLD_ROLE_M_UP] = TOWER(merger_up),
    [HOLD_ROLE_M_DOWN] = TOWER(merger_down),
};

struct hold_t2 *hold_slot_of(struct hold_weights *w, uint32_t role, uint32_t number) {
    if (role >= HOLD_ROLE_COUNT || number >= hold_role_count(&w->record, (enum hold_role) role))
        return NULL;
    void *homes[] = { [HOME_NONE] = NULL, [HOME_DECODER] = &w->decoder, [HOME_LAYER] = &w->layers[number], [HOME_TOWER] = &w->tower, [HOME_BLOCK] = &w->blocks[number] };
    char *home = homes[slots[role].home];
    return home ? (struct hold_t2 *) (void *) (home + slots[role].offset) : NULL;
}
