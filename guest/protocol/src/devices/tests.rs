use super::*;

fn registers() -> Vec<Register> {
    use Register::*;
    let mut all = vec![Command, Done, DoneValue, Exit, Report, Rest];
    all.extend((0..VALUES).flat_map(|n| [Arg(n), Reply(n)]));
    all
}

#[test]
fn every_register_is_found_at_its_offset() {
    for register in registers() {
        assert_eq!(Register::at(register.offset()), Some(register));
        assert_eq!(register.address(3), mailbox(3) + register.offset());
    }
}

#[test]
fn no_two_registers_share_an_address() {
    let mut offsets: Vec<u64> = registers().into_iter().map(Register::offset).collect();
    offsets.sort_unstable();
    offsets.dedup();
    assert_eq!(offsets.len(), registers().len());
    assert!(offsets.iter().all(|offset| offset % 8 == 0 && *offset < MAILBOX_STRIDE));
}

#[test]
fn between_the_registers_there_is_nothing() {
    let found = (0..MAILBOX_STRIDE).filter_map(Register::at).count();
    assert_eq!(found, registers().len());
}

#[test]
fn the_serial_line_and_the_mailboxes_do_not_overlap() {
    const { assert!(SERIAL_BASE + SERIAL_REGISTERS <= MAILBOX_BASE) };
}

#[test]
fn the_virtio_devices_lie_after_the_mailboxes_and_in_the_window() {
    assert!(mailbox(crate::map::MAX_VCPUS) <= VIRTIO_BASE);
    assert!(virtio(VIRTIO_DEVICES) <= DEVICES_BASE + DEVICES_BYTES);
    assert_eq!(virtio(1) - virtio(0), VIRTIO_STRIDE);
}
