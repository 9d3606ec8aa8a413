/* fuzz_http.c - the one header that we read ourselves, and the first bytes of a body. */
#include "supervisor/policy/tries.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    char text[200];
    size_t k = n < sizeof text - 1 ? n : sizeof text - 1;
    memcpy(text, data, k);
    text[k] = '\0';
    uint64_t first, last, total;
    if (hold_content_range(text, &first, &last, &total) && (last < first || last >= total))
        abort();
    if (hold_looks_like_page(data, n) && hold_looks_like_pointer(data, n))
        abort();
    return 0;
}
