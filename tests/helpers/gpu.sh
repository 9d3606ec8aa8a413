#!/bin/sh
# gpu.sh: what needs a real GPU; skipped, with the reason, where there is none.
if [ -e /dev/nvidiactl ]; then
    make -s check-gpu
else
    echo "ok kernels on a GPU # skip no NVIDIA device node on this machine"
fi
