//! The device's registers, and how the driver reaches them.

use crate::memory::ByteMemory;

/// Offsets of the registers.
pub mod register {
    /// Reads as [`MAGIC`].
    pub const MAGIC_VALUE: u64 = 0x000;
    /// Reads as [`VERSION_2`].
    pub const VERSION: u64 = 0x004;
    /// Reads as [`BLOCK`] for a disk.
    pub const DEVICE_ID: u64 = 0x008;
    /// What the device offers, 32 bits of it.
    pub const DEVICE_FEATURES: u64 = 0x010;
    /// Which 32 bits.
    pub const DEVICE_FEATURES_SEL: u64 = 0x014;
    /// What the driver takes, 32 bits of it.
    pub const DRIVER_FEATURES: u64 = 0x020;
    /// Which 32 bits.
    pub const DRIVER_FEATURES_SEL: u64 = 0x024;
    /// Which queue the queue registers are of.
    pub const QUEUE_SEL: u64 = 0x030;
    /// Most entries of the queue.
    pub const QUEUE_NUM_MAX: u64 = 0x034;
    /// Entries of the queue.
    pub const QUEUE_NUM: u64 = 0x038;
    /// 1: the queue may be used.
    pub const QUEUE_READY: u64 = 0x044;
    /// The doorbell.
    pub const QUEUE_NOTIFY: u64 = 0x050;
    /// The status.
    pub const STATUS: u64 = 0x070;
    /// Address of the descriptors; the high half is in the next register. So for the other two.
    pub const QUEUE_DESC: u64 = 0x080;
    /// Address of the available ring.
    pub const QUEUE_DRIVER: u64 = 0x090;
    /// Address of the used ring.
    pub const QUEUE_DEVICE: u64 = 0x0a0;
    /// The configuration space: the capacity in sectors, 64 bits.
    pub const CONFIG: u64 = 0x100;

    /// "virt".
    pub const MAGIC: u32 = 0x7472_6976;
    /// The version that is not legacy.
    pub const VERSION_2: u32 = 2;
    /// The device ID of a disk.
    pub const BLOCK: u32 = 2;

    /// Status bits.
    pub const ACKNOWLEDGE: u32 = 1;
    /// The driver knows the device.
    pub const DRIVER: u32 = 2;
    /// The driver is ready.
    pub const DRIVER_OK: u32 = 4;
    /// The features are agreed on.
    pub const FEATURES_OK: u32 = 8;
    /// The device has broken.
    pub const NEEDS_RESET: u32 = 64;
}

/// Memory, and the registers of the virtio devices.
pub trait Bus: ByteMemory {
    /// Reads a register of a device.
    fn read_register(&mut self, device: usize, offset: u64) -> u32;

    /// Writes a register of a device.
    fn write_register(&mut self, device: usize, offset: u64, value: u32);

    /// Called each time that there was nothing to do.
    fn relax(&mut self);

    /// Called when there was nothing to do for a while: the processor may do something else for so
    /// many microseconds.
    fn rest(&mut self, _microseconds: u64) {
        self.relax();
    }
}
