/* sandbox_env.c - which environment variables a child gets. Floor: supervisor/policy, pure.
 *
 * A server of ours gets a short list. A foreign one gets what the pod has unless a list is configured, but never
 * holdfast's own secrets. A secret is recognised by its name; only the fetch job has a use for one. */
#include "supervisor/policy/sandbox_plan.h"

#include "base/list.h"

#include <string.h>

#define P(id) (1u << HOLD_PROFILE_##id)
#define ANY_OWN (P(FRONT) | P(ENGINE_CPU) | P(ENGINE_CUDA) | P(JOB_PREFLIGHT) | P(JOB_FETCH) | P(JOB_VERIFY))
#define NETWORK (P(JOB_PREFLIGHT) | P(JOB_FETCH))

static const struct { uint32_t profiles; const char *name; } passed[] = {
    { ANY_OWN, "PATH" },
    { ANY_OWN, "HOME" },
    { ANY_OWN, "LANG" },
    { ANY_OWN, "LC_*" },
    { ANY_OWN, "TZ" },
    { ANY_OWN, "TERM" },
    { ANY_OWN, "NO_COLOR" },
    { ANY_OWN, "COLUMNS" },
    { ANY_OWN, "HOLDFAST_*" },
    { ANY_OWN, "LISTEN_*" },
    { ANY_OWN, "ASAN_OPTIONS" },
    { ANY_OWN, "UBSAN_OPTIONS" },
    { ANY_OWN, "TSAN_OPTIONS" },
    { NETWORK, "SSL_CERT_FILE" },
    { NETWORK, "SSL_CERT_DIR" },
    { NETWORK, "CURL_CA_BUNDLE" },
    { NETWORK, "REQUESTS_CA_BUNDLE" },
    { NETWORK, "http_proxy" },
    { NETWORK, "HTTP_PROXY" },
    { NETWORK, "https_proxy" },
    { NETWORK, "HTTPS_PROXY" },
    { NETWORK, "all_proxy" },
    { NETWORK, "ALL_PROXY" },
    { NETWORK, "no_proxy" },
    { NETWORK, "NO_PROXY" },
    { NETWORK, "HF_ENDPOINT" },
    { NETWORK, "HF_HOME" },
    { NETWORK, "HF_HUB_CACHE" },
    { NETWORK, "HF_HUB_OFFLINE" },
    { P(JOB_FETCH), "HF_TOKEN*" },
    { P(JOB_FETCH), "HUGGING_FACE_HUB_TOKEN*" },
    { P(JOB_FETCH), "MODELSCOPE_*" },
    { P(JOB_FETCH), "AWS_*" },
    { P(ENGINE_CUDA) | P(JOB_PREFLIGHT), "CUDA_*" },
    { P(ENGINE_CUDA) | P(JOB_PREFLIGHT), "NVIDIA_*" },
    { P(JOB_PREFLIGHT), "PYTHONPATH" },
    { P(JOB_PREFLIGHT), "VIRTUAL_ENV" },
};

static const char *const secret_words[] = { "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "PRIVATE_KEY" };

static bool has_word(const char *name, size_t n_name, const char *word) {
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= n_name; i++)
        if (name[i] == word[0] && memcmp(name + i, word, n) == 0)
            return true;
    return false;
}

static bool is_secret(const char *name, size_t n) {
    for (size_t i = 0; i < HOLD_COUNT_OF(secret_words); i++)
        if (has_word(name, n, secret_words[i]))
            return true;
    return false;
}

static bool matches(const char *pattern, const char *name, size_t n) {
    size_t n_pattern = strlen(pattern);
    if (n_pattern > 0 && pattern[n_pattern - 1] == '*')
        return n >= n_pattern - 1 && memcmp(pattern, name, n_pattern - 1) == 0;
    return n == n_pattern && memcmp(pattern, name, n) == 0;
}

/* What only holdfast itself reads: its own variables, and what its fetch job shows to hubs and stores. */
static bool is_ours(const char *name, size_t n) {
    static const char *const ours[] = { "HOLDFAST_*", "HF_TOKEN*", "HUGGING_FACE_HUB_TOKEN*", "MODELSCOPE_API_TOKEN*", "AWS_SECRET_ACCESS_KEY*", "AWS_SESSION_TOKEN*" };
    for (size_t i = 0; i < HOLD_COUNT_OF(ours); i++)
        if (matches(ours[i], name, n))
            return true;
    return false;
}

bool hold_sandbox_is_secret(const char *entry) {
    size_t n = strcspn(entry, "=");
    return n > 0 && (is_secret(entry, n) || has_word(entry, n, "_proxy") || has_word(entry, n, "_PROXY"));
}

bool hold_sandbox_plan_passes(const struct hold_sandbox_plan *plan, const char *entry) {
    size_t n = strcspn(entry, "=");
    if (n == 0)
        return false;
    for (size_t i = 0; i < plan->n_env; i++) /* named by the configuration: the user's word, secret or not */
        if (matches(hold_sandbox_plan_text(plan, plan->env_at[i]), entry, n))
            return true;
    if (is_secret(entry, n) && plan->profile != HOLD_PROFILE_JOB_FETCH)
        return !plan->is_env_scrubbed && !is_ours(entry, n);
    if (!plan->is_env_scrubbed && (plan->profile == HOLD_PROFILE_FOREIGN || plan->level == HOLD_SANDBOX_OFF))
        return true;
    for (size_t i = 0; i < HOLD_COUNT_OF(passed); i++)
        if ((passed[i].profiles & (1u << plan->profile)) && matches(passed[i].name, entry, n))
            return true;
    return false;
}
