//! Where a transfer's buffer lies, and its bytes. Segments are whole numbers of words long, so no
//! word lies in two of them.

use core::ops::Range;

use super::plan::{GAP_MOST, Span};
use super::slot::Layout;
use crate::disk::{SECTOR_BYTES, Segment};
use crate::memory::{ByteMemory, Memory};
use crate::sector::SECTOR_WORDS;

/// Lays a buffer of `bytes` bytes out in a span. `choose(n)` is a number below n.
pub(super) fn lay_out(
    span: Span,
    bytes: u64,
    aligned: bool,
    mut choose: impl FnMut(u64) -> u64,
) -> Layout {
    let unit = if aligned { SECTOR_BYTES } else { 8 };
    let gap = |choose: &mut dyn FnMut(u64) -> u64| match aligned {
        true => GAP_MOST,
        false => 1 + choose(GAP_MOST),
    };
    let mut left = bytes / unit;
    let count = 1 + choose(span.most_segments.min(left));
    let room = span.bytes - bytes - (count + 1) * GAP_MOST;
    let start_unit = if aligned { SECTOR_BYTES } else { 1 };
    let start = span.address + choose(room / start_unit + 1) * start_unit;
    let mut layout = Layout { start, count: count as usize, ..Layout::default() };
    let mut at = start;
    for number in 0..count {
        let after = count - number - 1;
        let units = if after == 0 { left } else { 1 + choose(left - after) };
        left -= units;
        at += gap(&mut choose);
        layout.segments[number as usize] = Segment { address: at, bytes: units * unit };
        at += units * unit;
    }
    layout.tail = gap(&mut choose);
    layout
}

/// Calls `at` with each run of words of the data's sector number `index`: which of its words they
/// are, and where they lie.
fn each_run(layout: &Layout, index: u64, mut at: impl FnMut(Range<usize>, u64)) {
    let mut word = 0;
    while word < SECTOR_WORDS {
        let offset = index * SECTOR_BYTES + word as u64 * 8;
        let Some(run) = layout.find(offset) else { return };
        let end = (word + (run.bytes / 8) as usize).min(SECTOR_WORDS);
        at(word..end, run.address);
        word = end;
    }
}

/// The words of a sector in the buffer.
pub(super) fn sector_at(memory: &impl Memory, layout: &Layout, index: u64) -> [u64; SECTOR_WORDS] {
    let mut words = [0; SECTOR_WORDS];
    each_run(layout, index, |run, address| memory.read_words(address, &mut words[run]));
    words
}

/// Writes a sector into the buffer.
pub(super) fn put_sector(
    memory: &mut impl ByteMemory,
    layout: &Layout,
    index: u64,
    words: &[u64; SECTOR_WORDS],
) {
    each_run(layout, index, |run, address| memory.write_words(address, &words[run]));
}
