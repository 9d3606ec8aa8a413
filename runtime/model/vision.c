/* vision.c - the vision tower and its projector as a list of operation calls. Floor: runtime/model. */
#include "runtime/model/vision.h"

#include "base/auto.h"
#include "base/num.h"

#include <math.h>
#include <string.h>

#define BLOCK_ALIGN 256u
#define MOST_PATCHES (1u << 20)
/* Rows that go through an MLP at once: its wide inner rows are the largest thing in the tower. */
#define MLP_ROWS 1024u

static const struct hold_t2 no_bias = { 0 };

struct room {
    struct hold_t2 patches, pixels /* of type act */, x, t, qkv, cs, yx, inv, axis;
    struct hold_t2 gate, up;     /* of a piece of MLP_ROWS rows, wide enough for blocks and merger */
    struct hold_t2 joined, hidden; /* [tokens, out] before and after the merger's projection */
    struct hold_t2 rows;         /* the result: first in the block, so that it can outlive the rest */
};

static bool carve(uintptr_t base, uint64_t *used, uint64_t rows, uint64_t cols, enum hold_dtype dtype, struct hold_t2 *ret) {
    uint64_t bytes;
    if (!hold_mul_u64(rows, cols, &bytes) || !hold_mul_u64(bytes, hold_dtype_bytes(dtype), &bytes) || rows > UINT32_MAX ||
        cols > UINT32_MAX || bytes > UINT64_MAX / 4 || *used > UINT64_MAX / 4)
        return false;
    *ret = hold_t2_of((void *) (base + (uintptr_t) *used), (uint32_t) rows, (uint32_t) cols, dtype);
    *used = (*used + bytes + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN;
    return true;
}

static bool lay_out(const struct hold_record *r, enum hold_dtype act, uint64_t n, uintptr_t base, struct room *ret, uint64_t *ret_bytes) {
    uint64_t used = 0, tokens = n / ((uint64_t) r->merge * r->merge), piece = n < MLP_ROWS ? n : MLP_ROWS;
    uint64_t patch_len = (uint64_t) r->vision_channels * r->temporal_patch * r->patch * r->patch;
    uint64_t head_dim = r->vision_hidden / r->vision_heads, wide = r->vision_mlp > r->merger_mlp ? r->vision_mlp : r->merger_mlp;
    struct room room = { 0 };
    bool fits = carve(base, &used, n, patch_len, HOLD_F32, &room.patches) && carve(base, &used, n, patch_len, act, &room.pixels) &&
                carve(base, &used, n, r->vision_hidden, act, &room.x) && carve(base, &used, n, r->vision_hidden, act, &room.t) &&
                carve(base, &used, n, 3 * (uint64_t) r->vision_hidden, act, &room.qkv) &&
                carve(base, &used, n, head_dim, HOLD_F32, &room.cs) && carve(base, &used, n, 2, HOLD_I32, &room.yx) &&
                carve(base, &used, 1, head_dim / 2, HOLD_F32, &room.inv) && carve(base, &used, 1, head_dim / 2, HOLD_I32, &room.axis) &&
                carve(base, &used, piece, wide, act, &room.gate) && carve(base, &used, piece, wide, act, &room.up) &&
                carve(base, &used, tokens, r->vision_out, act, &room.joined) &&
                carve(base, &used, tokens, r->vision_out, act, &room.hidden);
    *ret = room;
    *ret_bytes = used;
    return fits;
}

int hold_vision_bytes(const struct hold_record *r, enum hold_dtype act, uint32_t n_patches, uint64_t *ret_bytes, struct hold_err *err) {
    struct room room;
    uint64_t bytes;
    if (r->vision_depth == 0 || r->vision_heads == 0 || r->merge == 0 || n_patches == 0 || n_patches > MOST_PATCHES ||
        !lay_out(r, act, n_patches, 0, &room, &bytes))
        return hold_fail(err, HOLD_E_LIMIT, 0, "an image of %u patches cannot be planned", n_patches);
    uint64_t rows = (uint64_t) n_patches / (r->merge * r->merge) * r->vision_out * hold_dtype_bytes(act);
    *ret_bytes = bytes + rows;
    return 0;
}

/* Host side of the small tables: rotation frequencies, their axes, patch coordinates in merge-block order. */
static int send_tables(const struct hold_tower *tower, struct hold_stream *s, struct hold_grid grid, const struct room *room,
                       struct hold_err *err) {
    uint32_t quarter = tower->head_dim / 4, m = tower->merge;
    hold_autofree int32_t *yx = calloc((size_t) room->yx.rows * 2, sizeof *yx);
    hold_autofree int32_t *axis = calloc(2 * (size_t) quarter + 1, sizeof *axis);
    hold_autofree float *inv = calloc(2 * (size_t) quarter + 1, sizeof *inv);
    if (!yx || !axis || !inv)
        return hold_fail(err, HOLD_E_LIMIT, 0, "no memory for an image of %u patches", room->yx.rows);
    for (uint32_t k = 0; k < quarter; k++) {
        inv[k] = inv[quarter + k] = (float) pow((double) tower->theta, -4.0 * k / tower->head_dim);
        axis[quarter + k] = 1;
    }
    size_t at = 0;
    for (uint32_t t = 0; t < grid.t; t++)
        for (uint32_t by = 0; by < grid.h; by += m)
            for (uint32_t bx = 0; bx < grid.w; bx += m)
                for (uint32_t inner = 0; inner < m * m; inner++) {
                    yx[at++] = (int32_t) (by + inner / m);
                    yx[at++] = (int32_t) (bx + inner % m);
                }
    if (s->ops->copy_in(s, room->yx.data, yx, at * sizeof *yx) < 0 ||
        s->ops->copy_in(s, room->inv.data, inv, 2 * (size_t) quarter * sizeof *inv) < 0 ||
        s->ops->copy_in(s, room->axis.data, axis, 2 * (size_t) quarter * sizeof *axis) < 0 || s->ops->sync(s) < 0)
        return hold_fail(err, HOLD_E_DEVICE, 0, "send an image: %s", s->error);
    return 0;
}

#define TRY(call)      \
    do {               \
        if ((call) < 0) \
            return -1; \
    } while (0)

/* y = down(silu(gate x) * up x), in pieces of rows; y may be x. */
static int run_mlp(struct hold_stream *s, const struct room *room, struct hold_t2 y, struct hold_t2 x, struct hold_t2 gate, struct hold_t2 up,
                   struct hold_t2 down) {
    for (uint32_t row = 0; row < x.rows; row += room->gate.rows) {
        uint32_t n = x.rows - row < room->gate.rows ? x.rows - row : room->gate.rows;
        struct hold_t2 g = hold_t2_of(room->gate.data, n, gate.rows, x.dtype), u = hold_t2_of(room->up.data, n, up.rows, x.dtype);
        TRY(hold_matmul(s, g, hold_t2_rows(x, row, n), gate, no_bias));
        TRY(hold_matmul(s, u, hold_t2_rows(x, row, n), up, no_bias));
        TRY(hold_swiglu(s, g, g, u));
        TRY(hold_matmul(s, hold_t2_rows(y, row, n), g, down, no_bias));
    }
    return 0;
}

static int run_block(struct hold_stream *s, const struct hold_tower *tower, const struct hold_block *block, struct hold_grid grid,
                     const struct room *room) {
    uint32_t wide = tower->hidden, slice = grid.h * grid.w;
    struct hold_t2 q = hold_t2_cols(room->qkv, 0, wide), k = hold_t2_cols(room->qkv, wide, wide), v = hold_t2_cols(room->qkv, 2 * wide, wide);
    float scale = 1.0f / sqrtf((float) tower->head_dim);
    TRY(hold_rmsnorm(s, room->t, room->x, block->norm1, tower->eps));
    TRY(hold_matmul(s, room->qkv, room->t, block->qkv, no_bias));
    TRY(hold_rope(s, q, room->cs, tower->head_dim, HOLD_ROPE_HALVES));
    TRY(hold_rope(s, k, room->cs, tower->head_dim, HOLD_ROPE_HALVES));
    for (uint32_t t = 0; t < grid.t; t++)
        TRY(hold_attend_full(s, hold_t2_rows(room->t, t * slice, slice), hold_t2_rows(q, t * slice, slice),
                             hold_t2_rows(k, t * slice, slice), hold_t2_rows(v, t * slice, slice), tower->head_dim, scale));
    struct hold_t2 out = hold_t2_of(room->qkv.data, room->t.rows, wide, room->t.dtype); /* q, k, v are no longer needed */
    TRY(hold_matmul(s, out, room->t, block->proj, no_bias));
    TRY(hold_add(s, room->x, room->x, out));
    TRY(hold_rmsnorm(s, room->t, room->x, block->norm2, tower->eps));
    TRY(run_mlp(s, room, out, room->t, block->gate, block->up, block->down));
    return hold_add(s, room->x, room->x, out);
}

static int run_merger(struct hold_stream *s, const struct hold_tower *tower, const struct room *room) {
    uint32_t tokens = room->joined.rows, together = tower->merge * tower->merge * tower->hidden;
    struct hold_t2 blocks = hold_t2_of(room->x.data, tokens, together, room->x.dtype); /* the rows of a block lie side by side */
    TRY(hold_rmsnorm(s, room->x, room->x, tower->post_norm, tower->eps));
    TRY(hold_matmul(s, room->joined, blocks, tower->downsample, tower->downsample_bias));
    TRY(hold_matmul(s, room->hidden, room->joined, tower->merger_proj, no_bias));
    TRY(hold_layernorm(s, room->hidden, room->hidden, tower->merger_norm, tower->merger_norm_bias, 1e-5f));
    TRY(hold_gelu(s, room->hidden, room->hidden));
    return run_mlp(s, room, room->rows, room->hidden, tower->merger_gate, tower->merger_up, tower->merger_down);
}

static int run_tower(struct hold_stream *s, const struct hold_tower *tower, struct hold_grid grid, const struct room *room) {
    TRY(hold_convert(s, room->pixels, room->patches));
    TRY(hold_matmul(s, room->x, room->pixels, tower->patch, tower->patch_bias));
    TRY(hold_rmsnorm(s, room->x, room->x, tower->conv_norm, tower->eps));
    TRY(hold_add_position(s, room->x, tower->position, room->yx, grid.h, grid.w));
    TRY(hold_rope_angles(s, room->cs, room->yx, room->inv, room->axis));
    for (uint32_t i = 0; i < tower->depth; i++)
        TRY(run_block(s, tower, &tower->blocks[i], grid, room));
    return run_merger(s, tower, room);
}

/* Everything between a taken block and a filled result. */
static int encode(const struct hold_weights *weights, struct hold_stream *s, const float *patches, struct hold_grid grid,
                  struct room *room, struct hold_err *err) {
    size_t bytes = (size_t) room->patches.rows * room->patches.cols * sizeof(float);
    if (send_tables(&weights->tower, s, grid, room, err) < 0)
        return -1;
    if (s->ops->copy_in(s, room->patches.data, patches, bytes) < 0 || run_tower(s, &weights->tower, grid, room) < 0 || s->ops->sync(s) < 0)
        return hold_fail(err, HOLD_E_DEVICE, 0, "encode an image of %u x %u x %u patches: %s", grid.t, grid.h, grid.w, s->error);
    return 0;
}

int hold_vision_encode(const struct hold_weights *weights, struct hold_stream *s, const float *patches, struct hold_grid grid,
                       struct hold_t2 *ret_rows, struct hold_err *err) {
    const struct hold_record *r = &weights->record;
    if (weights->tower.depth == 0)
        return hold_fail(err, HOLD_E_CONFIG, 0, "the model has no vision tower");
    if (grid.t == 0 || grid.h == 0 || grid.w == 0 || grid.h % r->merge != 0 || grid.w % r->merge != 0 || grid.h > 65536 ||
        grid.w > 65536 || grid.t > MOST_PATCHES || (uint64_t) grid.t * grid.h * grid.w > MOST_PATCHES)
        return hold_fail(err, HOLD_E_CONFIG, 0, "a grid of %u x %u x %u patches cannot be", grid.t, grid.h, grid.w);
    struct room room;
    uint64_t bytes;
    uint32_t n = grid.t * grid.h * grid.w;
    size_t row_bytes = (size_t) hold_grid_tokens(grid, r->merge) * r->vision_out * hold_dtype_bytes(weights->act);
    void *block = NULL, *rows = NULL;
    if (!lay_out(r, weights->act, n, 0, &room, &bytes) || s->ops->alloc(s, bytes, &block) < 0 || s->ops->alloc(s, row_bytes, &rows) < 0) {
        s->ops->free(s, block);
        return hold_fail(err, HOLD_E_DEVICE, 0, "work space for an image of %u patches: %s", n, s->error);
    }
    (void) lay_out(r, weights->act, n, (uintptr_t) block, &room, &bytes);
    room.rows = hold_t2_of(rows, hold_grid_tokens(grid, r->merge), r->vision_out, weights->act);
    int rc = encode(weights, s, patches, grid, &room, err);
    s->ops->free(s, block);
    if (rc < 0) {
        s->ops->free(s, rows);
        return -1;
    }
    *ret_rows = room.rows;
    return 0;
}

void hold_vision_free(struct hold_stream *s, struct hold_t2 *rows) {
    if (rows->data)
        s->ops->free(s, rows->data);
    *rows = (struct hold_t2) { 0 };
}
