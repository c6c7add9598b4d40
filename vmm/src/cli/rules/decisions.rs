//! The decision table. Every answer is the rule core's own, asked when the table is printed.

use pincow_mmu::count::Tally;
use pincow_mmu::rules::{
    BeforePin, Direction, Duration, Facts, OnFork, OnWrite, PIN_BIAS, RuleSet, Rules, Verdict,
};

#[cfg(test)]
mod tests;

/// What happens to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A CPU writes the page, which is protected.
    Write,
    /// The guest is forked.
    Fork,
    /// A device takes a pin: which way, for how long, and whether the rules are told.
    Pin(Direction, Duration, bool),
    /// The page is write-protected, as for dirty tracking.
    Protect,
    /// The page is evicted or discarded.
    Evict,
}

/// One line of the table: an event in one situation.
pub(super) struct Row {
    /// What happens.
    pub(super) event: Event,
    /// In which situation, in words.
    pub(super) situation: &'static str,
    facts: Facts,
}

impl Event {
    /// The events as headings, pins of all kinds under one.
    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Write => "write to a protected page",
            Self::Fork => "fork",
            Self::Pin(..) => "before a pin",
            Self::Protect => "write-protect",
            Self::Evict => "evict or discard",
        }
    }
}

impl Row {
    /// What a rule set says.
    pub(super) fn answer(&self, set: RuleSet) -> &'static str {
        let rules = Rules::from(set);
        match self.event {
            Event::Write => match rules.on_write(self.facts) {
                OnWrite::Reuse => "reuse",
                OnWrite::Copy => "copy",
                OnWrite::Wait => "WAIT",
            },
            Event::Fork => match rules.on_fork(self.facts) {
                OnFork::Share => "share",
                OnFork::Copy => "copy",
                OnFork::Busy => "BUSY",
                OnFork::Wait => "WAIT",
            },
            Event::Pin(direction, duration, counted) => {
                match rules.before_pin(self.facts, direction, duration, counted) {
                    BeforePin::Nothing => "-",
                    BeforePin::WriteFault => "fault",
                    BeforePin::MakePrivate => "private",
                    BeforePin::Unshare => "unshare",
                }
            }
            Event::Protect => verdict(rules.on_protect(self.facts)),
            Event::Evict => verdict(rules.on_evict(self.facts)),
        }
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Busy => "BUSY",
        Verdict::Wait => "WAIT",
    }
}

/// The words of the answers, explained.
pub(super) const LEGEND: &str = "\
reuse: made writable in place    copy: a frame of its own for the writer, or for the child
share: same frame, protected     fault: the write fault first, if the page is protected
private: sets the private bit    unshare: a private copy first, still protected
allow: goes ahead                BUSY: refused, try again
WAIT: blocked until the pins are gone
";

/// The page of one guest, and nobody else's.
const ALONE: Facts = Facts {
    writable: false,
    private: false,
    tally: Tally { refs: 1, maps: 1, write_pins: 0, short_reads: 0, long_reads: 0, swapped: false },
};

/// ... which the guest may write, so that it is private as well.
const WRITABLE: Facts = Facts { writable: true, private: true, ..ALONE };

/// ... protected, with the private bit where there is one.
const PRIVATE: Facts = Facts { private: true, ..ALONE };

const fn shared(facts: Facts) -> Facts {
    let tally = Tally { refs: facts.tally.refs + 1, maps: facts.tally.maps + 1, ..facts.tally };
    Facts { tally, ..facts }
}

const fn held(facts: Facts, by: u32) -> Facts {
    Facts { tally: Tally { refs: facts.tally.refs + by, ..facts.tally }, ..facts }
}

const fn swapped(facts: Facts) -> Facts {
    let facts = held(facts, 1);
    Facts { tally: Tally { swapped: true, ..facts.tally }, ..facts }
}

const fn with_write_pin(facts: Facts) -> Facts {
    let facts = held(facts, 1);
    Facts { tally: Tally { write_pins: 1, ..facts.tally }, ..facts }
}

const fn with_short_read(facts: Facts) -> Facts {
    let facts = held(facts, 1);
    Facts { tally: Tally { short_reads: 1, ..facts.tally }, ..facts }
}

const fn with_long_read(facts: Facts) -> Facts {
    let facts = held(facts, 1);
    Facts { tally: Tally { long_reads: 1, ..facts.tally }, ..facts }
}

const fn row(event: Event, situation: &'static str, facts: Facts) -> Row {
    Row { event, situation, facts }
}

const WRITE_PIN: Event = Event::Pin(Direction::FromDevice, Duration::Short, true);
const SHORT_READ: Event = Event::Pin(Direction::ToDevice, Duration::Short, true);
const LONG_READ: Event = Event::Pin(Direction::ToDevice, Duration::Long, true);
const UNCOUNTED_READ: Event = Event::Pin(Direction::ToDevice, Duration::Long, false);

/// The table, rows of one event together.
pub(super) const ROWS: [Row; 31] = [
    row(Event::Write, "sole holder", ALONE),
    row(Event::Write, "two guests", shared(ALONE)),
    row(Event::Write, "unknown reference", held(ALONE, 1)),
    row(Event::Write, "content shared through the swap", swapped(ALONE)),
    row(Event::Write, "W pin", with_write_pin(ALONE)),
    row(Event::Write, "W pin, private", with_write_pin(PRIVATE)),
    row(Event::Write, "long R pin", with_long_read(ALONE)),
    row(Event::Write, "long R pin, private", with_long_read(PRIVATE)),
    row(Event::Write, "short R pin", with_short_read(ALONE)),
    row(Event::Write, "short R pin, two guests", with_short_read(shared(ALONE))),
    row(Event::Fork, "writable, sole holder", WRITABLE),
    row(Event::Fork, "protected, two guests", shared(ALONE)),
    row(Event::Fork, "writable, W pin", with_write_pin(WRITABLE)),
    row(Event::Fork, "writable, long R pin", with_long_read(WRITABLE)),
    row(Event::Fork, "writable, short R pin", with_short_read(WRITABLE)),
    row(Event::Fork, "protected, private, long R pin", with_long_read(PRIVATE)),
    row(Event::Fork, "protected, R pin", with_long_read(ALONE)),
    row(Event::Fork, "writable, unknown reference", held(WRITABLE, 1)),
    row(Event::Fork, "writable, 1,024 references", held(WRITABLE, PIN_BIAS - 1)),
    row(WRITE_PIN, "W pin", shared(ALONE)),
    row(LONG_READ, "long R pin, two guests", shared(ALONE)),
    row(SHORT_READ, "short R pin, two guests", shared(ALONE)),
    row(LONG_READ, "R pin, protected, sole holder", ALONE),
    row(UNCOUNTED_READ, "uncounted R pin, two guests", shared(ALONE)),
    row(Event::Protect, "writable, sole holder", WRITABLE),
    row(Event::Protect, "writable, pin", with_write_pin(WRITABLE)),
    row(Event::Evict, "writable, sole holder", WRITABLE),
    row(Event::Evict, "writable, pin", with_write_pin(WRITABLE)),
    row(Event::Evict, "writable, unknown reference", held(WRITABLE, 1)),
    row(Event::Evict, "writable, 1,024 references", held(WRITABLE, PIN_BIAS - 1)),
    row(Event::Evict, "protected, R pin", with_long_read(PRIVATE)),
];
