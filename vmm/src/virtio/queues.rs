//! The queues of a device at work.

use std::sync::atomic::Ordering;

use virtio_queue::{DescriptorChain, Error, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemory};

use super::queue::{QueueError, SavedQueue};
use super::signals::Signals;

#[cfg(test)]
mod tests;

/// Something in a queue that no driver may do: the device is broken until it is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonsense;

impl From<Error> for Nonsense {
    fn from(_: Error) -> Self {
        Self
    }
}

/// All queues of one device, and which of them the driver may have to be told of.
#[derive(Default)]
pub(crate) struct Queues {
    queues: Vec<Option<Queue>>,
    /// Those whose used ring has grown.
    used: Vec<bool>,
    /// The driver is told of used buffers whether it wants to or not: after a restore.
    tell: bool,
    /// Doorbells were asked for, and not declined since.
    listening: bool,
}

impl Queues {
    /// Those of a driver that is ready; `None` for one that it does not use.
    pub(crate) fn new(queues: Vec<Option<Queue>>) -> Self {
        Self { used: vec![false; queues.len()], queues, tell: false, listening: false }
    }

    /// How many there are, those included that the driver does not use; 0 before it is ready.
    pub(crate) fn len(&self) -> usize {
        self.queues.len()
    }

    /// Entries of a queue; `None` where the driver does not use it.
    pub(crate) fn size(&self, index: usize) -> Option<u16> {
        self.queues.get(index)?.as_ref().map(QueueT::size)
    }

    /// How many chains the driver has made available that were not taken.
    pub(crate) fn untaken<M: GuestMemory>(
        &self,
        index: usize,
        memory: &M,
    ) -> Result<u16, Nonsense> {
        let Some(Some(queue)) = self.queues.get(index) else { return Ok(0) };
        let available = queue.avail_idx(memory, Ordering::Acquire)?.0;
        let count = available.wrapping_sub(queue.next_avail());
        (count <= queue.size()).then_some(count).ok_or(Nonsense)
    }

    /// Whether any queue has a chain to take. Where a ring makes no sense, it has none.
    pub(crate) fn is_offered_any<M: GuestMemory>(&self, memory: &M) -> bool {
        (0..self.len()).any(|index| self.untaken(index, memory).is_ok_and(|count| count > 0))
    }

    /// Tells the driver that doorbells are not needed now. Whoever does it looks at the queues again,
    /// and asks for doorbells at last.
    pub(crate) fn decline_doorbells<M: GuestMemory>(&mut self, memory: &M) {
        if !std::mem::take(&mut self.listening) {
            return;
        }
        for queue in self.queues.iter_mut().flatten() {
            // Where the ring cannot be written, the driver rings needlessly.
            if queue.event_idx_enabled() {
                // The event of section 2.7.10.1, which lies behind the used ring: one that has passed.
                let passed = queue.next_avail().wrapping_sub(1).to_le();
                let place = queue.used_ring() + 4 + 8 * u64::from(queue.size());
                let _ = memory.write_obj(passed, GuestAddress(place));
            } else {
                let _ = queue.disable_notification(memory);
            }
        }
    }

    /// Whether there is a chain to take. Doorbells are asked for before the answer is no.
    pub(crate) fn has_next<M: GuestMemory>(
        &mut self,
        index: usize,
        memory: &M,
    ) -> Result<bool, Nonsense> {
        if self.untaken(index, memory)? > 0 {
            return Ok(true);
        }
        let Some(Some(queue)) = self.queues.get_mut(index) else { return Ok(false) };
        self.listening = true;
        queue.enable_notification(memory)?;
        Ok(self.untaken(index, memory)? > 0)
    }

    /// Asks for a doorbell when the driver makes available more chains than there are now, however few
    /// of these are taken. How many there are.
    pub(crate) fn await_more<M: GuestMemory>(
        &mut self,
        index: usize,
        memory: &M,
    ) -> Result<u16, Nonsense> {
        let untaken = self.untaken(index, memory)?;
        if let Some(Some(queue)) = self.queues.get(index)
            && queue.event_idx_enabled()
        {
            // The event of section 2.7.10.1, which lies behind the used ring. Without it, doorbells
            // come unless they were declined.
            let next = queue.next_avail().wrapping_add(untaken).to_le();
            let place = queue.used_ring() + 4 + 8 * u64::from(queue.size());
            memory.write_obj(next, GuestAddress(place)).map_err(|_| Nonsense)?;
        }
        Ok(untaken)
    }

    /// Takes the next chain, whose head is one of the queue's descriptors.
    pub(crate) fn take<'m, M: GuestMemory>(
        &mut self,
        index: usize,
        memory: &'m M,
    ) -> Result<Option<DescriptorChain<&'m M>>, Nonsense> {
        if !self.has_next(index, memory)? {
            return Ok(None);
        }
        let Some(Some(queue)) = self.queues.get_mut(index) else { return Ok(None) };
        let size = queue.size();
        match queue.iter(memory)?.next() {
            Some(chain) if chain.head_index() < size => Ok(Some(chain)),
            _ => Err(Nonsense),
        }
    }

    /// Undoes the last [`take`](Self::take), whose chain is the next again.
    pub(crate) fn put_back(&mut self, index: usize) {
        if let Some(Some(queue)) = self.queues.get_mut(index) {
            queue.set_next_avail(queue.next_avail().wrapping_sub(1));
        }
    }

    /// Where a queue's used ring is, and how many bytes it has (section 2.7.8); `None` where the driver
    /// does not use the queue.
    pub(crate) fn used_ring(&self, index: usize) -> Option<(u64, u64)> {
        let queue = self.queues.get(index)?.as_ref()?;
        Some((queue.used_ring(), 6 + 8 * u64::from(queue.size())))
    }

    /// Hands a chain back to the driver, with `len` bytes written.
    pub(crate) fn answer<M: GuestMemory>(
        &mut self,
        index: usize,
        memory: &M,
        head: u16,
        len: u32,
    ) -> Result<(), Nonsense> {
        let Some(Some(queue)) = self.queues.get_mut(index) else { return Ok(()) };
        queue.add_used(memory, head, len)?;
        if let Some(used) = self.used.get_mut(index) {
            *used = true;
        }
        Ok(())
    }

    /// Tells the driver about used buffers, where it wants to know.
    pub(crate) fn tell_driver<M: GuestMemory>(&mut self, memory: &M, signals: &Signals) {
        let mut tell = std::mem::take(&mut self.tell);
        for (queue, used) in self.queues.iter_mut().zip(&mut self.used) {
            if let (Some(queue), true) = (queue, std::mem::take(used)) {
                tell |= queue.needs_notification(memory).unwrap_or(true);
            }
        }
        if tell {
            signals.buffers_used();
        }
    }

    /// As plain data.
    pub(crate) fn save(&self) -> Vec<Option<SavedQueue>> {
        self.queues.iter().map(|queue| queue.as_ref().map(SavedQueue::of)).collect()
    }

    /// The queues that were saved of a device with `count` of them, of up to `max_size` entries; or
    /// none, where its driver was not ready. Interrupts do not survive a copy, so the driver will be
    /// [told](Self::tell_driver) of buffers whether there are any or not.
    pub(crate) fn restore<M: GuestMemory>(
        saved: &[Option<SavedQueue>],
        count: usize,
        max_size: u16,
        memory: &M,
    ) -> Result<Self, QueueError> {
        let found = saved.len();
        let fits = saved.iter().flatten().all(|queue| queue.max_size == max_size);
        if !fits || found != 0 && found != count {
            return Err(QueueError::Number { found, expected: count });
        }
        let live =
            |queue: &Option<SavedQueue>| queue.as_ref().map(|queue| queue.live(memory)).transpose();
        let queues = saved.iter().map(live).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { tell: !queues.is_empty(), ..Self::new(queues) })
    }
}
