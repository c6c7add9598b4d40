//! A set of a guest's pages: one bit for each.

use crate::gfn::{Gfn, Run, neighbours};

#[cfg(test)]
mod tests;

/// Pages per word.
const WORD: u32 = u64::BITS;

/// A set of pages. It grows as far as pages are put in.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageSet {
    words: Vec<u64>,
}

impl PageSet {
    /// The set of all pages of `runs`.
    pub(crate) fn of(runs: &[Run]) -> Self {
        let mut set = Self::default();
        runs.iter().for_each(|run| set.insert(*run));
        set
    }

    /// Puts the pages of `run` in.
    pub(crate) fn insert(&mut self, run: Run) {
        let words = run.numbers().end.div_ceil(WORD) as usize;
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
        self.each_word(run, |word, mask| *word |= mask);
    }

    /// Takes the pages of `run` out.
    pub(crate) fn remove(&mut self, run: Run) {
        self.each_word(run, |word, mask| *word &= !mask);
    }

    /// Whether a page is in.
    pub(crate) fn contains(&self, gfn: Gfn) -> bool {
        let word = self.words.get((gfn.0 / WORD) as usize);
        word.is_some_and(|word| word >> (gfn.0 % WORD) & 1 == 1)
    }

    /// The pages of `within` that are in, as neighbours, in order.
    pub(crate) fn inside(&self, within: Run) -> Vec<Run> {
        self.parts(within, true)
    }

    /// The pages of `within` that are not in, as neighbours, in order.
    pub(crate) fn outside(&self, within: Run) -> Vec<Run> {
        self.parts(within, false)
    }

    fn parts(&self, within: Run, inside: bool) -> Vec<Run> {
        neighbours(within.gfns().filter(|gfn| self.contains(*gfn) == inside))
    }

    /// Gives each word that has bits of `run`, with those bits. There are no words beyond the last page.
    fn each_word(&mut self, run: Run, mut change: impl FnMut(&mut u64, u64)) {
        let (mut at, end) = (run.first.0, run.numbers().end);
        while at < end {
            let next = end.min((at / WORD + 1) * WORD);
            let mask = (u64::MAX >> (WORD - (next - at))) << (at % WORD);
            if let Some(word) = self.words.get_mut((at / WORD) as usize) {
                change(word, mask);
            }
            at = next;
        }
    }
}
