//! What a copy's driver is told: that all connections are reset (section 5.10.6.7).

use vm_memory::{GuestMemory, Permissions};

use super::{EVENT, VsockWorker};
use crate::virtio::chain::{Layout, are_inside, len_bytes, scatter};
use crate::virtio::queues::Nonsense;

/// VIRTIO_VSOCK_EVENT_TRANSPORT_RESET, as `struct virtio_vsock_event` has it.
const TRANSPORT_RESET: [u8; 4] = 0_u32.to_le_bytes();

/// How far the driver of a copy is in learning that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// There is nothing to learn, or it has been learnt.
    None,
    /// It is to be told.
    Owed,
    /// It was told; so many other buffers were there.
    Given(u16),
}

impl<M: GuestMemory> VsockWorker<M> {
    /// Tells the driver when it has a buffer for it. It has acted on it when it makes another buffer
    /// available.
    pub(super) fn give_notice(&mut self) -> Result<(), Nonsense> {
        if self.notice == Notice::Owed {
            let Some(chain) = self.queues.take(EVENT, &self.memory)? else { return Ok(()) };
            let head = chain.head_index();
            let Layout { readable, writable, .. } = Layout::of(chain).map_err(|_| Nonsense)?;
            let fits = readable.is_empty() && len_bytes(&writable) >= TRANSPORT_RESET.len();
            if !fits || !are_inside(&writable, &self.memory, Permissions::Write) {
                return Err(Nonsense);
            }
            scatter(&writable, &self.memory, &TRANSPORT_RESET).ok_or(Nonsense)?;
            self.queues.answer(EVENT, &self.memory, head, TRANSPORT_RESET.len() as u32)?;
            let others = self.queues.await_more(EVENT, &self.memory)?;
            self.notice = Notice::Given(others);
        }
        if let Notice::Given(others) = self.notice
            && self.queues.untaken(EVENT, &self.memory)? > others
        {
            self.notice = Notice::None;
        }
        Ok(())
    }
}
