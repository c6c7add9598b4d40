# The distribution's cloud kernel as it is, and an initramfs with what it needs to find its root file
# system. Sourced by images/build.

# What is loaded, each with all that it depends on. What a kernel has built in, or does not have at
# all though it is marked so, is left out.
readonly MODULES=(
    virtio_mmio
    virtio_blk
    virtio_net
    virtio-rng
    virtio_balloon
    vmw_vsock_virtio_transport
    ext4
    crc32c-intel
    pvpanic-mmio
    vmgenid:optional
)

build_cloud() {
    need_programs cpio:cpio lz4:lz4
    local tree version
    tree=$(cloud_kernel)
    version=$(basename "$tree"/lib/modules/*)
    mkdir -p "$OUT/cloud"
    put "$tree/boot/vmlinuz-$version" "$OUT/cloud/bzImage"
    images/extract-vmlinux "$OUT/cloud/bzImage" "$OUT/cloud/vmlinux" ||
        broken "no ELF file from the kernel $version"
    cloud_initramfs "$tree" "$version" "$OUT/cloud/initrd"
    tell "$OUT"/cloud/*
}

cloud_initramfs() {
    local modules=$1/lib/modules/$2 root=$WORK/initramfs busybox module name files=()
    mkdir -p "$root"/{bin,dev,etc/pincow,proc,sys,root,modules,tmp}
    busybox=$(static_busybox)
    cp "$busybox" "$root/bin/busybox"
    install -m 755 images/guest/init "$root/init"
    install -m 755 images/guest/{agent,session,words} "$root/etc/pincow"
    install -m 755 "$(static_agent)" "$root/bin/pincow-agent"
    for module in "${MODULES[@]}"; do
        name=${module%:*}
        grep -q "/$name\.ko" "$modules/modules.builtin" && continue
        mapfile -t -O ${#files[@]} files < <(module_files "$modules" "$name")
        grep -q "/$name\.ko" "$modules/modules.dep" || [ "$module" != "$name" ] ||
            broken "the kernel $2 has no module $name"
    done
    # A module that several depend on comes once, where it is needed first.
    printf '%s\n' "${files[@]}" | awk '!seen[$0]++' >"$root/load"
    while read -r name; do cp "$modules/$name" "$root/modules/"; done <"$root/load"
    sed -i 's|.*/||' "$root/load"
    (cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) >"$3.new"
    mv "$3.new" "$3"
}
