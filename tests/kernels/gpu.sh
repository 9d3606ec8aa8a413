#!/bin/sh
# gpu.sh BUILD: the table of shapes (all rows) and the golden numbers on a real GPU. One TAP line a test.
build=$1
if ! [ -e /dev/nvidiactl ]; then
    echo "ok kernels on a GPU # skip no NVIDIA device node on this machine"
    exit 0
fi
HOLD_TEST_GPU=1 CMOCKA_MESSAGE_OUTPUT=tap "$build/tests/kernels/test_cuda" 2>&1 | grep -E '^(ok|not ok|# )'
HOLD_TEST_BACKEND=cuda bats --formatter tap tests/story/52_cuda.bats | grep -vE '^1\.\.'
