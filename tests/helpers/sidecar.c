/* sidecar.c - stands in for a mesh's proxy beside a server: sidecar PORT TARGET DRAIN_S carries connections to PORT on to 127.0.0.1:TARGET.
 * On TERM it goes on for DRAIN_S seconds, new connections too, then until the last one is closed, as proxies that wait for their
 * connections do. Needs the C library alone. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t is_asked;
static int n_open; /* connections under way; atomic */
static uint16_t target;

static void on_term(int sig) {
    (void) sig;
    is_asked = 1;
}

static int carry(int from, int to) { /* one piece; 0 at the end of from */
    char bytes[16384];
    ssize_t n = read(from, bytes, sizeof bytes);
    for (ssize_t at = 0; at < n;) {
        ssize_t wrote = write(to, bytes + at, (size_t) (n - at));
        if (wrote <= 0)
            return 0;
        at += wrote;
    }
    return n > 0;
}

static void *connection(void *arg) {
    int ends[2] = { (int) (intptr_t) arg, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(target), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int open_ends = ends[1] >= 0 && connect(ends[1], (struct sockaddr *) &to, sizeof to) == 0 ? 2 : 0;
    struct pollfd p[2] = { { ends[0], POLLIN, 0 }, { ends[1], POLLIN, 0 } };
    while (open_ends > 0 && (poll(p, 2, -1) > 0 || errno == EINTR))
        for (int i = 0; i < 2; i++)
            if (p[i].fd >= 0 && p[i].revents && !carry(ends[i], ends[1 - i])) {
                (void) shutdown(ends[1 - i], SHUT_WR);
                p[i].fd = -1; /* poll passes it over */
                open_ends--;
            }
    close(ends[0]);
    if (ends[1] >= 0)
        close(ends[1]);
    __atomic_sub_fetch(&n_open, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 64;
    target = (uint16_t) atoi(argv[2]);
    (void) sigaction(SIGTERM, &(struct sigaction) { .sa_handler = on_term }, NULL);
    (void) signal(SIGPIPE, SIG_IGN);
    int one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons((uint16_t) atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_ANY) };
    if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 || bind(s, (struct sockaddr *) &own, sizeof own) < 0 || listen(s, 128) < 0)
        return perror("sidecar"), 71;
    time_t end = 0;
    while (end == 0 || time(NULL) < end || __atomic_load_n(&n_open, __ATOMIC_SEQ_CST) > 0) {
        if (is_asked && end == 0)
            end = time(NULL) + atoi(argv[3]);
        struct pollfd p = { s, POLLIN, 0 };
        if (poll(&p, 1, 100) <= 0)
            continue;
        int client = accept4(s, NULL, NULL, SOCK_CLOEXEC);
        pthread_t thread;
        if (client < 0)
            continue;
        __atomic_add_fetch(&n_open, 1, __ATOMIC_SEQ_CST);
        if (pthread_create(&thread, NULL, connection, (void *) (intptr_t) client) != 0)
            return 71;
        (void) pthread_detach(thread);
    }
    return 0;
}
