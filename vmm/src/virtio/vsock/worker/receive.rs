//! From the host to the guest.

use vm_memory::{GuestMemory, Permissions};

use super::{MOST_PACKETS, RECEIVE, VsockWorker};
use crate::virtio::chain::{Layout, are_inside, len_bytes, scatter};
use crate::virtio::queues::Nonsense;
use crate::virtio::reactor::Next;
use crate::virtio::vsock::connection::BUFFER_LEN;
use crate::virtio::vsock::packet::{HEADER_LEN, Header, Op};

impl<M: GuestMemory> VsockWorker<M> {
    /// Fills the driver's buffers with what is to be said. Bytes are read from the host only when
    /// there is a buffer, and a buffer is taken only when there is something to say.
    pub(super) fn receive(&mut self) -> Result<Next, Nonsense> {
        for _ in 0..MOST_PACKETS {
            if self.replies.is_empty() && !self.connections.wants_to_speak() {
                return Ok(Next::Idle);
            }
            let Some(chain) = self.queues.take(RECEIVE, &self.memory)? else {
                return Ok(Next::Idle);
            };
            let head = chain.head_index();
            let Layout { readable, writable, .. } = Layout::of(chain).map_err(|_| Nonsense)?;
            let room = len_bytes(&writable);
            // One that has no place for a single byte could not carry what was said.
            let fits = readable.is_empty() && room > HEADER_LEN;
            if !fits || !are_inside(&writable, &self.memory, Permissions::Write) {
                return Err(Nonsense);
            }
            let Some(len) = self.next_packet(room) else {
                self.queues.put_back(RECEIVE);
                return Ok(Next::Idle);
            };
            let bytes = self.packet.get(..len).ok_or(Nonsense)?;
            scatter(&writable, &self.memory, bytes).ok_or(Nonsense)?;
            self.queues.answer(RECEIVE, &self.memory, head, len as u32)?;
            self.counts.given += 1;
        }
        Ok(Next::Now)
    }

    /// Puts the next packet of at most `room` bytes together; its length.
    fn next_packet(&mut self, room: usize) -> Option<usize> {
        let room = room.min(self.packet.len());
        let (header, payload) = self.packet.get_mut(..room)?.split_at_mut_checked(HEADER_LEN)?;
        if let Some(reply) = self.replies.pop_front() {
            header.copy_from_slice(&reply.to_bytes());
            return Some(HEADER_LEN);
        }
        let (ports, said) = self.connections.speak(payload)?;
        let whole = Header {
            len: said.len as u32,
            flags: said.flags,
            buf_alloc: BUFFER_LEN as u32,
            fwd_cnt: said.fwd_cnt,
            ..Header::to_guest(self.cid, ports, said.op)
        };
        header.copy_from_slice(&whole.to_bytes());
        if said.op == Op::Reset {
            self.connections.part(ports);
        }
        Some(HEADER_LEN + said.len)
    }
}
