# Starts L1 and has it run a command. Sourced by tests/npt.

# The exit status when it is L1 that ended, and not its command.
readonly L1_DIED=70
# How long L1 may show no sign of life; also at its start.
readonly SILENT_SECONDS=90
readonly QUICK_RCU='rcupdate.rcu_expedited=1 rcutree.jiffies_till_first_fqs=0 rcutree.jiffies_till_next_fqs=1'

# EPYC-v3 has what kvm_amd asks for; SVM and NPT are QEMU's own emulation, so no /dev/kvm is needed.
#
# L1 has one CPU more than it is asked for, and starts its command on all but the first (tests/l1/start), since in
# QEMU that one must not run guests: each load of x87 state, on any CPU, takes IGNNE back from the first
# (cpu_clear_ignne, target/i386/tcg/sysemu/fpu_helper.c), by reading and writing the whole word where its GIF is,
# too, and whether it uses nested paging. A CLGI, STGI, VMRUN or #VMEXIT of the first CPU in between is undone by
# half. Then L1 takes interrupts right behind a VMRUN, with the guest's GS base, until its stack is full; or none
# ever again; or a guest goes on at an address of L1's. So it was seen in QEMU 7.2 and 10.0.
#
# With `nohz=off highres=off` the timer of the local APIC is periodic, so that an interrupt that gets lost is
# raised again by the next one: QEMU also asks for virtual interrupts without the lock that others
# are sent under (helper_vmrun).
#
# The `rcu` options have L1's kernel wait less for CPUs that have nothing to say, where it makes and ends a machine: of
# 261 scenarios on guests, 48 s become 30 (6.1).
#
# `werror=report`: when this machine has no room left for what L1 writes, L1 is told so. QEMU would stop it otherwise.
qemu() {
    timeout --foreground "$LIMIT_SECONDS" "${QEMU[@]}" \
        -accel tcg,thread=multi,tb-size=512 -M q35 -cpu EPYC-v3,+svm,+npt -m "$memory" -smp "$((cpus + 1))" \
        -kernel "$L1/vmlinuz" -initrd "$L1/initramfs.cpio" \
        -append "console=ttyS0 panic=-1 reboot=t mitigations=off nokaslr nohz=off highres=off tsc=reliable $QUICK_RCU" \
        -nodefaults -no-user-config -display none -no-reboot \
        -drive "file=$L1/disk.img,format=raw,if=virtio,cache=unsafe,werror=report" \
        -chardev "file,id=console,path=$L1/console.log" -serial chardev:console \
        -device virtio-serial-pci "$@" \
        -pidfile "$L1/pid" \
        -chardev "file,id=beat,path=$L1/beat" -device virtserialport,chardev=beat,name=beat \
        -chardev "file,id=status,path=$L1/status" -device virtserialport,chardev=status,name=status \
        2>"$L1/qemu.log"
}

# Ends QEMU when L1 shows no sign of life any more, or a CPU of it hangs: L1 will not end by itself.
watch_l1() {
    local size=0 now since=$SECONDS
    while sleep 5 >/dev/null 2>&1; do
        now=$(stat -c %s "$L1/beat" 2>/dev/null) || now=0
        if [ "$now" != "$size" ]; then size=$now since=$SECONDS; fi
        if [ $((SECONDS - since)) -gt $SILENT_SECONDS ] ||
            grep -q 'soft lockup\|detected stall\|detected stalls' "$L1/console.log" 2>/dev/null; then
            say 'L1 stands still'
            kill "$(cat "$L1/pid")"
            return
        fi
    done
}

# Runs a command in L1, with its input, output and errors here; the status is the command's.
boot_l1() {
    local word out err status=0
    for word; do printf '%q ' "$word"; done >"$L1/command"
    put_on_disk "$L1/command" /l1/command
    # Pipes can be opened by their name, whatever they lead to, and never count as closed while QEMU
    # runs: L1 would wait for ever to write to a closed port.
    exec 3> >(cat) && out=$!
    exec 4> >(exec 3>&-; cat >&2) && err=$!
    watch_l1 3>&- 4>&- &
    local watcher=$!
    qemu -chardev stdio,id=in,signal=off -device virtserialport,chardev=in,name=in \
        -chardev file,id=out,path=/dev/fd/3 -device virtserialport,chardev=out,name=out \
        -chardev file,id=err,path=/dev/fd/4 -device virtserialport,chardev=err,name=err || status=$?
    kill "$watcher" 2>/dev/null || true
    [ "$status" = 0 ] || died "$L1_DIED" "QEMU ended with status $status"
    exec 3>&- 4>&-
    wait "$out" "$err"
    l1_status
}

shell_in_l1() {
    printf 'exec setsid cttyhack sh -l\n' >"$L1/command"
    put_on_disk "$L1/command" /l1/command
    say 'exit, or Ctrl-D, ends L1'
    qemu -chardev stdio,id=io,signal=off -device virtconsole,chardev=io || died 1 "QEMU ended with status $?"
    l1_status
}

put_on_disk() {
    "$(find_program debugfs)" -w -R "write $1 $2" "$L1/disk.img" >/dev/null 2>&1
}

# What L1 says was the status of its command.
l1_status() {
    local status
    status=$(tr -dc 0-9 <"$L1/status") && [ -n "$status" ] || died "$L1_DIED" 'L1 ended before its command did'
    return "$status"
}

# died STATUS WHAT
died() {
    tail -n 30 "$L1/qemu.log" "$L1/console.log" >&2 || true
    say "$2 (the end of its messages is above; all of them: $TARGET/console.log)"
    exit "$1"
}
