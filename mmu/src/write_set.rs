//! Which pages the clones of an image write, learned from those that are gone.
//!
//! A clone is a *pupil* or a *teacher*. Teachers run as they are, so that what the host copied for them is what
//! they wrote; when they end, or are forked, they give a lesson: those pages. Pupils get what most of the
//! last lessons name before they write it, so that nobody can tell what they wrote. The first [`LESSONS`] clones that end
//! are teachers, and later one of [`EVERY`]: a set that has become wrong is forgotten after two of them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::gfn::{Gfn, Run, neighbours};

#[cfg(test)]
mod tests;

/// Lessons that are remembered, and that are wanted before anything is foretold.
const LESSONS: usize = 3;

/// Of so many clones, one is a teacher when there are lessons enough.
const EVERY: u64 = 16;

/// Pages of a lesson that are remembered, and pages that are foretold: 16 MiB. Those with the lowest numbers.
pub const MOST_PAGES: u32 = 4096;

/// What a clone is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It gives a lesson.
    Teacher,
    /// It will probably write these pages.
    Pupil(Arc<[Run]>),
}

/// Lessons, and what they come to.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    /// The last ones; of each, neighbours in order.
    lessons: VecDeque<Vec<Run>>,
    likely: Arc<[Run]>,
    /// Clones that were made since there are lessons enough.
    clones: u64,
}

impl WriteSet {
    /// What the next clone is for.
    pub(crate) fn next_part(&mut self) -> Part {
        if self.lessons.len() < LESSONS {
            return Part::Teacher;
        }
        self.clones += 1;
        match self.clones.is_multiple_of(EVERY) {
            true => Part::Teacher,
            false => Part::Pupil(Arc::clone(&self.likely)),
        }
    }

    /// A teacher wrote these pages: neighbours, in order, that do not overlap.
    pub(crate) fn learn(&mut self, written: impl IntoIterator<Item = Run>) {
        if self.lessons.len() == LESSONS {
            self.lessons.pop_front();
        }
        self.lessons.push_back(first_pages(written));
        let wanted = self.lessons.len() / 2 + 1;
        self.likely = first_pages(in_so_many(&self.lessons, wanted)).into();
    }
}

/// The first [`MOST_PAGES`] pages.
fn first_pages(runs: impl IntoIterator<Item = Run>) -> Vec<Run> {
    let mut left = MOST_PAGES;
    let kept = runs.into_iter().map_while(|mut run| {
        let first = run.take_first(left);
        left -= first.pages;
        (first.pages > 0).then_some(first)
    });
    kept.collect()
}

/// The pages that so many of `sets` have, as neighbours, in order.
fn in_so_many(sets: &VecDeque<Vec<Run>>, wanted: usize) -> Vec<Run> {
    let mut pages: Vec<Gfn> = sets.iter().flatten().flat_map(|run| run.gfns()).collect();
    pages.sort_unstable();
    let same = pages.chunk_by(|one, next| one == next).filter(|same| same.len() >= wanted);
    neighbours(same.map(|same| same[0]))
}
