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
    local modules=$1/lib/modules/$2 module name files=()
    for module in "${MODULES[@]}"; do
        name=${module%:*}
        grep -q "/$name\.ko" "$modules/modules.builtin" && continue
        mapfile -t -O ${#files[@]} files < <(module_files "$modules" "$name")
        grep -q "/$name\.ko" "$modules/modules.dep" || [ "$module" != "$name" ] ||
            broken "the kernel $2 has no module $name"
    done
    # A module that several depend on comes once, where it is needed first.
    mapfile -t files < <(printf '%s\n' "${files[@]}" | awk '!seen[$0]++')
    make_initramfs "$3" "$modules" "${files[@]}"
}
