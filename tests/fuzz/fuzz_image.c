/* fuzz_image.c - PNG and JPEG bytes: whatever is accepted has the size it says, and becomes patches. */
#include "runtime/image/decode.h"
#include "runtime/image/patch.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const struct hold_patch_rule rule = { .patch = 14, .temporal = 2, .merge = 2, .min_pixels = 3136, .max_pixels = 100352, .std = { 1, 1, 1 } };
    hold_autoimage image = { 0 };
    struct hold_patch_size size;
    struct hold_err err;
    uint32_t height, width;
    if (hold_image_decode(data, n, (struct hold_image_limits) { .max_pixels = 1 << 18, .max_side = 2048 }, &image, &err) < 0)
        return 0;
    if (image.pixels.n != (size_t) image.height * image.width * 3 || hold_image_size(data, n, &height, &width, &err) < 0 ||
        height != image.height || width != image.width)
        abort();
    if (hold_patch_plan(&rule, height, width, &size, &err) < 0)
        return 0;
    float *patches = malloc((size_t) size.n_patches * size.patch_dim * sizeof *patches);
    if (patches && hold_patchify(&rule, (const uint8_t *) image.pixels.data, height, width, &size, patches, &err) < 0)
        abort();
    free(patches);
    return 0;
}
