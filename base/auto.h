/* auto.h - scope-bound ownership by the cleanup attribute. Floor: base.
 *
 * A local that owns something is born empty and lets go by itself on every path out. Giving it away is written
 * `hold_take_fd(&fd)` or `hold_take_ptr(&p)`: the local is empty afterwards, the value moves. */
#ifndef HOLD_BASE_AUTO_H
#define HOLD_BASE_AUTO_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void hold_close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static inline void hold_free_ptr(void *p) {
    void **slot = p;
    free(*slot);
    *slot = NULL;
}

static inline void hold_close_file(FILE **f) {
    if (*f)
        fclose(*f);
    *f = NULL;
}

/* `hold_autofd fd = open(...)`: closed at the end of the scope; -1 is empty. */
#define hold_autofd __attribute__((cleanup(hold_close_fd))) int
/* `hold_autofree char *p = NULL`: freed at the end of the scope. */
#define hold_autofree __attribute__((cleanup(hold_free_ptr)))
/* `hold_autofile FILE *f = fopen(...)` */
#define hold_autofile __attribute__((cleanup(hold_close_file)))

static inline int hold_take_fd(int *fd) {
    int taken = *fd;
    *fd = -1;
    return taken;
}

static inline void *hold_take_raw(void *p) {
    void **slot = p;
    void *taken = *slot;
    *slot = NULL;
    return taken;
}

#define hold_take_ptr(p) ((__typeof__(*(p))) hold_take_raw(p))

#endif
