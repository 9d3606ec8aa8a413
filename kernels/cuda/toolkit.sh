#!/bin/sh
# toolkit.sh DIR WHEEL...: makes sure that there is an nvcc, on PATH or as the toolkit's wheels (13.0) in DIR.
set -eu
kit=$1
shift
command -v g++ > /dev/null || { echo "holdfast: nvcc needs a C++ compiler for its headers: apt-get install g++" >&2; exit 1; }
if command -v nvcc > /dev/null || [ -x "$kit/nvidia/cu13/bin/nvcc" ]; then exit 0; fi
python=$(command -v python3) || { echo "holdfast: no nvcc on PATH, and no python3 to install the toolkit's wheels with" >&2; exit 1; }
echo "holdfast: no nvcc on PATH: installing the toolkit's wheels into $kit (0.4 GB)"
if ! "$python" -m pip --version > /dev/null 2>&1; then
    "$python" -m venv "$kit.venv" && python=$kit.venv/bin/python
fi
# A company's own authority is in the system's store; pip looks into one that it brings.
store=/etc/ssl/certs/ca-certificates.crt
if [ -z "${PIP_CERT:-}${REQUESTS_CA_BUNDLE:-}" ] && [ -s "$store" ]; then export PIP_CERT="$store"; fi
mkdir -p "$(dirname "$kit")"
for wheel; do echo "$wheel==13.0.*"; done > "$kit.txt"
if ! "$python" -m pip install -q --no-deps --disable-pip-version-check --target "$kit" -r "$kit.txt" 2> "$kit.log"; then
    tail -3 "$kit.log" >&2
    echo "holdfast: the wheels could not be installed; install the CUDA Toolkit 13.0 and put nvcc on PATH" >&2
    exit 1
fi
