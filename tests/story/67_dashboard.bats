#!/usr/bin/env bats
# The chart's Grafana dashboard and scaling query against a real Prometheus that scraped a real life: files brought, a load, answers, an
# engine that was killed and came back.

bats_require_minimum_version 1.5.0
load ../helpers/serve

setup_file() {
    command -v prometheus > /dev/null || return 0
    serve_setup
    local source=$BATS_FILE_TMPDIR/source
    cp -r "$MODEL" "$source"
    "$HOLDFAST" verify "$source" --write-manifest 2> "$BATS_FILE_TMPDIR/manifest.log"
    MODEL=$BATS_FILE_TMPDIR/model
    serve_start --served-name autoglm-phone-9b --model-source "file://$source"
    export PROMETHEUS=127.0.0.1:$(free_port)
    cat > "$D/prometheus.yml" <<YAML
global: {scrape_interval: 500ms, scrape_timeout: 500ms}
scrape_configs:
  - job_name: holdfast
    static_configs:
      - targets: ["${API#http://}", "${STATUS#http://}"]
        labels: {namespace: default, pod: x-holdfast-5d4f9c7b8d-aaaaa}
YAML
    prometheus --config.file="$D/prometheus.yml" --storage.tsdb.path="$D/tsdb" --web.listen-address="$PROMETHEUS" --log.level=warn > "$D/prometheus.log" 2>&1 3>&- &
    export PROMETHEUS_PID=$!
    until_true scraped 2
}

teardown_file() {
    [ -z "${PROMETHEUS_PID:-}" ] || { kill "$PROMETHEUS_PID"; wait "$PROMETHEUS_PID" || :; }
    serve_stop
}

setup() { command -v prometheus > /dev/null || skip "prometheus is not installed (apt package prometheus)"; }

query() { curl -sf --get "http://$PROMETHEUS/api/v1/query" --data-urlencode "query=$1"; }
scraped() { query 'sum(up)' 2> /dev/null | grep -q "\"$1\"\\]"; }
seen() { query "$1" | grep -q '"value"'; }

@test "every query of the dashboard gives data" {
    local i
    for i in 1 2 3; do "$HOLDFAST" ask "$API/v1" --text "Hi $i" --max-tokens 8 > "$D/answer" 2> "$D/ask.log"; done
    kill -KILL "$(member_pid engine)"
    until_true "$HOLDFAST" probe ready --state-dir "$D/state"
    until_true seen 'holdfast_child_restarts_total > 0'
    for i in 4 5 6; do "$HOLDFAST" ask "$API/v1" --text "Hi $i" --max-tokens 8 > "$D/answer" 2> "$D/ask.log"; done
    python3 "$TOP/tests/helpers/dashboard.py" "http://$PROMETHEUS" "$TOP/helm/holdfast/files/dashboard.json"
}

@test "the scaling query gives exactly one number" {
    query 'sum({__name__=~"vllm:num_requests_(waiting|running)|sglang:num_(queue|running)_reqs|tgi_(queue_size|batch_current_size)|llamacpp:requests_(deferred|processing)",namespace="default",pod=~"x-holdfast-[a-z0-9]+-[a-z0-9]{5}"})' > "$D/one"
    [ "$(grep -o '"value"' "$D/one" | wc -l)" -eq 1 ]
}

@test "a query of a metric that nobody has is found out" {
    sed 's/holdfast_child_rung/holdfast_child_wrung/' "$TOP/helm/holdfast/files/dashboard.json" > "$D/wrong.json"
    run python3 "$TOP/tests/helpers/dashboard.py" "http://$PROMETHEUS" "$D/wrong.json" 1
    [ "$status" -eq 1 ]
    [ "$(grep -c '^not ok' <<< "$output")" -eq 1 ]
}
