# The chart: lints, renders for every ci file and for random values, is valid for the lowest and highest Kubernetes that
# schemas are to be had for, refuses unknown keys; its options exist in the program. What a kubelet does with it is not shown here.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    if ! CACHE=$(sh tests/chart/tools.sh 2> "$BATS_FILE_TMPDIR/tools.log"); then
        export WHY="helm could not be built: $(tail -1 "$BATS_FILE_TMPDIR/tools.log")"
        return 0
    fi
    export CACHE PATH=$CACHE/bin:$PATH
    LOWEST=1.25.0 HIGHEST=1.37.0 # what the chart supports and the validator knows
    export LOWEST HIGHEST
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    [ -z "${WHY:-}" ] || skip "$WHY"
}

render() { helm template x helm/holdfast --kube-version "$HIGHEST" "$@"; }

@test "chart_lints_strictly" {
    helm lint --strict --kube-version "$HIGHEST" helm/holdfast
}

# valid VERSION FILE...: Kubernetes' own schemas of that version and those of the custom kinds.
valid() {
    local version=$1
    shift
    kubeconform -strict -schema-location "$CACHE/schemas/v$version/{{.ResourceKind}}{{.KindSuffix}}.json" \
        -schema-location 'tests/chart/crds/{{.ResourceKind}}{{.KindSuffix}}.json' "$@"
}

@test "every_ci_file_renders_and_is_valid_for_the_lowest_and_highest_kubernetes" {
    for v in "$LOWEST" "$HIGHEST"; do
        for f in helm/holdfast/ci/*.yaml; do
            helm template x helm/holdfast --kube-version "$v" -f "$f" > "$BATS_TEST_TMPDIR/$(basename "$f")"
        done
        valid "$v" "$BATS_TEST_TMPDIR"/*.yaml
    done
}

@test "a_wrong_manifest_is_refused_by_the_validator" {
    render | sed 's/^  replicas:/  replicaz:/' > "$BATS_TEST_TMPDIR/r.yaml"
    run valid "$HIGHEST" "$BATS_TEST_TMPDIR/r.yaml"
    [ "$status" -ne 0 ]
}

@test "unknown_keys_are_refused" {
    run render --set bogus=1
    [ "$status" -ne 0 ]
    run render --set image.bogus=1
    [ "$status" -ne 0 ]
    run render --set probes.type=tcp
    [ "$status" -ne 0 ]
}

@test "zero_stays_zero" {
    render --set replicas=0 | grep -q '^  replicas: 0$'
    render --set grace=0 --set prestopDelay=0 | grep -q 'terminationGracePeriodSeconds: 5$'
}

@test "grace_period_is_grace_plus_five" {
    render --set grace=40 | grep -q 'terminationGracePeriodSeconds: 45$'
    render --set grace=40 | grep -q -- '--grace=40s'
}

@test "all_three_probes_ask_holdfasts_port" {
    [ "$(render | grep -c 'port: status')" -ge 3 ]
    [ "$(render --set probes.type=exec | grep -c '"/opt/holdfast/bin/holdfast", probe')" -eq 3 ]
}

@test "every_flag_of_the_chart_is_an_option_of_the_program" {
    for f in helm/holdfast/ci/*.yaml; do render -f "$f"; done > "$BATS_TEST_TMPDIR/all.yaml"
    for flag in $(awk '/- name: server$/ { on = 1 } /^ *- --$/ { on = 0 } /ports:/ { on = 0 } on' "$BATS_TEST_TMPDIR/all.yaml" | grep -oE -- '- --[a-z][a-z-]+' | sort -u); do
        [ "$flag" = - ] || build/release/bin/holdfast --help | grep -qE -- "^  $flag\\b" || { echo "$flag"; return 1; }
    done
}
