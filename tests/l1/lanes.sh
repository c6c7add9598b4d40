# Runs test binaries in L1s of their own, side by side. Sourced by tests/npt.

# The test binary that takes about as long as all others without Linux together.
readonly LONGEST=pincow_vmm
# Those with Linux guests, or that look for what happens only where CPUs run at the same time.
readonly AT_ONCE=(stress linux)
# How long an L1 of those may live.
readonly AT_ONCE_SECONDS=300

# run_in_lanes NAME..: adds what they print to $TARGET/tests-LANE.log. Shows it, too, with the lane's number
# before each line. Boot.sh says why some get another kind of L1, which keeps both cores of a small machine
# busy: it comes after the others.
run_in_lanes() {
    local name lane one=() two=() three=() running=()
    for name in "${AT_ONCE[@]}"; do
        case " $* " in *" $name "*) three+=("$name") ;; esac
    done
    for name; do
        if [ "$name" = "$LONGEST" ]; then
            one+=("$name")
        elif ! is_at_once "$name"; then
            two+=("$name")
        fi
    done
    threads=single limit=$LIMIT_SECONDS
    [ ${#one[@]} = 0 ] || lane_in_background 1 "${one[@]}"
    [ ${#two[@]} = 0 ] || lane_in_background 2 "${two[@]}"
    await_lanes
    threads=multi limit=$AT_ONCE_SECONDS
    [ ${#three[@]} = 0 ] || lane_in_background 3 "${three[@]}"
    await_lanes
}

is_at_once() {
    case " ${AT_ONCE[*]} " in *" $1 "*) return 0 ;; esac
    return 1
}

await_lanes() {
    local lane
    for lane in "${running[@]}"; do wait "$lane" || true; done
    running=()
}

# In a process group of its own, so that all of it can be stopped.
lane_in_background() {
    set -m
    run_lane "$@" &
    running+=($!)
    lanes+=($!)
    set +m
}

# run_lane NUMBER NAME..
run_lane() {
    local lane=$1
    shift
    L1=$L1/$lane
    mkdir -p "$L1"
    choose_tests "$@"
    build_l1
    (boot_l1 /l1/tests) </dev/null 2>&1 | tee -a "$TARGET/tests-$lane.log" | without_talk | sed -u "s/^/$lane | /" || true
    mv -f "$L1/console.log" "$TARGET/console-$lane.log"
    rm -rf "$L1"
}

stop_lanes() {
    local lane
    for lane in "${lanes[@]}"; do kill -TERM -- "-$lane" 2>/dev/null || true; done
}

# Leaves out what tests printed that passed, but for what they skipped.
without_talk() {
    sed -u '/^successes:$/,/^failures:$\|^test result:/{/^skipped: \|^failures:$\|^test result:/!d}'
}
