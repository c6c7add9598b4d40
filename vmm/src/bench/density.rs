//! What idle clones of a snapshot cost when many are alive at once, beside as many bare machines.
//!
//! The snapshot is that of [`clone`](super::clone): a guest that waits for a command, every frame of
//! whose memory is resident. Each clone is started, and answers a ping by its own vCPU; then it waits in
//! a read of its mailbox. The floor's machines do the same over `MAP_PRIVATE` mappings of a memfd. When
//! all are alive and have been measured, each is asked once more.
//!
//! # What is measured
//!
//! *Unique* memory is the blocks of all memfds, and the anonymous memory of the process: what the kernel
//! charges to this process for frames, copies of frames, stacks and heap. What KVM keeps for a machine is
//! not in it; that is seen in the host's page tables of guests, and, among everything else that the host
//! does meanwhile, in its available memory.
//!
//! pincow comes first and the floor second, so that what a process keeps for its next threads (stacks,
//! heap) makes the floor cheaper, if anything. The heap is trimmed before each.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pincow_guest_protocol::Command;
use pincow_guest_protocol::map::{PAGE_BYTES, TABLE_FIRST_PAGE};
use pincow_mmu::host::anonymous_bytes_of;
use serde::Serialize;

use super::bare::{Bare, Content, CpuState, Writes, states_of};
use super::{BenchError, Guests, Watch, boot, nowhere, snapshot_of_idle};
use crate::drive;
use crate::guest::{Guest, Snapshot};
use crate::kvm::Host;
use crate::process::{HostUse, ProcessUse};

mod limits;
#[cfg(test)]
mod tests;

use limits::Need;

/// What a clone may take beyond the floor's and the pages that it wrote.
pub const ALLOWED_BYTES: u64 = 64 << 10;

/// Guests of each side that tell what one needs. They are also the warm-up.
const PROBES: usize = 4;

/// How often the kernel is asked while guests are made.
const LOOKS: usize = 10;

/// Both sides.
#[derive(Clone, Debug, Default)]
pub struct Density {
    /// Clones.
    pub ours: Crowd,
    /// Bare machines.
    pub floor: Crowd,
}

/// Many guests, alive at once.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Crowd {
    /// For each, from the call to its vCPU's first answer.
    pub spawn: Vec<Duration>,
    /// For each, the bytes of the pages that it has written when all are idle.
    pub written_bytes: Vec<u64>,
    /// What the kernel says, before the first of them, then as they get more.
    pub looks: Vec<Look>,
}

/// What the kernel says at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Look {
    /// How many guests are alive, and idle.
    pub alive: usize,
    /// Blocks of all memfds with frames, in bytes.
    pub memfd_bytes: u64,
    /// This process.
    pub process: ProcessUse,
    /// The host.
    pub host: HostUse,
}

/// What a guest adds, on average over all of them, in bytes where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Each {
    /// Frames, copies, stacks, heap: see the module's documentation.
    pub unique: f64,
    /// Of that, blocks of memfds.
    pub memfd: f64,
    /// Pages that the guest wrote.
    pub written: f64,
    /// The process' proportional share of what it maps.
    pub pss: f64,
    /// Page tables of the process.
    pub page_tables: f64,
    /// Page tables that KVM keeps for guests: the host's, so those of other machines' guests, too.
    pub kvm_page_tables: Option<f64>,
    /// What the host has less: whatever else it does meanwhile is in it. Negative where it has more.
    pub host: f64,
    /// Threads, a number.
    pub threads: f64,
    /// File descriptors, a number.
    pub descriptors: f64,
    /// Memory mappings, a number.
    pub mappings: f64,
}

impl Look {
    fn now(alive: usize, memfd_bytes: u64) -> io::Result<Self> {
        Ok(Self { alive, memfd_bytes, process: ProcessUse::now()?, host: HostUse::now()? })
    }

    fn unique(&self) -> u64 {
        self.memfd_bytes + self.process.anonymous_bytes
    }
}

impl Crowd {
    /// What each adds.
    #[must_use]
    pub fn each(&self) -> Each {
        let (Some(before), Some(after)) = (self.looks.first(), self.looks.last()) else {
            return Each::default();
        };
        let guests = after.alive.max(1) as f64;
        let added = |of: &dyn Fn(&Look) -> u64| (of(after) as f64 - of(before) as f64) / guests;
        let kvm = after.host.kvm_page_table_bytes.and(before.host.kvm_page_table_bytes);
        Each {
            unique: added(&Look::unique),
            memfd: added(&|look| look.memfd_bytes),
            written: self.written_bytes.iter().sum::<u64>() as f64 / guests,
            pss: added(&|look| look.process.pss_bytes),
            page_tables: added(&|look| look.process.page_table_bytes),
            kvm_page_tables: kvm
                .map(|_| added(&|look| look.host.kvm_page_table_bytes.unwrap_or_default())),
            host: -added(&|look| look.host.available_bytes),
            threads: added(&|look| look.process.threads),
            descriptors: added(&|look| look.process.descriptors),
            mappings: added(&|look| look.process.mappings),
        }
    }

    /// What one needs, with what KVM keeps.
    fn need(&self, memory_bytes: u64) -> Need {
        let Each { unique, page_tables, threads, descriptors, mappings, .. } = self.each();
        let count = |value: f64| value.ceil().max(0.0) as u64;
        // A machine's own structures; and for each page of guest memory where it is mapped, and how large
        // (`struct kvm_arch_memory_slot`).
        let kvm = (1 << 20) + memory_bytes / PAGE_BYTES as u64 * 16;
        Need {
            descriptors: count(descriptors),
            mappings: count(mappings),
            threads: count(threads),
            memory_bytes: count(unique) + count(page_tables) + kvm,
        }
    }
}

impl Density {
    /// What a clone takes beyond what a bare machine does, in bytes; and the most that it may.
    #[must_use]
    pub fn beyond_floor(&self) -> (f64, f64) {
        let (ours, floor) = (self.ours.each(), self.floor.each());
        (ours.unique - floor.unique, ALLOWED_BYTES as f64 + ours.written)
    }
}

/// Has `clones` clones of a guest alive at once, and then as many of the floor. When it has answered,
/// each writes to `pages` pages of its memory.
///
/// # Errors
/// When a guest cannot be made, ends, or does not answer; [`BenchError::NoRoom`] and
/// [`BenchError::Full`] when the host has no room for so many.
pub fn measure(
    host: &Arc<Host>,
    guests: &Guests,
    clones: usize,
    pages: u64,
    watch: Watch<'_>,
) -> Result<Density, BenchError> {
    let memory_bytes = guests.memory_bytes;
    let table = memory_bytes / PAGE_BYTES as u64 - TABLE_FIRST_PAGE;
    if pages > table {
        let least = (TABLE_FIRST_PAGE + pages) * PAGE_BYTES as u64;
        return Err(BenchError::TooSmall { memory_bytes, wanted: pages, least });
    }
    watch("writing the first guest's memory", 0, clones);
    let root = boot(host, guests)?;
    drive::call(&root, 0, touch(table, 1))?;
    let snapshot = snapshot_of_idle(&root)?;
    let content = Content::of(&root, guests.memory_bytes)?;
    let floor = Floor { host, content, states: states_of(host, snapshot.state())? };
    let ours = crowd(&snapshot, PROBES, pages, watch)?.need(memory_bytes);
    let bare = crowd(&floor, PROBES, pages, watch)?.need(memory_bytes);
    limits::check(clones, &limits::rooms(ours.max(bare))?)?;
    let ours = crowd(&snapshot, clones, pages, watch)?;
    Ok(Density { ours, floor: crowd(&floor, clones, pages, watch)? })
}

/// Writes a word to each of the first pages of the table.
fn touch(pages: u64, value: u64) -> Command {
    Command::Touch { first: TABLE_FIRST_PAGE, pages, stride: 1, value }
}

/// Where guests come from.
trait Source {
    type Guest;
    const NAME: &'static str;

    /// A guest that has answered a ping.
    fn spawn(&self) -> Result<Self::Guest, BenchError>;

    /// Has a guest do something.
    fn call(&self, guest: &Self::Guest, command: Command) -> Result<(), BenchError>;

    /// Blocks of the memfds that their frames are in.
    fn memfd_bytes(&self) -> io::Result<u64>;

    /// What each guest has written.
    fn written(&self, guests: &[Self::Guest]) -> io::Result<Vec<u64>>;
}

/// Makes `count` guests, one after the other, and asks the kernel about them.
fn crowd<S: Source>(
    source: &S,
    count: usize,
    pages: u64,
    watch: Watch<'_>,
) -> Result<Crowd, BenchError> {
    let mut crowd = Crowd::default();
    let mut alive = Vec::with_capacity(count);
    crowd.spawn.reserve(count);
    limits::trim_heap();
    let look = |alive: usize| -> Result<Look, BenchError> {
        let memfd_bytes = source.memfd_bytes().map_err(BenchError::Accounting)?;
        Look::now(alive, memfd_bytes).map_err(BenchError::Accounting)
    };
    crowd.looks.push(look(0)?);
    for number in 0..count {
        watch(S::NAME, number, count);
        let begun = Instant::now();
        let guest = source.spawn().map_err(|source| BenchError::Full {
            alive: number,
            wanted: count,
            source: Box::new(source),
        })?;
        crowd.spawn.push(begun.elapsed());
        if pages > 0 {
            source.call(&guest, touch(pages, 2))?;
        }
        alive.push(guest);
        let made = number + 1;
        if made == count || made.is_multiple_of(count.div_ceil(LOOKS)) {
            crowd.looks.push(look(made)?);
        }
    }
    crowd.written_bytes = source.written(&alive).map_err(BenchError::Accounting)?;
    alive.iter().try_for_each(|guest| source.call(guest, Command::Ping))?;
    Ok(crowd)
}

impl Source for Snapshot {
    type Guest = Guest;
    const NAME: &'static str = "cloning";

    fn spawn(&self) -> Result<Guest, BenchError> {
        let clone = Self::spawn(self, nowhere())?;
        drive::post(&clone, 0, Command::Ping)?;
        clone.machine().start()?;
        drive::reply(&clone, 0, Command::Ping)?;
        Ok(clone)
    }

    fn call(&self, clone: &Guest, command: Command) -> Result<(), BenchError> {
        drive::call(clone, 0, command)?;
        Ok(())
    }

    fn memfd_bytes(&self) -> io::Result<u64> {
        Ok(self.realm().resident_bytes()? - self.realm().anonymous_bytes()?)
    }

    fn written(&self, clones: &[Guest]) -> io::Result<Vec<u64>> {
        // No transfer is in flight, so that what a clone holds alone is what it has written.
        let written = |clone: &Guest| clone.space().census().private * PAGE_BYTES as u64;
        Ok(clones.iter().map(written).collect())
    }
}

struct Floor<'a> {
    host: &'a Host,
    content: Content,
    states: Vec<CpuState>,
}

impl Source for Floor<'_> {
    type Guest = Bare;
    const NAME: &'static str = "making bare machines";

    fn spawn(&self) -> Result<Bare, BenchError> {
        let memory = self.content.map(Writes::Copy)?;
        let mut bare = Bare::new(self.host, memory, &self.states)?;
        bare.post(0, Command::Ping)?;
        bare.start()?;
        bare.reply(0)?;
        Ok(bare)
    }

    fn call(&self, bare: &Bare, command: Command) -> Result<(), BenchError> {
        bare.timed_call(command)?;
        Ok(())
    }

    fn memfd_bytes(&self) -> io::Result<u64> {
        self.content.resident_bytes()
    }

    fn written(&self, _: &[Bare]) -> io::Result<Vec<u64>> {
        anonymous_bytes_of(self.content.inode()?)
    }
}
