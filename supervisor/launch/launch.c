/* launch.c - starts PREFIX/libexec/NAME through the loader and the libraries that lie under the same prefix.
 * Floor: supervisor/launch; includes nobody, links statically.
 *
 * One program, installed as bin/holdfast-job and bin/holdfast-runtime. It finds the prefix from its own place, so a
 * copied prefix works anywhere: in another glibc image, in a musl image, in an empty root, with or without /proc. In
 * the build tree there is no loader under the prefix and the program is started directly. */
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* What a shell answers when a program is missing or cannot be run. */
enum { STATUS_CANNOT_RUN = 126, STATUS_NOT_FOUND = 127 };

static int fail(const char *what, const char *path, int sys) {
    fprintf(stderr, "holdfast: %s '%s': %s\n", what, path, strerror(sys));
    return sys == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

/* The absolute path of this program. /proc knows best; without it the name given to execve does, made absolute. */
static int find_self(char ret_path[static PATH_MAX]) {
    ssize_t n = readlink("/proc/self/exe", ret_path, PATH_MAX - 1);
    if (n > 0 && ret_path[0] == '/') {
        ret_path[n] = '\0';
        return 0;
    }
    const char *name = (const char *) getauxval(AT_EXECFN);
    if (!name || !realpath(name, ret_path))
        return -1;
    return 0;
}

/* Cuts the last component off: "/a/b" becomes "/a" and the component is returned; "/a" becomes "". */
static char *cut_last(char *path) {
    char *slash = strrchr(path, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    return slash + 1;
}

/* The loader has one name for each machine (ld-linux-x86-64.so.2, ld-linux-aarch64.so.1): whatever install put there. */
static int find_loader(const char *prefix, char ret_path[static PATH_MAX]) {
    char pattern[PATH_MAX * 2];
    size_t n = 0;
    for (const char *c = prefix; *c && n < PATH_MAX - 32; c++) { /* the prefix is a name, not a pattern */
        if (strchr("*?[\\", *c))
            pattern[n++] = '\\';
        pattern[n++] = *c;
    }
    snprintf(pattern + n, sizeof(pattern) - n, "/lib/ld-linux-*.so.*");
    glob_t found = {0};
    if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc == 0)
        return -1;
    int n_path = snprintf(ret_path, PATH_MAX, "%s", found.gl_pathv[0]);
    globfree(&found);
    return n_path < PATH_MAX ? 0 : -1;
}

int main(int argc, char **argv) {
    static char self[PATH_MAX], program[PATH_MAX * 2], library_path[PATH_MAX * 2], loader[PATH_MAX];
    static char option[] = "--library-path";
    if (find_self(self) < 0)
        return fail("find the installed prefix of", argc > 0 ? argv[0] : "?", errno);
    const char *name = cut_last(self);
    if (!name || !cut_last(self)) /* directly in "/": there is no folder beside the one it lies in */
        return fail("find the installed prefix of", argv[0], ENOENT);
    snprintf(program, sizeof(program), "%s/libexec/%s", self, name);
    snprintf(library_path, sizeof(library_path), "%s/lib", self);

    char **args = calloc((size_t) argc + 5, sizeof(*args));
    if (!args)
        return fail("start", program, errno);
    size_t n = 0;
    const char *target = program;
    if (find_loader(self, loader) == 0) {
        target = loader;
        args[n++] = loader;
        args[n++] = option;
        args[n++] = library_path;
    }
    args[n++] = program;
    for (int i = 1; i < argc; i++)
        args[n++] = argv[i];
    execv(target, args);
    return fail("start", target, errno);
}
