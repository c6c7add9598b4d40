use super::fake::{Fault, Machine};
use super::*;
use crate::memory::{ByteMemory, Memory};

const DATA: u64 = 0x50_0000;

fn ready(flags: u64) -> (Machine, Disk) {
    let mut machine = Machine::new(1024);
    let disk = Disk::init(&mut machine, 0, 0, flags).expect("a disk");
    (machine, disk)
}

fn fill(machine: &mut Machine, address: u64, bytes: u64, with: u8) {
    (address..address + bytes).for_each(|address| machine.set_byte(address, with));
}

fn transfer(operation: Operation, sector: u64, segments: &[Segment], token: u64) -> Request<'_> {
    Request { operation, sector, sectors: 0, segments, token }
}

fn segment(address: u64, bytes: u64) -> Segment {
    Segment { address, bytes }
}

#[test]
fn a_disk_tells_its_size_and_what_was_agreed_on() {
    for flags in [0, INDIRECT, EVENT_IDX, INDIRECT | EVENT_IDX] {
        let (machine, disk) = ready(flags);
        let info = disk.info(&machine);
        assert_eq!((info.capacity, info.queue_size), (1024, 128));
        let has = |bit: u64| info.features >> bit & 1 != 0;
        assert!(has(feature::VERSION_1) && has(feature::FLUSH));
        assert_eq!(has(feature::INDIRECT), flags & INDIRECT != 0);
        assert_eq!(has(feature::EVENT_IDX), flags & EVENT_IDX != 0);
    }
}

#[test]
fn what_is_no_disk_is_refused() {
    let mut machine = Machine::new(8);
    assert_eq!(Disk::init(&mut machine, 1, 0, 0).err(), Some(DiskError::None));
    assert_eq!(Disk::init(&mut machine, 8, 0, 0).err(), Some(DiskError::None));
    assert_eq!(Disk::init(&mut machine, 0, 24, 0).err(), Some(DiskError::QueueSize));
    assert_eq!(Disk::open(&machine, 0).err(), Some(DiskError::None));
    machine.offered &= !(1 << feature::VERSION_1);
    assert_eq!(Disk::init(&mut machine, 0, 0, 0).err(), Some(DiskError::Broken));
}

#[test]
fn bytes_go_to_the_disk_and_back_whatever_their_places() {
    for flags in [0, INDIRECT, EVENT_IDX, INDIRECT | EVENT_IDX] {
        let (mut machine, disk) = ready(flags);
        fill(&mut machine, DATA, 1536, 0x11);
        fill(&mut machine, DATA + 512, 512, 0x22);
        let whole = [segment(DATA, 1536)];
        let cut =
            [segment(DATA + 0x1ffd, 700), segment(DATA + 0x3001, 1), segment(DATA + 0x4000, 835)];
        let done = |machine: &mut Machine, request| disk.call(machine, &request).expect("an end");
        let write = done(&mut machine, transfer(Operation::Write, 7, &whole, 1));
        assert_eq!((write.status, write.written), (status::OK, 1));
        let read = done(&mut machine, transfer(Operation::Read, 7, &cut, 2));
        assert_eq!((read.status, read.written), (status::OK, 1537));
        assert_eq!(machine.bytes(DATA + 0x1ffd + 511), 0x2222_2222_2222_2211);
        assert_eq!(machine.bytes(DATA + 0x3001), 0x22);
        assert_eq!(machine.bytes(DATA + 0x4000 + 834), 0x11);
        let zero =
            Request { operation: Operation::Zero, sector: 8, sectors: 1, segments: &[], token: 0 };
        assert_eq!(done(&mut machine, zero).status, status::OK);
        assert_eq!((machine.sector(8), machine.sector(9)), ([0; 512], [0x11; 512]));
        assert_eq!(done(&mut machine, transfer(Operation::Flush, 0, &[], 0)).written, 1);
        assert_eq!(
            done(&mut machine, transfer(Operation::Id, 0, &[segment(DATA, 20)], 0)).written,
            21
        );
        assert_eq!(machine.bytes(DATA) as u32, u32::from_le_bytes(*b"fake"));
    }
}

#[test]
fn the_queue_takes_as_much_as_it_has_room_for_and_is_whole_again_afterwards() {
    for (flags, room) in [(0, 42), (INDIRECT, 128)] {
        let (mut machine, disk) = ready(flags);
        for round in 0..2000_u64 {
            let mut tickets = Vec::new();
            let data = [segment(DATA, 512)];
            while let Ok(ticket) =
                disk.submit(&mut machine, &transfer(Operation::Read, 1, &data, round))
            {
                tickets.push(ticket);
            }
            assert_eq!((tickets.len(), disk.in_flight(&machine)), (room, room as u64));
            disk.tell(&mut machine);
            while !tickets.is_empty() {
                machine.relax();
                while let Some(end) = disk.poll(&mut machine).expect("a completion") {
                    assert_eq!((end.token, end.status), (round, status::OK));
                    let place = tickets.iter().position(|ticket| *ticket == end.ticket);
                    tickets.swap_remove(place.expect("a ticket in use"));
                }
            }
            assert_eq!(disk.in_flight(&machine), 0);
        }
    }
}

#[test]
fn a_device_that_looks_anyway_is_not_told() {
    for (flags, expected) in [(EVENT_IDX, 1), (0, 2)] {
        let (mut machine, disk) = ready(flags);
        machine.bells = 0;
        let data = [segment(DATA, 512)];
        for _ in 0..2 {
            disk.submit(&mut machine, &transfer(Operation::Read, 0, &data, 0)).expect("room");
            disk.tell(&mut machine);
        }
        disk.tell(&mut machine);
        assert_eq!(machine.bells, expected);
    }
}

#[test]
fn a_completion_of_nothing_breaks_the_disk() {
    let (mut machine, disk) = ready(0);
    machine.fault = Some((Fault::WrongHead, 1));
    let request = transfer(Operation::Flush, 0, &[], 0);
    assert_eq!(disk.call(&mut machine, &request), Err(DiskError::Broken));
}
