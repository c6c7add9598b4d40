//! Random scripts that make sense.

use super::{Limits, Op, Scope, moves};

#[cfg(test)]
mod tests;

/// A source of random scripts. The same seed gives the same scripts, on every machine.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The source that `seed` stands for.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
    /// number generators", OOPSLA 2014).
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0. The bias is that of a remainder: none that a test of
    /// a few thousand scripts could tell.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// A script of `length` operations. One guest at least lives at any time.
    pub fn script(&mut self, length: usize, limits: Limits) -> Vec<Op> {
        let mut scope = Scope::new();
        let mut ops = Vec::with_capacity(length);
        while ops.len() < length {
            let op = self.choose(&scope, limits);
            // `moves` lists what the scope admits, so this never goes round without an operation.
            if scope.admit(&op).is_ok() {
                ops.push(op);
            }
        }
        ops
    }

    /// One of the moves, by weight.
    fn choose(&mut self, scope: &Scope, limits: Limits) -> Op {
        let last_guest = scope.guests().len() == 1;
        let mut candidates = moves(scope, limits);
        candidates.retain(|op| !(last_guest && matches!(op, Op::Destroy(_))));
        let mut left = self.below(candidates.iter().map(weight).sum());
        let position = candidates.iter().position(|op| {
            let here = left < weight(op);
            left = left.saturating_sub(weight(op));
            here
        });
        candidates.swap_remove(position.unwrap_or(0))
    }
}

/// How often an operation comes up beside the others. A pin is listed in four or eight ways, so
/// that taking one is about as likely as a write; what ends guests and pins is rarer than what
/// makes them, so that there are several most of the time.
fn weight(op: &Op) -> u64 {
    match op {
        Op::Write(_) | Op::Read(_) => 6,
        Op::Fork { .. } | Op::DmaWrite(_) | Op::DmaRead(_) => 5,
        Op::WriteProtect(_) | Op::Evict(_) | Op::Release(_) => 3,
        Op::Unpin(_) | Op::Destroy(_) | Op::Hold(_) => 2,
        Op::Pin { .. } => 1,
    }
}
