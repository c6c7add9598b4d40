//! The configuration space (section 5.1.4).

use std::sync::atomic::{AtomicBool, Ordering};

use virtio_bindings::virtio_net::{VIRTIO_NET_F_MAC, VIRTIO_NET_F_STATUS, VIRTIO_NET_S_LINK_UP};

use super::mac::Mac;
use crate::virtio::features::COMMON;

/// What is offered (section 5.1.3).
pub(super) const FEATURES: u64 = COMMON | 1 << VIRTIO_NET_F_MAC | 1 << VIRTIO_NET_F_STATUS;

/// What a worker and its device both say about a card.
pub(super) struct Card {
    mac: Mac,
    up: AtomicBool,
}

impl Card {
    pub(super) fn new(mac: Mac, up: bool) -> Self {
        Self { mac, up: AtomicBool::new(up) }
    }

    pub(super) fn mac(&self) -> Mac {
        self.mac
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Whether that is a change.
    pub(super) fn set_up(&self, up: bool) -> bool {
        self.up.swap(up, Ordering::AcqRel) != up
    }

    /// Fills `data` from `offset` of the space on: address and status. What lies beyond stays as it
    /// is.
    pub(super) fn read(&self, offset: u64, data: &mut [u8]) {
        let status = if self.is_up() { VIRTIO_NET_S_LINK_UP as u16 } else { 0 };
        let space = self.mac.bytes().into_iter().chain(status.to_le_bytes());
        let Ok(offset) = usize::try_from(offset) else { return };
        for (byte, value) in data.iter_mut().zip(space.skip(offset)) {
            *byte = value;
        }
    }
}
