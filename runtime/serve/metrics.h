/* metrics.h - what the front counts, and its page in Prometheus text under the names that vLLM's dashboards know.
 * Floor: runtime/serve, pure. The holdfast_ names belong to process 1's page. */
#ifndef HOLD_RUNTIME_SERVE_METRICS_H
#define HOLD_RUNTIME_SERVE_METRICS_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

#define HOLD_HISTOGRAM_MAX_BUCKETS 24u

/* Histograms: X(ID, "name", "help", bucket bounds). Seconds unless the name says tokens. */
#define HOLD_HISTOGRAM_LIST(X)                                                                              \
    X(TTFT, "time_to_first_token_seconds", "from the request's last byte to its first token", seconds_fine)    \
    X(TPOT, "time_per_output_token_seconds", "between two tokens of one answer", seconds_token)                \
    X(E2E, "e2e_request_latency_seconds", "from the request's last byte to the end of its answer", seconds_long) \
    X(PREFILL, "request_prefill_time_seconds", "from the prompt handed to the engine to the first token", seconds_long) \
    X(DECODE, "request_decode_time_seconds", "from the first token to the last", seconds_long)                 \
    X(PROMPT, "request_prompt_tokens", "tokens of the prompt, image tokens included", tokens)                  \
    X(GENERATION, "request_generation_tokens", "tokens of the answer", tokens)                                 \
    X(MAX_TOKENS, "request_params_max_tokens", "max_tokens as asked, or the default", tokens)

enum hold_histogram_id {
#define X(id, name, help, buckets) HOLD_HISTOGRAM_##id,
    HOLD_HISTOGRAM_LIST(X)
#undef X
    HOLD_HISTOGRAM_COUNT
};

struct hold_histogram {
    uint64_t counts[HOLD_HISTOGRAM_MAX_BUCKETS + 1]; /* not cumulative; the last is above every bound */
    double sum;
    uint64_t n;
};

/* Zeroed is empty. Gauges are set by the front just before the page is written. */
struct hold_metrics {
    struct hold_histogram histograms[HOLD_HISTOGRAM_COUNT];
    uint64_t prompt_tokens, generation_tokens, cached_tokens;
    uint64_t finished_stop, finished_length, finished_abort, finished_error;
    double requests_running, requests_waiting, cache_use; /* cache_use 0..1 */
};

void hold_metrics_observe(struct hold_metrics *m, enum hold_histogram_id id, double value);
void hold_metrics_page(const struct hold_metrics *m, const char *model_name, struct hold_buf *out);

#endif
