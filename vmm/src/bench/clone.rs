//! How long a clone of a snapshot takes, from the call to the first answer of its own vCPU.
//!
//! The snapshot is of a guest that waits for a command, and whose whole table has been written, so
//! that every frame is resident. A clone finds a ping in its mailbox when it is started: it reads the
//! command (its first exit) and answers (its second).

use std::sync::Arc;
use std::time::{Duration, Instant};

use pincow_guest_protocol::Command;
use pincow_guest_protocol::map::{PAGE_BYTES, TABLE_FIRST_PAGE};

use super::bare::{Bare, Content, CpuState, Writes, states_of};
use super::{
    BenchError, FloorSample, Guests, Times, Watch, boot, in_turns, nowhere, snapshot_of_idle,
};
use crate::drive;
use crate::guest::Snapshot;
use crate::kvm::Host;

/// Measures `samples` clones of a guest, and as many of the floor.
///
/// # Errors
/// When a guest cannot be made, ends, or does not answer.
pub fn measure(
    host: &Arc<Host>,
    guests: &Guests,
    samples: usize,
    watch: Watch<'_>,
) -> Result<Times, BenchError> {
    watch("writing the first guest's memory", 0, samples);
    let root = boot(host, guests)?;
    let pages = guests.memory_bytes / PAGE_BYTES as u64 - TABLE_FIRST_PAGE;
    let touch = Command::Touch { first: TABLE_FIRST_PAGE, pages, stride: 1, value: 1 };
    drive::call(&root, 0, touch)?;
    let snapshot = snapshot_of_idle(&root)?;
    let floor = Floor {
        host,
        content: Content::of(&root, guests.memory_bytes)?,
        states: states_of(host, snapshot.state())?,
    };
    in_turns("cloning", samples, watch, || clone(&snapshot), || floor.clone())
}

fn clone(snapshot: &Snapshot) -> Result<Duration, BenchError> {
    let begun = Instant::now();
    let clone = snapshot.spawn(nowhere())?;
    drive::post(&clone, 0, Command::Ping)?;
    clone.machine().start()?;
    drive::reply(&clone, 0, Command::Ping)?;
    Ok(begun.elapsed())
}

struct Floor<'a> {
    host: &'a Host,
    content: Content,
    states: Vec<CpuState>,
}

impl Floor<'_> {
    fn clone(&self) -> Result<FloorSample, BenchError> {
        let begun = Instant::now();
        let memory = self.content.map(Writes::Copy)?;
        let mut bare = Bare::new(self.host, memory, &self.states)?;
        bare.post(0, Command::Ping)?;
        bare.start()?;
        bare.answer_since(begun)
    }
}
