//! A machine whose vCPUs are all parked, as a guard.

use parking_lot::MutexGuard;

use super::slot::Slot;
use super::{Gate, Machine, MachineState, ParkedAt, PauseError, SavedVcpu, Stopped, thread};
use crate::kvm::KvmError;

/// All vCPUs of a machine are parked while this lives, and only through it can their state be
/// read. Dropping it lets them run again, if they ran before.
#[must_use = "dropping the guard lets the vCPUs run again"]
pub struct Paused<'a> {
    machine: &'a Machine,
    gate: MutexGuard<'a, Gate>,
    parked: Vec<ParkedAt>,
}

impl<'a> Paused<'a> {
    pub(super) fn new(
        machine: &'a Machine,
        gate: MutexGuard<'a, Gate>,
    ) -> Result<Paused<'a>, PauseError> {
        let shared = &machine.shared;
        // A vCPU that sleeps in its mailbox is woken by the mailbox, all others by a signal; all
        // are asked before any is waited for.
        shared.slots.iter().for_each(Slot::request_park);
        shared.board.mailboxes.iter().for_each(|mailbox| mailbox.interrupt());
        let parked: Option<Vec<ParkedAt>> = shared.slots.iter().map(Slot::wait_parked).collect();
        match (parked, shared.end()) {
            (Some(parked), None) => Ok(Paused { machine, gate, parked }),
            (_, reason) => Err(PauseError::Stopped { reason: reason.unwrap_or(Stopped::Killed) }),
        }
    }

    /// The machine that is paused.
    pub fn machine(&self) -> &'a Machine {
        self.machine
    }

    /// The vCPUs stay parked, until the machine is started.
    pub(super) fn keep(mut self) {
        self.gate.started = false;
        self.machine.shared.slots.iter().for_each(|slot| slot.vcpu.tell_that_it_stood_still());
    }

    /// Where each vCPU was when it was parked, in order.
    pub fn parked_at(&self) -> &[ParkedAt] {
        &self.parked
    }

    /// Copies the state of all vCPUs and devices. The memory is the caller's business.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn save(&self) -> Result<MachineState, KvmError> {
        let (shared, machine) = (&self.machine.shared, self.machine);
        let each = shared.slots.iter().zip(&self.parked).zip(&shared.board.mailboxes);
        let vcpus = each.map(|((slot, &parked_at), mailbox)| {
            let state = machine.save_vcpu(&slot.vcpu)?;
            Ok(SavedVcpu { state, parked_at, mailbox: mailbox.save() })
        });
        Ok(MachineState {
            version: MachineState::VERSION,
            ram_bytes: machine.ram.len_bytes() as u64,
            vcpus: vcpus.collect::<Result<_, _>>()?,
            serial: shared.board.serial.save(),
            pc: machine.save_pc()?,
        })
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        let shared = &self.machine.shared;
        if self.gate.started
            && let Err(error) = thread::resume_all(shared)
        {
            // All threads of a started machine exist, so there is none to fail at starting.
            eprintln!("pincow: a paused guest could not go on: {error}");
            shared.finish(Stopped::Killed);
        }
    }
}
