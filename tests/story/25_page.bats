# The status page as a person sees it: in the real Chromium, narrow and wide, light and dark, in the states that matter. Nothing
# runs over the side, nothing reaches the console, nothing is asked of another host, all text can be read.

load story.bash

setup() {
    command -v chromedriver > /dev/null && command -v chromium > /dev/null || skip "chromium and chromium-driver are not installed"
    story_begin
    PORT=$(free_port)
    HEALTH=$(free_port)
}
teardown() { [ -z "${DIR:-}" ] || story_end; }

up() { eventually test -S "$STATE/holdfast.sock"; }
look() {
    [ -z "${HOLD_PICTURES:-}" ] || mkdir -p "$HOLD_PICTURES/$1"
    python3 tests/helpers/page.py "http://127.0.0.1:$PORT" ${HOLD_PICTURES:+"$HOLD_PICTURES/$1"}
}
says() { curl -s -m 5 "http://127.0.0.1:$PORT/status" | grep -q "$1"; }

@test "loading, with progress and a line without a single space" {
    hold --status-listen "127.0.0.1:$PORT" --ready notify --no-progress 10m -- \
        "$FAKE" --never-ready --notify --progress 500 --notify-status "$(printf 'loading/%.0s' $(seq 40))"
    up
    eventually says '"progress":{'
    look loading
}

@test "back after a crash, the last end is told" {
    hold --status-listen "127.0.0.1:$PORT" --restart on-failure --restart-delay 10ms --ready "http://127.0.0.1:$HEALTH/health" --health-backoff 20ms -- \
        "$FAKE" --listen "$HEALTH" --counter "$DIR/starts" --crash-first 2 --code 3
    up
    eventually says '"phase":"ready"'
    look ready
}

@test "held: an unfixable verdict, with its cure" {
    hold --status-listen "127.0.0.1:$PORT" --on-fatal hold -- /no/such/server
    up
    eventually says '"phase":"held"'
    look held
}

@test "our own server: the cold start as a waterfall, both members with their sandbox" {
    local port
    port=$(free_port)
    cp -r examples/little-model/checkpoint "$DIR/model" # marks of proof are written beside the files
    HOLD_STORY="$DIR" "$H" run --state-dir "$STATE" --status-listen "127.0.0.1:$PORT" --listen "127.0.0.1:$port" \
        --model "$DIR/model" > "$OUT" 2> "$ERR" 3>&- 4>&- &
    HOLD_PID=$!
    up
    eventually says '"phase":"ready"'
    look run
}
