/* sample.c - logits to a token. Floor: runtime/model, pure. */
#include "runtime/model/sample.h"

#include "base/auto.h"

#include <math.h>
#include <string.h>

struct hold_sample_space {
    uint32_t vocab;
    float *logits;    /* after bias and penalties */
    uint32_t *counts; /* of generated tokens; all zero between calls */
    uint8_t *seen;    /* in prompt or generated; all zero between calls */
    uint32_t *heap;   /* ids */
    double *weights;  /* of the candidates, in their order */
};

struct hold_sampler hold_sampler_greedy(void) {
    return (struct hold_sampler) { .top_p = 1, .repetition_penalty = 1 };
}

void hold_sample_space_free(struct hold_sample_space *space) {
    if (!space)
        return;
    free(space->logits);
    free(space->counts);
    free(space->seen);
    free(space->heap);
    free(space->weights);
    free(space);
}

int hold_sample_space_new(uint32_t vocab, struct hold_sample_space **ret_space, struct hold_err *err) {
    struct hold_sample_space *space = calloc(1, sizeof *space);
    if (space && vocab > 0 && vocab <= (1u << 24)) {
        space->vocab = vocab;
        space->logits = calloc(vocab, sizeof *space->logits);
        space->counts = calloc(vocab, sizeof *space->counts);
        space->seen = calloc(vocab, sizeof *space->seen);
        space->heap = calloc(vocab, sizeof *space->heap);
        space->weights = calloc(vocab, sizeof *space->weights);
    }
    if (!space || !space->logits || !space->counts || !space->seen || !space->heap || !space->weights) {
        hold_sample_space_free(space);
        return hold_fail(err, HOLD_E_LIMIT, 0, "sampling space for a vocabulary of %u cannot be had", vocab);
    }
    *ret_space = space;
    return 0;
}

static uint64_t mix(uint64_t z) {
    z += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

double hold_sample_uniform(uint64_t seed, uint64_t request, uint64_t position) {
    return (double) (mix(mix(mix(seed) ^ request) ^ position) >> 11) * 0x1p-53;
}

/* -1 where a logit is NaN or +inf. Nothing is said about -inf: it forbids a token. */
static int check_finite(const float *logits, uint32_t vocab, struct hold_err *err) {
    for (uint32_t id = 0; id < vocab; id++)
        if (isnan(logits[id]) || logits[id] == INFINITY)
            return hold_fail(err, HOLD_E_DEVICE, 0, "logits are not finite: token %u has %f", id, (double) logits[id]);
    return 0;
}

static void apply_bias(struct hold_sample_space *space, const struct hold_sampler *sampler) {
    for (size_t i = 0; i < sampler->n_biases; i++)
        if (sampler->biases[i].id < space->vocab)
            space->logits[sampler->biases[i].id] += sampler->biases[i].add;
    for (size_t i = 0; i < sampler->n_forbidden; i++)
        if (sampler->forbidden[i] < space->vocab)
            space->logits[sampler->forbidden[i]] = -INFINITY;
}

/* Takes the penalties of one id, once: what was counted is forgotten. */
static void punish(struct hold_sample_space *space, const struct hold_sampler *sampler, uint32_t id) {
    if (id >= space->vocab || !space->seen[id])
        return;
    float logit = space->logits[id];
    logit = logit > 0 ? logit / sampler->repetition_penalty : logit * sampler->repetition_penalty;
    if (space->counts[id] > 0)
        logit -= sampler->frequency_penalty * (float) space->counts[id] + sampler->presence_penalty;
    space->logits[id] = logit;
    space->seen[id] = 0;
    space->counts[id] = 0;
}

static void apply_penalties(struct hold_sample_space *space, const struct hold_sampler *sampler, const uint32_t *prompt,
                            size_t n_prompt, const uint32_t *generated, size_t n_generated) {
    if (sampler->repetition_penalty == 1.0f && sampler->frequency_penalty == 0.0f && sampler->presence_penalty == 0.0f)
        return;
    for (size_t i = 0; i < n_prompt; i++)
        if (prompt[i] < space->vocab)
            space->seen[prompt[i]] = 1;
    for (size_t i = 0; i < n_generated; i++)
        if (generated[i] < space->vocab) {
            space->seen[generated[i]] = 1;
            space->counts[generated[i]]++;
        }
    for (size_t i = 0; i < n_prompt; i++)
        punish(space, sampler, prompt[i]);
    for (size_t i = 0; i < n_generated; i++)
        punish(space, sampler, generated[i]);
}

static uint32_t argmax(const float *logits, uint32_t vocab) {
    uint32_t best = 0;
    for (uint32_t id = 1; id < vocab; id++)
        if (logits[id] > logits[best])
            best = id;
    return best;
}

/* Rank order: larger logit first, equal ones by id. */
static bool is_before(const float *logits, uint32_t a, uint32_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

static void sift_down(uint32_t *heap, uint32_t n, uint32_t at, const float *logits) {
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= n)
            return;
        if (child + 1 < n && is_before(logits, heap[child + 1], heap[child]))
            child++;
        if (!is_before(logits, heap[child], heap[at]))
            return;
        uint32_t swap = heap[at];
        heap[at] = heap[child], heap[child] = swap;
        at = child;
    }
}

static void make_heap(uint32_t *heap, uint32_t n, const float *logits) {
    for (uint32_t id = 0; id < n; id++)
        heap[id] = id;
    for (uint32_t at = n / 2; at-- > 0;)
        sift_down(heap, n, at, logits);
}

/* Moves the first of the heap to its end: the ranks grow downwards from heap[vocab - 1]. */
static uint32_t pop_heap(uint32_t *heap, uint32_t *n, const float *logits) {
    uint32_t first = heap[0];
    heap[0] = heap[--*n];
    heap[*n] = first;
    sift_down(heap, *n, 0, logits);
    return first;
}

/* Draws among the ids that top-k, top-p and min-p leave. Weights are exp((logit - top) / temperature). */
static uint32_t draw(struct hold_sample_space *space, const struct hold_sampler *sampler, uint32_t top, double uniform) {
    const float *logits = space->logits;
    double scale = 1 / (double) sampler->temperature, total = 0;
    uint32_t vocab = space->vocab, n = 0, left = vocab, last = top;
    bool has_k = sampler->top_k > 0 && sampler->top_k < vocab, is_ranked = has_k || sampler->top_p < 1;
    if (is_ranked)
        make_heap(space->heap, vocab, logits);
    if (!has_k)
        for (uint32_t id = 0; id < vocab; id++)
            total += exp(((double) logits[id] - (double) logits[top]) * scale);
    uint32_t most = has_k ? sampler->top_k : vocab;
    double sum = 0;
    for (; n < most; n++) {
        uint32_t id = is_ranked ? pop_heap(space->heap, &left, logits) : n;
        space->weights[n] = exp(((double) logits[id] - (double) logits[top]) * scale);
        sum += space->weights[n];
        if (is_ranked && !has_k && sum >= (double) sampler->top_p * total) {
            n++;
            break;
        }
    }
    if (has_k && sampler->top_p < 1) { /* top-p of what top-k left */
        double all = sum;
        sum = 0;
        for (uint32_t i = 0; i < n; i++) {
            sum += space->weights[i];
            if (sum >= (double) sampler->top_p * all)
                n = i + 1;
        }
    }
    total = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (space->weights[i] < (double) sampler->min_p)
            space->weights[i] = 0;
        total += space->weights[i];
    }
    double want = uniform * total;
    for (uint32_t i = 0; i < n; i++) {
        if (space->weights[i] <= 0)
            continue;
        last = is_ranked ? space->heap[vocab - 1 - i] : i;
        want -= space->weights[i];
        if (want < 0)
            break;
    }
    return last;
}

static void fill_logprobs(struct hold_sample_space *space, const float *logits, uint32_t n_top, struct hold_sampled *ret) {
    uint32_t top = argmax(logits, space->vocab), left = space->vocab;
    double sum = 0;
    for (uint32_t id = 0; id < space->vocab; id++)
        sum += exp((double) logits[id] - (double) logits[top]);
    double base = (double) logits[top] + log(sum);
    ret->logprob = (float) ((double) logits[ret->id] - base);
    ret->n_top = n_top < space->vocab ? n_top : space->vocab;
    if (n_top > 0)
        make_heap(space->heap, space->vocab, logits);
    for (uint32_t i = 0; i < ret->n_top; i++) {
        ret->top_ids[i] = pop_heap(space->heap, &left, logits);
        ret->top_logprobs[i] = (float) ((double) logits[ret->top_ids[i]] - base);
    }
}

int hold_sample(struct hold_sample_space *space, const struct hold_sampler *sampler, const float *logits, const uint32_t *prompt,
                size_t n_prompt, const uint32_t *generated, size_t n_generated, uint32_t n_top, struct hold_sampled *ret,
                struct hold_err *err) {
    if (!(sampler->temperature >= 0) || !(sampler->top_p > 0) || !(sampler->repetition_penalty > 0) || !(sampler->min_p <= 1) ||
        n_top > HOLD_SAMPLE_TOP_MAX)
        return hold_fail(err, HOLD_E_INTERNAL, 0, "sampler settings out of range");
    if (check_finite(logits, space->vocab, err) < 0)
        return -1;
    memcpy(space->logits, logits, space->vocab * sizeof *logits);
    apply_bias(space, sampler);
    apply_penalties(space, sampler, prompt, n_prompt, generated, n_generated);
    uint32_t top = argmax(space->logits, space->vocab);
    if (!isfinite(space->logits[top])) {
        bool is_model = !isfinite(logits[argmax(logits, space->vocab)]); /* else the request's own settings did it */
        return hold_fail(err, is_model ? HOLD_E_DEVICE : HOLD_E_LIMIT, 0, "logits are not finite%s: no token can be chosen",
                         is_model ? "" : " once bias, penalties and forbidden tokens are applied");
    }
    struct hold_sampled sampled = { .id = top };
    if (sampler->temperature > 0)
        sampled.id = draw(space, sampler, top, hold_sample_uniform(sampler->seed, sampler->request, n_generated));
    if (sampler->wants_logprob || n_top > 0)
        fill_logprobs(space, logits, n_top, &sampled);
    *ret = sampled;
    return 0;
}
