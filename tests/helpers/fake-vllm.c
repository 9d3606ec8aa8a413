/* fake-vllm.c - a server that behaves as vLLM does, for images that holdfast's chart did not build. A program, not a mock: it loads
 * the shards it is given line by line as vLLM logs them, runs a worker process in a session of its own, serves streams, dies with
 * its worker and drains on TERM. Needs the C library alone.
 *
 *   fake-vllm [anything] --model DIR --port PORT [anything]
 *
 *   GET /health                 200
 *   GET /v1/models              the name of --served-model-name
 *   POST /v1/chat/completions   with "stream": true 60 pieces, 50 ms each, and [DONE]; else one answer
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIECES 60
#define PIECE_MS 50
#define LOAD_MS 300 /* a shard */

static volatile sig_atomic_t is_stopping;

static void on_signal(int sig) {
    if (sig != SIGCHLD) /* that one only ends the wait */
        is_stopping = 1;
}

static void wait_ms(int ms) {
    struct timespec t = { ms / 1000, ms % 1000 * 1000000L };
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        continue;
}

static const char *option(int argc, char **argv, const char *name, const char *otherwise) {
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return otherwise;
}

static void say(const char *text) {
    fprintf(stderr, "INFO 01-01 00:00:00 [fake.py:1] %s\n", text);
}

static int is_shard(const struct dirent *e) {
    const size_t n = strlen(e->d_name);
    return n > 12 && strcmp(e->d_name + n - 12, ".safetensors") == 0;
}

static void load(const char *model) {
    struct dirent **shards = NULL;
    const int n = scandir(model, &shards, is_shard, alphasort);
    if (n <= 0) {
        fprintf(stderr, "OSError: %s does not appear to have any safetensors files\n", model);
        exit(1);
    }
    char line[128];
    for (int i = 0; i <= n; i++) {
        (void) snprintf(line, sizeof line, "Loading safetensors checkpoint shards: %3d%% Completed | %d/%d [00:0%d<00:0%d,  1.50it/s]", 100 * i / n, i, n, i % 10, (n - i) % 10);
        fprintf(stderr, "%s\n", line);
        if (i < n) {
            char path[4096];
            (void) snprintf(path, sizeof path, "%s/%s", model, shards[i]->d_name);
            const int fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0) {
                fprintf(stderr, "OSError: %s: %s\n", path, strerror(errno));
                exit(1);
            }
            close(fd);
            wait_ms(LOAD_MS);
        }
    }
    say("Loading weights took 0.90 seconds");
    say("init engine (profile, create kv cache, warmup model) took 0.10 seconds");
}

static pid_t start_worker(void) {
    const pid_t pid = fork();
    if (pid != 0)
        return pid;
    setsid();
    prctl(PR_SET_NAME, "VLLM::Worker_0");
    signal(SIGTERM, SIG_IGN); /* it waits for its engine's word, as the real one does */
    signal(SIGCHLD, SIG_DFL);
    for (;;)
        pause();
}

static void send_text(int fd, const char *text) {
    for (size_t n = strlen(text); n > 0;) {
        const ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent <= 0)
            _exit(0);
        text += sent;
        n -= (size_t) sent;
    }
}

static void answer(int fd, const char *type, const char *body) {
    char head[256];
    (void) snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", type, strlen(body));
    send_text(fd, head);
    send_text(fd, body);
}

static void stream(int fd, const char *name) {
    send_text(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n");
    for (int i = 0; i <= PIECES; i++) {
        char event[512];
        (void) snprintf(event, sizeof event, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"%.100s\",\"choices\":[{\"index\":0,\"delta\":{%s%s},\"finish_reason\":%s}]}\n\n",
                        name, i == 0 ? "\"role\":\"assistant\"," : "", i < PIECES ? "\"content\":\"word \"" : "\"content\":\"\"", i < PIECES ? "null" : "\"length\"");
        send_text(fd, event);
        wait_ms(PIECE_MS);
    }
    send_text(fd, "data: [DONE]\n\n");
}

/* One connection, in a process of its own. The whole request is read first, as far as it comes in one second. */
static void serve(int fd, const char *name) {
    char request[65536], body[512];
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
    const bool is_chat = strncmp(request, "POST /v1/chat/completions", 25) == 0;
    if (is_chat && (strstr(request, "\"stream\":true") || strstr(request, "\"stream\": true"))) {
        stream(fd, name);
    } else if (is_chat) {
        (void) snprintf(body, sizeof body, "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"%.100s\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                        "\"content\":\"word\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}", name);
        answer(fd, "application/json", body);
    } else if (strncmp(request, "GET /v1/models", 14) == 0) {
        (void) snprintf(body, sizeof body, "{\"object\":\"list\",\"data\":[{\"id\":\"%.100s\",\"object\":\"model\",\"owned_by\":\"vllm\"}]}", name);
        answer(fd, "application/json", body);
    } else {
        answer(fd, "text/plain", "");
    }
}

static int open_port(int port) {
    const int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_ANY) };
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *) &a, sizeof a) < 0 || listen(fd, 64) < 0) {
        fprintf(stderr, "OSError: [Errno %d] address: %s\n", errno, strerror(errno));
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv) {
    struct sigaction act = { .sa_handler = on_signal };
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGCHLD, &act, NULL);
    const char *name = option(argc, argv, "--served-model-name", "model");
    say("vLLM API server version 0.0.0 (fake)");
    const pid_t worker = start_worker();
    load(option(argc, argv, "--model", "."));
    const int port = open_port(atoi(option(argc, argv, "--port", "8000")));
    say("Started server process [1]");
    say("Application startup complete.");
    int n_open = 0;
    while (!is_stopping || n_open > 0) {
        struct pollfd p = { .fd = is_stopping ? -1 : port, .events = POLLIN };
        if (poll(&p, 1, 200) > 0) {
            const int fd = accept(port, NULL, NULL);
            const pid_t pid = fd >= 0 ? fork() : -1;
            if (pid == 0) {
                signal(SIGTERM, SIG_IGN); /* what has begun is finished */
                serve(fd, name);
                _exit(0);
            }
            n_open += pid > 0;
            if (fd >= 0)
                close(fd);
        }
        for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0; n_open--)
            if (pid == worker) {
                fprintf(stderr, "ERROR 01-01 00:00:00 [core.py:1] EngineCore hit an exception: Worker proc VllmWorker-0 died unexpectedly, shutting down executor.\n");
                fprintf(stderr, "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.\n");
                return 1;
            }
    }
    kill(worker, SIGKILL);
    return 0;
}
