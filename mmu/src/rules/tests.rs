//! The decision table, row by row, and within a row cell by cell.

use super::*;

const SINGLE: RuleSet = RuleSet::SingleRefcount;
const COUNTING: [RuleSet; 3] = [SINGLE, RuleSet::Literal, RuleSet::Busy];
const PIN_COUNTS: [RuleSet; 2] = [RuleSet::Refcount, RuleSet::PinBias];
const PRIVATE_BIT: [RuleSet; 3] = [RuleSet::Exclusive, RuleSet::Wait, RuleSet::ShortRead];
const MAPCOUNT: RuleSet = RuleSet::Mapcount;

/// What holds a frame beside the maps.
#[derive(Clone, Copy)]
struct Held {
    write: u32,
    short: u32,
    long: u32,
    others: u32,
    swap: bool,
}

const NOTHING: Held = Held { write: 0, short: 0, long: 0, others: 0, swap: false };
const WRITE_PIN: Held = Held { write: 1, ..NOTHING };
const SHORT_READ: Held = Held { short: 1, ..NOTHING };
const LONG_READ: Held = Held { long: 1, ..NOTHING };
const STRANGER: Held = Held { others: 1, ..NOTHING };
const SWAP: Held = Held { swap: true, ..NOTHING };
const PINS: [Held; 3] = [WRITE_PIN, SHORT_READ, LONG_READ];

fn tally(maps: u32, held: Held) -> Tally {
    let Held { write, short, long, others, swap } = held;
    Tally {
        refs: maps + write + short + long + others + u32::from(swap),
        maps,
        write_pins: write,
        short_reads: short,
        long_reads: long,
        swapped: swap,
    }
}

/// A page of a sole owner that nobody protected since it wrote it.
fn writable(held: Held) -> Facts {
    Facts { writable: true, private: true, tally: tally(1, held) }
}

/// A page that was write-protected under its sole owner.
fn protected(held: Held) -> Facts {
    Facts { writable: false, private: true, tally: tally(1, held) }
}

/// A page that `maps` spaces map since a fork.
fn shared(maps: u32, held: Held) -> Facts {
    Facts { writable: false, private: false, tally: tally(maps, held) }
}

fn all(rows: &[&[RuleSet]]) -> Vec<RuleSet> {
    rows.concat()
}

#[test]
fn rows_write_fault() {
    let on = |set: RuleSet, facts| Rules::from(set).on_write(facts);
    for set in RuleSet::ALL {
        assert_eq!(on(set, protected(NOTHING)), OnWrite::Reuse, "{set}: a sole owner");
        assert_eq!(on(set, shared(1, NOTHING)), OnWrite::Reuse, "{set}: the last sharer");
        assert_eq!(on(set, shared(2, NOTHING)), OnWrite::Copy, "{set}: shared");
        assert_eq!(on(set, shared(1, SWAP)), OnWrite::Copy, "{set}: the swap shares it");
    }
    for pin in PINS {
        for set in all(&[&COUNTING, &PIN_COUNTS]) {
            assert_eq!(on(set, protected(pin)), OnWrite::Copy, "{set}: the private bit is nothing");
        }
        for set in all(&[&PRIVATE_BIT, &[MAPCOUNT]]) {
            assert_eq!(on(set, protected(pin)), OnWrite::Reuse, "{set}: its own pin");
        }
        assert_eq!(on(MAPCOUNT, shared(1, pin)), OnWrite::Reuse, "somebody else's pin");
        assert_eq!(on(RuleSet::Exclusive, shared(1, pin)), OnWrite::Copy);
        assert_eq!(on(RuleSet::ShortRead, shared(1, pin)), OnWrite::Copy);
    }
    assert_eq!(on(RuleSet::Wait, shared(2, SHORT_READ)), OnWrite::Wait);
    assert_eq!(on(RuleSet::Wait, shared(1, SHORT_READ)), OnWrite::Wait);
    assert_eq!(on(RuleSet::Wait, shared(2, LONG_READ)), OnWrite::Copy);
    for set in all(&[&COUNTING, &PIN_COUNTS, &PRIVATE_BIT]) {
        assert_eq!(on(set, shared(1, STRANGER)), OnWrite::Copy, "{set}");
    }
}

#[test]
fn rows_fork() {
    let on = |set: RuleSet, facts| Rules::from(set).on_fork(facts);
    for set in RuleSet::ALL {
        for facts in [writable(NOTHING), protected(NOTHING), shared(2, NOTHING), shared(1, SWAP)] {
            assert_eq!(on(set, facts), OnFork::Share, "{set}: nothing but mappings: {facts:?}");
        }
    }
    for held in [WRITE_PIN, SHORT_READ, LONG_READ, STRANGER] {
        assert_eq!(on(SINGLE, writable(held)), OnFork::Copy);
        assert_eq!(on(RuleSet::Literal, writable(held)), OnFork::Copy);
        assert_eq!(on(RuleSet::Busy, writable(held)), OnFork::Busy);
        assert_eq!(on(MAPCOUNT, writable(held)), OnFork::Share);
        for set in COUNTING {
            assert_eq!(on(set, protected(held)), OnFork::Share, "{set}: the hole");
        }
    }
    for set in PIN_COUNTS {
        for pin in PINS {
            assert_eq!(on(set, writable(pin)), OnFork::Copy, "{set}");
            assert_eq!(on(set, protected(pin)), OnFork::Copy, "{set}");
        }
        assert_eq!(on(set, writable(STRANGER)), OnFork::Share, "{set}");
    }
    for (set, write_pin, short_read) in [
        (RuleSet::Exclusive, OnFork::Copy, OnFork::Copy),
        (RuleSet::Wait, OnFork::Wait, OnFork::Share),
        (RuleSet::ShortRead, OnFork::Copy, OnFork::Share),
    ] {
        for facts in [writable, protected] {
            assert_eq!(on(set, facts(WRITE_PIN)), write_pin, "{set}");
            assert_eq!(on(set, facts(SHORT_READ)), short_read, "{set}");
            assert_eq!(on(set, facts(LONG_READ)), OnFork::Copy, "{set}");
            assert_eq!(on(set, facts(STRANGER)), OnFork::Share, "{set}: nobody said pin");
        }
        assert_eq!(on(set, shared(2, SHORT_READ)), OnFork::Share, "{set}");
        assert_eq!(on(set, shared(2, LONG_READ)), OnFork::Share, "{set}");
    }
}

#[test]
fn the_bias_takes_a_thousand_references_for_a_pin() {
    let on_fork = |others| {
        let facts = writable(Held { others, ..NOTHING });
        Rules::from(RuleSet::PinBias).on_fork(facts)
    };
    assert_eq!(on_fork(PIN_BIAS - 2), OnFork::Share);
    assert_eq!(on_fork(PIN_BIAS - 1), OnFork::Copy);
    let facts = writable(Held { others: PIN_BIAS, ..NOTHING });
    assert_eq!(Rules::from(RuleSet::Refcount).on_fork(facts), OnFork::Share);
    assert_eq!(Rules::from(RuleSet::PinBias).on_evict(facts), Verdict::Busy);
    assert_eq!(Rules::from(RuleSet::Refcount).on_evict(facts), Verdict::Allow);
}

#[test]
fn rows_read_pin() {
    let before = |set: RuleSet, facts, duration, counted| {
        Rules::from(set).before_pin(facts, Direction::ToDevice, duration, counted)
    };
    for duration in [Duration::Short, Duration::Long] {
        for counted in [true, false] {
            for facts in [shared(2, NOTHING), shared(1, NOTHING), protected(NOTHING)] {
                assert_eq!(before(SINGLE, facts, duration, counted), BeforePin::WriteFault);
                for set in all(&[&[RuleSet::Literal, RuleSet::Busy, MAPCOUNT], &PIN_COUNTS]) {
                    let done = before(set, facts, duration, counted);
                    assert_eq!(done, BeforePin::Nothing, "{set}: the hole");
                }
            }
        }
        for set in PRIVATE_BIT {
            let owner = before(set, shared(1, NOTHING), duration, true);
            assert_eq!(owner, BeforePin::MakePrivate, "{set}: a sole owner");
            let own = before(set, protected(NOTHING), duration, true);
            assert_eq!(own, BeforePin::Nothing, "{set}: private already");
            let secret = before(set, shared(2, NOTHING), duration, false);
            assert_eq!(secret, BeforePin::Nothing, "{set}: nobody says that it is a pin");
        }
    }
    for (set, short) in [
        (RuleSet::Exclusive, BeforePin::Unshare),
        (RuleSet::Wait, BeforePin::Nothing),
        (RuleSet::ShortRead, BeforePin::Nothing),
    ] {
        assert_eq!(before(set, shared(2, NOTHING), Duration::Short, true), short, "{set}");
        let long = before(set, shared(2, NOTHING), Duration::Long, true);
        assert_eq!(long, BeforePin::Unshare, "{set}");
    }
}

#[test]
fn row_write_pin() {
    for set in RuleSet::ALL {
        for duration in [Duration::Short, Duration::Long] {
            for counted in [true, false] {
                for facts in [shared(2, NOTHING), protected(NOTHING), writable(NOTHING)] {
                    let before = Rules::from(set).before_pin(
                        facts,
                        Direction::FromDevice,
                        duration,
                        counted,
                    );
                    assert_eq!(before, BeforePin::WriteFault, "{set}");
                }
            }
        }
    }
}

#[test]
fn row_write_protect() {
    for set in RuleSet::ALL {
        let rules = Rules::from(set);
        let strict = COUNTING.contains(&set);
        for held in [WRITE_PIN, SHORT_READ, LONG_READ, STRANGER] {
            let expected = if strict { Verdict::Busy } else { Verdict::Allow };
            assert_eq!(rules.on_protect(writable(held)), expected, "{set}");
            assert_eq!(rules.on_protect(protected(held)), Verdict::Allow, "{set}");
        }
        assert_eq!(rules.on_protect(writable(NOTHING)), Verdict::Allow, "{set}");
        assert_eq!(rules.on_protect(shared(2, NOTHING)), Verdict::Allow, "{set}");
        assert!(rules.private_after_protect(true), "{set}: private kept");
        assert!(!rules.private_after_protect(false), "{set}");
    }
}

#[test]
fn row_evict() {
    for set in RuleSet::ALL {
        let on = |facts| Rules::from(set).on_evict(facts);
        let pinned = match set {
            RuleSet::Wait => Verdict::Wait,
            RuleSet::Mapcount => Verdict::Allow,
            _ => Verdict::Busy,
        };
        for pin in PINS {
            assert_eq!(on(writable(pin)), pinned, "{set}: any pin");
            let expected = if COUNTING.contains(&set) { Verdict::Allow } else { pinned };
            assert_eq!(on(protected(pin)), expected, "{set}: protected");
        }
        let stranger = if COUNTING.contains(&set) { Verdict::Busy } else { Verdict::Allow };
        assert_eq!(on(writable(STRANGER)), stranger, "{set}");
        for facts in [writable(NOTHING), protected(NOTHING), shared(2, NOTHING), shared(1, SWAP)] {
            assert_eq!(on(facts), Verdict::Allow, "{set}");
        }
    }
}

#[test]
fn what_forks_and_the_swap_leave_in_an_entry() {
    for set in RuleSet::ALL {
        let rules = Rules::from(set);
        for (writable, private) in [(false, false), (false, true), (true, true)] {
            assert_eq!(rules.parent_after_share(writable, private), (false, false), "{set}");
        }
        assert!(rules.private_after_swap_in(true) && !rules.private_after_swap_in(false));
    }
}

/// Each mutant changes the answer that it is named after, and no other set knows it.
#[test]
fn mutants_lack_one_rule() {
    let lacking = |mutant| Rules { set: RuleSet::Exclusive, mutant: Some(mutant) };
    let read_pin = lacking(Mutant::ReadPinKeepsSharing).before_pin(
        shared(2, NOTHING),
        Direction::ToDevice,
        Duration::Long,
        true,
    );
    assert_eq!(read_pin, BeforePin::Nothing);
    let fork = lacking(Mutant::ForkIgnoresPins).on_fork(writable(WRITE_PIN));
    assert_eq!(fork, OnFork::Share);
    let evict = lacking(Mutant::EvictIgnoresPins).on_evict(writable(WRITE_PIN));
    assert_eq!(evict, Verdict::Allow);
    assert!(!lacking(Mutant::ProtectClearsPrivate).private_after_protect(true));
    let parent = lacking(Mutant::ForkKeepsParentPrivate).parent_after_share(true, true);
    assert_eq!(parent, (false, true));
    let reuse = lacking(Mutant::ReuseByMapcount);
    assert_eq!(reuse.on_write(shared(1, WRITE_PIN)), OnWrite::Reuse);
    assert_eq!(reuse.on_write(shared(1, SWAP)), OnWrite::Reuse);
    assert_eq!(reuse.on_write(shared(2, NOTHING)), OnWrite::Copy);
    assert!(lacking(Mutant::SwapInPrivate).private_after_swap_in(false));
    let parent = lacking(Mutant::ForkLeavesParentWritable).parent_after_share(true, true);
    assert_eq!(parent, (true, false));
}

#[test]
fn names_read_back() {
    for set in RuleSet::ALL {
        assert_eq!(set.to_string().parse(), Ok(set));
    }
    for mutant in Mutant::ALL {
        assert_eq!(mutant.to_string().parse(), Ok(mutant));
    }
    let error = "single".parse::<RuleSet>().unwrap_err().to_string();
    assert!(error.starts_with("there is no rule set `single`; there are: single-refcount, "));
}
