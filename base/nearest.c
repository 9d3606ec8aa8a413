/* nearest.c - "did you mean": the closest of some names by edit distance. Floor: base. */
#include "base/json.h"
#include "base/list.h"

#include <string.h>

enum { LONGEST = 63, FARTHEST = 3 };

static size_t distance(const char *a, const char *b) {
    size_t n = strlen(b), row[LONGEST + 1];
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t change = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = HOLD_MIN(change, HOLD_MIN(row[j], diagonal) + 1);
        }
    }
    return row[n];
}

const char *hold_nearest(const char *word, const char *const *names, size_t n_names) {
    const char *best = NULL;
    size_t least = FARTHEST + 1, word_n = strlen(word);
    for (size_t i = 0; i < n_names && word_n <= LONGEST; i++) {
        if (!names[i] || strlen(names[i]) > LONGEST)
            continue;
        size_t d = distance(word, names[i]);
        if (d < least && d < word_n) {
            least = d;
            best = names[i];
        }
    }
    return best;
}
