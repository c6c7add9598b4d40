use super::run::StormError;
use super::words::*;
use super::*;
use crate::control::{SALT, STOP};
use crate::disk::fake::{Fault, Machine};
use crate::disk::{Disk, EVENT_IDX, INDIRECT};
use crate::map::TABLE_FIRST_PAGE;
use crate::memory::{ByteMemory, Memory};
use crate::sector::SectorHeader;

mod forks;
mod layout;
mod lent;

const CONTROL: u64 = 0x20;
const SEED_USED: u64 = 99;
const DISK_SECTORS: u64 = 2048;
const REGION: (u64, u64) = (64, 1500);

fn set(machine: &mut Machine, word: usize, value: u64) {
    machine.store(CONTROL, word, value);
}

/// A machine with a disk and parameters.
fn machine(depth: u64, most: u64, flags: u64, disk_flags: u64) -> Machine {
    let mut machine = Machine::new(DISK_SECTORS);
    Disk::init(&mut machine, 0, 0, disk_flags).expect("a disk");
    let parameters = [
        (SECTOR, REGION.0),
        (SECTORS, REGION.1),
        (DEPTH, depth),
        (MOST, most),
        (WRITES, 128),
        (UNALIGNED, 64),
        (FLAGS, flags),
        (SALT, 1),
    ];
    parameters.into_iter().for_each(|(word, value)| set(&mut machine, word, value));
    machine
}

fn start(machine: &mut Machine) -> Storm<'_, Machine> {
    let pages =
        Plan::pages_for(machine.load(CONTROL, DEPTH), machine.load(CONTROL, MOST), REGION.1);
    Storm::start(machine, CONTROL, [TABLE_FIRST_PAGE, pages, SEED_USED]).expect("a storm")
}

fn storm(machine: &mut Machine, limit: u64) -> Totals {
    start(machine).run(limit).expect("totals")
}

fn view(machine: &Machine) -> StormView<'_, Machine> {
    StormView::new(machine, CONTROL).expect("a storm")
}

/// What the monitor does.
fn verify(machine: &Machine) -> Vec<Finding> {
    let view = view(machine);
    let sectors = REGION.0..REGION.0 + REGION.1;
    let disk = sectors.filter_map(|sector| view.verify_sector(sector, &machine.sector(sector)));
    disk.chain(view.verify_stamps()).chain(view.verify_lent()).collect()
}

#[test]
fn a_storm_on_a_good_disk_finds_nothing() {
    let everything = flag::ZEROS | flag::FLUSH | flag::ZERO | flag::DISCARD | flag::LEND;
    for (depth, most, flags, disk_flags) in [
        (16, 128, flag::ZEROS, 0),
        (64, 128, everything, INDIRECT | EVENT_IDX),
        (128, 3, everything, INDIRECT),
        (1, 1, flag::FRESH, EVENT_IDX),
    ] {
        let mut machine = machine(depth, most, flags, disk_flags);
        let totals = storm(&mut machine, 1500);
        assert_eq!(view(&machine).first_finding(), None);
        assert_eq!((totals.findings, totals.read_back), (0, REGION.1));
        assert!(totals.transfers > 1500 && totals.bytes >= 1000 * 512, "{totals:?}");
        assert!(view(&machine).word(COMPARED) > 100);
        assert!(view(&machine).word(STAMPED) > 1500);
        assert_eq!(verify(&machine), []);
        assert_eq!(machine.in_flight(), 0);
        let outside = (0..REGION.0).chain(REGION.0 + REGION.1..DISK_SECTORS);
        assert!(outside.into_iter().all(|sector| machine.sector(sector) == [0; 512]));
    }
}

#[test]
fn stop_ends_it_and_it_goes_on() {
    let mut machine = machine(8, 16, flag::ZEROS | flag::NO_READ_BACK, 0);
    set(&mut machine, STOP, 1);
    assert_eq!(storm(&mut machine, 0).transfers, 0);
    assert_eq!(machine.load(CONTROL, STOP), 0);
    let more = Storm::open(&mut machine, CONTROL).expect("a storm").run(300).expect("totals");
    assert_eq!((more.transfers, more.findings, more.read_back), (300, 0, 0));
    let all = Storm::open(&mut machine, CONTROL).expect("a storm").read_back().expect("totals");
    assert_eq!((all.findings, all.read_back), (0, REGION.1));
    assert_eq!(machine.load(CONTROL, PHASE), phase::IDLE);
}

#[test]
fn the_same_seed_makes_the_same_storm() {
    let run = |salt| {
        let mut machine = machine(8, 16, flag::ZEROS, INDIRECT);
        set(&mut machine, SALT, salt);
        storm(&mut machine, 200);
        machine.disk
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn impossible_parameters_are_refused() {
    let refused = |change: &dyn Fn(&mut Machine)| {
        let mut machine = machine(8, 16, 0, 0);
        change(&mut machine);
        let pages = Plan::pages_for(8, 16, REGION.1);
        Storm::start(&mut machine, CONTROL, [TABLE_FIRST_PAGE, pages, 0]).err()
    };
    assert_eq!(refused(&|_| {}), None);
    for (word, value) in [
        (DEVICE, 8),
        (SECTORS, 0),
        (SECTORS, REGION.1 + 1000),
        (SECTOR, u64::MAX),
        (SECTOR, DISK_SECTORS - REGION.1 + 1),
        (DEPTH, 0),
        (DEPTH, 257),
        (DEPTH, 20),
        (MOST, 0),
        (MOST, 129),
    ] {
        assert_eq!(refused(&|machine| set(machine, word, value)), Some(StormError::Parameters));
    }
    assert!(matches!(refused(&|machine| set(machine, DEVICE, 3)), Some(StormError::Disk(_))));
}

/// Which kinds a storm finds on a disk with this fault.
fn found(fault: Fault) -> (Machine, Vec<FindingKind>) {
    let mut machine = machine(16, 16, flag::ZEROS, 0);
    machine.fault = Some((fault, 50));
    storm(&mut machine, 1000);
    let count = |kind| view(&machine).count(kind) > 0;
    let kinds = FindingKind::ALL.into_iter().filter(|kind| count(*kind)).collect();
    (machine, kinds)
}

#[test]
fn every_fault_of_a_disk_is_found_and_named() {
    use FindingKind::*;
    for (fault, expected) in [
        (Fault::LoseRead, Lost),
        (Fault::LoseWrite, Lost),
        (Fault::MisplaceWrite, Misplaced),
        (Fault::Overrun, Corrupt),
        (Fault::SpoilSource, Corrupt),
        (Fault::Fail, Status),
        (Fault::WrongLength, Status),
    ] {
        let (machine, kinds) = found(fault);
        assert!(kinds.contains(&expected), "{fault:?}: {kinds:?}");
        let first = view(&machine).first_finding().expect("a finding");
        assert!(kinds.contains(&first.kind), "{first:?}");
        assert_eq!(FindingKind::from_number(first.kind as u64), Some(first.kind));
    }
    let (_, kinds) = found(Fault::TearRead);
    assert!(kinds.contains(&Torn) && kinds.contains(&Lost), "{kinds:?}");
}

#[test]
fn expected_errors_are_no_findings_and_leave_sectors_unknown() {
    let mut machine = machine(16, 16, flag::ZEROS | flag::ERRORS, 0);
    machine.fault = Some((Fault::Fail, 20));
    let totals = storm(&mut machine, 1000);
    assert_eq!(totals.findings, 0);
    assert!(machine.load(CONTROL, ERRORS) > 30);
    assert_eq!(verify(&machine), []);
}

#[test]
fn the_monitor_finds_what_is_wrong_with_the_disk() {
    let mut machine = machine(16, 16, flag::ZEROS | flag::NO_READ_BACK, 0);
    storm(&mut machine, 1000);
    let (sector, salt, sequence) = (REGION.0..REGION.0 + REGION.1)
        .find_map(|sector| match view(&machine).shadow(sector).expected {
            Expected::Written { salt, sequence } => Some((sector, salt, sequence)),
            _ => None,
        })
        .expect("a written sector");
    let mine = SectorHeader { salt, sequence, sector, seed: SEED_USED };
    let bytes = |header: SectorHeader| -> [u8; 512] {
        let bytes: Vec<u8> = header.words().iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.try_into().expect("a sector")
    };
    let kind = |bytes: &[u8; 512]| view(&machine).verify_sector(sector, bytes).map(|it| it.kind);
    assert_eq!(kind(&bytes(mine)), None);
    let mut torn = bytes(mine);
    torn[300] ^= 1;
    assert_eq!(kind(&torn), Some(FindingKind::Torn));
    assert_eq!(kind(&[0; 512]), Some(FindingKind::Lost));
    let other = |header| kind(&bytes(header));
    assert_eq!(other(SectorHeader { salt: 5, ..mine }), Some(FindingKind::Leak));
    assert_eq!(other(SectorHeader { seed: 5, ..mine }), Some(FindingKind::Leak));
    let shifted = |header| {
        let mut sector = [0; 512];
        sector[24..].copy_from_slice(&bytes(header)[..488]);
        kind(&sector)
    };
    assert_eq!(shifted(SectorHeader { salt: 5, ..mine }), Some(FindingKind::Leak));
    assert_eq!(shifted(mine), Some(FindingKind::Torn));
    assert_eq!(other(SectorHeader { sequence: 1 << 40, ..mine }), Some(FindingKind::Leak));
    assert_eq!(other(SectorHeader { sequence: sequence ^ 1, ..mine }), Some(FindingKind::Lost));
    assert_eq!(other(SectorHeader { sector: 1, ..mine }), Some(FindingKind::Misplaced));
}

#[test]
fn the_monitor_finds_a_bad_stamp() {
    let mut machine = machine(16, 16, flag::ZEROS, 0);
    storm(&mut machine, 200);
    let plan = *view(&machine).plan();
    let slot = super::slot::Slot::new(&plan, 3);
    let (from, to) = slot.layout(&machine).gaps().next().expect("stamps");
    for address in [from, to - 1] {
        let mut spoiled = machine.clone();
        let byte = spoiled.bytes(address) as u8;
        spoiled.set_byte(address, byte ^ 1);
        let found = verify(&spoiled);
        assert_eq!((found.len(), found[0].kind), (1, FindingKind::Corrupt));
        assert_eq!(found[0].address, address & !7);
        assert_ne!(found[0].expected, found[0].found);
    }
    assert_eq!(verify(&machine), []);
}
