//! Loads on a disk that executes rings in memory.

use super::content::{original, sector_words, written};
use super::words::*;
use super::*;
use crate::control::{SALT, STOP};
use crate::disk::fake::{Fault, Machine};
use crate::disk::{Disk, EVENT_IDX, INDIRECT, Operation};
use crate::map::{PAGE_BYTES, TABLE_FIRST_PAGE};
use crate::memory::Memory;

const CONTROL: u64 = 0x20;
const SEED_USED: u64 = 41;
const DISK_SECTORS: u64 = 4096;
const FIRST_SECTOR: u64 = 16;

/// Slots, sectors of a block, blocks, and how many of 256 transfers are writes.
type Shape = (u64, u64, u64, u64);

fn set(machine: &mut Machine, word: usize, value: u64) {
    machine.store(CONTROL, word, value);
}

fn get(machine: &Machine, word: usize) -> u64 {
    machine.load(CONTROL, word)
}

/// A machine with a disk that holds what was there originally, and a load that was prepared.
fn machine((slots, block, blocks, writes): Shape, flags: u64, disk_flags: u64) -> Machine {
    let mut machine = Machine::new(DISK_SECTORS);
    for sector in 0..DISK_SECTORS {
        let words = sector_words(SEED_USED, original(SEED_USED), sector);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let at = (sector * 512) as usize;
        machine.disk[at..at + 512].copy_from_slice(&bytes);
    }
    Disk::init(&mut machine, 0, 0, disk_flags).expect("a disk");
    let parameters = [
        (SECTOR, FIRST_SECTOR),
        (BLOCK, block),
        (BLOCKS, blocks),
        (SLOTS, slots),
        (WRITES, writes),
        (FLAGS, flags),
        (DEPTH, slots),
        (SALT, 1),
    ];
    parameters.into_iter().for_each(|(word, value)| set(&mut machine, word, value));
    let pages = Plan::pages_for(slots, block, blocks);
    let begun = Load::prepare(&mut machine, CONTROL, [TABLE_FIRST_PAGE, pages, SEED_USED]);
    begun.map(drop).expect("a load");
    machine
}

fn run(machine: &mut Machine, limit: u64) -> Totals {
    Load::open(machine, CONTROL).and_then(|mut load| load.run(limit)).expect("totals")
}

fn read_back(machine: &mut Machine) -> Totals {
    Load::open(machine, CONTROL).and_then(|mut load| load.read_back()).expect("totals")
}

const MIXED: Shape = (32, 8, 256, 128);

#[test]
fn a_load_on_a_good_disk_finds_nothing() {
    let both = flag::ORIGINAL | flag::WHOLE;
    for (shape, flags, disk_flags, limit) in [
        (MIXED, both, 0, 1000),
        ((64, 1, 1000, 0), flag::ORIGINAL, INDIRECT | EVENT_IDX, 700),
        ((1, 256, 8, 256), 0, EVENT_IDX, 50),
        ((3, 3, 50, 100), both, INDIRECT, 500),
    ] {
        let mut machine = machine(shape, flags, disk_flags);
        let totals = run(&mut machine, limit);
        assert_eq!((totals.ended, totals.bad, machine.in_flight()), (limit, 0, 0), "{shape:?}");
        assert_eq!(totals.bells, machine.bells, "{shape:?}");
        assert_eq!(totals.verified > 0, shape.3 < 256, "{shape:?}");
        let all = read_back(&mut machine);
        assert_eq!((all.bad, machine.in_flight()), (0, 0), "{shape:?}");
        assert_eq!(all.verified > totals.verified, shape.3 > 0, "{shape:?}");
        let outside = FIRST_SECTOR + shape.1 * shape.2..DISK_SECTORS;
        for sector in (0..FIRST_SECTOR).chain(outside) {
            let words = sector_words(SEED_USED, original(SEED_USED), sector);
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            assert_eq!(machine.sector(sector)[..], bytes, "{shape:?}: sector {sector}");
        }
    }
}

#[test]
fn each_fault_of_a_disk_is_found() {
    for fault in [
        Fault::LoseRead,
        Fault::TearRead,
        Fault::LoseWrite,
        Fault::MisplaceWrite,
        Fault::Fail,
        Fault::WrongLength,
    ] {
        let mut machine = machine(MIXED, flag::ORIGINAL, 0);
        machine.fault = Some((fault, 7));
        run(&mut machine, 300);
        machine.fault = None;
        let totals = read_back(&mut machine);
        assert!(totals.bad > 0, "{fault:?}");
        assert!(get(&machine, BAD_EXPECTED) != get(&machine, BAD_FOUND), "{fault:?}");
        let region = FIRST_SECTOR..FIRST_SECTOR + 8 * 256;
        assert!(region.contains(&get(&machine, BAD_SECTOR)), "{fault:?}");
    }
}

#[test]
fn every_word_is_verified_where_that_is_wanted() {
    for (flags, found) in [(flag::ORIGINAL, false), (flag::ORIGINAL | flag::WHOLE, true)] {
        let mut machine = machine((4, 8, 256, 0), flags, 0);
        for byte in machine.disk.iter_mut().skip(200).step_by(512) {
            *byte ^= 1;
        }
        assert_eq!(run(&mut machine, 10).bad > 0, found);
    }
}

#[test]
fn a_load_leaves_in_flight_what_is_when_it_ends_early() {
    let mut machine = machine(MIXED, flag::ORIGINAL, 0);
    set(&mut machine, UNTIL, 100);
    let totals = run(&mut machine, 0);
    assert!((100..110).contains(&totals.ended), "{totals:?}");
    assert!(machine.in_flight() > 20 && get(&machine, UNTIL) == 0);
    // What goes on is a whole load; so is a copy with a salt of its own, on a disk of its own.
    let mut copy = machine.clone();
    set(&mut copy, SALT, 2);
    for machine in [&mut machine, &mut copy] {
        assert_eq!((run(machine, 500).bad, machine.in_flight()), (0, 0));
        assert_eq!(read_back(machine).bad, 0);
    }
    assert!(machine.disk != copy.disk);
    machine.disk = copy.disk;
    assert!(read_back(&mut machine).bad > 0, "the copy's blocks are not its own");
}

#[test]
fn stopped_a_load_waits_for_its_last_transfer() {
    let mut machine = machine(MIXED, flag::ORIGINAL, 0);
    set(&mut machine, UNTIL, 10);
    run(&mut machine, 0);
    set(&mut machine, STOP, 1);
    let begun = get(&machine, BEGUN);
    assert_eq!(run(&mut machine, 0).ended, begun);
    assert_eq!((machine.in_flight(), get(&machine, STOP)), (0, 0));
    // At no depth nothing happens, until it is stopped.
    set(&mut machine, DEPTH, 0);
    set(&mut machine, STOP, 1);
    assert_eq!(run(&mut machine, 0).ended, begun);
}

#[test]
fn waves_ring_once_each() {
    let mut machine = machine((16, 8, 256, 0), flag::ORIGINAL, 0);
    set(&mut machine, BATCH, 16);
    assert_eq!(run(&mut machine, 160).bells, 10);
    set(&mut machine, BATCH, 1);
    assert!(run(&mut machine, 160).bells > 20);
}

#[test]
fn what_ended_and_was_not_seen_is_known() {
    let mut machine = machine((16, 8, 256, 0), flag::ORIGINAL, 0);
    set(&mut machine, UNTIL, 1);
    run(&mut machine, 0);
    let disk = Disk::open(&machine, 0).expect("a disk");
    let (before, held) = (disk.unseen(&machine), machine.in_flight() as u64);
    assert_eq!(before + held, disk.in_flight(&machine));
    while machine.in_flight() > 0 {
        crate::disk::Bus::relax(&mut machine);
    }
    assert_eq!(disk.unseen(&machine), before + held);
}

#[test]
fn a_load_that_cannot_be_is_refused() {
    let good = machine(MIXED, flag::ORIGINAL, 0);
    let wrong = [
        (SLOTS, 0),
        (SLOTS, 65),
        (BLOCK, 0),
        (BLOCK, 257),
        (BLOCKS, 31),
        (BLOCKS, DISK_SECTORS / 8),
        (BLOCKS, u64::MAX),
        (SECTOR, u64::MAX),
        (DEVICE, 1),
        (DEVICE, 8),
        (PAGES, Plan::pages_for(32, 8, 256) - 1),
    ];
    for (word, value) in wrong {
        let mut machine = good.clone();
        set(&mut machine, word, value);
        assert!(Load::open(&mut machine, CONTROL).is_err(), "word {word}: {value}");
    }
}

#[test]
fn slots_never_meet_and_both_directions_come() {
    let pattern = Pattern { seed: 3, slots: 64, blocks: 1000, writes: 128 };
    let mut writes = 0;
    for slot in 0..64 {
        for turn in 0..100 {
            let next = pattern.next(slot, turn);
            assert!(next.block < 64 * 15 && next.block % 64 == slot, "{next:?}");
            writes += u64::from(next.operation == Operation::Write);
        }
    }
    assert!((2800..3600).contains(&writes), "{writes}");
}

#[test]
fn buffers_are_pages_past_the_tables() {
    let plan = |shape: Shape| {
        let machine = machine(shape, 0, 0);
        Plan::from_words(|word| get(&machine, word)).expect("a plan")
    };
    for (slots, block, blocks) in [(1, 1, 1), (64, 8, 500), (3, 256, 15)] {
        let plan = plan((slots, block, blocks, 0));
        assert!(plan.buffer(0) >= plan.shadow(blocks));
        let end = (TABLE_FIRST_PAGE + Plan::pages_for(slots, block, blocks)) * PAGE_BYTES as u64;
        assert!(plan.buffer(slots) == end, "{:#x}, not {end:#x}", plan.buffer(slots));
        assert!((0..slots).all(|slot| plan.buffer(slot).is_multiple_of(PAGE_BYTES as u64)));
    }
}

#[test]
fn nobody_writes_what_another_wrote() {
    let bases = [original(1), original(2), written(1, 1), written(1, 2), written(2, 1)];
    for (at, base) in bases.iter().enumerate() {
        assert!(*base != 0 && !bases[..at].contains(base));
    }
}

#[test]
fn a_sector_says_at_both_ends_which_it_is() {
    let words = sector_words(1, 2, 3);
    assert_eq!(words[63], !words[0]);
    for (base, sector) in [(2, 4), (3, 3)] {
        let other = sector_words(1, base, sector);
        assert!(words[0] != other[0] && words[1..63] == other[1..63]);
    }
}
