# examples.bash - the one command of an example, taken from its README as a reader takes it. Sourced by bats files.
# shellcheck shell=bash

# fences FILE: "LANGUAGE LINES" of every fenced block.
fences() {
    awk '/^ *```/ { if (inside) { print language, n; inside = 0 } else { inside = 1; n = 0; language = $0; sub(/^ *```/, "", language); if (language == "") language = "(none)" } next }
         inside && NF { n++ }
         END { if (inside) print "(open)", n }' "$1"
}

# command_of NAME: what stands in the only `sh` block of examples/NAME/README.md.
command_of() { awk '/^```sh$/ { inside = 1; next } /^```/ { inside = 0 } inside' "examples/$1/README.md"; }

# example NAME [SECONDS]: runs that command from the root of the source, at ports that are free; sets $status and $output.
example() {
    local ports
    ports=$(python3 -c 'import socket
s = [socket.socket() for _ in range(2)]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*[x.getsockname()[1] for x in s])')
    API_PORT=${ports% *} STATUS_PORT=${ports#* } run timeout -k 20 "${2:-120}" bash -c "$(command_of "$1")" 3>&-
    echo "$output"
}

# elsewhere NAME FILE: skips, because FILE runs the command where it can run; fails when it does not.
elsewhere() {
    grep -qE "\bexample $1\b|command_of $1\b" "$2" || { echo "$2 does not run the command of examples/$1"; return 1; }
    skip "$2 runs it"
}
