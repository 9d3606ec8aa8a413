/* contract.c - what the contract headers promise about shapes and types, checked once before any backend sees the call.
 * Floor: kernels. */
#include "kernels/backend.h"

#include <stdarg.h>
#include <stdio.h>

int hold_stream_fail(struct hold_stream *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void) vsnprintf(s->error, sizeof s->error, format, args);
    va_end(args);
    return -1;
}

static bool is_real(struct hold_t2 t) {
    return t.dtype == HOLD_F32 || t.dtype == HOLD_BF16;
}

static bool is_sane(struct hold_t2 t) {
    return t.data && t.rows > 0 && t.cols > 0 && t.stride >= t.cols && (uintptr_t) t.data % hold_dtype_bytes(t.dtype) == 0;
}

/* The view holds rows x cols elements of f32 or bf16. */
static int check_real(struct hold_stream *s, const char *op, const char *name, struct hold_t2 t, uint32_t rows, uint32_t cols) {
    if (!is_real(t))
        return hold_stream_fail(s, "%s: %s is %s; f32 and bf16 are what it takes", op, name, hold_dtype_name(t.dtype));
    if (!is_sane(t) || t.rows != rows || t.cols != cols)
        return hold_stream_fail(s, "%s: %s is [%u, %u] with stride %u%s, expected [%u, %u]", op, name, t.rows, t.cols, t.stride,
                                t.data ? "" : " and absent", rows, cols);
    return 0;
}

static int check_type(struct hold_stream *s, const char *op, const char *name, struct hold_t2 t, uint32_t rows, uint32_t cols,
                      enum hold_dtype dtype) {
    if (t.dtype != dtype || !is_sane(t) || t.rows != rows || t.cols != cols)
        return hold_stream_fail(s, "%s: %s is %s [%u, %u] with stride %u%s, expected %s [%u, %u]", op, name, hold_dtype_name(t.dtype),
                                t.rows, t.cols, t.stride, t.data ? "" : " and absent", hold_dtype_name(dtype), rows, cols);
    return 0;
}

static int check_same(struct hold_stream *s, const char *op, struct hold_t2 a, struct hold_t2 b) {
    if (a.dtype != b.dtype)
        return hold_stream_fail(s, "%s: %s and %s do not go together", op, hold_dtype_name(a.dtype), hold_dtype_name(b.dtype));
    return 0;
}

#define TRY(call)      \
    do {               \
        if ((call) < 0) \
            return -1; \
    } while (0)

int hold_rmsnorm(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, float eps) {
    TRY(check_real(s, "rmsnorm", "x", x, x.rows, x.cols));
    TRY(check_real(s, "rmsnorm", "y", y, x.rows, x.cols));
    TRY(check_real(s, "rmsnorm", "w", w, 1, x.cols));
    TRY(check_same(s, "rmsnorm", y, x));
    if (!(eps > 0))
        return hold_stream_fail(s, "rmsnorm: eps must be above zero");
    return s->ops->rmsnorm(s, y, x, w, eps);
}

int hold_layernorm(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b, float eps) {
    TRY(check_real(s, "layernorm", "x", x, x.rows, x.cols));
    TRY(check_real(s, "layernorm", "y", y, x.rows, x.cols));
    TRY(check_real(s, "layernorm", "w", w, 1, x.cols));
    TRY(check_real(s, "layernorm", "b", b, 1, x.cols));
    TRY(check_same(s, "layernorm", y, x));
    TRY(check_same(s, "layernorm", w, b));
    if (!(eps > 0))
        return hold_stream_fail(s, "layernorm: eps must be above zero");
    return s->ops->layernorm(s, y, x, w, b, eps);
}

int hold_add(struct hold_stream *s, struct hold_t2 y, struct hold_t2 a, struct hold_t2 b) {
    TRY(check_real(s, "add", "y", y, y.rows, y.cols));
    TRY(check_type(s, "add", "a", a, y.rows, y.cols, y.dtype));
    TRY(check_type(s, "add", "b", b, y.rows, y.cols, y.dtype));
    return s->ops->add(s, y, a, b);
}

int hold_swiglu(struct hold_stream *s, struct hold_t2 y, struct hold_t2 g, struct hold_t2 u) {
    TRY(check_real(s, "swiglu", "y", y, y.rows, y.cols));
    TRY(check_type(s, "swiglu", "g", g, y.rows, y.cols, y.dtype));
    TRY(check_type(s, "swiglu", "u", u, y.rows, y.cols, y.dtype));
    return s->ops->swiglu(s, y, g, u);
}

int hold_gelu(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x) {
    TRY(check_real(s, "gelu", "y", y, y.rows, y.cols));
    TRY(check_type(s, "gelu", "x", x, y.rows, y.cols, y.dtype));
    return s->ops->gelu(s, y, x);
}

int hold_gather_rows(struct hold_stream *s, struct hold_t2 y, struct hold_t2 table, struct hold_t2 ids) {
    TRY(check_real(s, "gather_rows", "y", y, y.rows, y.cols));
    TRY(check_real(s, "gather_rows", "table", table, table.rows, y.cols));
    TRY(check_type(s, "gather_rows", "ids", ids, y.rows, 1, HOLD_I32));
    return s->ops->gather_rows(s, y, table, ids);
}

int hold_matmul(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x, struct hold_t2 w, struct hold_t2 b) {
    TRY(check_real(s, "matmul", "x", x, x.rows, x.cols));
    TRY(check_real(s, "matmul", "w", w, w.rows, x.cols));
    TRY(check_real(s, "matmul", "y", y, x.rows, w.rows));
    if (w.stride != w.cols)
        return hold_stream_fail(s, "matmul: w has stride %u for %u columns; its rows must be contiguous", w.stride, w.cols);
    if (b.data)
        TRY(check_real(s, "matmul", "b", b, 1, w.rows));
    return s->ops->matmul(s, y, x, w, b);
}

int hold_rope_angles(struct hold_stream *s, struct hold_t2 cs, struct hold_t2 pos, struct hold_t2 inv, struct hold_t2 axis) {
    TRY(check_type(s, "rope_angles", "inv", inv, 1, inv.cols, HOLD_F32));
    TRY(check_type(s, "rope_angles", "axis", axis, 1, inv.cols, HOLD_I32));
    TRY(check_type(s, "rope_angles", "pos", pos, cs.rows, pos.cols, HOLD_I32));
    if (inv.cols > UINT32_MAX / 2)
        return hold_stream_fail(s, "rope_angles: %u frequencies", inv.cols);
    TRY(check_type(s, "rope_angles", "cs", cs, cs.rows, 2 * inv.cols, HOLD_F32));
    return s->ops->rope_angles(s, cs, pos, inv, axis);
}

int hold_rope(struct hold_stream *s, struct hold_t2 x, struct hold_t2 cs, uint32_t head_dim, enum hold_rope_pairs pairs) {
    TRY(check_real(s, "rope", "x", x, x.rows, x.cols));
    TRY(check_type(s, "rope", "cs", cs, x.rows, cs.cols, HOLD_F32));
    if (head_dim == 0 || x.cols % head_dim != 0 || cs.cols > head_dim || cs.cols % 2 != 0)
        return hold_stream_fail(s, "rope: %u turning elements in heads of %u in rows of %u", cs.cols, head_dim, x.cols);
    if (pairs != HOLD_ROPE_NEIGHBOURS && pairs != HOLD_ROPE_HALVES)
        return hold_stream_fail(s, "rope: no pairing is named");
    return s->ops->rope(s, x, cs, head_dim, pairs);
}

static int check_kv(struct hold_stream *s, const char *op, const struct hold_kv *kv, uint32_t layer, const struct hold_places *places,
                    uint32_t rows) {
    if (!kv->pool || kv->n_pages == 0 || kv->n_kv_heads == 0 || kv->head_dim == 0 || kv->head_dim > HOLD_HEAD_DIM_MAX ||
         layer >= kv->n_layers ||
        (kv->dtype != HOLD_F32 && kv->dtype != HOLD_BF16))
        return hold_stream_fail(s, "%s: layer %u of a cache of %u pages, %u layers, %u x %u, %s", op, layer, kv->n_pages, kv->n_layers,
                                kv->n_kv_heads, kv->head_dim, hold_dtype_name(kv->dtype));
    TRY(check_type(s, op, "seq", places->seq, rows, 1, HOLD_I32));
    TRY(check_type(s, op, "index", places->index, rows, 1, HOLD_I32));
    return check_type(s, op, "table", places->table, places->table.rows, places->table.cols, HOLD_I32);
}

int hold_kv_append(struct hold_stream *s, const struct hold_kv *kv, uint32_t layer, struct hold_t2 k, struct hold_t2 v,
                   const struct hold_places *places) {
    TRY(check_kv(s, "kv_append", kv, layer, places, k.rows));
    TRY(check_real(s, "kv_append", "k", k, k.rows, kv->n_kv_heads * kv->head_dim));
    TRY(check_real(s, "kv_append", "v", v, k.rows, kv->n_kv_heads * kv->head_dim));
    TRY(check_same(s, "kv_append", k, v));
    return s->ops->kv_append(s, kv, layer, k, v, places);
}

int hold_attend(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, const struct hold_kv *kv, uint32_t layer,
                const struct hold_places *places, float scale, uint32_t max_index) {
    TRY(check_kv(s, "attend", kv, layer, places, q.rows));
    TRY(check_real(s, "attend", "q", q, q.rows, q.cols));
    TRY(check_type(s, "attend", "o", o, q.rows, q.cols, q.dtype));
    if (q.cols % kv->head_dim != 0 || q.cols / kv->head_dim % kv->n_kv_heads != 0)
        return hold_stream_fail(s, "attend: rows of %u for heads of %u shared by %u", q.cols, kv->head_dim, kv->n_kv_heads);
    if (max_index / HOLD_PAGE_TOKENS >= places->table.cols)
        return hold_stream_fail(s, "attend: place %u lies behind a table of %u pages", max_index, places->table.cols);
    return s->ops->attend(s, o, q, kv, layer, places, scale, max_index);
}

int hold_attend_full(struct hold_stream *s, struct hold_t2 o, struct hold_t2 q, struct hold_t2 k, struct hold_t2 v, uint32_t head_dim,
                     float scale) {
    TRY(check_real(s, "attend_full", "q", q, q.rows, q.cols));
    TRY(check_type(s, "attend_full", "k", k, q.rows, q.cols, q.dtype));
    TRY(check_type(s, "attend_full", "v", v, q.rows, q.cols, q.dtype));
    TRY(check_type(s, "attend_full", "o", o, q.rows, q.cols, q.dtype));
    if (head_dim == 0 || head_dim > HOLD_HEAD_DIM_MAX || q.cols % head_dim != 0)
        return hold_stream_fail(s, "attend_full: heads of %u in rows of %u", head_dim, q.cols);
    return s->ops->attend_full(s, o, q, k, v, head_dim, scale);
}

int hold_add_position(struct hold_stream *s, struct hold_t2 x, struct hold_t2 table, struct hold_t2 yx, uint32_t h, uint32_t w) {
    TRY(check_real(s, "add_position", "x", x, x.rows, x.cols));
    TRY(check_real(s, "add_position", "table", table, table.rows, x.cols));
    TRY(check_type(s, "add_position", "yx", yx, x.rows, 2, HOLD_I32));
    uint32_t side = 1;
    while ((uint64_t) side * side < table.rows)
        side++;
    if ((uint64_t) side * side != table.rows || h == 0 || w == 0 || h > 65536 || w > 65536)
        return hold_stream_fail(s, "add_position: a table of %u rows for a grid of %u x %u", table.rows, h, w);
    return s->ops->add_position(s, x, table, yx, h, w);
}

int hold_topk(struct hold_stream *s, struct hold_t2 values, struct hold_t2 ids, struct hold_t2 x) {
    TRY(check_type(s, "topk", "x", x, x.rows, x.cols, HOLD_F32));
    TRY(check_type(s, "topk", "values", values, x.rows, values.cols, HOLD_F32));
    TRY(check_type(s, "topk", "ids", ids, x.rows, values.cols, HOLD_I32));
    if (values.cols > HOLD_TOPK_MAX || values.cols > x.cols)
        return hold_stream_fail(s, "topk: %u of %u; at most %u", values.cols, x.cols, HOLD_TOPK_MAX);
    return s->ops->topk(s, values, ids, x);
}

int hold_convert(struct hold_stream *s, struct hold_t2 y, struct hold_t2 x) {
    if (x.dtype == HOLD_I8 || y.dtype == HOLD_I8)
        return hold_stream_fail(s, "convert: i8 does not exist yet");
    TRY(check_real(s, "convert", "y", y, y.rows, y.cols));
    if (!is_real(x) && x.dtype != HOLD_F16)
        return hold_stream_fail(s, "convert: from %s", hold_dtype_name(x.dtype));
    TRY(check_type(s, "convert", "x", x, y.rows, y.cols, x.dtype));
    return s->ops->convert(s, y, x);
}
