//! The thread of a vCPU: into the guest, serve what it came out for, into the guest again.

use std::sync::Arc;
use std::thread::Builder;

use super::shared::Shared;
use super::slot::{Resumed, Slot};
use super::step::{Step, step};
use super::{MachineError, ParkedAt};

/// A vCPU thread serves registers and little else; a host may have thousands of them.
const STACK_BYTES: usize = 256 << 10;

/// Lets all vCPUs run that have not stopped, and gives threads to those that have none.
pub(super) fn resume_all(shared: &Arc<Shared>) -> Result<(), MachineError> {
    shared.board.mailboxes.iter().for_each(|mailbox| mailbox.resume());
    for (index, slot) in shared.slots.iter().enumerate() {
        if slot.set_running() == Resumed::NeedsThread {
            spawn(shared, index)?;
        }
    }
    Ok(())
}

fn spawn(shared: &Arc<Shared>, index: usize) -> Result<(), MachineError> {
    let theirs = shared.clone();
    let handle = Builder::new()
        .name(format!("pincow-vcpu{index}"))
        .stack_size(STACK_BYTES)
        .spawn(move || run(&theirs, index));
    let slot = &shared.slots[index];
    match handle {
        Ok(handle) => {
            slot.set_handle(handle);
            Ok(())
        }
        Err(error) => {
            slot.leave();
            Err(MachineError::Thread { vcpu: index as u32, reason: error.to_string() })
        }
    }
}

/// Says that the thread has ended, however it ends.
struct Leave<'a> {
    shared: &'a Shared,
    slot: &'a Slot,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.slot.leave();
        if std::thread::panicking() {
            self.shared.finish(super::Stopped::Killed);
        }
    }
}

fn run(shared: &Shared, index: usize) {
    let slot = &shared.slots[index];
    let _leave = Leave { shared, slot };
    slot.enter();
    loop {
        match run_until_wanted(shared, slot) {
            Step::Ended(reason) => {
                shared.finish(reason);
                return;
            }
            Step::Interrupted(at) => {
                if !slot.obey(at) {
                    return;
                }
            }
            Step::Served | Step::Blocked => {}
        }
    }
}

/// Runs the guest until its vCPU is wanted elsewhere and has nothing pending, or cannot go on.
/// Holds the descriptor only for that long.
fn run_until_wanted(shared: &Shared, slot: &Slot) -> Step {
    let mut fd = slot.vcpu.lock();
    let mut blocked = false;
    loop {
        match step(&mut fd, &shared.board, slot.vcpu.index()) {
            Step::Served => blocked = false,
            Step::Blocked => blocked = true,
            Step::Interrupted(_) if !slot.is_wanted() => {}
            // The access that gave up waiting is completed by now, and nothing came after it.
            Step::Interrupted(ParkedAt::Exit) if blocked => {
                return Step::Interrupted(ParkedAt::Blocked);
            }
            step => return step,
        }
    }
}
