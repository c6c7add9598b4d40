//! From the link to the guest.

use vm_memory::{GuestMemory, Permissions};

use super::transmit::is_transient;
use super::{HEADER_LEN, MOST_FRAMES, NetWorker, RECEIVE};
use crate::virtio::chain::{Layout, are_inside, len_bytes, scatter};
use crate::virtio::net::frames::{FRAME_MAX, FRAME_MIN};
use crate::virtio::queues::Nonsense;
use crate::virtio::reactor::Next;

/// Where the header says over how many buffers a frame extends (section 5.1.6.4): 1, as more were
/// not offered.
const NUM_BUFFERS: usize = 10;

impl<M: GuestMemory> NetWorker<M> {
    /// Fills the driver's buffers with what the link has. A frame is taken from the link only when
    /// there is a buffer, and a buffer only when there is a frame.
    pub(super) fn receive(&mut self) -> Result<Next, Nonsense> {
        for _ in 0..MOST_FRAMES {
            if !self.queues.has_next(RECEIVE, &self.memory)? {
                return Ok(Next::Idle);
            }
            let Some(link) = &mut self.link else { return Ok(Next::Idle) };
            let Some(room) = self.frame.get_mut(HEADER_LEN..) else { return Ok(Next::Idle) };
            match link.receive(room) {
                Ok(len) if (FRAME_MIN..=FRAME_MAX).contains(&len) => self.deliver(len)?,
                Ok(_) => self.counts.dropped += 1,
                Err(error) if is_transient(&error) => {
                    self.listening = true;
                    return Ok(Next::Idle);
                }
                Err(_) => {
                    self.connect(None);
                    return Ok(Next::Idle);
                }
            }
        }
        Ok(Next::Now)
    }

    /// Writes a frame of `len` bytes into the next buffer. Where that is too small, the frame is
    /// dropped and the buffer stays available.
    fn deliver(&mut self, len: usize) -> Result<(), Nonsense> {
        let Some(chain) = self.queues.take(RECEIVE, &self.memory)? else { return Ok(()) };
        let head = chain.head_index();
        let Layout { readable, writable, .. } = Layout::of(chain).map_err(|_| Nonsense)?;
        if !readable.is_empty() || !are_inside(&writable, &self.memory, Permissions::Write) {
            return Err(Nonsense);
        }
        let total = HEADER_LEN + len;
        if len_bytes(&writable) < total {
            self.queues.put_back(RECEIVE);
            self.counts.dropped += 1;
            return Ok(());
        }
        let bytes = self.frame.get_mut(..total).ok_or(Nonsense)?;
        for (at, byte) in bytes.iter_mut().take(HEADER_LEN).enumerate() {
            *byte = u8::from(at == NUM_BUFFERS);
        }
        scatter(&writable, &self.memory, bytes).ok_or(Nonsense)?;
        self.queues.answer(RECEIVE, &self.memory, head, total as u32)?;
        self.counts.received += 1;
        Ok(())
    }
}
