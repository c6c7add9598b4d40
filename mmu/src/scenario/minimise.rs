//! Makes a script that shows something as short as it can be.

use super::{Op, Scope};

#[cfg(test)]
mod tests;

/// Takes operations away from `ops` while `shows` still holds for what is left, until no single
/// one can go. What only made sense after an operation that is taken away goes with it.
///
/// Long runs go first, as in Zeller's delta debugging, so that most of a long script goes in few
/// tries. A script that does not show anything comes back as it is.
#[must_use]
pub fn minimise(ops: Vec<Op>, mut shows: impl FnMut(&[Op]) -> bool) -> Vec<Op> {
    let mut best = ops;
    let mut run = best.len();
    while run > 0 {
        let before = best.len();
        let mut at = 0;
        while at < best.len() {
            let end = best.len().min(at + run);
            let rest = Scope::admissible(&[&best[..at], &best[end..]].concat());
            if shows(&rest) {
                best = rest;
            } else {
                at = end;
            }
        }
        // Shortening may have freed operations that were tried before, so runs of one are tried
        // until a whole round changes nothing.
        run = if run == 1 && best.len() < before { 1 } else { run / 2 };
    }
    best
}
