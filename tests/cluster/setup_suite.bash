# setup_suite.bash - once for all stories: the origins of the little model on the node's address. They end with the node.
# shellcheck shell=bash

# shellcheck source=tests/cluster/cluster.bash
source "${BASH_SOURCE[0]%/*}/cluster.bash"

setup_suite() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export ORIGINS=$HOLD_NODE_DIR/origins
    mkdir -p "$ORIGINS/model"
    cp examples/little-model/checkpoint/* "$ORIGINS/model/"
    build/release/bin/holdfast verify "$ORIGINS/model" --write-manifest > "$ORIGINS/manifest.log" 2>&1
    origin quick 8080 "$ORIGINS/model"
}
