# Builds what goes into L1: static binaries, an initramfs with modules, a disk. Sourced by tests/npt.

readonly TRIPLE=x86_64-unknown-linux-gnu
# What L1 loads, with parameters.
readonly MODULES=(
    virtio_pci
    virtio_blk
    virtio_console
    tun
    bridge
    'kvm-amd npt=1 nested=0'
)
# Programs of this machine that L1 gets beside busybox, which has no such applet or a lesser one; it
# prefers its own applets to whatever is in the PATH.
readonly BESIDE_BUSYBOX=(e2fsck ip setpriv sh unshare)
readonly DISK_SIZE=4G

# All test binaries of the workspace, and pincow, without shared libraries: L1 has none of this machine's.
# Leaves the name, the folder to start in and the path of each test in $TARGET/tests.list.
build_binaries() {
    local begun=$SECONDS cargo=(env CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_OPT_LEVEL=1
        CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS='-C target-feature=+crt-static'
        CARGO_TARGET_DIR="$TARGET" cargo)
    say 'building static binaries'
    # All in one, so that nothing waits for the program.
    "${cargo[@]}" build --quiet --target "$TRIPLE" --workspace --bins --tests --message-format=json \
        >"$TARGET/tests.json"
    local whole='.*"manifest_path":"\([^"]*\)/Cargo.toml".*"executable":"\([^"]*/\([^"]*\)-[0-9a-f]*\)".*'
    sed -n "/\"test\":true/s|$whole|\3\t\1\t\2|p" "$TARGET/tests.json" | sort >"$TARGET/tests.list"
    [ -s "$TARGET/tests.list" ] || fail 'cargo names no test binary'
    say "building static binaries took $((SECONDS - begun)) s"
}

# What is run when it is named only: minutes of forks; benchmarks, which say nothing of an emulated CPU; and what
# looks at models alone, which are the same on any kernel.
readonly APART='load\|bench_report\|one_page\|model_table\|explore_full\|threads\|pincow_guest_protocol'

# Keeps the chosen tests, or all but $APART when none is.
choose_tests() {
    local name
    [ $# != 0 ] || set -- $(cut -f 1 "$TARGET/tests.list" | grep -vx "$APART")
    : >"$L1/chosen.list"
    for name; do
        grep "^$name$(printf '\t')" "$TARGET/tests.list" >>"$L1/chosen.list" ||
            fail "there is no test binary $name (tests/npt --list)"
    done
}

# The kernel, the initramfs and the disk, in $L1.
build_l1() {
    make_initramfs
    make_disk
}

# busybox, and the modules with what they need, in the order of need.
make_initramfs() {
    local root=$L1/initramfs version module
    version=$(basename "$kernel_dir"/lib/modules/*)
    mkdir -p "$root"/{bin,dev,proc,sys,root,"lib/modules/$version"}
    cp "$(find_program busybox)" "$root/bin/busybox"
    cp tests/l1/init "$root/init"
    chmod 755 "$root/init"
    printf '%s\n' "${MODULES[@]}" >"$root/modules"
    [ -e "$kernel_dir/lib/modules/$version/modules.dep" ] ||
        busybox depmod -b "$kernel_dir" "$version"
    cp "$kernel_dir/lib/modules/$version/modules.dep" "$root/lib/modules/$version/"
    for module in "${MODULES[@]}"; do
        module_files "$version" "${module%% *}" | (cd "$kernel_dir/lib/modules/$version" &&
            cpio --quiet -pdmu "$root/lib/modules/$version")
    done
    (cd "$root" && find . | cpio --quiet -o -H newc) >"$L1/initramfs.cpio"
    cp "$kernel_dir/boot/vmlinuz-$version" "$L1/vmlinuz"
}

# The file of a module and those of all that it depends on.
module_files() {
    local line
    line=$(grep "/$2\.ko[.a-z]*:" "$kernel_dir/lib/modules/$1/modules.dep") ||
        fail "the kernel $1 has no module $2"
    tr -d ':' <<<"$line" | tr ' ' '\n' | sed '/^$/d'
}

# The root of L1: an ext4 file system on a virtio disk.
make_disk() {
    local root=$L1/root path
    mkdir -p "$root"/{bin,dev,etc,l1,proc,root,run,sbin,sys,tmp,usr/bin,usr/sbin,with}
    chmod 1777 "$root/tmp"
    cp "$(find_program busybox)" "$root/bin/busybox"
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
    cp tests/l1/{start,tests} "$root/l1/"
    chmod 755 "$root"/l1/*
    for path in "${BESIDE_BUSYBOX[@]}"; do put_program "$root" "$(find_program "$path")"; done
    cp "$TARGET/$TRIPLE"/debug/{pincow,kill9-guest} "$root/usr/bin/"
    put_tests "$root"
    for path in "${with[@]}"; do cp -a "$path" "$root/with/"; done
    truncate -s "$DISK_SIZE" "$L1/disk.img"
    "$(find_program mkfs.ext4)" -q -F -d "$root" "$L1/disk.img"
    rm -rf "$root"
}

# The test binaries, and the paths that they were built with: the sources, some of which tests read, and
# cargo's folder for temporary files of tests.
put_tests() {
    mkdir -p "$1/l1/bin" "$1/l1/done" "$1$PWD" "$1$TARGET/$TRIPLE/tmp"
    cp "$L1/chosen.list" "$1/l1/"
    local name folder path
    cut -f 1 "$L1/chosen.list" | while read -r name; do done_of "$name" >"$1/l1/done/$name"; done
    while IFS=$'\t' read -r name folder path; do
        cp "$path" "$1/l1/bin/$name"
    done <"$TARGET/tests.list"
    cp -a Cargo.toml guest mmu tests vmm "$1$PWD/"
}

# A program, in /usr/bin, and the shared libraries that it needs, where it looks for them.
put_program() {
    local file
    cp -L "$2" "$1/usr/bin/"
    for file in $(ldd "$2" | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p'); do
        mkdir -p "$1$(dirname "$file")"
        cp -L "$file" "$1$file"
    done
}
