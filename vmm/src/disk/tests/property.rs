//! Random writes, forks, snapshots and deaths, against a model that really copies.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::model::World;

#[derive(Clone, Debug)]
enum Step {
    Write { guest: usize, first: u64, count: u64 },
    Land { guest: usize, held: usize, sectors: usize },
    Finish { guest: usize, held: usize, succeed: bool },
    Zero { guest: usize, first: u64, count: u64 },
    Fork { guest: usize },
    Snapshot { guest: usize },
    Spawn { image: usize },
    DropGuest { guest: usize },
    DropImage { image: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (guest, held, first) = (0..64_usize, 0..64_usize, 0..super::SECTORS);
    let span = || (0..64_usize, first.clone(), 1..20_u64);
    let index = || guest.clone();
    prop_oneof![
        8 => span().prop_map(|(guest, first, count)| Step::Write { guest, first, count }),
        6 => (index(), held.clone(), 1..10_usize)
            .prop_map(|(guest, held, sectors)| Step::Land { guest, held, sectors }),
        6 => (index(), held.clone(), prop::bool::weighted(0.8))
            .prop_map(|(guest, held, succeed)| Step::Finish { guest, held, succeed }),
        1 => span().prop_map(|(guest, first, count)| Step::Zero { guest, first, count }),
        2 => index().prop_map(|guest| Step::Fork { guest }),
        1 => index().prop_map(|guest| Step::Snapshot { guest }),
        1 => index().prop_map(|image| Step::Spawn { image }),
        1 => index().prop_map(|guest| Step::DropGuest { guest }),
        1 => index().prop_map(|image| Step::DropImage { image }),
    ]
}

fn run(raw: bool, broken: bool, steps: &[Step]) -> Result<(), String> {
    let mut world = World::new(raw, broken);
    for step in steps {
        match *step {
            Step::Write { guest, first, count } => world.begin_write(guest, first, count),
            Step::Land { guest, held, sectors } => world.land(guest, held, sectors),
            Step::Finish { guest, held, succeed } => world.finish(guest, held, succeed),
            Step::Zero { guest, first, count } => world.zero(guest, first, count),
            Step::Fork { guest } => world.fork(guest),
            Step::Snapshot { guest } => world.snapshot(guest),
            Step::Spawn { image } => world.spawn(image),
            Step::DropGuest { guest } => world.drop_guest(guest),
            Step::DropImage { image } => world.drop_image(image),
        }
        world.compare().map_err(|error| format!("after {step:?}: {error}"))?;
    }
    world.end()
}

fn explore(cases: u32, raw: bool, broken: bool) -> Result<(), String> {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    runner
        .run(&prop::collection::vec(step(), 1..120), |steps| {
            run(raw, broken, &steps).map_err(TestCaseError::fail)
        })
        .map_err(|error| error.to_string())
}

#[test]
fn overlays_read_as_copies_would() {
    explore(96, false, false).unwrap();
}

#[test]
fn raw_disks_read_as_copies_would() {
    explore(96, true, false).unwrap();
}

#[test]
fn the_control_goes_red() {
    for raw in [false, true] {
        let found = explore(96, raw, true).unwrap_err();
        assert!(found.contains("guest") || found.contains("image"), "{found}");
    }
}
