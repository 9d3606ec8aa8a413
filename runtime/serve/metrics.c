/* metrics.c - the front's counters and their page. Floor: runtime/serve, pure. */
#include "runtime/serve/metrics.h"

#include "base/list.h"

#include <math.h>
#include <string.h>

static const double seconds_fine[] = { 0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560 };
static const double seconds_token[] = { 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80 };
static const double seconds_long[] = { 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680 };
static const double tokens[] = { 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000 };

struct histogram_row {
    const char *name, *help;
    const double *bounds;
    size_t n_bounds;
};

static const struct histogram_row rows[HOLD_HISTOGRAM_COUNT] = {
#define X(id, name, help, buckets) [HOLD_HISTOGRAM_##id] = { name, help, buckets, HOLD_COUNT_OF(buckets) },
    HOLD_HISTOGRAM_LIST(X)
#undef X
};

_Static_assert(HOLD_COUNT_OF(seconds_fine) <= HOLD_HISTOGRAM_MAX_BUCKETS, "buckets fit");

void hold_metrics_observe(struct hold_metrics *m, enum hold_histogram_id id, double value) {
    struct hold_histogram *h = &m->histograms[id];
    size_t i = 0;

    if (!isfinite(value))
        return;
    while (i < rows[id].n_bounds && value > rows[id].bounds[i])
        i++;
    h->counts[i]++;
    h->sum += value;
    h->n++;
}

static void labels(struct hold_buf *out, const char *model_name) {
    hold_buf_adds(out, "engine=\"0\",model_name=\"");
    for (const char *c = model_name; *c; c++) {
        if (*c == '"' || *c == '\\')
            hold_buf_addc(out, '\\');
        if (*c == '\n')
            hold_buf_adds(out, "\\n");
        else
            hold_buf_addc(out, *c);
    }
    hold_buf_addc(out, '"');
}

static void head(struct hold_buf *out, const char *name, const char *type, const char *help) {
    hold_buf_addf(out, "# HELP vllm:%s %s\n# TYPE vllm:%s %s\n", name, help, name, type);
}

static void one(struct hold_buf *out, const char *name, const char *type, const char *help, const char *model_name, double value) {
    head(out, name, type, help);
    hold_buf_addf(out, "vllm:%s{", name);
    labels(out, model_name);
    hold_buf_addf(out, "} %.17g\n", value);
}

static void finished(struct hold_buf *out, const char *model_name, const char *reason, uint64_t n) {
    hold_buf_adds(out, "vllm:request_success_total{");
    labels(out, model_name);
    hold_buf_addf(out, ",finished_reason=\"%s\"} %ju\n", reason, (uintmax_t) n);
}

static void histogram(struct hold_buf *out, const struct histogram_row *row, const struct hold_histogram *h, const char *model_name) {
    uint64_t cumulative = 0;

    head(out, row->name, "histogram", row->help);
    for (size_t i = 0; i <= row->n_bounds; i++) {
        cumulative += h->counts[i];
        hold_buf_addf(out, "vllm:%s_bucket{", row->name);
        labels(out, model_name);
        if (i < row->n_bounds)
            hold_buf_addf(out, ",le=\"%.10g\"} %ju\n", row->bounds[i], (uintmax_t) cumulative);
        else
            hold_buf_addf(out, ",le=\"+Inf\"} %ju\n", (uintmax_t) cumulative);
    }
    hold_buf_addf(out, "vllm:%s_sum{", row->name);
    labels(out, model_name);
    hold_buf_addf(out, "} %.17g\nvllm:%s_count{", h->sum, row->name);
    labels(out, model_name);
    hold_buf_addf(out, "} %ju\n", (uintmax_t) h->n);
}

void hold_metrics_page(const struct hold_metrics *m, const char *model_name, struct hold_buf *out) {
    one(out, "num_requests_running", "gauge", "requests that the engine works on", model_name, m->requests_running);
    one(out, "num_requests_waiting", "gauge", "requests that wait in line", model_name, m->requests_waiting);
    one(out, "kv_cache_usage_perc", "gauge", "part of the cache's pages in use, 0 to 1", model_name, m->cache_use);
    one(out, "prompt_tokens_total", "counter", "tokens of prompts", model_name, (double) m->prompt_tokens);
    one(out, "generation_tokens_total", "counter", "tokens generated", model_name, (double) m->generation_tokens);
    one(out, "prefix_cache_hits_total", "counter", "prompt tokens found in the cache", model_name, (double) m->cached_tokens);
    one(out, "prefix_cache_queries_total", "counter", "prompt tokens looked up in the cache", model_name, (double) m->prompt_tokens);
    head(out, "request_success_total", "counter", "requests ended, by reason");
    finished(out, model_name, "stop", m->finished_stop);
    finished(out, model_name, "length", m->finished_length);
    finished(out, model_name, "abort", m->finished_abort);
    finished(out, model_name, "error", m->finished_error);
    for (size_t i = 0; i < HOLD_HISTOGRAM_COUNT; i++)
        histogram(out, &rows[i], &m->histograms[i], model_name);
}
