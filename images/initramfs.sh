# An initramfs: busybox, the agent, an init, and kernel modules. Sourced by images/build.

# make_initramfs FILE [FOLDER MODULE..]  Modules are loaded in the order of their names, which are relative
# to FOLDER.
make_initramfs() {
    local file=$1 folder=${2:-} root=$WORK/initramfs name
    shift $(($# < 2 ? $# : 2))
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,etc/pincow,proc,sys,root,modules,tmp}
    cp "$(static_busybox)" "$root/bin/busybox"
    install -m 755 images/guest/init "$root/init"
    install -m 755 images/guest/{agent,session,words} "$root/etc/pincow"
    install -m 755 "$(static_agent)" "$root/bin/pincow-agent"
    for name; do cp "$folder/$name" "$root/modules/"; done
    for name; do basename "$name"; done >"$root/load"
    (cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) >"$file.new"
    mv "$file.new" "$file"
}
