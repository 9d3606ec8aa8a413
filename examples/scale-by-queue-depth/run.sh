#!/usr/bin/env bash
# run.sh: a real Prometheus scrapes a real holdfast while requests wait in line, and is asked what the chart's autoscalers would ask it.
# shellcheck disable=SC2154 # what is used here without a word comes from show.bash
. "$(dirname "$0")/../show.bash"
PATH=$PATH:${XDG_CACHE_HOME:-$HOME/.cache}/holdfast/bin # where `sh tests/chart/tools.sh` puts a helm
needs curl python3 helm prometheus
scaling() { python3 examples/scale-by-queue-depth/scaling.py "$@"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
clients=12

# ---- a server with one place, so that the line is known: one request runs, the others wait ----
cp -r examples/little-model/checkpoint "$work/model"
echo '{"servers": {"front": {}, "engine": {"args": ["--max-sessions", "1"]}}}' > "$work/config.json"
hold run --config "$work/config.json" --model "$work/model" --listen "127.0.0.1:$api" --status-listen "127.0.0.1:$status" --log-level error
await 'ready' 60 "$H" probe ready

# ---- Prometheus, with the labels that a PodMonitor gives; beside it a page as vLLM writes it ----
pod=phone-holdfast-5d4f9c7b8d-aaaaa vllm=$(free_port) asked=http://127.0.0.1:$(free_port)
mkdir "$work/page"
cp examples/scale-by-queue-depth/vllm-metrics.txt "$work/page/metrics"
python3 -m http.server --bind 127.0.0.1 --directory "$work/page" "$vllm" > "$work/page.log" 2>&1 &
helpers+=($!)
cat > "$work/prometheus.yml" <<YAML
global: {scrape_interval: 500ms, scrape_timeout: 500ms}
scrape_configs:
  - job_name: phone
    static_configs: [{targets: ["127.0.0.1:$api", "127.0.0.1:$status"], labels: {namespace: default, pod: $pod}}]
  - job_name: glm
    static_configs: [{targets: ["127.0.0.1:$vllm"], labels: {namespace: default, pod: glm-holdfast-7c9d8f6b5-bbbbb}}]
YAML
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --web.listen-address="${asked#http://}" --log.level=warn > "$work/prometheus.log" 2>&1 &
helpers+=($!)

# gives NUMBER QUERY: Prometheus answers the query with it.
gives() { [ "$(scaling ask "$asked" "$2" 2> "$work/ask")" = "$1" ]; }
# pods NUMBER TARGET: how many pods an autoscaler wants that aims at TARGET for each.
pods() { echo $((($1 + $2 - 1) / $2)); }

keda=$(scaling keda values-keda.yaml phone) && hpa=$(scaling hpa values-hpa.yaml phone "$pod") && glm=$(scaling keda values-keda-vllm.yaml glm) || wrong 'no query'
say 'the query that helm renders for KEDA (values-keda.yaml)'
echo "    $keda"
say 'the query by which prometheus-adapter answers the HorizontalPodAutoscaler (values-hpa.yaml, prometheus-adapter.yaml)'
echo "    $hpa"

await 'the first scrape' 60 gives 0 "$keda"
say 'nobody asks: 0 requests'

say "$clients clients ask for long answers; the server has one place"
python3 examples/scale-by-queue-depth/scaling.py load "http://127.0.0.1:$api" "$clients" 2> "$work/load.log" &
load=$!
helpers+=("$load")
await "$clients requests" 60 gives "$clients" "$keda"
say "KEDA reads $clients (1 runs, $((clients - 1)) wait): threshold 8, so $(pods "$clients" 8) pods"
await "$((clients - 1)) in line" 60 gives "$((clients - 1))" "$hpa"
say "the HorizontalPodAutoscaler reads $((clients - 1)): target 4, so $(pods $((clients - 1)) 4) pods"

kill -KILL "$load"
wait "$load" 2> /dev/null
await 'the end of the line' 60 gives 0 "$keda"
say 'the clients have gone: 0 requests'

say 'the same for vLLM (values-keda-vllm.yaml), two engines of one pod: 9 + 7 run, 5 + 0 wait'
echo "    $glm"
await '21 requests' 60 gives 21 "$glm"
say "KEDA reads 21: threshold 8, so $(pods 21 8) pods"

say 'stop'
stop
[ "$code" = 0 ] || wrong "the status is $code"
