use virtio_queue::{Queue, QueueT};
use vm_memory::{GuestMemoryMmap, Permissions};

use super::*;
use crate::virtio::queue::SavedQueue;
use crate::virtio::test_driver::{Desc, NEXT, Ring, WRITE};

const MEMORY: usize = 0x1_0000;

fn memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY)]).unwrap()
}

fn queue(ring: &Ring, memory: &GuestMemoryMmap) -> Queue {
    let saved = SavedQueue {
        max_size: ring.size,
        size: ring.size,
        next_avail: 0,
        next_used: 0,
        event_idx: false,
        desc_table: ring.desc,
        avail_ring: ring.avail,
        used_ring: ring.used,
    };
    saved.live(memory).unwrap()
}

fn layout(parts: &[(u64, u32, bool)]) -> Layout {
    let (memory, mut ring) = (memory(), Ring::new(0, 0x1000, 16));
    ring.chain(&memory, 0, parts);
    ring.offer(&memory, 0);
    let mut queue = queue(&ring, &memory);
    Layout::of(queue.pop_descriptor_chain(&memory).unwrap()).unwrap()
}

fn segment(address: u64, len: u32) -> Segment {
    Segment { address, len }
}

#[test]
fn bytes_are_sorted_by_direction() {
    let layout = layout(&[(1, 2, false), (3, 0, false), (4, 5, true), (6, 0, true), (7, 8, true)]);
    assert_eq!(layout.readable, [segment(1, 2)]);
    assert_eq!(layout.writable, [segment(4, 5), segment(7, 8)]);
    assert!(!layout.mixed);
}

#[test]
fn what_is_read_comes_before_what_is_written() {
    assert!(layout(&[(1, 2, true), (3, 4, false)]).mixed);
    assert!(!layout(&[(1, 0, true), (3, 4, false)]).mixed);
}

#[test]
fn a_chain_without_an_end_is_none() {
    for next in [0, 16, 0xffff] {
        let (memory, mut ring) = (memory(), Ring::new(0, 0x1000, 16));
        ring.put(&memory, 0, Desc { address: 0, len: 1, flags: NEXT | WRITE, next });
        ring.offer(&memory, 0);
        let mut queue = queue(&ring, &memory);
        let chain = queue.pop_descriptor_chain(&memory).unwrap();
        assert_eq!(Layout::of(chain), Err(Endless), "{next}");
    }
}

#[test]
fn bytes_are_gathered_and_scattered_as_far_as_there_is_room() {
    let memory = memory();
    let segments = [segment(0x100, 3), segment(0x200, 4)];
    assert_eq!(len_bytes(&segments), 7);
    assert_eq!(scatter(&segments, &memory, b"abcde"), Some(5));
    assert_eq!(scatter(&segments, &memory, b"ABCDEFGHI"), Some(7));
    let mut bytes = [0; 5];
    assert_eq!(gather(&segments, &memory, &mut bytes), Some(5));
    assert_eq!(&bytes, b"ABCDE");
    let mut bytes = [0; 9];
    assert_eq!(gather(&segments, &memory, &mut bytes), Some(7));
    assert_eq!(&bytes, b"ABCDEFG\0\0");
}

#[test]
fn addresses_outside_memory_are_refused() {
    let (memory, end) = (memory(), MEMORY as u64);
    assert!(are_inside(&[segment(end - 4, 4)], &memory, Permissions::Write));
    for outside in [segment(end - 4, 5), segment(end, 1), segment(u64::MAX, 2)] {
        let segments = [segment(0, 4), outside];
        assert!(!are_inside(&segments, &memory, Permissions::Read), "{outside:?}");
        assert_eq!(scatter(&segments, &memory, &[1; 16]), None, "{outside:?}");
        assert_eq!(gather(&segments, &memory, &mut [0; 16]), None, "{outside:?}");
    }
}
