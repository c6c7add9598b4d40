//! What a guest has sent and the host's program has not read.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::num::Wrapping;
use std::os::unix::net::UnixStream;

/// Bytes that a connection holds for the host's program, which is the credit that the guest has.
pub const BUFFER_LEN: usize = 64 << 10;

/// After how many bytes that were passed on the guest is told of it, where it is told nothing else.
/// Less than all its credit, so that a guest that has none left is always told.
const TELL_AFTER: u32 = (BUFFER_LEN / 4) as u32;

/// The guest has sent more than it has credit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::virtio::vsock) struct Overrun;

/// Bytes on their way to the host.
#[derive(Debug, Default)]
pub(in crate::virtio::vsock) struct Outlet {
    bytes: VecDeque<u8>,
    /// How many the host's program was given, and how many of those the guest knows of.
    forwarded: Wrapping<u32>,
    told: Wrapping<u32>,
}

impl Outlet {
    /// Keeps `bytes`, all or none.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Overrun> {
        let untold = (self.forwarded - self.told).0 as usize;
        if self.bytes.len() + untold + bytes.len() > BUFFER_LEN {
            return Err(Overrun);
        }
        self.bytes.extend(bytes);
        Ok(())
    }

    /// Passes on as much as `stream` takes now.
    ///
    /// # Errors
    /// When it will never take any.
    pub(in crate::virtio::vsock) fn flush(&mut self, stream: &mut UnixStream) -> io::Result<()> {
        while !self.bytes.is_empty() {
            match stream.write(self.bytes.as_slices().0) {
                Ok(len) => {
                    self.bytes.drain(..len);
                    self.forwarded += len as u32;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(in crate::virtio::vsock) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the guest should be told how much was passed on.
    pub(super) fn is_credit_due(&self) -> bool {
        (self.forwarded - self.told).0 >= TELL_AFTER
    }

    /// How much was passed on, for a packet that tells the guest.
    pub(super) fn tell(&mut self) -> u32 {
        self.told = self.forwarded;
        self.told.0
    }
}
