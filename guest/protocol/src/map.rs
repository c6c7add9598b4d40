//! The guest physical memory map. Guest virtual addresses are the same (identity page tables).

/// Bytes in a page.
pub const PAGE_BYTES: usize = 4096;

/// 8-byte words in a page.
pub const PAGE_WORDS: usize = PAGE_BYTES / 8;

/// The most vCPUs that this map has room for.
pub const MAX_VCPUS: usize = 32;

/// The global descriptor table: one page.
pub const GDT_BASE: u64 = 0x1000;

/// The task state segment, shared by all vCPUs (nothing writes it): one page.
pub const TSS_BASE: u64 = 0x2000;

/// The page tables: the PML4 first, then whatever the monitor needs.
pub const PAGE_TABLES_BASE: u64 = 0x8000;

/// End of the room for page tables.
pub const PAGE_TABLES_END: u64 = 0x2_0000;

/// The control pages, one per vCPU, in order.
pub const CONTROL_BASE: u64 = 0x2_0000;

/// The stacks, one per vCPU, in order.
pub const STACKS_BASE: u64 = 0x4_0000;

/// Bytes of stack that each vCPU has.
pub const STACK_BYTES: u64 = 0x4000;

/// End of the low structures, which the monitor lays out.
pub const LOW_END: u64 = 0x10_0000;

/// The queues of the disk driver and its own state, one place per device, in order.
pub const DISKS_BASE: u64 = LOW_END;

/// Bytes of each device's place.
pub const DISK_STRIDE: u64 = 0x2_0000;

/// End of the disk driver's places.
pub const DISKS_END: u64 = DISKS_BASE + super::devices::VIRTIO_DEVICES as u64 * DISK_STRIDE;

/// Where the payload is linked to and loaded.
pub const PAYLOAD_BASE: u64 = 0x20_0000;

/// End of the room for the payload.
pub const PAYLOAD_END: u64 = TABLE_BASE;

/// From here to the end of RAM, memory is free for tables: what the commands read and write.
pub const TABLE_BASE: u64 = 0x40_0000;

/// The first page of the tables.
pub const TABLE_FIRST_PAGE: u64 = TABLE_BASE / PAGE_BYTES as u64;

/// The most RAM in bytes: it must end where the device window begins.
pub const RAM_MAX_BYTES: u64 = super::devices::DEVICES_BASE;

/// Address of the control page of vCPU `vcpu`.
#[must_use]
pub const fn control_page(vcpu: usize) -> u64 {
    CONTROL_BASE + vcpu as u64 * PAGE_BYTES as u64
}

/// Address of the queue and the driver's state of device `device`.
#[must_use]
pub const fn disk_place(device: usize) -> u64 {
    DISKS_BASE + device as u64 * DISK_STRIDE
}

/// The stack pointer with which vCPU `vcpu` starts: the end of its stack.
#[must_use]
pub const fn stack_top(vcpu: usize) -> u64 {
    STACKS_BASE + (vcpu as u64 + 1) * STACK_BYTES
}

#[cfg(test)]
mod tests;
