#!/usr/bin/env bats
# The examples do what their READMEs say: the one command of each is taken from its README and run as written, from the root of
# the source.

bats_require_minimum_version 1.5.0
load ../helpers/examples

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

@test "every example has one command, stands in the list with it, and is run by a test" {
    local readme name command bad=0
    for readme in examples/*/README.md; do
        name=$(basename "$(dirname "$readme")")
        command=$(command_of "$name")
        if [ "$(fences "$readme" | grep -c '^sh ')" -ne 1 ] || [ "$(grep -c . <<< "$command")" -ne 1 ]; then
            echo "$readme: wants exactly one fenced block of language sh with exactly one line"
            bad=1
        fi
        if fences "$readme" | grep -E '^(bash|shell|console?sh|\(none\)|\(open\)) '; then
            echo "$readme: any other block has a language of its own: text, console, dockerfile, yaml"
            bad=1
        fi
        grep -qF "| [$name]($name/README.md) |" examples/README.md || { echo "examples/README.md: has no row for $name"; bad=1; }
        grep -F "[$name]($name/README.md)" examples/README.md | grep -qF "\`$command\`" || { echo "examples/README.md: the row of $name has another command"; bad=1; }
        grep -qE "^ *(example|elsewhere) $name( |$)" "$BATS_TEST_FILENAME" || { echo "70_examples.bats: no test runs $name"; bad=1; }
    done
    [ "$bad" = 0 ]
}

@test "what the list of examples names exists" {
    local link
    for link in $(grep -oE '\]\([^)#:]+' examples/README.md | cut -c3-); do
        [ -e "examples/$link" ] || { echo "examples/README.md: $link does not exist"; return 1; }
    done
}

@test "little-model: from an origin to an answer that only the screenshot decides" {
    PATH=$PATH:/usr/sbin command -v nginx > /dev/null || skip "needs nginx"
    example little-model 600
    [ "$status" -eq 0 ]
    [[ "$output" == *'==> READY: API on '*'answer '*'<answer>finish(message="home")'* ]]
}

@test "any-command: ready, crash, restart, status, stop" {
    example any-command
    [ "$status" -eq 0 ]
    [[ "$output" == *'==> ready: holdfast asked /health'*'==> holdfast status'*'==> the server crashes'*'==> it is back as process '*'==> ended with status 143'* ]]
}

@test "phone-task: an OpenAI client's nine tasks, across the death of the engine" {
    example phone-task 300
    [ "$status" -ne 69 ] || skip "the openai package cannot be installed here"
    [ "$status" -eq 0 ]
    [[ "$output" == *'sees map.png '*'finish(message="map")'*'9 tasks done in 15 requests'*'one engine died in between'* ]]
}
