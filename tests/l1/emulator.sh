# The emulator of L1: QEMU 8.1 or later. Sourced by tests/npt, after host.sh.
#
# An older one may translate code for one CPU while another CPU replaces it, and keep what it had (mended in
# deba78709ae8, "accel/tcg: Always lock pages before translation"). L1's kernel replaces code of its own
# whenever its first guest comes and its last one goes (kvm_create_vm, preempt_notifier_inc). A CPU then meets an int3
# for ever that is no longer there, and the others wait for it: QEMU 7.2, Debian 12's, stands still within minutes.

readonly NEWER_QEMU=(qemu-system-x86 qemu-system-common qemu-system-data seabios)

# Leaves the command in $QEMU: what this machine has, or else what its distribution has for it in backports,
# unpacked in $CACHE.
need_emulator() {
    QEMU=("$(find_program qemu-system-x86_64)")
    ! is_new "${QEMU[0]}" || return 0
    local folder=$CACHE/qemu-backports
    if [ ! -e "$folder" ] && ! download_backports "$folder" "${NEWER_QEMU[@]}"; then
        say "no newer QEMU is to be had for this machine: $(version_of "${QEMU[0]}") may stand still (tests/l1/emulator.sh)"
        return
    fi
    QEMU=("$folder/usr/bin/qemu-system-x86_64" -L "$folder/usr/share/qemu" -L "$folder/usr/share/seabios")
    is_new "${QEMU[0]}" || fail "$folder has no QEMU that runs here: please remove it, or install QEMU 8.1 or later"
}

version_of() {
    "$1" --version 2>&1 | head -n 1
}

is_new() {
    local found
    found=$(version_of "$1" | sed -n 's/.* version \([0-9]*\)\.\([0-9]*\).*/\1 * 100 + \2/p')
    [ -n "$found" ] && ((found >= 801))
}

# download_backports FOLDER PACKAGE..  Nothing is installed, and what apt knows stays as it is.
download_backports() {
    local folder=$1 fresh mirror deb
    shift
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 2>/dev/null |
        sed -n "s/ $(codename)$//p" | head -n 1)
    [ -n "$mirror" ] || return
    say "downloading $1 and others from $(codename)-backports to $CACHE"
    mkdir -p "$CACHE"
    fresh=$(mktemp -d "$CACHE/unpacking.XXXXXX")
    printf 'deb %s %s-backports main\n' "$mirror" "$(codename)" >"$fresh/sources.list"
    mkdir -p "$fresh/lists/partial" "$fresh/debs"
    local apt=(apt-get -q -o "Dir::Etc::SourceList=$fresh/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$fresh/lists" -o APT::Sandbox::User=root)
    if "${apt[@]}" update >&2 && (cd "$fresh/debs" && "${apt[@]}" download "$@" >&2) &&
        for deb in "$fresh"/debs/*.deb; do dpkg -x "$deb" "$fresh/files" || break; done; then
        mv -T "$fresh/files" "$folder"
    fi
    rm -rf "$fresh"
    [ -e "$folder" ]
}

codename() {
    sed -n 's/^VERSION_CODENAME=//p' /etc/os-release
}
