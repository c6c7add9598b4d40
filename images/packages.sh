# What comes from the distribution: programs that this machine must have, and packages that are only
# unpacked, into a cache outside the repository. Sourced by scripts that set ME, their name in messages, and
# may set LACKING, what it means that something is missing.

# What fails in a command substitution fails the script.
shopt -s inherit_errexit

readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/pincow

say() { printf '== %s\n' "$*" >&2; }

# What this machine lacks, or what it was asked for and cannot do
fail() {
    printf '%s: %s\n' "$ME" "$*" >&2
    exit 2
}

# What came out wrong, though nothing was missing
broken() {
    printf '%s: %s\n' "$ME" "$*" >&2
    exit 1
}

lacking() { fail "${LACKING:+$LACKING: }$*"; }

# A program, also where only root looks for it.
find_program() {
    PATH=$PATH:/usr/sbin:/sbin command -v "$1"
}

# need_programs PROGRAM:PACKAGE..  A file may stand for a program that a package without one has.
need_programs() {
    local missing=() entry
    for entry; do
        find_program "${entry%%:*}" >/dev/null || [ -e "${entry%%:*}" ] || missing+=("${entry##*:}")
    done
    [ ${#missing[@]} != 0 ] || return 0
    if [ "$(id -u)" != 0 ] || [ ! -e /etc/debian_version ]; then
        lacking "please install: ${missing[*]}"
    fi
    say "installing ${missing[*]}"
    { apt-get update -q && apt-get install -qy --no-install-recommends "${missing[@]}"; } >&2 ||
        lacking "apt-get cannot install ${missing[*]}"
}

# Prints the folder of a package, unpacked: the newest version that the cache has, or else the one that
# apt knows, downloaded. Nothing is installed.
unpacked_package() (
    local name=$1 fresh file folder
    folder=$(newest_in_cache "${name}_*")
    if [ -z "$folder" ]; then
        mkdir -p "$CACHE"
        fresh=$(mktemp -d "$CACHE/unpacking.XXXXXX")
        trap 'rm -rf "$fresh"' EXIT
        say "downloading the package $name to $CACHE"
        if ! (cd "$fresh" && with_fresh_lists apt_get download "$name" && dpkg -x ./*.deb .); then
            lacking "apt-get cannot download $name (is this Debian, and the network there?)"
        fi
        file=$(basename "$fresh"/*.deb .deb)
        rm -f "$fresh"/*.deb
        put_in_cache "$fresh" "$file"
        folder=$CACHE/$file
    fi
    printf '%s\n' "$folder"
)

# Prints a folder with the files of packages and of all that they depend on, down to the C library.
unpacked_with_dependencies() (
    local folder=$CACHE/$1 fresh package
    shift
    if [ ! -e "$folder" ]; then
        mkdir -p "$CACHE"
        fresh=$(mktemp -d "$CACHE/unpacking.XXXXXX")
        trap 'rm -rf "$fresh"' EXIT
        mkdir -p "$fresh/packages/partial"
        say "downloading $* and what they depend on to $CACHE"
        # An empty list of what is installed, so that nothing is left out.
        if ! with_fresh_lists apt_get install -y --no-install-recommends --download-only \
            -o Dir::State::status=/dev/null -o Dir::Cache::archives="$fresh/packages" \
            -o Debug::NoLocking=1 "$@"; then
            lacking "apt-get cannot download $* (is this Debian, and the network there?)"
        fi
        for package in "$fresh"/packages/*.deb; do dpkg -x "$package" "$fresh"; done
        rm -r "$fresh/packages"
        put_in_cache "$fresh" "$(basename "$folder")"
    fi
    printf '%s\n' "$folder"
)

# Prints the name of the package that a package without files of its own stands for.
real_package() {
    local name
    name=$(depends "$1" "$2") || name=$(renew_lists && depends "$1" "$2") ||
        lacking "apt knows no package $1 (is this Debian? apt-get update?)"
    printf '%s\n' "$name"
}

depends() {
    apt-cache depends "$1" 2>/dev/null | sed -n "s/^ *Depends: \($2.*\)$/\1/p" | head -n 1 | grep .
}

# Prints the folder of the newest cloud kernel, unpacked.
cloud_kernel() {
    local tree name
    tree=$(newest_in_cache 'linux-image-*-cloud-amd64_*')
    if [ -z "$tree" ]; then
        name=$(real_package linux-image-cloud-amd64 'linux-image-[0-9]')
        tree=$(unpacked_package "$name")
    fi
    need_modules_dep "$tree"
    printf '%s\n' "$tree"
}

# Prints the path of a busybox without shared libraries; the one that this machine has may need them.
static_busybox() {
    local tree
    tree=$(unpacked_package busybox-static)
    printf '%s\n' "$tree/bin/busybox"
}

# Packages leave it to the machine that they are installed on to find out which module needs which.
need_modules_dep() {
    local version busybox
    version=$(basename "$1"/lib/modules/*)
    busybox=$(static_busybox)
    flock "$1" sh -c '[ -e "$2/lib/modules/$3/modules.dep" ] || "$1" depmod -b "$2" "$3"' \
        sh "$busybox" "$1" "$version"
}

# Prints the files of a module and of all that it depends on, in the order in which they are loaded.
module_files() {
    local modules=$1 name=$2
    grep -m 1 "/$name\.ko[.a-z]*:" "$modules/modules.dep" | tr -d ':' | tr ' ' '\n' | sed '/^$/d' | tac
}

# The first attempt uses the lists of packages that are there; a version in them may be gone by now.
with_fresh_lists() {
    "$@" || { renew_lists && "$@"; }
}

renew_lists() {
    [ "$(id -u)" = 0 ] && apt-get update -q >&2
}

# The archives go where apt's own user may not write.
apt_get() {
    command -v apt-get >/dev/null || return 1
    apt-get -qq -o APT::Sandbox::User="$(id -un)" "$@" >&2
}

newest_in_cache() {
    find "$CACHE" -mindepth 1 -maxdepth 1 -name "$1" 2>/dev/null | sort -V | tail -n 1
}

# Whole or not at all, and whoever comes second uses what the first one left.
put_in_cache() {
    chmod 755 "$1"
    mv -T "$1" "$CACHE/$2" 2>/dev/null || true
    rm -rf "$1"
    [ -d "$CACHE/$2" ] || fail "cannot write $CACHE/$2"
}
