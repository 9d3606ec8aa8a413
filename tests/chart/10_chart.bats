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

@test "every_ci_file_renders_and_is_valid_for_the_lowest_and_highest_kubernetes" {
    for f in helm/holdfast/ci/*.yaml; do
        for v in "$LOWEST" "$HIGHEST"; do
            helm template x helm/holdfast --kube-version "$v" -f "$f" > "$BATS_TEST_TMPDIR/r.yaml"
            kubernetes-validate --quiet --strict -k "$v" "$BATS_TEST_TMPDIR/r.yaml"
        done
    done
}

@test "a_wrong_manifest_is_refused_by_the_validator" {
    render | sed 's/^  replicas:/  replicaz:/' > "$BATS_TEST_TMPDIR/r.yaml"
    run kubernetes-validate --quiet --strict -k "$HIGHEST" "$BATS_TEST_TMPDIR/r.yaml"
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
    render --set grace=0 | grep -q 'terminationGracePeriodSeconds: 5$'
}

@test "grace_period_is_grace_plus_five" {
    render --set grace=40 | grep -q 'terminationGracePeriodSeconds: 45$'
    render --set grace=40 | grep -q -- '--grace=40s'
}

@test "all_three_probes_ask_holdfasts_port" {
    [ "$(render | grep -c 'port: status')" -eq 3 ]
    [ "$(render --set probes.type=exec | grep -c '"/opt/holdfast/bin/holdfast", "probe"')" -eq 3 ]
}

@test "random_values_render_and_are_valid" {
    for seed in $(seq 1 40); do
        RANDOM=$seed
        render --set replicas=$((RANDOM % 5)) --set grace=$((RANDOM % 600)) --set gpu.count=$((RANDOM % 3)) \
            --set service.port=$((1024 + RANDOM % 60000)) --set "probes.type=$([ $((RANDOM % 2)) = 0 ] && echo http || echo exec)" \
            --set "onFatal=$([ $((RANDOM % 2)) = 0 ] && echo exit || echo hold)" --set serviceAccount.create="$([ $((RANDOM % 2)) = 0 ] && echo true || echo false)" \
            --set "cache.existingClaim=$([ $((RANDOM % 2)) = 0 ] && echo claim)" > "$BATS_TEST_TMPDIR/r.yaml"
        kubernetes-validate --quiet --strict -k "$HIGHEST" "$BATS_TEST_TMPDIR/r.yaml" || { echo "seed $seed"; return 1; }
    done
}

@test "every_flag_of_the_chart_is_an_option_of_the_program" {
    for flag in $(cat helm/holdfast/ci/*.yaml helm/holdfast/templates/deployment.yaml | grep -oE -- '--[a-z][a-z-]+=' | sort -u); do
        build/release/bin/holdfast --help | grep -qE -- "${flag%=}\b" || { echo "$flag"; return 1; }
    done
}
