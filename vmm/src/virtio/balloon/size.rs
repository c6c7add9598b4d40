//! The configuration space (section 5.5.4): how large the balloon is to be, and how large it is.

use serde::{Deserialize, Serialize};

/// How large a balloon is, in pages of 4 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// How many pages it is to hold (`num_pages`).
    pub target: u32,
    /// How many it holds, by what the driver says (`actual`).
    pub actual: u32,
}

/// The space: two numbers.
const LEN: usize = 8;
/// The part that the driver writes.
const ACTUAL: std::ops::Range<usize> = 4..8;

impl Size {
    fn space(self) -> [u8; LEN] {
        let mut space = [0; LEN];
        space[..4].copy_from_slice(&self.target.to_le_bytes());
        space[ACTUAL].copy_from_slice(&self.actual.to_le_bytes());
        space
    }

    /// Fills `data` from `offset` on. What lies beyond stays as it is.
    pub(super) fn read(self, offset: u64, data: &mut [u8]) {
        let Ok(offset) = usize::try_from(offset) else { return };
        for (byte, value) in data.iter_mut().zip(self.space().into_iter().skip(offset)) {
            *byte = value;
        }
    }

    /// The driver writes `data` at `offset`. Whether it may: all of it must be the actual size.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> bool {
        let Ok(start) = usize::try_from(offset) else { return false };
        let Some(end) = start.checked_add(data.len()) else { return false };
        if start < ACTUAL.start || end > ACTUAL.end {
            return false;
        }
        let mut space = self.space();
        space[start..end].copy_from_slice(data);
        self.actual = u32::from_le_bytes([space[4], space[5], space[6], space[7]]);
        true
    }
}
