#!/usr/bin/env bats
# Fetchers and verifiers killed at random moments, alone and several on one folder: what stands under the name is right or absent, and
# the next fetch ends with the right bytes and asks again for at most what each killed connection had in hand.
#   HOLD_KILL_ROUNDS (20; three to six kills each); `make soak` runs hundreds.

@test "KILL at any moment: the next run ends right and fetches little again" {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    run python3 tests/helpers/kill_fetch.py "${BUILD:-build/release}/libexec/holdfast-job" "${HOLD_KILL_ROUNDS:-20}" "${HOLD_SEED:-1}"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *" 0 bad"* ]]
}
