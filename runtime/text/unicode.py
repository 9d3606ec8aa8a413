#!/usr/bin/env python3
"""Prints runtime/text/unicode.inc: ranges of code points that are letters (L*), numbers (N*) or white space.

The tokenizers library (0.23, with its own copy of Oniguruma) classes every code point as Unicode 16 does: seen by asking it for
all of them. Python's own unicodedata is older, so the table is made with the package of that version:
    pip install unicodedata2==16.0.0 && python3 runtime/text/unicode.py > runtime/text/unicode.inc
White_Space is written out because unicodedata does not carry that property."""
import unicodedata2 as unicodedata

SPACES = [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]


def kind(code):
    if code in SPACES:
        return "SPACE"
    return {"L": "LETTER", "N": "NUMBER"}.get(unicodedata.category(chr(code))[0])


def ranges():
    first, last_kind = 0, None
    for code in range(128, 0x110001):
        k = kind(code) if code < 0x110000 else None
        if k != last_kind:
            if last_kind:
                yield first, code - 1, last_kind
            first, last_kind = code, k


print("/* Made by unicode.py from Unicode %s; do not edit. From U+0080 up, sorted. */" % unicodedata.unidata_version)
line = ""
for first, last, k in ranges():
    item = "{ 0x%X, 0x%X, %s }," % (first, last, k)
    if len(line) + len(item) > 128:
        print(line)
        line = ""
    line += (" " if line else "") + item
print(line)
