//! From the guest to the host.

use vm_memory::GuestMemory;

use super::{MOST_PACKETS, MOST_REPLIES, TRANSMIT, VsockWorker};
use crate::virtio::chain::{Layout, gather, len_bytes};
use crate::virtio::queues::Nonsense;
use crate::virtio::reactor::Next;
use crate::virtio::vsock::connection::Fate;
use crate::virtio::vsock::packet::{HEADER_LEN, HOST_CID, Header, Op, PORT_ANY, STREAM};

impl<M: GuestMemory> VsockWorker<M> {
    /// Acts on what the driver made available. [`Next::Soon`] when it has to wait for replies to go.
    pub(super) fn transmit(&mut self) -> Result<Next, Nonsense> {
        for _ in 0..MOST_PACKETS {
            if self.replies.len() >= MOST_REPLIES {
                return Ok(Next::Soon);
            }
            let Some(chain) = self.queues.take(TRANSMIT, &self.memory)? else {
                return Ok(Next::Idle);
            };
            let head = chain.head_index();
            if self.foreign > 0 {
                self.foreign -= 1;
                self.counts.left += 1;
            } else {
                let layout = Layout::of(chain).map_err(|_| Nonsense)?;
                match self.read_packet(&layout) {
                    Some((header, bytes)) => self.act(&header, bytes),
                    None => self.counts.refused += 1,
                }
            }
            self.queues.answer(TRANSMIT, &self.memory, head, 0)?;
        }
        Ok(Next::Now)
    }

    /// Copies a packet: its header, and how many bytes come behind it. `None` for what is no packet of
    /// this guest.
    fn read_packet(&mut self, layout: &Layout) -> Option<(Header, usize)> {
        if !layout.writable.is_empty() {
            return None;
        }
        // A chain that is longer than its packet is no fault (section 2.7.4.2).
        let len = len_bytes(&layout.readable).min(self.packet.len());
        let bytes = self.packet.get_mut(..len)?;
        gather(&layout.readable, &self.memory, bytes)?;
        let header = Header::from_bytes(bytes.first_chunk::<HEADER_LEN>()?);
        (header.src_cid == self.cid.wide()).then_some((header, len - HEADER_LEN))
    }

    /// Acts on a packet that has `behind` bytes behind its header.
    fn act(&mut self, header: &Header, behind: usize) {
        self.counts.taken += 1;
        let ports = header.ports();
        let is_known = header.dst_cid == HOST_CID && header.socket_type == STREAM;
        let connection = is_known.then(|| self.connections.get(ports)).flatten();
        let Some(connection) = connection else {
            let is_request = is_known && header.op == Op::Request as u16 && ports.guest != PORT_ANY;
            if !is_request || self.open(header).is_none() {
                self.refuse(header);
            }
            return;
        };
        let len = if header.op == Op::Data as u16 { header.len as usize } else { 0 };
        let bytes = self.packet.get(HEADER_LEN..HEADER_LEN + behind).and_then(|all| all.get(..len));
        let fate = match bytes {
            Some(bytes) => connection.take(header, bytes),
            None => {
                connection.end();
                Fate::Lives
            }
        };
        if fate == Fate::Over {
            self.connections.part(ports);
        }
    }

    fn open(&mut self, request: &Header) -> Option<()> {
        self.connections.open(self.socket.as_ref()?, request)
    }

    fn refuse(&mut self, header: &Header) {
        if let Some(reset) = header.reset() {
            self.replies.push_back(reset);
            self.counts.resets += 1;
        }
    }
}
