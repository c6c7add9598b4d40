//! Feature bits (virtio 1.2, sections 2.2 and 6).

use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};

/// What every device here offers. A driver that does not take VERSION_1 is refused.
pub const COMMON: u64 =
    1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_INDIRECT_DESC | 1 << VIRTIO_RING_F_EVENT_IDX;

/// Whether `features` has bit number `bit`.
#[must_use]
pub fn has(features: u64, bit: u32) -> bool {
    features & (1 << bit) != 0
}
