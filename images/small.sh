# A small kernel with everything built in, compiled from the distribution's source with small.config. Sourced by
# images/build.

readonly SMALL_SOURCE=linux-source-6.1
# What compiles it: objtool, a part of the kernel's build, needs libelf.
readonly SMALL_PROGRAMS=(make:make gcc:gcc flex:flex bison:bison bc:bc cpio:cpio lz4:lz4 xz:xz-utils perl:perl
    /usr/include/libelf.h:libelf-dev)

build_small() {
    need_programs cpio:cpio
    local kernel
    kernel=$(small_kernel)
    mkdir -p "$OUT/small"
    put "$kernel/bzImage" "$OUT/small/bzImage"
    put "$kernel/vmlinux" "$OUT/small/vmlinux"
    make_initramfs "$OUT/small/initrd"
    tell "$OUT"/small/*
}

# Prints the folder with the kernel, which is compiled once for each version of the source and each
# configuration.
small_kernel() (
    local source version name fresh
    source=$(newest_in_cache "${SMALL_SOURCE}_*")
    if [ -n "$source" ]; then
        name=$(small_kernel_name "$source")
        [ ! -e "$CACHE/$name" ] || { printf '%s\n' "$CACHE/$name" && return; }
    fi
    need_programs "${SMALL_PROGRAMS[@]}"
    source=$(unpacked_package "$SMALL_SOURCE")
    name=$(small_kernel_name "$source")
    version=${source##*/}
    fresh=$(mktemp -d "$CACHE/compiling.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    say "compiling $version with images/small.config, once: 4 to 8 minutes on 2 CPUs"
    tar -xf "$source"/usr/src/"$SMALL_SOURCE".tar.* -C "$fresh"
    mkdir "$fresh/done"
    compile_kernel "$fresh/$SMALL_SOURCE" "$fresh/done"
    put_in_cache "$fresh/done" "$name"
    printf '%s\n' "$CACHE/$name"
)

# small_kernel_name SOURCE: the name of what is made of it with the configuration as it is now.
small_kernel_name() {
    local sum
    sum=$(sha256sum images/small.config)
    basename "${1/$SMALL_SOURCE/small-kernel}_${sum:0:16}"
}

# compile_kernel SOURCE FOLDER: puts bzImage, vmlinux and config into FOLDER. Nothing of this machine, and no
# time, gets into the kernel.
compile_kernel() {
    local fragment=$PWD/images/small.config line make=(make -s -C "$1" KBUILD_BUILD_USER=pincow
        KBUILD_BUILD_HOST=pincow KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' KBUILD_BUILD_VERSION=1)
    "${make[@]}" KCONFIG_ALLCONFIG="$fragment" allnoconfig >&2 || broken "$fragment makes no configuration"
    while read -r line; do
        grep -qxF "$line" "$1/.config" || broken "$1 does not take $line of $fragment"
    done < <(grep ^CONFIG_ "$fragment")
    "${make[@]}" -j "$(nproc)" bzImage >"$1/log" 2>&1 || {
        tail -n 30 "$1/log" >&2
        broken "the kernel does not compile"
    }
    cp "$1/arch/x86/boot/bzImage" "$1/vmlinux" "$2"
    strip "$2/vmlinux"
    cp "$1/.config" "$2/config"
}
