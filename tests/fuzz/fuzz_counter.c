/* fuzz_counter.c - any words and any page: the same is seen however the page is cut, sums are numbers, and words that are
 * refused say why. Input: the words up to the first line end, then the page. */
#include "supervisor/policy/counter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_page(struct hold_page *p, const char *page, size_t n, size_t piece) {
    for (size_t at = 0; at < n; at += piece) {
        const size_t some = n - at < piece ? n - at : piece;
        char *copy = malloc(some); /* so that a read past the piece is seen */
        if (!copy)
            abort();
        memcpy(copy, page + at, some);
        hold_page_feed(p, copy, some);
        free(copy);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct hold_page whole, cut;
    struct hold_counter_seen a, b;
    struct hold_counter last = { 0 };
    struct hold_err err = { 0 };
    const uint8_t *end = n ? memchr(data, '\n', n) : NULL;
    const size_t n_words = end ? (size_t) (end - data) : n;
    char *words = calloc(1, n_words + 1), text[100];
    if (!words)
        return 0;
    if (n_words)
        memcpy(words, data, n_words);
    if (hold_page_init(&whole, words, &err) < 0) {
        if (err.text[0] == '\0')
            abort();
        free(words);
        return 0;
    }
    if (hold_page_init(&cut, words, &err) < 0)
        abort();
    if (end) {
        const char *page = (const char *) end + 1;
        const size_t n_page = n - n_words - 1;
        read_page(&whole, page, n_page, n_page ? n_page : 1);
        read_page(&cut, page, n_page, 1 + n % 13);
    }
    hold_page_seen(&whole, &a);
    hold_page_seen(&cut, &b);
    if (a.has_work != b.has_work || a.has_moves != b.has_moves || a.work < b.work || a.work > b.work || a.moves < b.moves || a.moves > b.moves)
        abort();
    if (!isfinite(a.work) || !isfinite(a.moves) || a.work < 0)
        abort();
    hold_counter_say(hold_counter_judge(&last, &a), &a, text, sizeof text);
    const enum hold_counter_word word = hold_counter_judge(&last, &b);
    if (word == HOLD_COUNTER_MOVES || (word == HOLD_COUNTER_STANDS) != (a.has_work && a.has_moves && a.work > 0))
        abort();
    free(words);
    return 0;
}
