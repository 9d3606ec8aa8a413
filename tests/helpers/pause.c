/* pause.c - the process that holds a pod's namespaces: reaps what is left to it, ends on TERM or INT. Needs the C library alone. */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int sig = 0;
    while (sigwait(&set, &sig) == 0 && sig == SIGCHLD)
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
    return 0;
}
