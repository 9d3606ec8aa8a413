/* status_text.c - what the status server shows: the view as JSON and as Prometheus text. Floor: supervisor/host. */
#include "supervisor/host/status.h"

#include "base/exit.h"
#include "base/list.h"
#include "supervisor/host/view.h"
#include "supervisor/policy/lines.h"
#include "supervisor/policy/sandbox_plan.h"

#include <inttypes.h>
#include <string.h>

/* ---- JSON ---- */

/* Writes members of one object or array, with the commas between them. */
struct writer {
    struct hold_buf *out;
    bool is_first;
};

static void comma(struct writer *w) {
    if (!w->is_first)
        hold_buf_addc(w->out, ',');
    w->is_first = false;
}

static void key(struct writer *w, const char *name) {
    comma(w);
    hold_buf_addf(w->out, "\"%s\":", name);
}

static void put_str(struct writer *w, const char *name, const char *value) {
    key(w, name);
    hold_buf_add_json(w->out, value ? value : "", value ? strlen(value) : 0);
}

/* Text from somewhere else: left out when it is empty. */
static void opt_str(struct writer *w, const char *name, const char *value) {
    if (value && value[0] != '\0')
        put_str(w, name, value);
}

static void put_u64(struct writer *w, const char *name, uint64_t value) {
    key(w, name);
    hold_buf_addf(w->out, "%" PRIu64, value);
}

static void opt_u64(struct writer *w, const char *name, uint64_t value) {
    if (value != 0)
        put_u64(w, name, value);
}

static void put_i64(struct writer *w, const char *name, int64_t value) {
    key(w, name);
    hold_buf_addf(w->out, "%" PRId64, value);
}

static void put_bool(struct writer *w, const char *name, bool value) {
    key(w, name);
    hold_buf_adds(w->out, value ? "true" : "false");
}

static struct writer open_object(struct writer *w, const char *name) {
    if (name)
        key(w, name);
    else
        comma(w);
    hold_buf_addc(w->out, '{');
    return (struct writer) { w->out, true };
}

static struct writer open_array(struct writer *w, const char *name) {
    key(w, name);
    hold_buf_addc(w->out, '[');
    return (struct writer) { w->out, true };
}

static uint64_t since(const struct hold_view *v, uint64_t at_ms) {
    return v->now_ms > at_ms ? v->now_ms - at_ms : 0;
}

static void json_layers(struct writer *all, const char *name, uint32_t bits) {
    struct writer w = open_array(all, name);
    for (int i = 0; i < HOLD_LAYER_COUNT; i++)
        if (bits & 1u << i) {
            const char *layer = hold_layer_name((enum hold_layer) i);
            comma(&w);
            hold_buf_add_json(w.out, layer, strlen(layer));
        }
    hold_buf_addc(w.out, ']');
}

/* Why a layer is missing or only partly there. */
static void json_reasons(struct writer *all, const struct hold_layer_note *notes) {
    struct writer w = open_object(all, "reasons");
    for (int i = 0; i < HOLD_LAYER_COUNT; i++)
        if (notes[i].state == HOLD_LAYER_MISSING || notes[i].state == HOLD_LAYER_PARTIAL)
            opt_str(&w, hold_layer_name((enum hold_layer) i), notes[i].reason);
    hold_buf_addc(w.out, '}');
}

static void json_member(struct writer *all, const struct hold_view *v, const struct hold_view_member *m) {
    struct writer w = open_object(all, NULL);
    put_str(&w, "name", m->name);
    put_str(&w, "state", hold_member_state_name(m->state));
    put_u64(&w, "state_ms", since(v, m->since_ms));
    opt_u64(&w, "pid", (uint64_t) m->pid);
    put_u64(&w, "attempt", m->attempt);
    put_u64(&w, "restarts", m->restarts);
    if (m->started_ms != 0)
        put_u64(&w, "uptime_ms", m->pid != 0 ? since(v, m->started_ms) : 0);
    if (m->ready_ms >= m->started_ms && m->ready_ms != 0)
        put_u64(&w, "ready_after_ms", m->ready_ms - m->started_ms);
    opt_str(&w, "profile", m->profile);
    opt_str(&w, "rung", m->rung_name);
    if (m->retry_at_ms != 0) {
        put_u64(&w, "retry_in_ms", m->retry_at_ms > v->now_ms ? m->retry_at_ms - v->now_ms : 0);
        put_u64(&w, "delay_ms", m->delay_ms);
    }
    if (m->has_exited) {
        struct writer e = open_object(&w, "last_exit");
        if (m->exit_signal != 0)
            put_i64(&e, "signal", m->exit_signal);
        else
            put_i64(&e, "code", m->exit_code);
        put_u64(&e, "ago_ms", since(v, m->exited_ms));
        opt_str(&e, "cause", m->cause);
        opt_str(&e, "action", m->action);
        opt_str(&e, "evidence", m->evidence);
        hold_buf_addc(e.out, '}');
    }
    opt_str(&w, "said", m->said);
    if (m->progress_total != 0 || m->progress_done != 0) {
        struct writer p = open_object(&w, "progress");
        put_u64(&p, "done", m->progress_done);
        put_u64(&p, "total", m->progress_total);
        opt_str(&p, "unit", m->progress_unit);
        if (m->progress_ms != 0)
            put_u64(&p, "moved_ago_ms", since(v, m->progress_ms));
        hold_buf_addc(p.out, '}');
    }
    put_u64(&w, "inflight", m->inflight);
    if (m->has_probe) {
        struct writer p = open_object(&w, "probe");
        put_bool(&p, "ok", m->probe_ok);
        opt_str(&p, "answer", m->probe_text);
        put_u64(&p, "passed", m->probes_ok);
        put_u64(&p, "failed", m->probes_failed);
        hold_buf_addc(p.out, '}');
    }
    opt_u64(&w, "output_lost_lines", m->output_lost_lines);
    struct writer s = open_object(&w, "sandbox");
    json_layers(&s, "applied", m->sandbox_applied);
    json_layers(&s, "missing", m->sandbox_missing);
    if (m->layers)
        json_reasons(&s, m->layers);
    hold_buf_addc(s.out, '}');
    hold_buf_addc(w.out, '}');
}

static void json_job(struct writer *all, const struct hold_view *v) {
    if (!v->job || v->job[0] == '\0')
        return;
    struct writer w = open_object(all, "job");
    put_str(&w, "name", v->job);
    opt_u64(&w, "pid", (uint64_t) v->job_pid);
    put_u64(&w, "attempt", v->job_attempt);
    put_u64(&w, "done", v->job_done);
    put_u64(&w, "total", v->job_total);
    opt_str(&w, "said", v->job_said);
    hold_buf_addc(w.out, '}');
}

void hold_status_json(const struct hold_view *v, struct hold_buf *out) {
    hold_buf_addc(out, '{');
    struct writer w = { out, true };
    put_str(&w, "version", HOLD_VERSION);
    put_str(&w, "mode", v->mode);
    put_str(&w, "phase", v->phase);
    put_u64(&w, "phase_ms", since(v, v->phase_since_ms));
    put_str(&w, "container", hold_container_state_name(v->container));
    opt_str(&w, "waits_for", v->waits_for);
    put_bool(&w, "ready", v->is_ready && !v->is_stopping);
    put_bool(&w, "started", v->is_started);
    put_bool(&w, "stopping", v->is_stopping);
    put_u64(&w, "uptime_ms", since(v, v->started_ms));
    put_u64(&w, "started_unix_s", v->started_wall_s);
    opt_u64(&w, "cold_start_ms", v->cold_start_ms);
    opt_str(&w, "model", v->model);
    opt_str(&w, "digest", v->digest);
    if (v->cause[0] != '\0' || v->exit_code >= 0) {
        struct writer d = open_object(&w, "verdict");
        opt_str(&d, "cause", v->cause);
        opt_str(&d, "action", v->action);
        opt_str(&d, "advice", v->advice);
        if (v->exit_code >= 0)
            put_i64(&d, "exit", v->exit_code);
        hold_buf_addc(out, '}');
    }
    struct writer phases = open_array(&w, "phases");
    for (uint32_t i = 0; i < v->n_phases && i < HOLD_VIEW_PHASES; i++) {
        struct writer p = open_object(&phases, NULL);
        put_str(&p, "name", v->phases[i].name);
        put_u64(&p, "begun_ms", v->phases[i].begun_ms > v->started_ms ? v->phases[i].begun_ms - v->started_ms : 0);
        put_u64(&p, "took_ms", v->phases[i].took_ms);
        hold_buf_addc(out, '}');
    }
    hold_buf_addc(out, ']');
    json_job(&w, v);
    struct writer members = open_array(&w, "members");
    for (uint32_t i = 0; i < v->n_members && i < HOLD_VIEW_MEMBERS; i++)
        json_member(&members, v, &v->members[i]);
    hold_buf_addc(out, ']');
    struct writer findings = open_array(&w, "findings");
    for (uint32_t i = 0; i < v->n_findings && i < HOLD_VIEW_FINDINGS; i++) {
        struct writer f = open_object(&findings, NULL);
        put_str(&f, "id", v->findings[i].id);
        put_str(&f, "level", v->findings[i].level);
        put_str(&f, "text", v->findings[i].text);
        hold_buf_addc(out, '}');
    }
    hold_buf_addc(out, ']');
    put_u64(&w, "generation", v->generation);
    put_u64(&w, "orphans_reaped", v->orphans_reaped);
    put_u64(&w, "stored_fds", v->stored_fds);
    if (v->restarts_left != UINT64_MAX)
        put_u64(&w, "restarts_left", v->restarts_left);
    hold_buf_adds(out, "}\n");
}

/* ---- Prometheus text 0.0.4 ---- */

static void family(struct hold_buf *out, const char *name, const char *type, const char *help) {
    hold_buf_addf(out, "# HELP holdfast_%s %s\n# TYPE holdfast_%s %s\n", name, help, name, type);
}

/* A label value: '\\', '"' and newline escaped, other controls as '?'. */
static void label(struct hold_buf *out, const char *name, const char *value, bool is_first) {
    hold_buf_addf(out, "%s%s=\"", is_first ? "" : ",", name);
    for (const char *c = value ? value : ""; *c; c++) {
        if (*c == '\\' || *c == '"')
            hold_buf_addc(out, '\\');
        if (*c == '\n')
            hold_buf_adds(out, "\\n");
        else
            hold_buf_addc(out, (unsigned char) *c < 0x20 || *c == 0x7f ? '?' : *c);
    }
    hold_buf_addc(out, '"');
}

static void sample(struct hold_buf *out, const char *name, const char *label_name, const char *label_value, uint64_t value) {
    hold_buf_addf(out, "holdfast_%s{", name);
    label(out, label_name, label_value, true);
    hold_buf_addf(out, "} %" PRIu64 "\n", value);
}

static void sample_ms(struct hold_buf *out, const char *name, const char *label_name, const char *label_value, uint64_t ms) {
    hold_buf_addf(out, "holdfast_%s{", name);
    label(out, label_name, label_value, true);
    hold_buf_addf(out, "} %" PRIu64 ".%03" PRIu64 "\n", ms / 1000, ms % 1000);
}

static void plain(struct hold_buf *out, const char *name, const char *type, const char *help, uint64_t value) {
    family(out, name, type, help);
    hold_buf_addf(out, "holdfast_%s %" PRIu64 "\n", name, value);
}

/* Monotonic ms to unix ms. */
static uint64_t unix_ms(const struct hold_view *v, uint64_t at_ms) {
    return v->started_wall_s * 1000 + (at_ms > v->started_ms ? at_ms - v->started_ms : 0);
}

/* What happens once in a life of process 1; ms 0: not yet. */
static void histogram_of_one(struct hold_buf *out, const char *name, const char *help, uint64_t ms, const uint64_t *bounds_s, size_t n_bounds) {
    const uint64_t n = ms != 0;
    family(out, name, "histogram", help);
    for (size_t i = 0; i < n_bounds; i++)
        hold_buf_addf(out, "holdfast_%s_bucket{le=\"%" PRIu64 "\"} %" PRIu64 "\n", name, bounds_s[i], ms <= bounds_s[i] * 1000 ? n : 0);
    hold_buf_addf(out, "holdfast_%s_bucket{le=\"+Inf\"} %" PRIu64 "\nholdfast_%s_sum %" PRIu64 ".%03" PRIu64 "\nholdfast_%s_count %" PRIu64 "\n", name, n,
                  name, ms / 1000, ms % 1000, name, n);
}

static void metrics_phase(const struct hold_view *v, struct hold_buf *out) {
    static const char *const published[] = {
#define CONTAINER(id, name, meaning) name,
#include "base/phase.def"
#undef CONTAINER
#define MEMBER(id, name, alive, meaning) name,
#include "base/phase.def"
#undef MEMBER
    };
    family(out, "phase", "gauge", "1 for the published phase, 0 for the others.");
    for (size_t i = 0; i < HOLD_COUNT_OF(published); i++) {
        bool is_seen = false; /* draining and reaping are names in both tables */
        for (size_t k = 0; k < i; k++)
            is_seen = is_seen || strcmp(published[k], published[i]) == 0;
        if (!is_seen)
            sample(out, "phase", "phase", published[i], strcmp(published[i], v->phase) == 0);
    }
    if (v->n_phases > 0) {
        family(out, "phase_duration_seconds", "gauge", "Time in each phase of the last start, its repetitions added up.");
        for (uint32_t i = 0; i < v->n_phases && i < HOLD_VIEW_PHASES; i++) {
            uint64_t sum = 0;
            bool is_seen = false;
            for (uint32_t k = 0; k < v->n_phases && k < HOLD_VIEW_PHASES; k++)
                if (strcmp(v->phases[k].name, v->phases[i].name) == 0) {
                    is_seen = is_seen || k < i;
                    sum += v->phases[k].took_ms;
                }
            if (!is_seen)
                sample_ms(out, "phase_duration_seconds", "phase", v->phases[i].name, sum);
        }
    }
    static const uint64_t start_bounds[] = { 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600 }, drain_bounds[] = { 1, 2, 5, 10, 25, 60, 120, 300 };
    histogram_of_one(out, "startup_duration_seconds", "Cold start, from the start of process 1 to the first ready.", v->cold_start_ms, start_bounds,
                     HOLD_COUNT_OF(start_bounds));
    histogram_of_one(out, "drain_duration_seconds", "From the stop request until every server had ended.", v->drain_ms, drain_bounds,
                     HOLD_COUNT_OF(drain_bounds));
}

static void metrics_progress(const struct hold_view *v, struct hold_buf *out) {
    uint64_t done = v->job_done, total = v->job_total, moved = 0;
    for (uint32_t i = 0; i < v->n_members && i < HOLD_VIEW_MEMBERS; i++) {
        const struct hold_view_member *m = &v->members[i];
        moved = HOLD_MAX(moved, m->progress_ms);
        if (total == 0 && m->progress_total != 0 && (!m->progress_unit || strcmp(m->progress_unit, "%") != 0)) {
            done = m->progress_done;
            total = m->progress_total;
        }
    }
    if (total != 0) {
        family(out, "progress_bytes", "gauge", "How far this phase has come.");
        sample(out, "progress_bytes", "phase", v->phase, done);
        family(out, "progress_expected_bytes", "gauge", "How far this phase has to go.");
        sample(out, "progress_expected_bytes", "phase", v->phase, total);
    }
    if (moved != 0) {
        family(out, "progress_last_timestamp_seconds", "gauge", "When the start was last seen to move.");
        sample_ms(out, "progress_last_timestamp_seconds", "phase", v->phase, unix_ms(v, moved));
    }
}

/* One family over all members. */
#define EACH_MEMBER(v, m)                                                                   \
    for (const struct hold_view_member *m = (v)->members;                                   \
         m < (v)->members + HOLD_MIN((v)->n_members, (uint32_t) HOLD_VIEW_MEMBERS); m++)

static void metrics_members(const struct hold_view *v, struct hold_buf *out) {
    if (v->n_members == 0)
        return;
    family(out, "child_up", "gauge", "1 while the process lives.");
    EACH_MEMBER(v, m)
        sample(out, "child_up", "child", m->name, m->pid != 0);
    family(out, "child_ready", "gauge", "1 while it is serving.");
    EACH_MEMBER(v, m)
        sample(out, "child_ready", "child", m->name, m->state == HOLD_MEMBER_READY);
    family(out, "child_start_timestamp_seconds", "gauge", "When the present or last life began; 0 before the first.");
    EACH_MEMBER(v, m)
        sample_ms(out, "child_start_timestamp_seconds", "child", m->name, m->started_ms ? unix_ms(v, m->started_ms) : 0);
    family(out, "child_restarts_total", "counter", "Lives begun after the first, by the cause of the end before.");
    EACH_MEMBER(v, m)
        for (int c = 0; c < HOLD_CAUSE_COUNT; c++) {
            if (m->restart_causes[c] == 0)
                continue;
            hold_buf_adds(out, "holdfast_child_restarts_total{");
            label(out, "child", m->name, true);
            label(out, "cause", hold_cause_info((enum hold_cause) c)->name, false);
            hold_buf_addf(out, "} %u\n", m->restart_causes[c]);
        }
    family(out, "startup_attempts_total", "counter", "Lives that became ready, and those that ended before.");
    EACH_MEMBER(v, m)
        for (int failed = 0; failed < 2; failed++) {
            hold_buf_adds(out, "holdfast_startup_attempts_total{");
            label(out, "child", m->name, true);
            label(out, "outcome", failed ? "failed" : "ready", false);
            hold_buf_addf(out, "} %u\n", failed ? m->starts_failed : m->starts_ready);
        }
    family(out, "child_backoff_seconds", "gauge", "The wait chosen before the next start; 0 when none is armed.");
    EACH_MEMBER(v, m)
        sample_ms(out, "child_backoff_seconds", "child", m->name, m->retry_at_ms != 0 ? m->delay_ms : 0);
    family(out, "child_rung", "gauge", "The rung of the memory ladder that this life runs on; 0 is the configured one.");
    EACH_MEMBER(v, m)
        sample(out, "child_rung", "child", m->name, m->rung);
    family(out, "child_inflight_requests", "gauge", "Requests that the child says it is working on.");
    EACH_MEMBER(v, m)
        sample(out, "child_inflight_requests", "child", m->name, m->inflight);
    family(out, "child_output_lost_lines_total", "counter", "Lines of output dropped because ours blocked.");
    EACH_MEMBER(v, m)
        sample(out, "child_output_lost_lines_total", "child", m->name, m->output_lost_lines);
    family(out, "child_probe_answers_total", "counter", "Answers to holdfast's own questions.");
    EACH_MEMBER(v, m)
        for (int failed = 0; failed < 2; failed++) {
            hold_buf_adds(out, "holdfast_child_probe_answers_total{");
            label(out, "child", m->name, true);
            label(out, "answer", failed ? "failed" : "passed", false);
            hold_buf_addf(out, "} %" PRIu64 "\n", failed ? m->probes_failed : m->probes_ok);
        }
    family(out, "child_stalled", "gauge", "1 while work is pending and the counters of the counter check stand still.");
    EACH_MEMBER(v, m)
        sample(out, "child_stalled", "child", m->name, m->is_stalled);
    family(out, "child_last_exit_info", "gauge", "How the last life ended.");
    EACH_MEMBER(v, m) {
        if (!m->has_exited)
            continue;
        hold_buf_adds(out, "holdfast_child_last_exit_info{");
        label(out, "child", m->name, true);
        hold_buf_addf(out, ",code=\"%d\",signal=\"%d\"", m->exit_signal != 0 ? 128 + m->exit_signal : m->exit_code, m->exit_signal);
        label(out, "cause", m->cause, false);
        hold_buf_adds(out, "} 1\n");
    }
}

void hold_status_metrics(const struct hold_view *v, const struct hold_status *s, struct hold_buf *out) {
    family(out, "build_info", "gauge", "The program that answers.");
    hold_buf_addf(out, "holdfast_build_info{");
    label(out, "version", HOLD_VERSION, true);
    label(out, "mode", v->mode, false);
    hold_buf_adds(out, "} 1\n");
    family(out, "start_timestamp_seconds", "gauge", "When process 1 began.");
    hold_buf_addf(out, "holdfast_start_timestamp_seconds %" PRIu64 "\n", v->started_wall_s);
    plain(out, "ready", "gauge", "1 while /readyz answers 200.", v->is_ready && !v->is_stopping);
    metrics_phase(v, out);
    metrics_progress(v, out);
    metrics_members(v, out);
    if (v->model[0] != '\0' || v->digest[0] != '\0') {
        family(out, "weights_info", "gauge", "What is served.");
        hold_buf_adds(out, "holdfast_weights_info{");
        label(out, "model", v->model, true);
        label(out, "digest", v->digest, false);
        hold_buf_adds(out, "} 1\n");
    }
    plain(out, "orphans_reaped_total", "counter", "Processes that were left to process 1.", v->orphans_reaped);
    plain(out, "unkillable_processes", "gauge", "Processes that outlived a KILL and its bound; they need a new node.", v->unkillable);
    family(out, "signature_matches_total", "counter", "Lines of output that name a failure.");
    for (int i = 0; i < hold_n_signatures && i < HOLD_VIEW_SIGNATURES; i++) {
        if (v->signatures[i] == 0)
            continue;
        hold_buf_adds(out, "holdfast_signature_matches_total{");
        label(out, "signature", hold_signature_id(i), true);
        label(out, "severity", hold_line_class_name(hold_signature_class(i)), false);
        hold_buf_addf(out, "} %u\n", v->signatures[i]);
    }
    plain(out, "pairing_generation", "gauge", "Generation of the present pairing of front and engine; 0 before the first.", v->generation);
    plain(out, "stored_descriptors", "gauge", "Descriptors kept for the next life.", v->stored_fds);
    if (v->restarts_left != UINT64_MAX)
        plain(out, "restarts_left", "gauge", "What is left of the restart budget.", v->restarts_left);
    if (s) {
        family(out, "probe_requests_total", "counter", "Answers of the status server.");
        for (int p = 1; p < HOLD_STATUS_PATH_COUNT; p++)
            for (int refused = 0; refused < 2; refused++) {
                hold_buf_adds(out, "holdfast_probe_requests_total{");
                label(out, "probe", hold_status_path_name((enum hold_status_path) p), true);
                hold_buf_addf(out, ",code=\"%s\"} %" PRIu64 "\n", refused ? "503" : "200", s->n_requests[p][refused]);
            }
        plain(out, "status_connections_dropped_total", "counter", "Status clients that were too slow, too many, or sent garbage.", s->n_dropped);
    }
}
