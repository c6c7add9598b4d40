//! How long a new guest takes, from the call to the first answer of its own vCPU.
//!
//! Nothing of it is there before the clock starts but the payload's file in this process: not its memory,
//! what lies in it, its machine or its vCPUs. It finds a ping in its mailbox when it is started: it says on the serial
//! port that it is there (its first exit, and one for each character), reads the command and answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pincow_guest_protocol::Command;
use pincow_guest_protocol::map::{PAGE_BYTES, PAYLOAD_END};
use vm_memory::{Bytes, GuestAddress};

use super::bare::{Bare, Content, Writes};
use super::{BenchError, FloorSample, Guests, PAYLOAD, Times, Watch, drive, in_turns};
use crate::boot::{self, Loaded};
use crate::guest::{Guest, GuestConfig};
use crate::kvm::Host;
use crate::machine::GuestRam;

/// Measures `samples` boots of a guest, and as many of the floor.
///
/// # Errors
/// When a guest cannot be made, ends, or does not answer.
pub fn measure(
    host: &Arc<Host>,
    guests: &Guests,
    samples: usize,
    watch: Watch<'_>,
) -> Result<Times, BenchError> {
    let ours = || boot(host, guests);
    let floor = Floor::new(host, guests)?;
    in_turns("booting", samples, watch, ours, || floor.boot())
}

fn boot(host: &Arc<Host>, guests: &Guests) -> Result<Duration, BenchError> {
    let begun = Instant::now();
    let config = GuestConfig { vcpus: guests.vcpus, ..GuestConfig::default() };
    let guest = Guest::boot(host, guests.memory_bytes, guests.sharing, config, PAYLOAD)?;
    drive::post(&guest, 0, Command::Ping)?;
    guest.machine().start()?;
    drive::reply(&guest, 0, Command::Ping)?;
    Ok(begun.elapsed())
}

/// A guest of the bare calls.
pub(super) struct Floor<'a> {
    host: &'a Host,
    memory_bytes: usize,
    loaded: Loaded,
    /// What lies in the memory of a guest that was just loaded, and where.
    pub(super) written: Vec<(u64, Vec<u8>)>,
}

impl<'a> Floor<'a> {
    pub(super) fn new(host: &'a Host, guests: &Guests) -> Result<Self, BenchError> {
        let Guests { memory_bytes, vcpus, .. } = *guests;
        let ram = GuestRam::anonymous(memory_bytes as usize)?;
        let loaded = boot::load(ram.memory(), memory_bytes, vcpus, PAYLOAD)?;
        let mut written: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut page = [0; PAGE_BYTES];
        for at in (0..PAYLOAD_END).step_by(PAGE_BYTES) {
            ram.memory().read_slice(&mut page, GuestAddress(at))?;
            match written.last_mut() {
                _ if page == [0; PAGE_BYTES] => {}
                Some((first, bytes)) if *first + bytes.len() as u64 == at => bytes.extend(page),
                _ => written.push((at, page.to_vec())),
            }
        }
        Ok(Self { host, memory_bytes: memory_bytes as usize, loaded, written })
    }

    pub(super) fn boot(&self) -> Result<FloorSample, BenchError> {
        let begun = Instant::now();
        let content = Content::with(self.memory_bytes, &self.written)?;
        let memory = content.map(Writes::Through)?;
        let mut bare = Bare::at_entry(self.host, memory, &self.loaded)?;
        bare.post(0, Command::Ping)?;
        bare.start()?;
        bare.answer_since(begun)
    }
}
