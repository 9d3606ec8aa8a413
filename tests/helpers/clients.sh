#!/bin/sh
# clients.sh: the hubs' own Python clients and botocore (from PyPI) in the cache folder, outside the tree. Prints the python
# that has them; fails where they cannot be installed.
set -eu
venv=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/clients
if [ ! -e "$venv/whole" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install -q --disable-pip-version-check huggingface_hub modelscope botocore >&2
    : > "$venv/whole"
fi
echo "$venv/bin/python3"
