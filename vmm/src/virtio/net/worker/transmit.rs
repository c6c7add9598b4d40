//! From the guest to the link.

use std::io;

use vm_memory::GuestMemory;

use super::{HEADER_LEN, MOST_FRAMES, NetWorker, TRANSMIT};
use crate::virtio::chain::{Layout, gather, len_bytes};
use crate::virtio::net::frames::{FRAME_MAX, FRAME_MIN};
use crate::virtio::queues::Nonsense;
use crate::virtio::reactor::Next;

impl<M: GuestMemory> NetWorker<M> {
    /// Sends what the driver made available. Each frame is answered in the step in which the link
    /// takes it, or it is not taken.
    pub(super) fn transmit(&mut self) -> Result<Next, Nonsense> {
        for _ in 0..MOST_FRAMES {
            let Some(chain) = self.queues.take(TRANSMIT, &self.memory)? else {
                return Ok(Next::Idle);
            };
            let head = chain.head_index();
            if self.foreign > 0 {
                self.foreign -= 1;
                self.counts.left += 1;
            } else {
                let layout = Layout::of(chain).map_err(|_| Nonsense)?;
                if !self.send(&layout) {
                    self.queues.put_back(TRANSMIT);
                    return Ok(Next::Soon);
                }
            }
            self.queues.answer(TRANSMIT, &self.memory, head, 0)?;
        }
        Ok(Next::Now)
    }

    /// Whether the frame is done with; if not, the link has no room for it now.
    fn send(&mut self, layout: &Layout) -> bool {
        let Some(len) = self.read_frame(layout) else {
            self.counts.refused += 1;
            return true;
        };
        let frame = self.frame.get(HEADER_LEN..len).unwrap_or_default();
        match self.link.as_mut().map(|link| link.send(frame)) {
            Some(Ok(())) => self.counts.sent += 1,
            Some(Err(error)) if is_transient(&error) => return false,
            Some(Err(_)) | None => self.counts.lost += 1,
        }
        true
    }

    /// Copies a header and a frame; their length. `None` for what is not to be sent.
    fn read_frame(&mut self, layout: &Layout) -> Option<usize> {
        let len = len_bytes(&layout.readable);
        let fits = (HEADER_LEN + FRAME_MIN..=HEADER_LEN + FRAME_MAX).contains(&len);
        if !fits || !layout.writable.is_empty() {
            return None;
        }
        let bytes = self.frame.get_mut(..len)?;
        gather(&layout.readable, &self.memory, bytes)?;
        // Flags and segmentation: a frame without its checksum, or one that is to be cut up, is
        // nothing that was offered (section 5.1.6.2.1).
        bytes.starts_with(&[0, 0]).then_some(len)
    }
}

/// Whether the same call may succeed later.
pub(super) fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
