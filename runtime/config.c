/* config.c - the option table of holdfast-runtime. Floor: runtime. */
#include "runtime/config.h"

#include "base/list.h"
#include "base/log.h"
#include "base/num.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT(field) offsetof(struct hold_rt_config, field)
#define MAX_POSITIONS 1048576.0

static const char *const devices[] = { "auto", "cpu", "cuda", "ref" };

const struct hold_opt hold_rt_rows[] = {
    { "log-level", HOLD_OPT_ENUM, AT(log_level), "info", 0, 0, "least important line that is written", .choices = "debug|info|warn|error" },
    { "log-format", HOLD_OPT_ENUM, AT(log_format), "auto", 0, 0, "auto is text on a terminal and JSON elsewhere", .choices = "auto|json|text" },
    { "plan", HOLD_OPT_STR, AT(plan), NULL, 0, 0, "plan file, where process 1 hands none over", .value = "FILE" },
    { "model-dir", HOLD_OPT_STR, AT(model_dir), NULL, 0, 0, "folder of the checkpoint", .value = "DIR" },
    { "listen", HOLD_OPT_STR, AT(listen), NULL, 0, 0, "address of the API, where no socket is handed over", .value = "ADDR" },
    { "served-name", HOLD_OPT_STRS, AT(served_names), "autoglm-phone-9b", 0, 0, "name of the model in the API; may be repeated", .value = "NAME" },
    { "api-key", HOLD_OPT_SECRET, AT(api_key), NULL, 0, 0, "key that every request but /health must carry as Authorization: Bearer" },
    { "content-format", HOLD_OPT_ENUM, AT(content_format), "string", 0, 0, "how parts of a message become one text", .choices = "string|openai" },
    { "parse-special-in-content", HOLD_OPT_BOOL, AT(parse_special), "false", 0, 0, "let message content hold role and media tokens, as other engines do" },
    { "max-body", HOLD_OPT_BYTES, AT(max_body_bytes), "32MiB", 1024, 1073741824.0, "largest body of one request" },
    { "max-bodies", HOLD_OPT_BYTES, AT(max_total_bytes), "256MiB", 1024, 68719476736.0, "largest sum of the bodies of all requests" },
    { "max-connections", HOLD_OPT_U64, AT(max_connections), "256", 1, 65536, "connections at once" },
    { "max-requests", HOLD_OPT_U64, AT(max_requests), "64", 1, 4096, "chat requests at once, running and waiting; more are 429" },
    { "max-images", HOLD_OPT_U64, AT(max_images), "10", 0, 16, "images in one request" },
    { "max-image-pixels", HOLD_OPT_U64, AT(max_pixels), "0", 0, 1099511627776.0, "pixels of an image after its resize, two frames counted; 0: the checkpoint's" },
    { "idle-timeout", HOLD_OPT_MS, AT(idle_ms), "60s", 1000, 3600000, "a connection that moves no byte for so long is closed" },
    { "device", HOLD_OPT_ENUM, AT(device), "auto", 0, 0, "what computes", .choices = "auto|cpu|cuda|ref" },
    { "backend-lib", HOLD_OPT_STR, AT(backend_lib), NULL, 0, 0, "CUDA plug-in instead of the installed one", .value = "FILE" },
    { "cuda-driver", HOLD_OPT_STR, AT(cuda_driver), NULL, 0, 0, "library with the CUDA driver's calls instead of the system's (tests)", .value = "FILE" },
    { "dtype", HOLD_OPT_ENUM, AT(dtype), "auto", 0, 0, "number format of weights and activations", .choices = "auto|bf16|f32|int8" },
    { "deterministic", HOLD_OPT_BOOL, AT(is_deterministic), "false", 0, 0, "the same bits in every batch, at the price of speed (CUDA; the CPU always does)" },
    { "threads", HOLD_OPT_U64, AT(n_threads), "0", 0, 1024, "threads on the CPU; 0: from affinity and quota" },
    { "max-context", HOLD_OPT_U64, AT(max_context), "25480", 16, MAX_POSITIONS, "tokens of one request, prompt and answer; at most the checkpoint's" },
    { "max-sessions", HOLD_OPT_U64, AT(max_sessions), "8", 1, 256, "requests that the engine works on at once" },
    { "max-waiting", HOLD_OPT_U64, AT(max_waiting), "64", 0, 4096, "requests that wait in the engine's line" },
    { "chunk-tokens", HOLD_OPT_U64, AT(chunk_tokens), "512", 16, 8192, "rows of one step: how finely a long prompt is cut" },
    { "cache-bytes", HOLD_OPT_BYTES, AT(cache_bytes), "0", 0, 1099511627776.0, "memory of the key-value cache; 0: what is left, at most what the sessions can use" },
    { "memory-bytes", HOLD_OPT_BYTES, AT(memory_bytes), "0", 0, 1099511627776.0, "memory that may be used in all; 0: what the device or the cgroup has" },
};
const size_t hold_rt_n_rows = HOLD_COUNT_OF(hold_rt_rows);

int hold_rt_config_load(int argc, char *const *argv, const char *const *environment, struct hold_rt_config *ret_config,
                        struct hold_rt_store *store, struct hold_err *err) {
    hold_autobuf mistakes = hold_buf_with_max(65536);
    struct hold_strs words = { 0 };
    struct hold_rt_config config = { 0 };
    int rest = argc;

    store->text = hold_buf_with_max(65536);
    store->sources = calloc(hold_rt_n_rows, sizeof *store->sources);
    if (!store->sources)
        return hold_fail(err, HOLD_E_LIMIT, 0, "options: out of memory");
    const struct hold_opt_set set = { .rows = hold_rt_rows, .n_rows = hold_rt_n_rows, .sources = store->sources, .store = &store->text };
    if (hold_opt_load(&set, &config, NULL, NULL, environment, argc, argv, false, &words, &rest, &mistakes, err) < 0)
        return -1;
    if (words.n > 0 || rest != argc)
        return hold_fail(err, HOLD_E_CONFIG, 0, "'%s' is not an option", words.n ? words.at[0] : "--");
    hold_log_set_level((enum hold_log_level) config.log_level);
    if (config.log_format != 0)
        hold_log_set_text(config.log_format == 2);
    if (config.max_body_bytes > config.max_total_bytes)
        return hold_fail(err, HOLD_E_CONFIG, 0, "--max-body is above --max-bodies");
    *ret_config = config;
    return 0;
}

void hold_rt_store_release(struct hold_rt_store *store) {
    struct hold_opt_set set = { .rows = hold_rt_rows, .n_rows = hold_rt_n_rows, .sources = store->sources, .store = &store->text };
    hold_opt_release(&set);
    free(store->sources);
    store->sources = NULL;
}

const char *hold_rt_device_name(const struct hold_rt_config *config) {
    return hold_name_at(devices, HOLD_COUNT_OF(devices), (size_t) config->device);
}

int hold_handed_fd(const char *name) {
    const char *n_text = getenv("LISTEN_FDS"), *pid_text = getenv("LISTEN_PID"), *names = getenv("LISTEN_FDNAMES");
    uint64_t n, pid;

    if (!n_text || !names || hold_parse_u64(n_text, 1, 1024, &n, NULL) < 0)
        return -1;
    if (pid_text && (hold_parse_u64(pid_text, 1, INT32_MAX, &pid, NULL) < 0 || (pid_t) pid != getpid()))
        return -1;
    for (uint64_t i = 0; i < n && *names; i++) {
        size_t length = strcspn(names, ":");
        if (length == strlen(name) && memcmp(names, name, length) == 0) {
            int fd = 3 + (int) i;
            if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return -1;
            return fd;
        }
        names += length + (names[length] == ':');
    }
    return -1;
}
