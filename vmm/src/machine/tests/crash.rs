use super::*;

#[test]
fn an_invalid_instruction_is_a_crash_with_its_address() {
    let Some(host) = host() else { return };
    let (machine, _) = running(&host, 1);
    machine.mailbox(0).unwrap().post(Command::Fault).unwrap();
    let stopped = machine.wait();
    let Stopped::Shutdown { vcpu: 0, rip, .. } = stopped else { panic!("{stopped}") };
    assert!(rip.is_none_or(|rip| (0x20_0000..0x40_0000).contains(&rip)), "{stopped}");
    println!("{stopped}");
}

#[test]
fn a_wild_address_is_a_crash() {
    let Some(host) = host() else { return };
    // mov rax, [0x7000_0000]: neither RAM nor device.
    let (machine, _) = boot(&host, 1, &elf(&[0x8b, 0x04, 0x25, 0, 0, 0, 0x70]));
    machine.start().unwrap();
    let stopped = machine.wait();
    assert!(matches!(stopped, Stopped::Shutdown { .. }), "{stopped}");
    println!("{stopped}");
}

#[test]
fn a_panic_has_a_message_and_a_code() {
    let Some(host) = host() else { return };
    let (machine, output) = running(&host, 1);
    machine.mailbox(0).unwrap().post(Command::Panic).unwrap();
    assert_eq!(machine.wait(), Stopped::Exit { vcpu: 0, code: 101 });
    assert!(output.text().contains("panic"), "{}", output.text());
}

#[test]
fn the_first_reason_stays_and_other_vcpus_stop_too() {
    let Some(host) = host() else { return };
    let (machine, _) = running(&host, 3);
    machine.mailbox(1).unwrap().post(churn(1)).unwrap();
    machine.mailbox(2).unwrap().post(Command::Exit { code: 3 }).unwrap();
    assert_eq!(machine.wait(), Stopped::Exit { vcpu: 2, code: 3 });
    assert_eq!(machine.stop(), Stopped::Exit { vcpu: 2, code: 3 });
    let left = machine.mailbox(1).unwrap().wait_reply(LONG);
    assert_eq!(left, Err(crate::devices::MailboxError::Stopped));
}

#[test]
fn a_machine_stops_whatever_it_does() {
    let Some(host) = host() else { return };
    let (machine, _) = boot(&host, 2, &elf(&code::SPIN));
    assert_eq!(machine.wait_timeout(Duration::from_millis(1)), None);
    machine.start().unwrap();
    assert_eq!(machine.wait_timeout(Duration::from_millis(20)), None);
    assert_eq!(machine.stop(), Stopped::Killed);
    let (idle, _) = running(&host, 1);
    assert_eq!(idle.stop(), Stopped::Killed);
}

#[test]
fn memory_that_the_host_does_not_give_is_named() {
    let Some(host) = host() else { return };
    // mov al, [0x60_0000], where the host has taken the memory away.
    let (machine, _) = boot(&host, 1, &elf(&[0x8a, 0x04, 0x25, 0, 0, 0x60, 0]));
    let hole = machine.ram().host_address() as usize + 0x60_0000;
    hole_punch::protect(hole, 0x1000);
    machine.start().unwrap();
    let stopped = machine.wait();
    assert!(matches!(stopped, Stopped::MemoryFault { .. }), "{stopped:?}");
    println!("{stopped}");
}

mod hole_punch {
    #![expect(unsafe_code, reason = "the test takes host memory away from a guest")]

    /// Makes `len` bytes at `address` inaccessible.
    pub(super) fn protect(address: usize, len: usize) {
        // SAFETY: the range is within a mapping of guest RAM that the test owns and does not use.
        let result = unsafe { libc::mprotect(address as *mut libc::c_void, len, libc::PROT_NONE) };
        assert_eq!(result, 0);
    }
}
