# A root file system as an ext4 image: busybox with what tests of disks need, or a small Debian. Sourced
# by images/build.

# What busybox has not, or only in part, each with the package that has it: a disk workload that
# verifies what it reads, and the checker of file systems.
readonly BESIDE_BUSYBOX=(
    /usr/bin/fio:fio
    /sbin/e2fsck:e2fsprogs
    /sbin/mke2fs:e2fsprogs
)
# The same, for Debian, whose own tools come first there
readonly DEBIAN_PACKAGES=(fio e2fsprogs iproute2 iputils-ping)

build_rootfs() {
    need_programs mkfs.ext4:e2fsprogs
    local root=$WORK/root image=$OUT/rootfs.ext4
    [ "$debian" = no ] || image=$OUT/debian.ext4
    mkdir "$root"
    if [ "$debian" = no ]; then
        fill_with_busybox "$root"
    else
        fill_with_debian "$root"
    fi
    add_busybox "$root"
    add_session "$root"
    make_ext4 "$root" "$image"
    tell "$image"
}

fill_with_busybox() {
    local root=$1 tree entry packages
    mkdir -p "$root"/{dev,etc,proc,root,run,sys,tmp,usr/{bin,sbin,lib,lib64},var}
    ln -s usr/{bin,sbin,lib,lib64} "$root"
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
    printf 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n' >"$root/etc/group"
    packages=$(printf '%s\n' "${BESIDE_BUSYBOX[@]#*:}" | sort -u)
    # The name of the folder is that of its contents.
    tree=$(unpacked_with_dependencies "tree_$(tr '\n' '_' <<<"$packages")" $packages)
    for entry in "${BESIDE_BUSYBOX[@]}"; do add_program "$tree" "${entry%%:*}" "$root"; done
}

# A program with its shared libraries, all from one tree, as that tree's own loader finds them.
add_program() {
    local tree=$1 program=$2 root=$3 file
    local libraries=$tree/lib/x86_64-linux-gnu:$tree/usr/lib/x86_64-linux-gnu:$tree/usr/lib/x86_64-linux-gnu/ceph
    cp "$tree$program" "$root$program"
    "$tree/lib64/ld-linux-x86-64.so.2" --library-path "$libraries" --list "$tree$program" >"$WORK/libraries" ||
        broken "a library of $program is missing in $tree"
    while read -r file; do
        mkdir -p "$root$(dirname "$file")"
        cp -L "$tree$file" "$root$file"
    done < <(sed -n "s|.* => $tree\(/[^ ]*\) (0x.*|\1|p" "$WORK/libraries")
    cp -L "$tree/lib64/ld-linux-x86-64.so.2" "$root/lib64/"
}

# The suite that this machine runs, from where its apt gets it.
fill_with_debian() {
    need_programs debootstrap:debootstrap
    [ "$(id -u)" = 0 ] || fail 'rootfs --debian: debootstrap has to run as root'
    local root=$1 source
    source=$(apt-get indextargets --format '$(CODENAME) $(SITE)' 'Created-By: Packages' 'Component: main' |
        grep -Ev -- '-(security|updates|backports)' | head -n 1)
    [ -n "$source" ] || fail 'rootfs --debian: apt-get knows no mirror of Debian'
    mkdir -p "$CACHE/debootstrap"
    say "debootstrap of $source"
    debootstrap --variant=minbase --include="$(IFS=, && echo "${DEBIAN_PACKAGES[*]}")" \
        --cache-dir="$(realpath "$CACHE/debootstrap")" "${source% *}" "$root" "${source#* }" >&2 ||
        fail 'rootfs --debian: debootstrap failed'
    rm -f "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*_*
    ! grep -q " $root/" /proc/mounts || fail "something is still mounted in $root"
    # An empty password: the console is the only way in.
    sed -i 's/^root:[^:]*:/root::/' "$root/etc/shadow"
}

# busybox is init; its applets stand in for whatever is not there.
add_busybox() {
    local root=$1 applet busybox
    busybox=$(static_busybox)
    cp "$busybox" "$root/bin/busybox"
    while read -r applet; do
        [ -e "$root/usr/bin/$applet" ] || [ -e "$root/usr/sbin/$applet" ] ||
            ln -s /bin/busybox "$root/usr/bin/$applet"
    done < <("$busybox" --list | grep -vxF busybox)
    ln -sf /bin/busybox "$root/sbin/init"
}

add_session() {
    mkdir -p "$1/etc/pincow"
    install -m 755 images/guest/{agent,log,selftest,session,setup,stop,words,workload} "$1/etc/pincow"
    install -m 755 "$(static_agent)" "$1/usr/bin/pincow-agent"
    install -m 644 images/guest/inittab "$1/etc/inittab"
}

# In a name space in which this user is root, so that everything in the image belongs to root.
make_ext4() {
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(unshare --map-root-user)
    truncate -s "$size" "$WORK/image" || fail "--size $size: such as 512M or 2G"
    "${as_root[@]}" "$(find_program mkfs.ext4)" -q -F -L pincow -d "$1" "$WORK/image" ||
        fail "mkfs.ext4 fails: is $size enough for $(du -sh "$1" | cut -f 1)? (--size)"
    mv "$WORK/image" "$2"
}
