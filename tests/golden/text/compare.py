#!/usr/bin/env python3
"""Compares the project's ids with the real tokenizers library on a real tokenizer.json:
    compare.py TOK-ENCODE TOKENIZER.JSON [TEXT-FILE...]
Texts: the fixed and 3,000 generated strings of make.py, 500 of random code points, and the given files in pieces of 3,000
characters. Prints what differs; ends with 1 if anything does."""
import random
import subprocess
import sys

from tokenizers import Tokenizer

import make


def main(program, path, files):
    texts = [t for t in make.FIXED if t] + list(make.strings(3000, 77, 60))
    for name in files:
        with open(name, encoding="utf-8", errors="ignore") as f:
            text = f.read()
        texts += [text[i:i + 3000] for i in range(0, len(text), 3000)]
    rng = random.Random(3)
    spans = [(32, 0x3000), (0x3000, 0xA000), (0x10000, 0x20000), (32, 127)]
    texts += ["".join(chr(rng.randrange(*rng.choice(spans))) for _ in range(50)) for _ in range(500)]
    texts = [t.encode("utf-8", "ignore").decode() for t in texts]
    real = Tokenizer.from_file(path)
    ours = subprocess.run([program, path], input="\n".join(map(make.hexed, texts)) + "\n", capture_output=True, text=True)
    if ours.returncode:
        sys.exit(ours.stderr)
    n_ids = n_differ = 0
    for text, row in zip(texts, ours.stdout.split("\n")):
        wanted = real.encode(text, add_special_tokens=False).ids
        n_ids += len(wanted)
        if row != " ".join(map(str, wanted)):
            n_differ += 1
            if n_differ < 5:
                print("differs: %r\n  ours   %s\n  wanted %s" % (text[:80], row[:200], wanted[:30]))
    print("%d texts, %d ids, %d differ" % (len(texts), n_ids, n_differ))
    return n_differ > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
