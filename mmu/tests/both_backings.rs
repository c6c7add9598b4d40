//! The same random guest programs on `trap` and on `hostcow`: every byte that a CPU or a device sees is the
//! same on both, and so is what the rules refuse.
//!
//! Where the first sees what the second does not, one of them is wrong. The laws of `src/laws` compare each
//! with an oracle; here whole pages are written and read, at any byte, on real memory, and nobody has an
//! opinion about what they should be.

mod both_backings {
    pub(super) mod program;
    pub(super) mod side;
}

use both_backings::program::{Op, program};
use both_backings::side::{Seen, Side};
use pincow_mmu::host::{BackingKind, CopyOutOptions, MemoryOptions};
use pincow_mmu::rules::{Mutant, RuleSet, Rules};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// Operations of one program, at most.
const LENGTH: usize = 80;

/// Programs per rule set. `PROPTEST_CASES` asks for another number.
const CASES: u32 = 150;

/// Every first write reaches the rules.
fn trap() -> MemoryOptions {
    MemoryOptions { backing: BackingKind::Trap, ..MemoryOptions::default() }
}

/// The kernel copies. Forks copy before they return, in the background, or what somebody wants only.
fn host_cow() -> [MemoryOptions; 3] {
    let background = CopyOutOptions { background_from: 1, ..CopyOutOptions::default() };
    let at_once = CopyOutOptions { at_once: true, ..background };
    let on_demand = CopyOutOptions { on_demand: true, ..background };
    [at_once, background, on_demand].map(|copy_out| MemoryOptions {
        backing: BackingKind::HostCow,
        copy_out,
        ..MemoryOptions::default()
    })
}

/// The first difference between two sides that live the same program, in words.
fn difference(sides: [(MemoryOptions, Rules); 2], ops: &[Op]) -> Option<String> {
    let [mut one, mut other] = sides.map(|(options, rules)| Side::new(options, rules));
    let step = |(number, op): (usize, &Op)| {
        let (one, other) = (one.step(*op), other.step(*op));
        unequal(&one, &other).map(|how| format!("{op:?}, number {number}: {how}"))
    };
    let found = ops.iter().enumerate().find_map(step);
    found.or_else(|| {
        let (one, other) = (one.everything(), other.everything());
        assert_eq!(one.len(), other.len(), "as many guests, images and devices");
        one.iter().zip(&other).find_map(|((who, one), (_, other))| {
            unequal(one, other).map(|how| format!("{who} in the end: {how}"))
        })
    })
}

fn unequal(one: &Seen, other: &Seen) -> Option<String> {
    match (one, other) {
        (Seen::Bytes(one), Seen::Bytes(other)) => {
            assert_eq!(one.len(), other.len(), "both look at as much");
            let at = one.iter().zip(other).position(|(one, other)| one != other)?;
            Some(format!("byte {at:#x} is {:#04x} and {:#04x}", one[at], other[at]))
        }
        (one, other) => (one != other).then(|| format!("{one:?} and {other:?}")),
    }
}

fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    asked.unwrap_or(CASES)
}

#[test]
fn nobody_can_tell_the_backings_apart() {
    for set in [RuleSet::SingleRefcount, RuleSet::Exclusive] {
        for host_cow in host_cow() {
            let config = Config { cases: cases(), failure_persistence: None, ..Config::default() };
            let sides = [trap(), host_cow.clone()].map(|options| (options, set.into()));
            let lived = TestRunner::new(config).run(&program(LENGTH), |ops| {
                let found = difference(sides.clone(), &ops);
                found.map_or(Ok(()), |how| Err(TestCaseError::fail(how)))
            });
            lived.unwrap_or_else(|error| panic!("{set}, {:?}: {error}", host_cow.copy_out));
        }
    }
}

/// Whether random programs find a side on which a rule is switched off.
fn found(wrong: &MemoryOptions, rules: Rules) -> bool {
    let [_, _, on_demand] = host_cow();
    let right = match wrong.backing {
        BackingKind::Trap => on_demand,
        BackingKind::HostCow => trap(),
    };
    let sides = [(wrong.clone(), rules), (right, RuleSet::SingleRefcount.into())];
    let mut runner = TestRunner::deterministic();
    (0..CASES).any(|_| {
        let ops = program(LENGTH).new_tree(&mut runner).expect("a program").current();
        difference(sides.clone(), &ops).is_some()
    })
}

/// Control: without rule (c), a device writes what a fork has shared.
#[test]
fn control_a_fork_that_ignores_pins_is_found_on_either_side() {
    let rules = Rules { set: RuleSet::SingleRefcount, mutant: Some(Mutant::ForkIgnoresPins) };
    for wrong in host_cow().into_iter().chain([trap()]) {
        assert!(found(&wrong, rules), "{wrong:?}");
    }
}

/// Control: without rule (e), a device goes on reading what its guest has left.
#[test]
fn control_a_read_pin_that_takes_no_write_fault_is_found_on_either_side() {
    for wrong in host_cow().into_iter().chain([trap()]) {
        assert!(found(&wrong, RuleSet::Literal.into()), "{wrong:?}");
    }
}

/// Programs go everywhere: what they never do, they do not compare.
#[test]
fn control_programs_reach_every_kind_of_event() {
    let mut runner = TestRunner::deterministic();
    let (mut trap, mut host_cow) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        let ops = program(LENGTH).new_tree(&mut runner).expect("a program").current();
        let [at_once, ..] = self::host_cow();
        for (options, all) in [(self::trap(), &mut trap), (at_once, &mut host_cow)] {
            let mut side = Side::new(options, RuleSet::SingleRefcount.into());
            ops.iter().for_each(|op| drop(side.step(*op)));
            all.push(side.counts());
        }
    }
    let sum = |all: &[pincow_mmu::stats::Counts]| {
        all.iter().fold([0; 6], |sum: [u64; 6], counts| {
            let more = [
                counts.copied,
                counts.early_copies,
                counts.discarded,
                counts.evicted,
                counts.swapped_in,
                counts.copied_out,
            ];
            std::array::from_fn(|at| sum[at] + more[at])
        })
    };
    let (trap, host_cow) = (sum(&trap), sum(&host_cow));
    assert!(trap[..5].iter().all(|count| *count > 20), "{trap:?}");
    let without_swap = host_cow.iter().enumerate().filter(|(at, _)| *at != 4);
    assert!(without_swap.into_iter().all(|(_, count)| *count > 20), "{host_cow:?}");
}
