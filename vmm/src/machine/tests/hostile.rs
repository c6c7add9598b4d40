use super::*;

/// Every access width, read and write, over device registers and where nothing is.
#[test]
fn accesses_of_any_width_to_anywhere_do_no_harm() {
    let Some(host) = host() else { return };
    let mut program = Vec::new();
    let addresses = [
        0xd000_0000,
        0xd000_0003,
        0xd000_0007,
        0xd000_0ffc,
        0xd000_1004,
        0xd000_1008,
        0xd000_1064,
        0xd000_10f8,
        0xd000_10fc,
        0xd000_3000,
        0xd01f_fff8,
    ];
    for address in addresses {
        program.extend(code::set_rdi(address));
        program.extend(code::ALL_WIDTHS);
    }
    program.extend(code::exit(7));
    let (machine, _) = boot(&host, 1, &elf(&program));
    machine.start().unwrap();
    assert_eq!(machine.wait(), Stopped::Exit { vcpu: 0, code: 7 });
    let (reads, writes) = machine.bus().unclaimed();
    assert!(reads > 0 && writes > 0, "{reads} {writes}");
    assert!(machine.mailbox(0).unwrap().counts().malformed > 0);
}

#[test]
fn a_vcpu_in_anothers_mailbox_can_still_be_parked() {
    let Some(host) = host() else { return };
    // mov rdi, mailbox 1's command register; again: mov rax, [rdi]; jmp again
    let mut program = code::set_rdi(0xd000_1100).to_vec();
    program.extend([0x48, 0x8b, 0x07, 0xeb, 0xfb]);
    let (machine, _) = boot(&host, 2, &elf(&program));
    machine.start().unwrap();
    for _ in 0..20 {
        // Where they are depends on how far they came meanwhile; at rest, they are in the read.
        while machine.pause().unwrap().parked_at() != [ParkedAt::Blocked; 2] {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(machine.stop(), Stopped::Killed);
}

#[test]
fn a_guest_that_floods_its_mailbox_can_be_paused_and_saved() {
    let Some(host) = host() else { return };
    // mov rdi, DONE; again: mov [rdi], rax; mov [rdi + 0x18], rax (REPORT); jmp again
    let mut program = code::set_rdi(0xd000_1048).to_vec();
    program.extend([0x48, 0x89, 0x07, 0x48, 0x89, 0x47, 0x18, 0xeb, 0xf7]);
    let (machine, _) = boot(&host, 1, &elf(&program));
    machine.start().unwrap();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(1));
        machine.pause().unwrap().save().unwrap();
    }
    assert!(machine.mailbox(0).unwrap().counts().stray_replies > 0);
}

#[test]
fn privileged_instructions_and_ports_are_crashes() {
    let Some(host) = host() else { return };
    // hlt; cli; out 0x80, al; mov cr3, rax; wrmsr
    let programs: [&[u8]; 5] =
        [&[0xf4], &[0xfa], &[0xe6, 0x80], &[0x0f, 0x22, 0xd8], &[0x0f, 0x30]];
    for program in programs {
        let (machine, _) = boot(&host, 1, &elf(program));
        machine.start().unwrap();
        let stopped = machine.wait();
        assert!(matches!(stopped, Stopped::Shutdown { .. }), "{program:x?}: {stopped}");
    }
}
