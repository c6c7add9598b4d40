# What became of each test, in all L1s that ran it. Sourced by tests/npt.

# A line for each test that came to an end: its binary, its name, and ok, ignored, or how often it FAILED. A
# test that passed once has passed.
outcomes() {
    awk '
        /^     Running / { binary = $2 }
        /^test .* \.\.\. (ok|FAILED|ignored)/ {
            test = outcome = $0
            sub(/^test /, "", test)
            sub(/ \.\.\. .*/, "", test)
            sub(/ - should panic$/, "", test)
            sub(/^.* \.\.\. /, "", outcome)
            sub(/[^A-Za-z].*$/, "", outcome)
            key = binary "\t" test
            if (outcome == "FAILED") failures[key]++
            else last[key] = outcome
        }
        END {
            for (key in last) print key "\t" last[key]
            for (key in failures) if (!(key in last)) print key "\tFAILED\t" failures[key]
        }' "$TARGET/tests.log"
}

# Tests of other binaries that are left out for the same reasons as whole ones are (tests/l1/build.sh).
readonly APART_TESTS='^scenario::\(explore\|canonical\)::\|^laws::tests::'

# The tests of a binary that need not run again, or at all.
done_of() {
    outcomes | awk -F '\t' -v binary="$1" '$1 == binary && $3 != "FAILED" { print $2 }'
    all_of "$1" | grep "$APART_TESTS" || true
}

all_of() {
    local path
    path=$(awk -F '\t' -v name="$1" '$1 == name { print $3 }' "$TARGET/tests.list")
    "$path" --list --format terse 2>/dev/null | sed -n 's/: test$//p'
}

# The tests of a binary that failed, or did not come to an end.
left_of() {
    comm -23 <(all_of "$1" | sort) <(done_of "$1" | sort)
}

# Those of the named binaries of which tests are left.
binaries_left() {
    local name
    for name; do
        [ -z "$(left_of "$name")" ] || echo "$name"
    done
}

# What the tests that failed printed, and the end of what an L1 said that died.
show_failures() {
    sed -n '/^failures:$/,/^test result:/p; /^==> /,/^== /p' "$TARGET/tests.log"
}

# Leaves out what tests printed that passed, but for what they skipped.
without_talk() {
    sed -u '/^successes:$/,/^failures:$\|^test result:/{/^skipped: \|^failures:$\|^test result:/!d}'
}

# The tests of a binary that FAILED in each L1, or did not pass although there are no Linux guests in them.
failed_of() {
    if [ "$1" = "$LAST" ]; then
        outcomes | awk -F '\t' -v binary="$1" -v most="$ATTEMPTS" '$1 == binary && $4 >= most { print $2 }'
    else
        left_of "$1"
    fi
}

# Ends with a line that counts, as tests/run does. Skipped are tests that a debug build leaves out, those that said
# that there was nothing to test, and those that no L1 lived to see the end of. Fails when a test failed,
# or none ran.
count_tests() {
    local name ok ignored empty bad=0 unseen=0 failed left
    for name; do
        failed=$(failed_of "$name")
        left=$(comm -23 <(left_of "$name") <(sort <<<"$failed"))
        if [ -n "$failed" ]; then
            say "$name: these failed:"
            sed 's/^/    /' <<<"$failed" >&2
            bad=$((bad + $(wc -l <<<"$failed")))
        fi
        if [ -n "$left" ]; then
            say "SKIPPED: $name: no L1 lived to see these to a good end, or saw them fail each time:"
            sed 's/^/    /' <<<"$left" >&2
            unseen=$((unseen + $(wc -l <<<"$left")))
        fi
    done
    ok=$(outcomes | grep -c 'ok$') || true
    ignored=$(outcomes | grep -c 'ignored$') || true
    empty=$(grep -c '^skipped: ' "$TARGET/tests.log") || true
    printf '%d passed, %d failed, %d skipped\n' "$((ok - empty))" "$bad" "$((ignored + empty + unseen))"
    [ "$bad" = 0 ] && [ "$ok" != 0 ]
}
