//! Scripts on real guests: what the model shows, devices that ignore pins, and bytes that are wrong.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pincow_guest_protocol::Command;
use pincow_mmu::audit::Miscount;
use pincow_mmu::host::HostMemory;
use pincow_mmu::rules::{Direction, Duration as Pinned, RuleSet, Rules};
use pincow_mmu::scenario::{
    Finding, Limits, Model, Op, Outcome, Place, Random, RunError, Runner, SECTOR_A, SECTOR_B,
    SECTOR_BYTES, Script, Stamp, Step, run,
};
use pincow_mmu::table::LayerId;
use pincow_mmu::{Family, Gfn, PAGE_SIZE, SpaceError};
use tempfile::TempDir;
use vm_memory::{Bytes, GuestAddress};

use super::{LabError, Member, PAGE, QUEUE_SIZE, RealGuests};
use crate::drive;
use crate::guest::{PinMode, pinned};
use crate::kvm::tests::host;

mod host_copies;

const SCENARIOS: &str = include_str!("../../../tests/scenarios/all.scn");
const TABLE: &str = include_str!("../../../tests/scenarios/table.txt");

/// A folder on a real file system: `/tmp` may not be on one that transfers can be made on directly.
fn folder() -> TempDir {
    tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap()
}

fn scenarios() -> Vec<Script> {
    Script::parse_all("all.scn", SCENARIOS).unwrap()
}

fn ops(text: &str) -> Vec<Op> {
    Script::parse_all("-", &text.replace("; ", "\n")).unwrap().remove(0).ops
}

fn on_model(script: &Script, set: RuleSet) -> Outcome {
    run(script, &mut Model::of(Rules::from(set))).unwrap()
}

#[test]
fn every_scenario_shows_what_the_model_and_the_table_say() {
    let Some(host) = host() else { return };
    let folder = folder();
    let rows: Vec<Vec<_>> = TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let mut compared = 0;
    for set in RuleSet::ALL {
        let mut guests = RealGuests::new(&host, Rules::from(set), folder.path()).unwrap();
        for script in scenarios() {
            let (id, name) = (script.id.as_str(), set.to_string());
            let outcome = run(&script, &mut guests).unwrap();
            assert_eq!(outcome, on_model(&script, set), "{id} under {set}");
            let row = rows.iter().find(|row| row[0] == id && row[1] == name).unwrap();
            assert_eq!(outcome.to_string(), row[2..].join(" "), "{id} under {set}");
            compared += 1;
        }
    }
    assert_eq!((compared, rows.len()), (261, 261));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files stay behind");
}

/// The law of conservation. A device that was just made looks at its queues in a thread of its own, and
/// writes to them: a miscount must still be there when it has.
fn audit_at_rest(family: &Family<HostMemory>, others: &[(LayerId, Gfn)]) -> Result<(), Miscount> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let audit = family.audit(others.iter().copied());
        if audit.is_ok() || Instant::now() > deadline {
            return audit;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The model and real guests side by side: the same findings and copies after every single operation,
/// and every count is the number of its holders.
fn compare(set: RuleSet, script: &[Op], mut model: Model, guests: &mut RealGuests) {
    let (mut model, mut real) = (Runner::new(&mut model).unwrap(), Runner::new(guests).unwrap());
    let family = Arc::clone(real.guests().next().unwrap().1.guest.realm().family());
    for (done, op) in script.iter().enumerate() {
        let context = || format!("{set}: {}", Script::new("random", script[..=done].to_vec()));
        assert_eq!(model.step(op).unwrap(), real.step(op).unwrap(), "{}", context());
        assert_eq!(model.outcome(), real.outcome(), "{}", context());
        let mut others = Vec::new();
        for (_, pin, _) in real.pins() {
            let frames = pinned(&pin.part(&real.place().desk).unwrap().buffers);
            assert_eq!(frames.len(), 1, "{}", context());
            others.extend(frames);
        }
        others.extend(real.holds().map(|(_, hold)| (hold.frame().0.id(), hold.frame().1)));
        assert_eq!(audit_at_rest(&family, &others), Ok(()), "{}", context());
    }
    model.finish().unwrap();
    real.finish().unwrap();
}

const LIMITS: Limits = Limits { guests: 3, pins: 3, uncounted: true, holds: true };

/// How many scripts for each set: `PINCOW_GUEST_SCRIPTS`, 3 by default.
fn random_scripts() -> u64 {
    std::env::var("PINCOW_GUEST_SCRIPTS").map_or(3, |count| count.parse().unwrap())
}

#[test]
fn random_scripts_show_what_the_model_shows() {
    let Some(host) = host() else { return };
    let folder = folder();
    let scripts = random_scripts();
    for set in RuleSet::ALL {
        let mut guests = RealGuests::new(&host, Rules::from(set), folder.path()).unwrap();
        for seed in 0..scripts {
            let model = Model::of(Rules::from(set));
            compare(set, &Random::new(seed).script(30, LIMITS), model, &mut guests);
        }
    }
}

/// The negative control. Where the rules are sound, what devices do without pins is a violation.
#[test]
fn devices_that_ignore_pins_are_found() {
    let Some(host) = host() else { return };
    let folder = folder();
    for (pins, scenario, expected) in [
        (PinMode::LetGoAtOnce, "A8", &[Finding::Leak, Finding::Lost][..]),
        (PinMode::LetGoAtOnce, "H10", &[Finding::Leak]),
        (PinMode::AsItIs, "A9", &[Finding::Stale]),
        (PinMode::AsItIs, "U2", &[Finding::Stale]),
    ] {
        for set in [RuleSet::SingleRefcount, RuleSet::Exclusive] {
            let guests = RealGuests::new(&host, Rules::from(set), folder.path()).unwrap();
            let script = scenarios().into_iter().find(|script| script.id == scenario).unwrap();
            let outcome = run(&script, &mut guests.with_pins(pins)).unwrap();
            let context = format!("{scenario} under {set} with {pins:?}: {outcome}");
            assert_ne!(outcome, on_model(&script, set), "{context}");
            assert!(expected.iter().all(|it| outcome.findings.contains(it)), "{context}");
        }
    }
}

/// What lies in the sectors of a guest's page is not what its vCPU and device wrote, and every read of
/// it says so. A test of the lab's own eyes.
#[test]
fn a_byte_flipped_behind_the_checkers_back_is_found() {
    let Some(host) = host() else { return };
    let folder = folder();
    let mut guests = RealGuests::new(&host, Rules::default(), folder.path()).unwrap();
    for sector in [SECTOR_A, SECTOR_B] {
        for at in [sector, sector + SECTOR_BYTES - 1] {
            let mut runner = Runner::new(&mut guests).unwrap();
            for op in ops("write P; pin P W long p; dma_write p; dma_read p; read P") {
                assert_eq!(runner.step(&op).unwrap(), Step::Done);
            }
            assert_eq!(runner.outcome().to_string(), "ok 0c");
            let (_, member, _) = runner.guests().next().unwrap();
            let ram = member.guest.machine().ram().memory();
            let address = GuestAddress(u64::from(PAGE.0) * PAGE_SIZE as u64 + at as u64);
            let byte: u8 = ram.read_obj(address).unwrap();
            ram.write_obj(byte ^ 1, address).unwrap();
            for op in [Op::Read("P".into()), Op::DmaRead("p".into())] {
                runner.forget_findings();
                runner.step(&op).unwrap();
                assert_eq!(runner.outcome().to_string(), "LEAK 0c", "{op}, byte {at:#x}");
            }
            runner.finish().unwrap();
        }
    }
}

/// Without the question that a script asks before it writes: the vCPU sits in its fault until the device
/// is done.
#[test]
fn a_vcpu_that_waits_goes_on_after_the_unpin() {
    let Some(host) = host() else { return };
    let folder = folder();
    let rules = Rules::from(RuleSet::Wait);
    let mut guests = RealGuests::new(&host, rules, folder.path()).unwrap();
    let parent = guests.root().unwrap();
    guests.write(&parent, Stamp(1)).unwrap();
    let child = guests.fork(&parent).unwrap();
    let pin = guests.pin(&parent, Direction::ToDevice, Pinned::Short, true).unwrap();
    let address = u64::from(PAGE.0) * PAGE_SIZE as u64 + SECTOR_B as u64;
    let write = Command::Stamp { address, words: (SECTOR_BYTES / 8) as u64, value: 2 };
    drive::post(&parent.guest, 0, write).unwrap();
    let trap = Arc::clone(parent.guest.realm().family().backing());
    assert!(trap.wait_deferred(1, Duration::from_secs(30)), "nobody waits");
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(guests.dma_read(&pin).unwrap().b, Stamp(1));
    assert_eq!(guests.read(&child).unwrap().b, Stamp(1));
    // The vCPU cannot see to its driver now, so the device ends the request first.
    guests.desk.end(0, true);
    drive::reply(&parent.guest, 0, write).unwrap();
    guests.unpin(pin).unwrap();
    assert_eq!(guests.read(&parent).unwrap().b, Stamp(2));
    assert_eq!(guests.read(&child).unwrap().b, Stamp(1));
    assert_eq!(guests.copies(), 1);
}

/// A pin is a request that the guest's driver has in flight, and sees the end of.
#[test]
fn requests_end_as_their_devices_served_them() {
    let Some(host) = host() else { return };
    let folder = folder();
    let mut guests = RealGuests::new(&host, Rules::default(), folder.path()).unwrap();
    let root = guests.root().unwrap();
    let counts = |member: &Member| {
        let counts = member.guest.disk_counts()[0];
        [counts.requests, counts.answered, counts.errors]
    };
    let pin = |guests: &mut RealGuests, direction| {
        guests.pin(&root, direction, Pinned::Short, true).unwrap()
    };
    let served = pin(&mut guests, Direction::FromDevice);
    guests.dma_write(&served, Stamp(7)).unwrap();
    guests.unpin(served).unwrap();
    assert_eq!(counts(&root), [1, 1, 0]);
    let idle = pin(&mut guests, Direction::FromDevice);
    guests.dma_read(&idle).unwrap();
    guests.unpin(idle).unwrap();
    assert_eq!(counts(&root), [2, 2, 1], "a read that brought nothing");
    let served = pin(&mut guests, Direction::ToDevice);
    assert_eq!(guests.dma_read(&served).unwrap().a, Stamp(7));
    let child = guests.fork(&root).unwrap();
    assert_eq!(counts(&root), [3, 2, 1], "the parent's request goes on");
    assert_eq!(counts(&child), [0, 1, 1], "and has failed in the child");
    guests.unpin(served).unwrap();
    assert_eq!(counts(&root), [3, 3, 1]);
}

#[test]
fn more_pins_than_a_virtqueue_has_entries_are_said_to_be_inexpressible() {
    let Some(host) = host() else { return };
    let folder = folder();
    let mut guests = RealGuests::new(&host, Rules::default(), folder.path()).unwrap();
    let pins = (0..=QUEUE_SIZE).map(|pin| format!("pin P R long p{pin}\n"));
    let script = Script::parse_all("-", &pins.collect::<String>()).unwrap().remove(0);
    let error = run(&script, &mut guests).unwrap_err();
    let RunError::Operation { line: 257, source, .. } = error else { panic!("{error}") };
    assert!(source.is_inexpressible(), "{source}");
}

/// As on the model, and at once: the device itself would try for ever.
#[test]
fn more_pins_than_a_count_has_room_for_end_the_script() {
    let Some(host) = host() else { return };
    let folder = folder();
    let mut guests = RealGuests::new(&host, Rules::default(), folder.path()).unwrap();
    let pins = (0..256).map(|pin| format!("pin P W long p{pin}\n"));
    let script = Script::parse_all("-", &pins.collect::<String>()).unwrap().remove(0);
    let model = run(&script, &mut Model::of(Rules::default())).unwrap_err();
    let real = run(&script, &mut guests).unwrap_err();
    assert_eq!(real.to_string(), model.to_string());
    let RunError::Operation { line: 256, source, .. } = real else { panic!("{real}") };
    assert!(matches!(source, LabError::Space(SpaceError::Saturated { gfn: PAGE })), "{source}");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let Some(host) = host() else { return };
    let nowhere = Path::new("/no-such-folder");
    let mut guests = RealGuests::new(&host, Rules::default(), nowhere).unwrap();
    let error = guests.root().err().unwrap().to_string();
    assert!(error.contains("/no-such-folder") && error.contains("--dir"), "{error}");
}
