//! The checker: what each guest's memory would hold on a machine that shares nothing, and what a
//! read that shows something else means.

use std::collections::BTreeSet;

use super::{Finding, Page, Stamp};
use crate::rules::Duration;

#[cfg(test)]
mod tests;

/// A guest, to the checker. Never used again for another one, unlike its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(usize);

/// What the checker knows of one guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What an unshared machine would hold; after the guest's end, what it held last, with the
    /// later device writes through its own pins.
    pub ideal: Page,
    /// The guest is still there.
    pub lives: bool,
    /// Every stamp that sector `a` ever held. One set for each sector, so that bytes which turn
    /// up in the wrong sector are bytes from elsewhere.
    history_a: BTreeSet<Stamp>,
    /// Every stamp that sector `b` ever held.
    history_b: BTreeSet<Stamp>,
}

impl Memory {
    fn new() -> Self {
        let history = BTreeSet::from([Stamp::INITIAL]);
        let (history_a, history_b) = (history.clone(), history);
        Self { ideal: Page::default(), lives: true, history_a, history_b }
    }

    /// Sector `a` held this stamp at some time.
    #[must_use]
    pub fn held_in_a(&self, stamp: Stamp) -> bool {
        self.history_a.contains(&stamp)
    }

    /// Sector `b` held this stamp at some time.
    #[must_use]
    pub fn held_in_b(&self, stamp: Stamp) -> bool {
        self.history_b.contains(&stamp)
    }
}

/// What the checker notes when a pin is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinRecord {
    /// Whose device took it.
    pub owner: Owner,
    /// For how long.
    pub duration: Duration,
    /// The value of pin time: the owner's *ideal* page. Not what its frame held, since nobody sees
    /// that: if the two differ, then bytes were lost or leaked before, and a pin that shows them
    /// must not pass for a legal old value.
    pub at_pin: Page,
}

/// The memories of all guests of one scenario, and what the reads of them showed.
///
/// The stamps of the writes that it is told of ascend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checker {
    memories: Vec<Memory>,
    findings: BTreeSet<Finding>,
}

impl Checker {
    /// A checker that knows no guest.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A first guest appears, with initial memory.
    pub fn root(&mut self) -> Owner {
        self.add(Memory::new())
    }

    /// A guest is forked: the child's memory and history are its parent's.
    pub fn fork(&mut self, parent: Owner) -> Owner {
        self.add(self.memory(parent).clone())
    }

    /// A guest is gone.
    pub fn destroy(&mut self, owner: Owner) {
        self.memories[owner.0].lives = false;
    }

    /// A guest's CPU wrote sector `b`.
    pub fn write(&mut self, owner: Owner, stamp: Stamp) {
        let memory = &mut self.memories[owner.0];
        memory.ideal.b = stamp;
        memory.history_b.insert(stamp);
    }

    /// A guest's device took a pin.
    #[must_use]
    pub fn pin(&self, owner: Owner, duration: Duration) -> PinRecord {
        PinRecord { owner, duration, at_pin: self.memory(owner).ideal }
    }

    /// A device wrote sector `a` through a pin: its owner's memory, wherever the bytes went.
    pub fn dma_write(&mut self, pin: &PinRecord, stamp: Stamp) {
        let memory = &mut self.memories[pin.owner.0];
        memory.ideal.a = stamp;
        memory.history_a.insert(stamp);
    }

    /// A guest's CPU saw `seen`.
    pub fn read(&mut self, owner: Owner, seen: Page) {
        let memory = &self.memories[owner.0];
        let a = judge(memory.held_in_a(seen.a), seen.a == memory.ideal.a, Finding::Lost);
        let b = judge(memory.held_in_b(seen.b), seen.b == memory.ideal.b, Finding::Corrupt);
        self.findings.extend(a.into_iter().chain(b));
    }

    /// A device saw `seen` through a pin.
    pub fn dma_read(&mut self, pin: &PinRecord, seen: Page) {
        let memory = &self.memories[pin.owner.0];
        let short = pin.duration == Duration::Short;
        // A short pin may show what was there when it was taken, or anything that its owner's
        // memory has held since. That is more than the pin-time value to the letter, and has to
        // be: in `pin P R short p; write P; fork P C; write P; dma_read p` the first write goes to
        // the pinned page itself, and only the second one leaves it behind. Stamps ascend, so of
        // the stamps that the sector ever held, those since the pin are the ones not below.
        let outdated = |since_pin| if short && since_pin { Finding::Old } else { Finding::Stale };
        let old_a = outdated(seen.a >= pin.at_pin.a);
        let old_b = outdated(seen.b >= pin.at_pin.b);
        // A guest that is gone has no memory to fall behind: only foreign bytes count.
        let right = |seen, ideal| seen == ideal || !memory.lives;
        let a = judge(memory.held_in_a(seen.a), right(seen.a, memory.ideal.a), old_a);
        let b = judge(memory.held_in_b(seen.b), right(seen.b, memory.ideal.b), old_b);
        self.findings.extend(a.into_iter().chain(b));
    }

    /// Something was found that is not in any bytes.
    pub fn record(&mut self, finding: Finding) {
        self.findings.insert(finding);
    }

    /// Starts to collect findings anew.
    pub fn forget_findings(&mut self) {
        self.findings.clear();
    }

    /// What was found so far.
    #[must_use]
    pub fn findings(&self) -> &BTreeSet<Finding> {
        &self.findings
    }

    /// What is known of a guest.
    #[must_use]
    pub fn memory(&self, owner: Owner) -> &Memory {
        &self.memories[owner.0]
    }

    fn add(&mut self, memory: Memory) -> Owner {
        self.memories.push(memory);
        Owner(self.memories.len() - 1)
    }
}

/// What a read of one sector means: nothing, a leak, or `outdated`.
fn judge(held: bool, right: bool, outdated: Finding) -> Option<Finding> {
    match (held, right) {
        (false, _) => Some(Finding::Leak),
        (true, false) => Some(outdated),
        (true, true) => None,
    }
}
