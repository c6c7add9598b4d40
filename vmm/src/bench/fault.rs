//! What a guest's first write to a shared page costs.
//!
//! A child of a guest that waits writes one word to each of some pages, and then again: the difference
//! of the two times, divided by the pages, is what a first write costs. In the case *copy* the parent
//! still holds the frames, so that each write gets a copy; in the case *reuse* the parent was dropped
//! before, so that each write may have the frame as it is. The counters of the family tell that it was
//! so, and the bytes of both sides that nothing leaked. Where the host's kernel copies
//! ([`BackingKind::HostCow`]) it does so in both cases: it does not know that the image has no other holder.
//!
//! The floor is the kernel's own copy-on-write: the same commands to the same payload in a bare
//! virtual machine over a fresh `MAP_PRIVATE` mapping of a memfd. It is the floor of both cases.

use std::sync::Arc;
use std::time::Duration;

use pincow_guest_protocol::Command;
use pincow_guest_protocol::map::{PAGE_BYTES, TABLE_FIRST_PAGE};
use pincow_mmu::Gfn;
use pincow_mmu::stats::Counts;
use vm_memory::{Bytes, GuestAddress};

use super::bare::{Bare, Content, CpuState, Writes, states_of};
use super::{
    BenchError, Guests, Turn, WARM_UP, Watch, boot, nowhere, snapshot_of_idle, timed_call, turns,
};
use crate::drive;
use crate::guest::{BackingKind, Guest};
use crate::kvm::Host;

/// Times of a first write to one page, sample by sample, each the mean of all pages of a command.
#[derive(Clone, Debug, Default)]
pub struct FaultTimes {
    /// The other holder lived.
    pub copy: Vec<Duration>,
    /// The other holder was gone.
    pub reuse: Vec<Duration>,
    /// The kernel's copy-on-write.
    pub floor: Vec<Duration>,
    /// Pages that did not hold what they should, in words. Empty when all is well.
    pub violations: Vec<String>,
}

/// Measures `samples` rounds of writes to `pages` pages.
///
/// # Errors
/// When a guest cannot be made, ends, does not answer, or is too small; and when the write faults were
/// not those that were to be measured.
pub fn measure(
    host: &Arc<Host>,
    guests: &Guests,
    pages: u64,
    samples: usize,
    watch: Watch<'_>,
) -> Result<FaultTimes, BenchError> {
    let memory_bytes = guests.memory_bytes;
    let least = (TABLE_FIRST_PAGE + pages) * PAGE_BYTES as u64;
    if memory_bytes < least {
        return Err(BenchError::TooSmall { memory_bytes, wanted: pages, least });
    }
    let root = boot(host, guests)?;
    drive::call(&root, 0, touch(pages, 0))?;
    let states = states_of(host, snapshot_of_idle(&root)?.state())?;
    let content = Content::of(&root, least)?;
    let floor = Floor { host, content, states, pages };
    let backing = guests.sharing.backing;
    let mut ours = Ours { guest: root, backing, pages, last: 0, times: FaultTimes::default() };
    let mut floor_times = Vec::new();
    for round in 0..WARM_UP + samples {
        watch("writing to shared pages", round, WARM_UP + samples);
        for turn in turns(round) {
            match turn {
                Turn::Ours => {
                    ours.copy()?;
                    ours.reuse()?;
                }
                Turn::Floor => floor_times.push(floor.write()?),
            }
        }
    }
    let mut times = FaultTimes { floor: floor_times, ..ours.times };
    for times in [&mut times.copy, &mut times.reuse, &mut times.floor] {
        times.drain(..WARM_UP);
    }
    Ok(times)
}

fn touch(pages: u64, value: u64) -> Command {
    Command::Touch { first: TABLE_FIRST_PAGE, pages, stride: 1, value }
}

fn per_page(first: Duration, again: Duration, pages: u64) -> Duration {
    first.saturating_sub(again).div_f64(pages as f64)
}

struct Ours {
    /// The last of a chain: each was forked from the one before, which is gone.
    guest: Guest,
    backing: BackingKind,
    pages: u64,
    /// What its pages begin with.
    last: u64,
    times: FaultTimes,
}

impl Ours {
    fn copy(&mut self) -> Result<(), BenchError> {
        let child = self.fork()?;
        let took = self.first_writes(&child, "copy", |counts| counts.copied)?;
        self.times.copy.push(took);
        let (pages, parents, childs) = (self.pages, self.last, self.last + 1);
        let found = [
            wrong_page(&child, pages, childs, "the child that got copies")?,
            wrong_page(&self.guest, pages, parents, "the parent of copies")?,
        ];
        self.times.violations.extend(found.into_iter().flatten());
        Ok(())
    }

    fn reuse(&mut self) -> Result<(), BenchError> {
        let child = self.fork()?;
        // The parent lets go of the frames.
        self.guest = child;
        let took = self.first_writes(&self.guest, "reuse", |counts| match self.backing {
            BackingKind::Trap => counts.reused,
            BackingKind::HostCow => counts.copied,
        })?;
        self.times.reuse.push(took);
        self.last += 1;
        let found = wrong_page(&self.guest, self.pages, self.last, "the child that reused")?;
        self.times.violations.extend(found);
        Ok(())
    }

    fn fork(&self) -> Result<Guest, BenchError> {
        let (child, _) = self.guest.fork(nowhere())?;
        child.machine().start()?;
        drive::call(&child, 0, Command::Ping)?;
        Ok(child)
    }

    /// Has `guest` write the next value to each page, twice.
    fn first_writes(
        &self,
        guest: &Guest,
        what: &'static str,
        answered: impl Fn(Counts) -> u64,
    ) -> Result<Duration, BenchError> {
        let command = touch(self.pages, self.last + 1);
        let before = answered(guest.realm().counts());
        let first = timed_call(guest, command)?;
        let again = timed_call(guest, command)?;
        // A fault is counted just after its guest was woken, under the lock that this takes.
        guest.space().entry(Gfn(TABLE_FIRST_PAGE as u32))?;
        let found = answered(guest.realm().counts()) - before;
        if found < self.pages {
            return Err(BenchError::OtherFaults { what, expected: self.pages, found });
        }
        Ok(per_page(first, again, self.pages))
    }
}

/// The first page that does not begin with `value`, in words.
fn wrong_page(
    guest: &Guest,
    pages: u64,
    value: u64,
    who: &str,
) -> Result<Option<String>, BenchError> {
    for page in TABLE_FIRST_PAGE..TABLE_FIRST_PAGE + pages {
        let address = page * PAGE_BYTES as u64;
        let found: u64 = guest.machine().ram().memory().read_obj(GuestAddress(address))?;
        if found != value {
            return Ok(Some(format!("{who}: page at {address:#x} has {found}, not {value}")));
        }
    }
    Ok(None)
}

struct Floor<'a> {
    host: &'a Host,
    content: Content,
    states: Vec<CpuState>,
    pages: u64,
}

impl Floor<'_> {
    fn write(&self) -> Result<Duration, BenchError> {
        let mut bare = Bare::new(self.host, self.content.map(Writes::Copy)?, &self.states)?;
        bare.start()?;
        bare.timed_call(Command::Ping)?;
        let first = bare.timed_call(touch(self.pages, 1))?;
        let again = bare.timed_call(touch(self.pages, 1))?;
        Ok(per_page(first, again, self.pages))
    }
}
