#!/bin/sh
# compilers.sh: clang builds everything without a warning; arm64 cross-compiles base, policy and kernels, and their units run
# under qemu.
if out=$(make -s -j"$(nproc)" VARIANT=clang CC=clang CI=true all 2>&1); then echo "ok clang builds without a warning"; else echo "not ok clang build"; echo "$out" | tail -20; fi
if ! command -v aarch64-linux-gnu-gcc > /dev/null || ! command -v qemu-aarch64-static > /dev/null; then
    echo "ok arm64 # skip needs gcc-aarch64-linux-gnu and qemu-user-static"
elif out=$(make -s -j"$(nproc)" VARIANT=arm64 CROSS=aarch64-linux-gnu- CI=true arm64-programs 2>&1); then
    echo "ok arm64 cross-compiles"
    for t in build/arm64/tests/arm64/*; do
        [ -x "$t" ] || continue
        if out=$(qemu-aarch64-static -L /usr/aarch64-linux-gnu "$t" 2>&1); then echo "ok arm64 $(basename "$t")"; else echo "not ok arm64 $(basename "$t")"; echo "$out" | tail -20; fi
    done
else
    echo "not ok arm64 build"
    echo "$out" | tail -20
fi
