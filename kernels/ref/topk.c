/* topk.c - reference of kernels/topk.h: one pass for each place. Floor: kernels/ref. */
#include "kernels/ref/ref.h"

#include <math.h>

static bool has_nan(struct hold_t2 x, uint32_t row) {
    for (uint32_t col = 0; col < x.cols; col++)
        if (isnan(ref_get(x, row, col)))
            return true;
    return false;
}

/* Does (value, id) stand behind (other, other_id) in the order of the result? */
static bool is_behind(float value, int32_t id, float other, int32_t other_id) {
    return value < other || (value == other && id > other_id);
}

int ref_topk(struct hold_stream *s, struct hold_t2 values, struct hold_t2 ids, struct hold_t2 x) {
    (void) s;
    for (uint32_t row = 0; row < x.rows; row++) {
        bool is_bad = has_nan(x, row);
        float last = INFINITY;
        int32_t last_id = -1;
        for (uint32_t place = 0; place < values.cols; place++) {
            float best = NAN;
            int32_t best_id = -1;
            for (uint32_t col = 0; !is_bad && col < x.cols; col++) {
                float value = ref_get(x, row, col);
                if ((place == 0 || is_behind(value, (int32_t) col, last, last_id)) && (best_id < 0 || value > best))
                    best = value, best_id = (int32_t) col;
            }
            ref_put(values, row, place, best);
            ref_put_int(ids, row, place, best_id);
            last = best, last_id = best_id;
        }
    }
    return 0;
}
