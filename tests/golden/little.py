#!/usr/bin/env python3
"""little.py RUNTIME FOLDER - the trained little model in examples/ through `holdfast-runtime eval`, held against the numbers that
the published library computed for it (golden.json: ids with image tokens expanded, top ids, sums, greedy ids). One TAP line a case and type."""
import json
import os
import subprocess
import sys

# top logit, sum, sum of squares (relative)
ALLOWED = {"f32": (2e-3, 1e-4, 1e-4), "bf16": (0.6, 0.05, 0.05)}


def short_ids(case, image_token):
    """The image token once for each picture."""
    out = []
    for i in case["ids"]:
        if not (i == image_token and out and out[-1] == image_token):
            out.append(i)
    return out


def check(runtime, folder, case, dtype, image_token):
    args = ["--image", os.path.join(folder, case["image"])] if case["image"] else []
    ran = subprocess.run([runtime, "eval", "--model", os.path.join(folder, "checkpoint"), "--ids",
                          ",".join(map(str, short_ids(case, image_token))), "--dtype", dtype, "--next", str(len(case["f64"]["greedy"])),
                          "--backend", os.environ.get("HOLD_BACKEND", "cpu"), *args], capture_output=True, text=True)
    if ran.returncode:
        return ran.stderr.strip()
    got, want = json.loads(ran.stdout), case["f64"]
    each, total, squares = ALLOWED[dtype]
    logits = got["logits"]
    for i, value in zip(want["top_ids"], want["top_logits"]):
        if not abs(logits[i] - value) <= each:
            return f"logit {i} is {logits[i]}, expected {value}"
    if not abs(sum(logits) - want["sum"]) <= total * sum(map(abs, logits)):
        return f"sum {sum(logits)}, expected {want['sum']}"
    if not abs(sum(v * v for v in logits) - want["sum_of_squares"]) <= squares * want["sum_of_squares"]:
        return f"squares {sum(v * v for v in logits)}, expected {want['sum_of_squares']}"
    if dtype == "f32" and got["next"] != want["greedy"]:
        return f"greedy ids {got['next']}, expected {want['greedy']}"
    if dtype == "bf16" and got["next"][:8] != want["greedy"][:8]:
        return f"first greedy ids {got['next'][:8]}, expected {want['greedy'][:8]}"
    return None


def main():
    runtime, folder = sys.argv[1], sys.argv[2]
    with open(os.path.join(folder, "golden.json")) as f:
        cases = json.load(f)
    with open(os.path.join(folder, "checkpoint", "config.json")) as f:
        image_token = json.load(f)["image_token_id"]
    failed = 0
    for case in cases:
        for dtype in ("f32", "bf16"):
            wrong = check(runtime, folder, case, dtype, image_token)
            failed += wrong is not None
            print(f"{'not ok' if wrong else 'ok'} {case['name']} {dtype}{': ' + wrong if wrong else ''}")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
