#!/usr/bin/env bash
# init.sh: exec of the init to its child's main, and the child's end to the init's, beside packaged inits; five interleaved rounds
# of 200 runs each (a child that ends at once), then of 60 (one that lives for 20 ms). Medians of a round, then the median of the
# rounds with their spread. Bound: fork and exec of a static program themselves.
# The init is a copy, as an installed one is: the linker's own output lies in the page cache in small pieces, which costs 45 us a start.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=build/release
work=$(mktemp -d)
export HOLDFAST_STATE_DIR=$work/state
trap 'rm -rf "$work"' EXIT
cp "$build/bin/holdfast" "$work/holdfast"
inits=(tini-static=tini-static -s -- : "holdfast=$work/holdfast" --)
command -v dumb-init > /dev/null && inits+=(: dumb-init=dumb-init)
command -v catatonit > /dev/null && inits+=(: catatonit=catatonit --)
for what in "${ROUNDS:-200}:0" "$((${ROUNDS:-200} * 3 / 10)):20"; do
    echo "a child that lives for ${what#*:} ms, ${what%:*} runs a round"
    for round in 1 2 3 4 5; do
        "$build/tests/exec-clock" "$what" "${inits[@]}" 2> /dev/null | sed "s/^/round $round  /"
    done | tee "$work/rounds"
    for init in tini-static holdfast dumb-init catatonit; do
        # the words of a line: round N NAME exec to child's main US us (RATIOx) child's end to init gone US us (RATIOx)
        for field in 10 18; do
            awk -v init="$init" -v f="$field" '$3 == init { gsub(/[(x)]/, "", $f); print $f, $(f - 2) }' "$work/rounds" | sort -n |
                awk -v init="$init" -v what="$([ "$field" = 10 ] && echo 'exec to main' || echo 'end to gone')" \
                    '{ r[NR] = $1; us[NR] = $2 } END { if (NR) printf "%-12s %-13s %.2fx (%.2f to %.2f) of tini-static, %d us\n", init, what, r[int((NR + 1) / 2)], r[1], r[NR], us[int((NR + 1) / 2)] }'
        done
    done
done
