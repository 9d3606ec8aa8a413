#!/usr/bin/env python3
"""spoil_row.py FOLDER TEXT - makes the embedding of the token TEXT of a bf16 checkpoint NaN, in place."""
import glob, json, os, struct, sys

folder, text = sys.argv[1:]
with open(os.path.join(folder, "tokenizer.json")) as f:
    row = json.load(f)["model"]["vocab"][text]
for path in glob.glob(os.path.join(folder, "*.safetensors")):
    with open(path, "r+b") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        for name, t in json.loads(f.read(n)).items():
            if name.endswith("embed_tokens.weight"):
                assert t["dtype"] == "BF16", t
                width = t["shape"][1] * 2
                f.seek(8 + n + t["data_offsets"][0] + row * width)
                f.write(b"\xc0\x7f" * t["shape"][1])
                sys.exit(0)
sys.exit("no embedding found")
