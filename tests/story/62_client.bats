#!/usr/bin/env bats
# The real `openai` Python client against the server, as an application uses it.

bats_require_minimum_version 1.5.0
load ../helpers/serve

setup_file() {
    serve_setup
    export VENV=$TOP/build/venv-openai
    if ! "$VENV/bin/python" -c 'import openai' 2> /dev/null; then
        python3 -m venv "$VENV" && "$VENV/bin/pip" install -q --disable-pip-version-check openai || export NO_CLIENT=1
    fi
    serve_start --served-name autoglm-phone-9b
}

teardown_file() { serve_stop; }

client() {
    [ -z "${NO_CLIENT:-}" ] || skip "the openai package cannot be installed here"
    "$VENV/bin/python" "$TOP/tests/helpers/openai_client.py" "$API" "$@"
}

@test "a chat about a screenshot, whole" { client whole; }
@test "a chat about a screenshot, streamed" { client stream; }
@test "models are listed" { client models; }
@test "errors become the client's own exceptions" { client errors; }
@test "the client's retries carry a request over a restart of the engine" {
    [ -z "${NO_CLIENT:-}" ] || skip "the openai package cannot be installed here"
    kill -KILL "$(member_pid engine)"
    client whole
}
