# The guest's agent, compiled from guest/agent. Sourced by images/build.

readonly AGENT_TRIPLE=x86_64-unknown-linux-gnu

# Prints the path of the agent, without shared libraries: guests need not have this machine's.
static_agent() {
    local target
    target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
    say 'building the agent'
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS='-C target-feature=+crt-static' \
        CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_TARGET_DIR=$target \
        cargo build --quiet --release --target "$AGENT_TRIPLE" -p pincow-guest-agent --bin pincow-agent >&2 ||
        fail 'the agent of guests does not build (guest/agent)'
    printf '%s\n' "$target/$AGENT_TRIPLE/release/pincow-agent"
}
