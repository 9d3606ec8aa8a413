/* fake-vllm.c - a server that behaves as vLLM does, for machines without a GPU. A program, not a mock: it opens the shards of a real
 * model folder and logs its start line by line as vLLM words it; a worker process in a session of its own makes the tokens; /health
 * says 200 whatever the worker does, /metrics has vLLM's series; it dies with its worker, drains on TERM, and fails as the real one
 * does. Needs the C library alone.
 *
 *   fake-vllm [anything] --model DIR --port PORT [--served-model-name NAME] [--max-num-seqs N] [--max-model-len N] [anything]
 *
 *   GET /health, /v1/models, /metrics; POST /v1/chat/completions, with "stream": true or without
 *
 *   FAKE_VLLM_FAIL=NAME   one of `failures` below
 *   FAKE_VLLM_LOAD_MS     each step of the start takes this long (300)
 *   FAKE_VLLM_STEP_MS     each token takes this long (50)
 *   FAKE_VLLM_TOKENS      an answer has at most so many (60), or the request's max_tokens
 *
 * As with vLLM's own command line the last of two equal options counts. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum stage { AT_START, AT_LOAD, AT_CACHE, AT_GRAPHS, AT_REQUEST };

/* What can go wrong, when, and in whose words. `option`: it goes well when this number is at most `limit`. */
static const struct failure {
    const char *name;
    enum stage stage;
    const char *option;
    long limit;
    const char *line; /* NULL: no word, it stands still */
} failures[] = {
    { "driver-old", AT_START, NULL, 0, "RuntimeError: The NVIDIA driver on your system is too old (found version 11040)." },
    { "gpu-none", AT_START, NULL, 0, "RuntimeError: CUDA error: no CUDA-capable device is detected" },
    { "gpu-busy", AT_START, NULL, 0, "ValueError: Free memory on device (3.24/23.65 GiB) on startup is less than desired GPU memory utilization (0.9, 21.28 GiB)." },
    { "gated", AT_START, NULL, 0, "Cannot access gated repo for url https://huggingface.co/zai-org/AutoGLM-Phone-9B/resolve/main/config.json." },
    { "hang-at-load", AT_LOAD, NULL, 0, NULL },
    { "weights-damaged", AT_LOAD, NULL, 0, "safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered" },
    { "kv-none", AT_CACHE, "--max-model-len", 8192, "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine." },
    { "oom-cuda", AT_GRAPHS, "--max-num-seqs", 64, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.16 GiB. GPU 0 has a total capacity of 23.65 GiB of which 512.00 MiB is free." },
    { "illegal-memory", AT_REQUEST, NULL, 0, "RuntimeError: CUDA error: an illegal memory access was encountered" },
    { "worker-dies", AT_REQUEST, NULL, 0, "" },
    { "stall", AT_REQUEST, NULL, 0, NULL },
};

/* What API process, worker and connections share. */
static struct shared {
    atomic_long n_waiting, n_running, n_done;
    atomic_long prompt_tokens, generated_tokens, steps;
} *all;

static const struct failure *failure;
static const char *name; /* that the model is served under */
static long load_ms, step_ms, max_tokens, max_seqs;
static volatile sig_atomic_t is_stopping;

static void on_signal(int sig) {
    if (sig != SIGCHLD) /* that one only ends the wait */
        is_stopping = 1;
}

static void wait_ms(long ms) {
    struct timespec t = { ms / 1000, ms % 1000 * 1000000L };
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        continue;
}

static const char *option(char **argv, const char *wanted, const char *otherwise) {
    for (; *argv; argv++)
        if (strcmp(*argv, wanted) == 0 && argv[1])
            otherwise = argv[1];
    return otherwise;
}

static long setting(const char *variable, long otherwise) {
    const char *text = getenv(variable);
    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

/* One line as vLLM's logger writes it. */
__attribute__((format(printf, 3, 4))) static void say(const char *level, const char *where, const char *format, ...) {
    char text[512], when[32];
    va_list args;
    va_start(args, format);
    (void) vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const time_t now = time(NULL);
    struct tm t;
    gmtime_r(&now, &t);
    (void) strftime(when, sizeof when, "%m-%d %H:%M:%S", &t);
    fprintf(stderr, "%s %s [%s] %s\n", level, when, where, text);
}

/* Ends the start the way the real one does: the cause in the engine's traceback, then the API server's line that explains nothing. */
static void maybe_fail(char **argv, enum stage stage) {
    if (!failure || failure->stage != stage || (failure->option && strtol(option(argv, failure->option, "1000000"), NULL, 10) <= failure->limit))
        return;
    while (!failure->line)
        pause();
    fprintf(stderr, "(EngineCore_DP0 pid=%d) Traceback (most recent call last):\n(EngineCore_DP0 pid=%d) %s\n", getpid(), getpid(), failure->line);
    fprintf(stderr, "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n");
    exit(1);
}

static int is_shard(const struct dirent *e) {
    const size_t n = strlen(e->d_name);
    return n > 12 && strcmp(e->d_name + n - 12, ".safetensors") == 0;
}

static void load_shards(char **argv, const char *model) {
    struct dirent **shards = NULL;
    const int n = scandir(model, &shards, is_shard, alphasort);
    if (n <= 0) {
        fprintf(stderr, "OSError: %s does not appear to have any safetensors files\n", model);
        exit(1);
    }
    for (int i = 0; i <= n; i++) {
        fprintf(stderr, "Loading safetensors checkpoint shards: %3d%% Completed | %d/%d [00:0%d<00:0%d,  1.50it/s]\n", 100 * i / n, i, n, i % 10, (n - i) % 10);
        if (i == 1)
            maybe_fail(argv, AT_LOAD);
        if (i == n)
            break;
        char path[4096];
        (void) snprintf(path, sizeof path, "%s/%s", model, shards[i]->d_name);
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            fprintf(stderr, "OSError: %s: %s\n", path, strerror(errno));
            exit(1);
        }
        close(fd);
        wait_ms(load_ms);
    }
}

/* From nothing to an engine that could serve. */
static void load(char **argv) {
    const char *model = option(argv, "--model", ".");
    maybe_fail(argv, AT_START);
    say("INFO", "gpu_model_runner.py:2602", "Starting to load model %s...", model);
    load_shards(argv, model);
    say("INFO", "default_loader.py:268", "Loading weights took %.2f seconds", (double) load_ms / 1000);
    say("INFO", "gpu_model_runner.py:2653", "Model loading took 17.2 GiB and %.2f seconds", (double) load_ms / 1000);
    wait_ms(load_ms);
    say("INFO", "monitor.py:34", "torch.compile takes %.2f s in total", (double) load_ms / 1000);
    maybe_fail(argv, AT_CACHE);
    say("INFO", "kv_cache_utils.py:1087", "GPU KV cache size: 311,520 tokens");
    for (int i = 0; i <= 4; i++) {
        fprintf(stderr, "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE): %3d%%|%-10.*s| %d/4 [00:0%d<00:0%d,  4.91it/s]\n", 25 * i, 10 * i / 4, "##########", i, i, 4 - i);
        if (i == 1)
            maybe_fail(argv, AT_GRAPHS);
        wait_ms(load_ms / 4);
    }
    say("INFO", "gpu_model_runner.py:3480", "Graph capturing finished in 1 secs, took 0.61 GiB");
    say("INFO", "core.py:210", "init engine (profile, create kv cache, warmup model) took %.2f seconds", (double) load_ms / 500);
}

/* The engine: one step after the other while a request runs. Its failures come with the first request. */
static pid_t start_worker(void) {
    const pid_t pid = fork();
    if (pid != 0)
        return pid;
    setsid();
    prctl(PR_SET_NAME, "VLLM::Worker_0");
    signal(SIGTERM, SIG_IGN); /* it waits for its engine's word, as the real one does */
    signal(SIGCHLD, SIG_DFL);
    for (;; wait_ms(step_ms)) {
        if (atomic_load(&all->n_running) == 0)
            continue;
        if (failure && failure->stage == AT_REQUEST) {
            while (!failure->line)
                pause();
            if (*failure->line)
                fprintf(stderr, "(Worker pid=%d) %s\n", getpid(), failure->line);
            _exit(1);
        }
        atomic_fetch_add(&all->steps, 1);
    }
}

static bool send_text(int fd, const char *text) {
    for (size_t n = strlen(text); n > 0;) {
        const ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        text += sent;
        n -= (size_t) sent;
    }
    return true;
}

static void answer(int fd, const char *status, const char *type, const char *body) {
    char head[256];
    (void) snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status, type, strlen(body));
    if (send_text(fd, head))
        (void) send_text(fd, body);
}

static void answer_metrics(int fd) {
    char body[4096], labels[160];
    (void) snprintf(labels, sizeof labels, "{engine=\"0\",model_name=\"%.100s\"}", name);
    const struct { const char *series, *type; long value; } rows[] = {
        { "vllm:num_requests_running", "gauge", atomic_load(&all->n_running) },
        { "vllm:num_requests_waiting", "gauge", atomic_load(&all->n_waiting) },
        { "vllm:prompt_tokens_total", "counter", atomic_load(&all->prompt_tokens) },
        { "vllm:generation_tokens_total", "counter", atomic_load(&all->generated_tokens) },
        { "vllm:iteration_tokens_total_count", "counter", atomic_load(&all->steps) },
        { "vllm:request_success_total", "counter", atomic_load(&all->n_done) },
    };
    size_t n = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        n += (size_t) snprintf(body + n, sizeof body - n, "# TYPE %s %s\n%s%s %ld.0\n", rows[i].series, rows[i].type, rows[i].series, labels, rows[i].value);
    answer(fd, "200 OK", "text/plain; version=0.0.4", body);
}

static bool send_piece(int fd, long i, long n) {
    char event[512];
    (void) snprintf(event, sizeof event, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"%.100s\",\"choices\":[{\"index\":0,\"delta\":{%s%s},\"finish_reason\":%s}]}\n\n",
                    name, i == 0 ? "\"role\":\"assistant\"," : "", i < n ? "\"content\":\"word \"" : "\"content\":\"\"", i < n ? "null" : "\"length\"");
    return send_text(fd, event);
}

/* One request through the queue and, token by token as the worker steps, to its end. A client that leaves is forgotten. */
static void chat(int fd, const char *request, bool is_stream) {
    const char *asked = strstr(request, "\"max_tokens\":");
    const long wanted = asked ? strtol(asked + 13, NULL, 10) : max_tokens;
    const long n = wanted > 0 && wanted < max_tokens ? wanted : max_tokens, n_prompt = (long) strlen(request) / 4;
    char body[8192];
    bool is_there = true;
    atomic_fetch_add(&all->n_waiting, 1);
    while (atomic_fetch_add(&all->n_running, 1) >= max_seqs) {
        atomic_fetch_sub(&all->n_running, 1);
        wait_ms(step_ms);
    }
    atomic_fetch_sub(&all->n_waiting, 1);
    atomic_fetch_add(&all->prompt_tokens, n_prompt);
    if (is_stream)
        is_there = send_text(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n");
    size_t used = 0;
    body[0] = '\0';
    for (long i = 0; i < n && is_there; i++) {
        for (const long before = atomic_load(&all->steps); atomic_load(&all->steps) == before;)
            wait_ms(step_ms > 10 ? 5 : 1);
        atomic_fetch_add(&all->generated_tokens, 1);
        if (is_stream)
            is_there = send_piece(fd, i, n);
        else if (used < sizeof body - 8)
            used += (size_t) snprintf(body + used, sizeof body - used, "%sword", i ? " " : "");
    }
    atomic_fetch_sub(&all->n_running, 1);
    if (!is_there)
        return;
    atomic_fetch_add(&all->n_done, 1);
    if (is_stream) {
        if (send_piece(fd, n, n))
            (void) send_text(fd, "data: [DONE]\n\n");
        return;
    }
    char whole[sizeof body + 512];
    (void) snprintf(whole, sizeof whole, "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"%.100s\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                    "\"content\":\"%s\"},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":%ld,\"completion_tokens\":%ld,\"total_tokens\":%ld}}", name, body, n_prompt, n, n_prompt + n);
    answer(fd, "200 OK", "application/json", whole);
}

/* One connection, in a process of its own. The whole request is read first, as far as it comes in one second. */
static void serve(int fd) {
    static char request[65536];
    char body[512];
    size_t n = 0;
    struct pollfd p = { .fd = fd, .events = POLLIN };
    while (n + 1 < sizeof request && poll(&p, 1, n ? 100 : 1000) > 0) {
        const ssize_t got = recv(fd, request + n, sizeof request - 1 - n, 0);
        if (got <= 0)
            break;
        n += (size_t) got;
        request[n] = '\0';
        if (strncmp(request, "GET ", 4) == 0 && strstr(request, "\r\n\r\n"))
            break;
    }
    request[n] = '\0';
    if (strncmp(request, "POST /v1/chat/completions ", 26) == 0) {
        chat(fd, request, strstr(request, "\"stream\":true") || strstr(request, "\"stream\": true"));
    } else if (strncmp(request, "GET /v1/models ", 15) == 0) {
        (void) snprintf(body, sizeof body, "{\"object\":\"list\",\"data\":[{\"id\":\"%.100s\",\"object\":\"model\",\"owned_by\":\"vllm\"}]}", name);
        answer(fd, "200 OK", "application/json", body);
    } else if (strncmp(request, "GET /metrics ", 13) == 0) {
        answer_metrics(fd);
    } else if (strncmp(request, "GET /health ", 12) == 0) {
        answer(fd, "200 OK", "text/plain", "");
    } else {
        answer(fd, "404 Not Found", "application/json", "{\"detail\":\"Not Found\"}");
    }
}

static int open_port(int port) {
    const int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_ANY) };
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *) &a, sizeof a) < 0 || listen(fd, 64) < 0) {
        fprintf(stderr, "OSError: [Errno %d] %s\n", errno, strerror(errno));
        exit(1);
    }
    return fd;
}

static void configure(char **argv) {
    name = option(argv, "--served-model-name", option(argv, "--model", "model"));
    load_ms = setting("FAKE_VLLM_LOAD_MS", 300), step_ms = setting("FAKE_VLLM_STEP_MS", 50), max_tokens = setting("FAKE_VLLM_TOKENS", 60);
    max_seqs = strtol(option(argv, "--max-num-seqs", "256"), NULL, 10);
    const char *fail = getenv("FAKE_VLLM_FAIL");
    for (size_t i = 0; fail && *fail && !failure; i++) {
        if (i == sizeof failures / sizeof *failures) {
            fprintf(stderr, "fake-vllm: FAKE_VLLM_FAIL=%s is none of its failures\n", fail);
            exit(2);
        }
        if (strcmp(failures[i].name, fail) == 0)
            failure = &failures[i];
    }
    all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        exit(1);
}

int main(int argc, char **argv) {
    (void) argc;
    struct sigaction act = { .sa_handler = on_signal };
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGCHLD, &act, NULL);
    configure(argv);
    say("INFO", "api_server.py:1977", "vLLM API server version 0.0.0 (fake)");
    const pid_t worker = start_worker();
    load(argv);
    const int port = open_port(atoi(option(argv, "--port", "8000")));
    fprintf(stderr, "INFO:     Started server process [%d]\nINFO:     Waiting for application startup.\nINFO:     Application startup complete.\n", getpid());
    int n_open = 0;
    while (!is_stopping || n_open > 0) {
        struct pollfd p = { .fd = is_stopping ? -1 : port, .events = POLLIN };
        if (poll(&p, 1, 200) > 0) {
            const int fd = accept(port, NULL, NULL);
            const pid_t pid = fd >= 0 ? fork() : -1;
            if (pid == 0) {
                signal(SIGTERM, SIG_IGN); /* what has begun is finished, unless the server is gone */
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                serve(fd);
                _exit(0);
            }
            n_open += pid > 0;
            if (fd >= 0)
                close(fd);
        }
        for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0; n_open--)
            if (pid == worker) {
                say("ERROR", "multiproc_executor.py:215", "Worker proc VllmWorker-0 died unexpectedly, shutting down executor.");
                fprintf(stderr, "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.\n");
                return 1;
            }
    }
    kill(worker, SIGKILL);
    return 0;
}
