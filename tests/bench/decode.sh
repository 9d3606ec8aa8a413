#!/bin/sh
# decode.sh: decode tokens per second of the CPU backend beside the memory bound, with one thread and with all.
set -eu
cd "$(dirname "$0")/../.."
make -s build/release/tests/bench/decode
for threads in 1 0; do build/release/tests/bench/decode "$threads"; done
