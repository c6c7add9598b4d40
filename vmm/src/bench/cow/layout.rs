//! Which pages a clone writes, and what they hold then.

use pincow_guest_protocol::Command;
use pincow_guest_protocol::map::{PAGE_BYTES, TABLE_FIRST_PAGE};

use super::super::BenchError;

/// What the first word of each page is before a clone writes it, and then.
pub(super) const BEFORE: u64 = 1;
pub(super) const AFTER: u64 = 2;

/// Which pages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// How many in all.
    pub pages: u64,
    /// How many neighbours in a run.
    pub run: u64,
}

/// The runs of a pattern, as far from each other as the memory allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    first: u64,
    runs: u64,
    run: u64,
    stride: u64,
}

impl Layout {
    pub(super) fn of(pattern: Pattern, memory_bytes: u64) -> Result<Self, BenchError> {
        let Pattern { pages, run } = pattern;
        let runs = pages.div_ceil(run);
        let span = (memory_bytes / PAGE_BYTES as u64).saturating_sub(TABLE_FIRST_PAGE);
        let stride = span / runs;
        // As much room between the runs, for pages that nobody writes.
        if stride < 2 * run {
            let least = (TABLE_FIRST_PAGE + 2 * run * runs) * PAGE_BYTES as u64;
            return Err(BenchError::TooSmall { memory_bytes, wanted: pages, least });
        }
        Ok(Self { first: TABLE_FIRST_PAGE, runs, run, stride })
    }

    /// As many pages that are none of these: the runs half-way between.
    pub(super) fn beside(self) -> Self {
        Self { first: self.first + self.stride / 2, ..self }
    }

    pub(super) fn pages(self) -> impl Iterator<Item = u64> {
        let Self { first, runs, run, stride } = self;
        (0..runs).flat_map(move |at| (0..run).map(move |page| first + at * stride + page))
    }

    pub(super) fn write(self) -> Command {
        let Self { first, runs, run, stride } = self;
        let pages = (runs - 1) * stride + run;
        let (run, stride) = (run as u32, stride as u32);
        Command::TouchRuns { first, pages, run, stride, value: AFTER }
    }
}

/// The first page that is not as it should be, in words.
pub(super) fn wrong_page<E>(
    layout: Layout,
    mut first_word: impl FnMut(u64) -> Result<u64, E>,
) -> Result<Option<String>, E> {
    for (pages, value) in [(layout, AFTER), (layout.beside(), BEFORE)] {
        for page in pages.pages() {
            let address = page * PAGE_BYTES as u64;
            let found = first_word(address)?;
            if found != value {
                return Ok(Some(format!("the page at {address:#x} has {found}, not {value}")));
            }
        }
    }
    Ok(None)
}
