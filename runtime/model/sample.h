/* sample.h - logits to a token. Floor: runtime/model, pure: randomness is a function of seed, request and position.
 *
 * Order: bias and masks; repetition penalty; frequency and presence penalty; greedy when temperature is 0, else divide by
 * it, top-k, top-p, min-p, softmax, draw. A replayed request therefore makes the same choices. */
#ifndef HOLD_RUNTIME_MODEL_SAMPLE_H
#define HOLD_RUNTIME_MODEL_SAMPLE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hold_bias {
    uint32_t id;
    float add; /* -100..100; -INFINITY forbids */
};

struct hold_sampler {
    float temperature;        /* 0: greedy */
    uint32_t top_k;           /* 0: off */
    float top_p;              /* 1: off; in (0, 1] */
    float min_p;              /* 0: off; in [0, 1] */
    float frequency_penalty;  /* -2..2, generated tokens */
    float presence_penalty;   /* -2..2, generated tokens */
    float repetition_penalty; /* above 0; 1: off; prompt and generated tokens */
    const struct hold_bias *biases;
    size_t n_biases;
    const uint32_t *forbidden; /* ids that may not come now: the end ids while min_tokens is not reached */
    size_t n_forbidden;
    bool wants_logprob;        /* fill hold_sampled.logprob: costs a pass over the vocabulary */
    uint64_t seed, request;    /* with the position, the whole state of the random numbers */
};

/* `= hold_sampler_greedy()`: everything off. */
struct hold_sampler hold_sampler_greedy(void);

#define HOLD_SAMPLE_TOP_MAX 20u

struct hold_sampled {
    uint32_t id;
    float logprob;  /* natural, of id under the model's own distribution (raw logits, before bias, penalties, filters);
                       0 unless wanted or n_top > 0 */
    uint32_t n_top; /* as many as asked for, most probable first */
    uint32_t top_ids[HOLD_SAMPLE_TOP_MAX];
    float top_logprobs[HOLD_SAMPLE_TOP_MAX];
};

/* Scratch for rows of `vocab` logits; one per thread. */
struct hold_sample_space;
HOLD_MUST int hold_sample_space_new(uint32_t vocab, struct hold_sample_space **ret_space, struct hold_err *err);
void hold_sample_space_free(struct hold_sample_space *space); /* accepts NULL */

/* The token that follows.
 *
 * logits     [vocab], not changed
 * prompt     ids of the prompt (repetition penalty), n_prompt
 * generated  ids made so far, n_generated; ids at or above vocab are ignored
 * n_top      how many of the most probable to name, 0..HOLD_SAMPLE_TOP_MAX
 * Ties go to the lowest id. Fails with DEVICE when a logit is NaN or +inf or none is finite, with LIMIT when
 * the sampler's settings leave nothing finite ("logits are not finite"): never an id. The number of generated tokens is the position of the random number. */
HOLD_MUST int hold_sample(struct hold_sample_space *space, const struct hold_sampler *sampler, const float *logits,
                          const uint32_t *prompt, size_t n_prompt, const uint32_t *generated, size_t n_generated, uint32_t n_top,
                          struct hold_sampled *ret, struct hold_err *err);

/* Uniform in [0, 1): the counter-based generator itself (SplitMix64 rounds over the three numbers). */
double hold_sample_uniform(uint64_t seed, uint64_t request, uint64_t position);

#endif
