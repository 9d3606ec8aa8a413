/* model_folder.h - a whole model folder in memory, for tests that prove it or damage it first. */
#ifndef HOLD_TESTS_HELPERS_MODEL_FOLDER_H
#define HOLD_TESTS_HELPERS_MODEL_FOLDER_H

#include "runtime/weights/prove.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct model_folder {
    struct hold_model_file files[32];
    size_t n_files;
};

/* Files are malloc'ed copies with a zero behind. False when the folder is not there. */
__attribute__((unused)) static bool folder_read(const char *path, struct model_folder *f) {
    *f = (struct model_folder) { 0 };
    DIR *d = opendir(path);
    if (!d)
        return false;
    for (struct dirent *e; (e = readdir(d)) && f->n_files < 32;) {
        char name[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        FILE *in = fopen(name, "rb");
        if (!in)
            continue;
        fseek(in, 0, SEEK_END);
        const size_t n = (size_t) ftell(in);
        rewind(in);
        char *data = malloc(n + 1);
        if (fread(data, 1, n, in) != n)
            abort();
        data[n] = '\0';
        fclose(in);
        f->files[f->n_files++] = (struct hold_model_file) { .name = strdup(e->d_name), .data = data, .bytes = n };
    }
    closedir(d);
    return true;
}

__attribute__((unused)) static struct hold_model_file *folder_find(struct model_folder *f, const char *name) {
    for (size_t i = 0; i < f->n_files; i++)
        if (strcmp(f->files[i].name, name) == 0)
            return &f->files[i];
    return NULL;
}

/* Replaces or adds a file's bytes by a copy. */
__attribute__((unused)) static void folder_put(struct model_folder *f, const char *name, const void *bytes, size_t n) {
    struct hold_model_file *file = folder_find(f, name);
    char *copy = malloc(n + 1);
    memcpy(copy, bytes, n);
    copy[n] = '\0';
    if (!file) {
        file = &f->files[f->n_files++];
        *file = (struct hold_model_file) { .name = strdup(name) };
    }
    free((void *) (uintptr_t) file->data);
    file->data = copy;
    file->bytes = n;
}

__attribute__((unused)) static void folder_drop(struct model_folder *f, const char *name) {
    struct hold_model_file *file = folder_find(f, name);
    if (!file)
        return;
    free((void *) (uintptr_t) file->name);
    free((void *) (uintptr_t) file->data);
    *file = f->files[--f->n_files];
}

__attribute__((unused)) static void folder_free(struct model_folder *f) {
    while (f->n_files)
        folder_drop(f, f->files[0].name);
}

/* Replaces the first occurrence of a text in a file; the test is wrong when it is not there. */
__attribute__((unused)) static void folder_edit(struct model_folder *f, const char *name, const char *from, const char *to) {
    struct hold_model_file *file = folder_find(f, name);
    const char *at = file ? memmem(file->data, file->bytes, from, strlen(from)) : NULL;
    if (!at) {
        fprintf(stderr, "folder_edit: no '%s' in %s\n", from, name);
        abort();
    }
    const size_t before = (size_t) (at - (const char *) file->data), n = file->bytes - strlen(from) + strlen(to);
    char *edited = malloc(n + 1);
    memcpy(edited, file->data, before);
    memcpy(edited + before, to, strlen(to));
    memcpy(edited + before + strlen(to), at + strlen(from), file->bytes - before - strlen(from));
    folder_put(f, name, edited, n);
    free(edited);
}

#endif
