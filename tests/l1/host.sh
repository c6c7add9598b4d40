# What this machine has to have: packages, Rust, and the kernel of L1. Sourced by tests/npt.

readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/pincow/l1
# Programs that are needed, each with the package that has it.
readonly PROGRAMS=(
    qemu-system-x86_64:qemu-system-x86
    busybox:busybox-static
    cpio:cpio
    lz4:lz4
    mkfs.ext4:e2fsprogs
    setpriv:util-linux
    gcc:gcc
    ip:iproute2
)

say() { printf '== %s\n' "$*" >&2; }

fail() {
    printf 'tests/npt: %s\n' "$*" >&2
    exit 2
}

# A program, also where only root looks for it.
find_program() {
    PATH=$PATH:/usr/sbin:/sbin command -v "$1"
}

need_host() {
    local missing=() entry
    for entry in "${PROGRAMS[@]}"; do
        find_program "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
    done
    if [ ${#missing[@]} != 0 ]; then
        if [ "$(id -u)" != 0 ] || [ ! -e /etc/debian_version ]; then
            fail "SKIPPED: nothing runs on nested paging: please install: ${missing[*]}"
        fi
        say "installing ${missing[*]}"
        apt-get update -q >&2 && apt-get install -qy --no-install-recommends "${missing[@]}" >&2 ||
            fail "SKIPPED: nothing runs on nested paging: apt-get cannot install ${missing[*]}"
    fi
    command -v cargo >/dev/null || fail 'please install Rust (https://rustup.rs)'
    need_kernel
}

# The distribution's kernel, unpacked in $CACHE/VERSION. The newest one that is there is taken; without
# any, the one that Debian's package `linux-image-cloud-amd64` stands for is downloaded.
need_kernel() {
    kernel_dir=$(newest_kernel)
    [ -z "$kernel_dir" ] || return 0
    command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
        fail "SKIPPED: nothing runs on nested paging: no apt-get here, and no unpacked kernel in $CACHE"
    local package
    package=$(cloud_kernel)
    if [ -z "$package" ] && [ "$(id -u)" = 0 ]; then
        apt-get update -q >&2 || true
        package=$(cloud_kernel)
    fi
    [ -n "$package" ] ||
        fail 'SKIPPED: nothing runs on nested paging: apt knows no linux-image-cloud-amd64 (apt-get update?)'
    say "downloading $package to $CACHE"
    mkdir -p "$CACHE"
    local fresh
    fresh=$(mktemp -d "$CACHE/unpacking.XXXXXX")
    (cd "$fresh" && apt-get download -q "$package" >&2 && dpkg -x ./*.deb . && rm -f ./*.deb) || {
        rm -rf "$fresh"
        fail "SKIPPED: nothing runs on nested paging: apt-get cannot download $package"
    }
    mv -T "$fresh" "$CACHE/$package"
    kernel_dir=$(newest_kernel)
}

newest_kernel() {
    local found
    found=$(ls -d "$CACHE"/linux-image-*/boot/vmlinuz-* 2>/dev/null | sort -V | tail -n 1) || true
    [ -z "$found" ] || dirname "$(dirname "$found")"
}

cloud_kernel() {
    apt-cache depends linux-image-cloud-amd64 2>/dev/null |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1
}
