/* fuzz_pieces.c - the map of a partial's pieces: no crash, and never more bytes than a piece and the file can have. */
#include "supervisor/job/pieces.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n < 4)
        return 0;
    uint64_t piece_bytes = (uint64_t) data[0] + 1, size = (uint64_t) data[1] * 4 + data[2] + 1, file_bytes = (uint64_t) data[3] * 6;
    struct hold_piece at[2000];
    if (!hold_pieces_read(data + 4, n - 4, size, piece_bytes, file_bytes, at))
        return 0;
    for (uint64_t first = 0, i = 0; first < size; first += piece_bytes, i++)
        if (at[i].have > piece_bytes || first + at[i].have > size || (at[i].have && first + at[i].have > file_bytes))
            abort();
    return 0;
}
