/* test_torch.c - checkpoints of PyTorch: what torch.save wrote is read as torch reads it, and every planted damage is refused
 * by name. The files and the words are made by tests/golden/torch/make.py. */
#include "tests/unit/test.h"

#include "base/buf.h"
#include "runtime/weights/torch.h"
#include "tests/helpers/golden.h"

#include <inttypes.h>

/* A copy without a byte to spare, so that a sanitizer sees each byte read too many. */
static int parse(const unsigned char *bytes, size_t n, const char *what, struct hold_arena *arena, struct hold_torch *ret, struct hold_err *err, unsigned char **ret_copy) {
    unsigned char *exact = malloc(n ? n : 1);
    if (n)
        memcpy(exact, bytes, n);
    *ret_copy = exact;
    return hold_torch_parse(exact, n, what, arena, ret, err);
}

static void numbers(struct hold_buf *out, const uint64_t *n, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        hold_buf_addf(out, "%s%" PRIu64, i ? "," : "", n[i]);
    hold_buf_adds(out, count ? " " : "- ");
}

static void describe(struct hold_buf *out, const char *name) {
    char path[256];
    size_t n;
    snprintf(path, sizeof path, "torch/good/%s", name);
    unsigned char *bytes = golden_read(path, &n), *copy;
    hold_autoarena arena = hold_arena_with_max(64 << 20);
    struct hold_torch torch;
    struct hold_err err = { 0 };
    if (parse(bytes, n, name, &arena, &torch, &err, &copy) < 0)
        fail_msg("refused: %s", err.text);
    hold_buf_addf(out, "file %s\n", name);
    for (size_t i = 0; i < torch.n_tensors; i++) {
        const struct hold_torch_tensor *t = &torch.tensors[i];
        hold_buf_addf(out, "%s %s ", *t->name ? t->name : "-", t->dtype);
        numbers(out, t->dims, t->n_dims);
        numbers(out, t->strides, t->n_dims);
        uint64_t count = 1;
        for (uint32_t d = 0; d < t->n_dims; d++)
            count *= t->dims[d];
        hold_buf_addf(out, "%" PRIu64 " %s ", t->bytes, t->is_contiguous || !count ? "c" : "s");
        for (uint64_t b = 0; count && b < t->bytes / count; b++)
            hold_buf_addf(out, "%02x", copy[t->offset + b]);
        hold_buf_adds(out, count ? "\n" : "-\n");
    }
    free(bytes);
    free(copy);
}

static void what_torch_saved_is_read_as_torch_reads_it(void **unused) {
    (void) unused;
    size_t n;
    char *wanted = (char *) golden_read("torch/good.txt", &n);
    hold_autobuf got = hold_buf_with_max(1 << 20);
    for (char *line = wanted; *line;) {
        const size_t line_n = strcspn(line, "\n");
        if (strncmp(line, "file ", 5) == 0) {
            char name[128];
            snprintf(name, sizeof name, "%.*s", (int) (line_n - 5), line + 5);
            describe(&got, name);
        }
        line += line_n + (line[line_n] == '\n');
    }
    assert_string_equal(got.data, wanted);
    free(wanted);
}

static void each_planted_damage_is_refused_by_name(void **unused) {
    (void) unused;
    size_t n, n_files = 0, n_wrong = 0;
    char *list = (char *) golden_read("torch/bad.txt", &n);
    for (char *line = strtok(list, "\n"); line; line = strtok(NULL, "\n")) {
        char path[256], *words = strchr(line, '\t');
        assert_non_null(words);
        *words++ = '\0';
        snprintf(path, sizeof path, "torch/bad/%s", line);
        unsigned char *bytes = golden_read(path, &n), *copy;
        hold_autoarena arena = hold_arena_with_max(64 << 20);
        struct hold_torch torch;
        struct hold_err err = { 0 };
        if (parse(bytes, n, line, &arena, &torch, &err, &copy) == 0)
            print_error("%s is accepted; wanted '%s'\n", line, words), n_wrong++;
        else if (!strstr(err.text, words) || strncmp(err.text, line, strlen(line)) != 0)
            print_error("%s: '%s' is not about '%s'\n", line, err.text, words), n_wrong++;
        free(bytes);
        free(copy);
        n_files++;
    }
    assert_int_equal(n_wrong, 0);
    assert_true(n_files > 100);
    free(list);
}

/* Every file cut at every byte, and every byte of the small ones changed: refused or read, never out of bounds. */
static void no_cut_and_no_flip_is_read_out_of_bounds(void **unused) {
    (void) unused;
    static const char *const names[] = { "torch/good/state_dict.pth", "torch/good/state_dict_legacy.pth", "torch/good/zip64.pth", "torch/good/descriptor.pth" };
    for (size_t f = 0; f < sizeof names / sizeof names[0]; f++) {
        size_t n;
        unsigned char *bytes = golden_read(names[f], &n), *copy;
        for (size_t cut = 0; cut < n; cut += n > 1000 ? 7 : 1) {
            hold_autoarena arena = hold_arena_with_max(8 << 20);
            struct hold_torch torch;
            struct hold_err err = { 0 };
            if (parse(bytes, cut, "f", &arena, &torch, &err, &copy) == 0)
                fail_msg("%s cut at %zu is accepted", names[f], cut);
            free(copy);
        }
        for (size_t at = 0; at < n; at += n > 1000 ? 5 : 1) {
            hold_autoarena arena = hold_arena_with_max(8 << 20);
            struct hold_torch torch;
            struct hold_err err = { 0 };
            bytes[at] ^= (unsigned char) (1u << at % 8);
            (void) !parse(bytes, n, "f", &arena, &torch, &err, &copy);
            bytes[at] ^= (unsigned char) (1u << at % 8);
            free(copy);
        }
        free(bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_torch_saved_is_read_as_torch_reads_it),
        cmocka_unit_test(each_planted_damage_is_refused_by_name),
        cmocka_unit_test(no_cut_and_no_flip_is_read_out_of_bounds),
    };
    return cmocka_run_group_tests_name("torch", tests, NULL, NULL);
}
