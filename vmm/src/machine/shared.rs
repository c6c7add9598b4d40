//! What a machine's threads and its owner share: the vCPUs, the devices, and the end.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::board::Board;
use super::slot::Slot;
use super::{ParkedAt, Stopped};
use crate::kvm::Vcpu;

pub(super) struct Shared {
    pub(super) slots: Vec<Slot>,
    pub(super) board: Board,
    end: Mutex<Option<Stopped>>,
    ended: Condvar,
}

impl Shared {
    pub(super) fn new(vcpus: Vec<Vcpu>, parked: &[ParkedAt], board: Board) -> Shared {
        let slots = vcpus.into_iter().zip(parked).map(|(vcpu, &at)| Slot::new(vcpu, at)).collect();
        Shared { slots, board, end: Mutex::default(), ended: Condvar::new() }
    }

    /// Ends the machine: the first reason stays, every vCPU is asked to stop, and nobody waits for
    /// a reply any more. Does not wait.
    pub(super) fn finish(&self, reason: Stopped) {
        self.end.lock().get_or_insert(reason);
        for slot in &self.slots {
            slot.request_stop();
        }
        for mailbox in &self.board.mailboxes {
            mailbox.close();
        }
        self.ended.notify_all();
    }

    pub(super) fn end(&self) -> Option<Stopped> {
        self.end.lock().clone()
    }

    pub(super) fn wait_end(&self) -> Stopped {
        let mut end = self.end.lock();
        loop {
            match &*end {
                Some(reason) => return reason.clone(),
                None => self.ended.wait(&mut end),
            }
        }
    }

    pub(super) fn wait_end_timeout(&self, timeout: Duration) -> Option<Stopped> {
        let Some(deadline) = Instant::now().checked_add(timeout) else {
            return Some(self.wait_end());
        };
        let mut end = self.end.lock();
        while end.is_none() && Instant::now() < deadline {
            self.ended.wait_until(&mut end, deadline);
        }
        end.clone()
    }

    pub(super) fn join(&self) {
        self.slots.iter().for_each(Slot::join);
    }

    /// The CPU time of the threads.
    pub(super) fn cpu_time(&self) -> Duration {
        self.slots.iter().map(Slot::cpu_time).sum()
    }
}
