//! Scripts on real memory: what the model shows, threads that really wait, and bytes that are wrong.

use std::time::Duration as Time;

use super::*;
use crate::rules::{Direction, Duration, RuleSet};
use crate::scenario::{Limits, Model, Op, Place, Random, Runner, Script, run};
use crate::space::{PinRequest, ToDevice};

const SCENARIOS: &str = include_str!("../../../../tests/scenarios/all.scn");
const TABLE: &str = include_str!("../../../../tests/scenarios/table.txt");

fn memory(set: RuleSet) -> RealMemory {
    RealMemory::of(Rules::from(set)).expect("userfaultfd for shared memory")
}

fn ops(text: &str) -> Vec<Op> {
    Script::parse_all("-", &text.replace("; ", "\n")).unwrap().remove(0).ops
}

#[test]
fn every_outcome_of_the_table() {
    let scripts = Script::parse_all("all.scn", SCENARIOS).unwrap();
    let rows = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut compared = 0;
    for row in rows {
        let cells: Vec<_> = row.split_whitespace().collect();
        let script = scripts.iter().find(|script| script.id == cells[0]).unwrap();
        let outcome = run(script, &mut memory(cells[1].parse().unwrap())).unwrap();
        assert_eq!(outcome.to_string(), cells[2..].join(" "), "{row}");
        compared += 1;
    }
    assert_eq!(compared, 261);
}

/// The model and real memory side by side: the same findings and copies after every single
/// operation, and every count is the number of its holders.
fn compare(set: RuleSet, script: &[Op], real: &mut RealMemory) {
    let mut model = Model::of(Rules::from(set));
    let (mut model, mut real) = (Runner::new(&mut model).unwrap(), Runner::new(real).unwrap());
    for (done, op) in script.iter().enumerate() {
        let context = || format!("{set}: {}", Script::new("random", script[..=done].to_vec()));
        assert_eq!(model.step(op).unwrap(), real.step(op).unwrap(), "{}", context());
        assert_eq!(model.outcome(), real.outcome(), "{}", context());
        real.place().assert_conserved(
            real.pins().map(|(_, pin, _)| pin),
            real.holds().map(|(_, hold)| hold),
        );
    }
    model.finish().unwrap();
    real.finish().unwrap();
}

/// How many scripts for each set: `PINCOW_SCRIPTS`, 250 by default.
#[test]
fn random_scripts_show_what_the_model_shows() {
    let limits = Limits { guests: 4, pins: 4, uncounted: true, holds: true };
    let scripts = std::env::var("PINCOW_SCRIPTS").map_or(250, |count| count.parse().unwrap());
    for set in RuleSet::ALL {
        // All in one family: what a script leaves behind would disturb the next one.
        let mut real = memory(set);
        for seed in 0..scripts {
            compare(set, &Random::new(seed).script(50, limits), &mut real);
        }
        assert_eq!(real.family().backing().swapped_frames(), 0, "{set}");
    }
}

/// What lies in the sectors of a guest's page is not what its CPU and devices wrote, and every read
/// of it says so. A test of the checker: it looks at real bytes.
#[test]
fn a_byte_flipped_behind_the_checkers_back_is_found() {
    let find = |set, change: &dyn Fn(Address), then: &str| {
        let mut real = memory(set);
        let mut runner = Runner::new(&mut real).unwrap();
        for op in ops("write P; write P; pin P W long p; dma_write p; dma_write p; read P") {
            runner.step(&op).unwrap();
        }
        assert!(runner.checker().findings().is_empty(), "{set}: found before anything was flipped");
        let (_, guest, _) = runner.guests().next().unwrap();
        let hold = guest.hold(PAGE).unwrap();
        change(device_address(hold.frame().0, PAGE));
        drop(hold);
        let op = if then == "read" { Op::Read("P".into()) } else { Op::DmaRead("p".into()) };
        runner.step(&op).unwrap();
        runner.finish().unwrap().to_string()
    };
    let flip = |at: usize| {
        move |page: Address| {
            let byte = page.0.wrapping_add(at);
            // SAFETY: the byte lies in the page, which the hold in `find` keeps.
            unsafe { byte.write_volatile(byte.read_volatile() ^ 1) }
        }
    };
    // SAFETY: as for `flip`.
    let put = |sector, stamp| move |page: Address| unsafe { page.fill(sector, Stamp(stamp)) };
    for set in RuleSet::ALL {
        for sector in [SECTOR_A, SECTOR_B] {
            for at in [sector, sector + SECTOR_BYTES / 2, sector + SECTOR_BYTES - 1] {
                assert_eq!(find(set, &flip(at), "read"), "LEAK 0c", "{set}, byte {at:#x}");
                assert_eq!(find(set, &flip(at), "dma_read"), "LEAK 0c", "{set}, byte {at:#x}");
            }
        }
        // The first of each two stamps was there once.
        assert_eq!(find(set, &put(SECTOR_B, 1), "read"), "CORRUPT 0c", "{set}");
        assert_eq!(find(set, &put(SECTOR_A, 3), "read"), "LOST 0c", "{set}");
        assert_eq!(find(set, &put(SECTOR_A, 3), "dma_read"), "STALE 0c", "{set}");
        assert_eq!(find(set, &put(SECTOR_A, 4), "read"), "ok 0c", "{set}: the right stamp");
    }
}

/// Without the check that a script makes before it writes: the writer sits in its page fault until
/// the device is done.
#[test]
fn a_write_that_waits_goes_on_after_the_unpin() {
    let mut real = memory(RuleSet::Wait);
    let parent = real.root().unwrap();
    real.write(&parent, Stamp(1)).unwrap();
    let child = real.fork(&parent).unwrap();
    let pin = real.pin(&parent, Direction::ToDevice, Duration::Short, true).unwrap();
    let trap = Arc::clone(real.family().backing());
    std::thread::scope(|scope| {
        // SAFETY: the space lives as long as the scope, and keeps its window mapped.
        let writer = scope.spawn(|| unsafe {
            Address(parent.window().address(PAGE)).fill(SECTOR_B, Stamp(2));
        });
        assert!(trap.wait_deferred(1, Time::from_secs(10)), "nobody waits");
        std::thread::sleep(Time::from_millis(20));
        assert!(!writer.is_finished(), "the write went through although the page is pinned");
        assert_eq!(real.dma_read(&pin).unwrap().b, Stamp(1));
        assert_eq!(real.read(&child).unwrap().b, Stamp(1));
        real.unpin(pin).unwrap();
        writer.join().unwrap();
    });
    assert_eq!(real.read(&parent).unwrap().b, Stamp(2));
    assert_eq!(real.read(&child).unwrap().b, Stamp(1));
    assert_eq!(trap.deferred_count(), 0);
    assert_eq!(real.copies(), 1);
}

/// The same for a pin: it is refused while others wait, and does not wait itself.
#[test]
fn a_write_pin_beside_a_short_read_pin_is_told_to_wait() {
    let mut real = memory(RuleSet::Wait);
    let parent = real.root().unwrap();
    let _child = real.fork(&parent).unwrap();
    let reader = parent.pin::<ToDevice>(PAGE, PinRequest::TRANSFER).unwrap();
    let refused = real.pin(&parent, Direction::FromDevice, Duration::Short, true);
    assert!(matches!(refused, Err(crate::scenario::Stop::Refused(crate::scenario::Refusal::Wait))));
    drop(reader);
    assert!(real.pin(&parent, Direction::FromDevice, Duration::Short, true).is_ok());
}

/// Torn sectors are seen as such, and a whole one as what it is.
#[test]
fn a_sector_is_read_as_a_whole() {
    let mut bytes = vec![0_u64; crate::gfn::PAGE_SIZE / 8];
    let page = Address(bytes.as_mut_ptr().cast());
    for (word, seen) in [(0, Stamp::TORN), (WORDS - 1, Stamp::TORN), (WORDS, Stamp(9))] {
        // SAFETY: the page is the vector, which lives on.
        unsafe {
            page.fill(SECTOR_A, Stamp(9));
            page.0.wrapping_add(SECTOR_A).cast::<u64>().add(word).write_volatile(8);
            assert_eq!(page.stamp(SECTOR_A), seen, "word {word}");
        }
    }
}
