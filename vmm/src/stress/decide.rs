//! What happens next. Decisions follow from the seed and from the decisions before them, and from
//! nothing that a clock or a disk has a say in.

use std::time::Duration;

use pincow_mmu::scenario::Random;

#[cfg(test)]
mod tests;

/// How long the family is left alone between two decisions, at most.
const LONGEST_REST_US: u64 = 50_000;

/// Of so many forks and snapshots, one may meet any guest, whatever it is at. The others meet one of
/// that half which has not been forked for longest, when it is at work.
const ANYBODY: u64 = 8;

/// How a guest's life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// At once, with whatever it has in flight.
    Kill,
    /// As before, after the monitor has compared its disk and its memory while it stood still.
    Inspect,
    /// It ends its transfers, reads its disk back, and then the monitor does too.
    Retire,
}

/// A guest's end: which of those that live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) victim: usize,
    pub(super) how: How,
}

/// Who is forked, or taken a snapshot of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    /// Which of those that live.
    pub(super) guest: usize,
    /// Its vCPUs are given time to have transfers in flight again. After a fork they have to write
    /// each page again first, one fault after the other, and wait for a CPU.
    pub(super) at_work: bool,
}

/// Something that happens to the family. Guests are numbered as they stand in its list: the one that
/// has not been forked or born for longest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// A guest is forked. Where there are too many, another has to end before.
    Fork { first: Option<End>, parent: Parent },
    /// The newest snapshot is cloned, in the same way.
    Spawn { first: Option<End> },
    /// A snapshot is taken, and the one before it dropped.
    Snapshot { parent: Parent },
    /// Pages of a guest are evicted; which, follows from `pages`.
    Evict { guest: usize, pages: u64 },
    /// Pages that a guest has given up are discarded.
    Discard { guest: usize, pages: u64 },
    /// A guest ends.
    End(End),
    /// Everybody stands still, and all references are counted.
    Audit,
}

/// A decision, and how long nothing happens before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) rest: Duration,
    pub(super) decision: Decision,
}

/// What a decision depends on, beside the seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Guests that live.
    pub(super) members: usize,
    /// How many that may be.
    pub(super) most: usize,
    /// There is a snapshot to be cloned.
    pub(super) has_snapshot: bool,
}

/// Where decisions come from.
pub(super) struct Chooser {
    random: Random,
    hasher: crc32fast::Hasher,
}

impl Chooser {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), hasher: crc32fast::Hasher::new() }
    }

    /// The next one.
    pub(super) fn next(&mut self, shape: Shape) -> Step {
        let rest = Duration::from_micros(self.random.below(LONGEST_REST_US));
        let decision = self.decide(shape);
        let step = Step { rest, decision };
        self.hasher.update(format!("{step:?}").as_bytes());
        step
    }

    /// A checksum over all of them so far. Two runs with the same one have decided the same.
    pub(super) fn fingerprint(&self) -> u32 {
        self.hasher.clone().finalize()
    }

    fn decide(&mut self, shape: Shape) -> Decision {
        match self.random.below(64) {
            0..32 => self.fork(shape),
            32..40 => Decision::Evict { guest: self.any(shape.members), pages: self.random.bits() },
            40..48 => {
                Decision::Discard { guest: self.any(shape.members), pages: self.random.bits() }
            }
            48..54 if shape.members > 2 => Decision::End(self.end(shape.members)),
            54..57 => Decision::Snapshot { parent: self.parent(shape.members) },
            57..62 if shape.has_snapshot => Decision::Spawn { first: self.make_room(shape) },
            62..64 => Decision::Audit,
            _ => self.fork(shape),
        }
    }

    fn fork(&mut self, shape: Shape) -> Decision {
        let first = self.make_room(shape);
        let left = shape.members - usize::from(first.is_some());
        Decision::Fork { first, parent: self.parent(left) }
    }

    fn parent(&mut self, members: usize) -> Parent {
        match self.random.below(ANYBODY) {
            0 => Parent { guest: self.any(members), at_work: false },
            _ => Parent { guest: self.any(members.div_ceil(2)), at_work: true },
        }
    }

    fn make_room(&mut self, shape: Shape) -> Option<End> {
        (shape.members >= shape.most).then(|| self.end(shape.members))
    }

    fn end(&mut self, members: usize) -> End {
        let how = match self.random.below(8) {
            0..5 => How::Kill,
            5..7 => How::Inspect,
            _ => How::Retire,
        };
        End { victim: self.any(members), how }
    }

    fn any(&mut self, count: usize) -> usize {
        self.random.below(count as u64) as usize
    }
}
