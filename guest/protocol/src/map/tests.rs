use super::*;
use crate::devices::{DEVICES_BASE, DEVICES_BYTES, mailbox};

#[test]
fn the_parts_lie_in_order_and_do_not_overlap() {
    let edges = [
        GDT_BASE,
        TSS_BASE,
        PAGE_TABLES_BASE,
        PAGE_TABLES_END,
        control_page(0),
        control_page(MAX_VCPUS),
        STACKS_BASE,
        stack_top(MAX_VCPUS - 1),
        LOW_END,
        DISKS_BASE,
        DISKS_END,
        PAYLOAD_BASE,
        PAYLOAD_END,
        RAM_MAX_BYTES,
    ];
    assert!(edges.is_sorted(), "{edges:#x?}");
    assert_eq!(PAGE_TABLES_END, CONTROL_BASE);
    assert_eq!(STACKS_BASE, stack_top(0) - STACK_BYTES);
}

#[test]
fn each_vcpu_has_its_own_page_stack_and_mailbox() {
    assert_eq!(control_page(1) - control_page(0), PAGE_BYTES as u64);
    assert_eq!(stack_top(1) - stack_top(0), STACK_BYTES);
    assert_eq!(stack_top(3) % 16, 0);
    assert!(mailbox(MAX_VCPUS) <= DEVICES_BASE + DEVICES_BYTES);
}
