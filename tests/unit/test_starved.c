/* test_starved.c - one allocation after the other fails: a folder is proven, a text encoded, pictures decoded and cut into patches
 * with a clean error each time and nothing left allocated. Not run under a sanitizer, which owns the allocator itself. */
#include "tests/unit/test.h"

#include "base/list.h"
#include "runtime/image/decode.h"
#include "runtime/image/patch.h"
#include "runtime/plan/plan.h"
#include "runtime/text/token.h"
#include "tests/helpers/golden.h"
#include "tests/helpers/model_folder.h"
#include "tests/helpers/t_model.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWNS_ALLOCATOR 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define OWNS_ALLOCATOR 1
#endif
#endif

#ifndef OWNS_ALLOCATOR
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void __libc_free(void *);

static bool counts;
static long n_asked, n_live, fails_at;

static bool fails(void) {
    return counts && ++n_asked == fails_at;
}

void *malloc(size_t n) {
    if (fails())
        return NULL;
    void *p = __libc_malloc(n);
    n_live += counts && p;
    return p;
}

void *calloc(size_t n, size_t size) {
    if (fails())
        return NULL;
    void *p = __libc_calloc(n, size);
    n_live += counts && p;
    return p;
}

void *realloc(void *old, size_t n) {
    if (fails())
        return NULL;
    void *p = __libc_realloc(old, n);
    n_live += counts && p && !old;
    return p;
}

void free(void *p) {
    n_live -= counts && p;
    __libc_free(p);
}

static struct model_folder folder;
static unsigned char *png, *jpeg;
static size_t n_png, n_jpeg;
static struct hold_buf ready_plan;

static int prove(struct hold_err *err) {
    const struct hold_prove_options o = { .needs_tokenizer = true };
    hold_autobuf plan = hold_buf_with_max(HOLD_PLAN_MAX_BYTES);
    hold_autobuf warnings = hold_buf_with_max(4096);
    return hold_model_prove(folder.files, folder.n_files, &o, &plan, &warnings, err);
}

static int encode(struct hold_err *err) {
    static char word[3000];
    struct hold_plan plan;
    struct hold_tok tokens;
    hold_autobuf ids = hold_buf_with_max(1 << 20);
    hold_autobuf text = hold_buf_with_max(1 << 20);
    memset(word, 'h', sizeof word);
    if (hold_plan_open(ready_plan.data, ready_plan.n, &plan, err) < 0 || hold_tok_open(plan.tokens, plan.tokens_bytes, &tokens, err) < 0 ||
        hold_tok_encode_text(&tokens, word, sizeof word, &ids, err) < 0)
        return -1;
    hold_tok_decode(&tokens, hold_ids_of(&ids), hold_ids_count(&ids), false, &text);
    return hold_buf_check(&text, "text", err);
}

static int look(const unsigned char *bytes, size_t n, struct hold_err *err) {
    static float patches[6 * 8 * 1176];
    const struct hold_patch_rule rule = { .patch = 14, .temporal = 2, .merge = 2, .min_pixels = 12544, .max_pixels = 75264, .std = { 1, 1, 1 } };
    struct hold_patch_size size;
    hold_autoimage image = { 0 };
    if (hold_image_decode(bytes, n, (struct hold_image_limits) { 0 }, &image, err) < 0 || hold_patch_plan(&rule, image.height, image.width, &size, err) < 0)
        return -1;
    assert_true(size.n_patches <= 48);
    return hold_patchify(&rule, (const uint8_t *) image.pixels.data, image.height, image.width, &size, patches, err);
}

static int look_png(struct hold_err *err) {
    return look(png, n_png, err);
}

static int look_jpeg(struct hold_err *err) {
    return look(jpeg, n_jpeg, err);
}

/* may_recover: the library asks again for less when it was refused */
static void starve(const char *name, int (*run)(struct hold_err *), bool may_recover) {
    int n_failed = 0;
    for (long k = 1;; k += 1 + k / 16) {
        struct hold_err err = { 0 };
        n_asked = n_live = 0;
        fails_at = k;
        counts = true;
        const int result = run(&err);
        counts = false;
        if (n_live != 0)
            fail_msg("%s: allocation %ld fails and %ld are left", name, k, n_live);
        if (n_asked < k) { /* it never came to that allocation */
            if (result < 0)
                fail_msg("%s: %s", name, err.text);
            break;
        }
        if (result == 0 ? !may_recover : err.code != HOLD_E_LIMIT && !strstr(err.text, "IDAT stream error")) /* libspng's word for zlib's lack too */
            fail_msg("%s: allocation %ld fails and the answer is %s '%s'", name, k, hold_errc_name(err.code), err.text);
        n_failed++;
    }
    assert_in_range(n_failed, 1, 100000);
}

static void every_failure_of_proving_is_told_and_leaves_nothing(void **unused) {
    (void) unused;
    starve("prove", prove, false);
}

static void every_failure_of_encoding_is_told_and_leaves_nothing(void **unused) {
    (void) unused;
    starve("encode", encode, false);
}

static void every_failure_of_looking_is_told_and_leaves_nothing(void **unused) {
    (void) unused;
    starve("png", look_png, false);
    starve("jpeg", look_jpeg, true);
}

static int ready(void **unused) {
    (void) unused;
    char path[] = "/tmp/hold-starved-XXXXXX", file[512];
    const struct hold_prove_options o = { 0 };
    struct hold_err err;
    if (!mkdtemp(path))
        return -1;
    t_write(&(struct t_options) { .tiny_tokenizer = true }, path);
    if (!folder_read(path, &folder))
        return -1;
    for (size_t i = 0; i < folder.n_files; i++) {
        snprintf(file, sizeof file, "%s/%s", path, folder.files[i].name);
        unlink(file);
    }
    rmdir(path);
    png = golden_read("image/rgba.png", &n_png);
    jpeg = golden_read("image/progressive.jpg", &n_jpeg);
    ready_plan = hold_buf_with_max(HOLD_PLAN_MAX_BYTES);
    return hold_model_prove(folder.files, folder.n_files, &o, &ready_plan, NULL, &err);
}

static int done(void **unused) {
    (void) unused;
    folder_free(&folder);
    hold_buf_release(&ready_plan);
    free(png);
    free(jpeg);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_of_proving_is_told_and_leaves_nothing),
        cmocka_unit_test(every_failure_of_encoding_is_told_and_leaves_nothing),
        cmocka_unit_test(every_failure_of_looking_is_told_and_leaves_nothing),
    };
    return cmocka_run_group_tests_name("starved", tests, ready, done);
}
#else
int main(void) {
    puts("ok 1 - starved # SKIP the sanitizer owns the allocator");
    return 0;
}
#endif
