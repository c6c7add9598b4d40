//! How much one side may send: the credit of section 5.10.6.3.

use std::num::Wrapping;

use crate::virtio::vsock::packet::Header;

/// What may be sent to the guest. Its counters are free-running.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// Bytes that the guest has room for, filled or not.
    room: u32,
    /// Bytes that it has passed on.
    forwarded: Wrapping<u32>,
    /// Bytes that it was sent.
    sent: Wrapping<u32>,
}

impl Allowance {
    /// Learns what every packet says.
    pub(super) fn update(&mut self, header: &Header) {
        self.room = header.buf_alloc;
        self.forwarded = Wrapping(header.fwd_cnt);
    }

    /// Bytes that may be sent now. None where the guest says that it has passed on what it never got.
    pub(super) fn left(&self) -> u32 {
        self.room.saturating_sub((self.sent - self.forwarded).0)
    }

    pub(super) fn spend(&mut self, len: u32) {
        self.sent += len;
    }
}
