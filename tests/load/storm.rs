//! Forks of guests under load, and forks of those, at random moments.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use pincow_mmu::scenario::Random;
use pincow_vmm::guest::{BackingKind, Sharing};

use super::family::Family;
use super::lab::Lab;
use super::side::Side;
use super::verdict::Verdict;

/// What comes next comes at most so much later: about a round of the disk's work.
const LATEST_US: u64 = 1_000_000;

/// What becomes of the side that goes after a fork.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    /// It finishes its work.
    Finishes,
    /// It is killed in the middle of it, but for one of so many.
    IsKilledButFor(u64),
}

/// What a storm came to.
#[derive(Default)]
pub(crate) struct Seen {
    /// How many transfers each fork met.
    forks: Vec<usize>,
    /// How many transfers each kill met.
    kills: Vec<u64>,
    ends: Vec<Verdict>,
}

/// A moment that nobody chose.
pub(crate) fn a_moment(random: &mut Random) {
    thread::sleep(Duration::from_micros(random.below(LATEST_US)));
}

/// Two sides live at a time, and either may be the one that goes.
pub(crate) fn storm(lab: &Lab, backing: BackingKind, forks: u64, fate: Fate, seed: u64) -> Seen {
    let mut random = Random::new(seed);
    let mut seen = Seen::default();
    let sharing = Sharing { backing, ..Sharing::default() };
    let (family, mut side) = Family::new(lab, sharing);
    for _ in 0..forks {
        a_moment(&mut random);
        let (child, made) = family.fork(&side).unwrap_or_else(|error| panic!("{error}"));
        seen.forks.push(made.transfers_in_flight);
        a_moment(&mut random);
        let goes;
        (side, goes) = if random.below(2) == 0 { (side, child) } else { (child, side) };
        match fate {
            Fate::IsKilledButFor(of) if random.below(of) > 0 => seen.kills.push(family.kill(goes)),
            _ => seen.finish(goes),
        }
    }
    seen.finish(side);
    seen
}

impl Seen {
    /// Whatever is wrong is wrong now.
    fn finish(&mut self, side: Side) {
        let id = side.id;
        let verdict = side.end().unwrap_or_else(|wrong| panic!("{wrong}"));
        println!("{id}: {verdict:?}");
        self.ends.push(verdict);
    }

    /// No two sides had the same random numbers or generation ID, and forks and kills came when they matter.
    pub(crate) fn assert_different(&self) {
        for of in [|it: &Verdict| it.random.clone(), |it: &Verdict| it.generation.clone()] {
            let different: HashSet<String> = self.ends.iter().map(of).collect();
            assert_eq!(different.len(), self.ends.len(), "{different:?}");
        }
        let (forks, met) = (self.forks.len(), self.forks.iter().filter(|met| **met > 0).count());
        println!("{} sides are right; in flight at forks: {:?}", self.ends.len(), self.forks);
        assert!(met * 2 > forks, "{met} of {forks} forks met transfers in flight");
        println!("in flight at kills: {:?}", self.kills);
        let nowhere = self.kills.iter().all(|met| *met == 0);
        assert!(self.kills.is_empty() || !nowhere, "no kill met a transfer in flight");
    }
}
