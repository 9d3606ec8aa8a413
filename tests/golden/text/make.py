#!/usr/bin/env python3
"""Writes the golden texts of tests/unit/test_pretok.c and test_token.c. What is expected comes from the real tokenizers library:
    make build/release/tests/make-t && pip install tokenizers==0.23.3
    python3 tests/golden/text/make.py build/release/tests/make-t
Texts are written as hexadecimal bytes, one case a line."""
import os
import random
import subprocess
import sys
import tempfile

import tokenizers
from tokenizers import Regex, Tokenizer
from tokenizers.pre_tokenizers import Split

HERE = os.path.dirname(os.path.abspath(__file__))
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

FIXED = [
    "", "Hello, world!", "I'LL don't", "a  b", "x   \n  y", "12345 67", 'do(action="Tap", element=[500,500])', "价格¥1234.50元", "  \n\n",
    "tab\t\tx", "foo\r\nbar", "</answer>", '** Screen Info **\n\n{"current_app": "System Home"}', "\u3000中文", "it’s", "e\u0301a",
    "'s's'S'\u017fx 'rE'Ve'lL'l'r'v 't'", "a\u00a0\u00a0b", "\u2028\u2029x", "x\u0085\u0085y", "½²Ⅷ٣१२३४ 5", "👍🏽👨‍👩‍👧 ok", "\r\r\n\n \r x", "'",
    "don't  'll  'd", " \n \n ", "   ", "a\n\n\nb", "!!!\n\n???\r\r x", "\x00\x01\x1f\x7f", "naïve café ÅNGSTRÖM", "สวัสดี नमस्ते שלום", "a'b'c", "𝒳𝟙𞤀",
]
PARTS = [
    list("abcXYZ"), list("0123456789"), list(" \t\n\r\v\f"), list("'\"`’"), list(".,;:!?()[]{}<>=+-*/\\|@#$%^&_~"), ["'s", "'LL", "'re", "\r\n", "  ", "   "],
    ["中", "文", "价", "元", "。", "，", "\u3000"], ["é", "ß", "Ж", "ß", "\u0301", "\u200d", "\u00a0", "\u2003", "\u2028"], ["½", "٣", "Ⅷ", "१", "𝟙", "²"],
    ["👍", "🏽", "😀", "\ufe0f", "\u017f", "K"],
]


def strings(n, seed, most):
    rng = random.Random(seed)
    for _ in range(n):
        palette = rng.sample(PARTS, rng.randint(1, 5))
        yield "".join(rng.choice(rng.choice(palette)) for _ in range(rng.randint(1, most)))


def hexed(text):
    return text.encode().hex()


def put(name, lines):
    with open(os.path.join(HERE, name), "w") as f:
        f.write("".join(line.rstrip() + "\n" for line in lines))


def splits(name, digits):
    split = Split(Regex(PATTERN % digits), "isolated")
    lines = ["# text, then the bytes of each word"]
    for text in [t for t in FIXED if t] + list(strings(500, 11, 40)):
        lines.append(hexed(text) + " " + " ".join(str(len(word.encode())) for word, _ in split.pre_tokenize_str(text)))
    put(name, lines)


def tokens(make_t):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([make_t, folder, "--tiny-tokenizer"], check=True)
        tok = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    words = ["finish", "message", "swipe", "element", " the", "action", "hello", "tap", "Tap", "=[", "\",", "!!!!", " ", "\n", "ab", "zq", "the"]
    rng = random.Random(12)
    plain = FIXED + list(strings(250, 13, 40)) + ["".join(rng.choice(words) for _ in range(rng.randint(1, 30))) for _ in range(200)]
    plain += ["".join(chr(rng.randint(97, 122)) for _ in range(n)) for n in (47, 48, 49, 50, 100, 500, 2000)]
    plain += ["ab" * 300, "a" * 257, "hellohello" * 40, "!" * 333, "é" * 100]
    lines = ["# text, then its ids"] + [hexed(t) + " " + " ".join(map(str, tok.encode(t).ids)) for t in plain]
    tags = ["<think>", "</think>", "<answer>", "</answer>", "<|begin_of_box|>", "<|end_of_box|>"]
    for _ in range(60):
        t = "".join(rng.choice(tags + words + ["<", "<t", "think>", "</"]) for _ in range(rng.randint(1, 12)))
        lines.append(hexed(t) + " " + " ".join(map(str, tok.encode(t).ids)))
    put("encode.txt", lines)
    every = ["<|user|>", "<|image|>", "[gMASK]", "<sop>", "<|assistant|>", "<|end", "[MASK]", "\n", "hi"] + tags
    lines = ["# text in which any added token counts, then its ids"]
    for _ in range(60):
        t = "".join(rng.choice(every) for _ in range(rng.randint(1, 12)))
        lines.append(hexed(t) + " " + " ".join(map(str, tok.encode(t).ids)))
    put("encode_special.txt", lines)
    lines = ["# decoded text with special tokens shown, then without, then the ids"]
    n = tok.get_vocab_size()
    for _ in range(200):
        ids = [rng.randrange(256) if rng.random() < 0.7 else rng.randrange(n) for _ in range(rng.randint(1, 24))]
        lines.append("%s;%s; %s" % (hexed(tok.decode(ids, skip_special_tokens=False)), hexed(tok.decode(ids, skip_special_tokens=True)), " ".join(map(str, ids))))
    put("decode.txt", lines)


if __name__ == "__main__":
    splits("split3.txt", "{1,3}")
    splits("split1.txt", "")
    tokens(sys.argv[1])
    print("tokenizers", tokenizers.__version__)
