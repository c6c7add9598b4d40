use vm_memory::{GuestAddress, GuestMemoryMmap};

use super::*;

fn memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x10000)]).unwrap()
}

fn saved() -> SavedQueue {
    SavedQueue {
        max_size: 64,
        size: 16,
        next_avail: 65_535,
        next_used: 65_530,
        event_idx: true,
        desc_table: 0x1000,
        avail_ring: 0x2000,
        used_ring: 0x3000,
    }
}

#[test]
fn a_saved_queue_comes_back_as_it_was() {
    let queue = saved().live(&memory()).unwrap();
    assert_eq!(SavedQueue::of(&queue), saved());
}

#[test]
fn damaged_queues_are_refused() {
    let invalid = [
        SavedQueue { max_size: 0, ..saved() },
        SavedQueue { max_size: 48, ..saved() },
        SavedQueue { size: 0, ..saved() },
        SavedQueue { size: 12, ..saved() },
        SavedQueue { size: 128, ..saved() },
        SavedQueue { desc_table: 0x1008, ..saved() },
        SavedQueue { avail_ring: 0x2001, ..saved() },
        SavedQueue { used_ring: 0x3002, ..saved() },
    ];
    for queue in invalid {
        assert!(matches!(queue.live(&memory()), Err(QueueError::Invalid(_))), "{queue:?}");
    }
    let outside = [
        SavedQueue { desc_table: 0xfff0, ..saved() },
        SavedQueue { desc_table: u64::MAX - 15, ..saved() },
        SavedQueue { avail_ring: 0, ..saved() },
        SavedQueue { avail_ring: 0xffe0, ..saved() },
        SavedQueue { used_ring: 0xff80, ..saved() },
        SavedQueue { used_ring: u64::MAX - 3, ..saved() },
    ];
    for queue in outside {
        assert!(matches!(queue.live(&memory()), Err(QueueError::Outside { .. })), "{queue:?}");
    }
}
