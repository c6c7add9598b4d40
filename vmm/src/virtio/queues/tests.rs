use std::sync::Arc;

use vm_memory::{GuestAddress, GuestMemoryMmap};

use super::*;
use crate::virtio::test_driver::Ring;

const SIZE: u16 = 8;

fn saved(ring: &Ring) -> SavedQueue {
    SavedQueue {
        max_size: SIZE,
        size: ring.size,
        next_avail: 0,
        next_used: 0,
        event_idx: false,
        desc_table: ring.desc,
        avail_ring: ring.avail,
        used_ring: ring.used,
    }
}

/// A device with two queues, of which the driver uses the second.
fn device() -> (GuestMemoryMmap, Ring, Queues) {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x1_0000)]).unwrap();
    let ring = Ring::new(1, 0x1000, SIZE);
    let queue = saved(&ring).live(&memory).unwrap();
    (memory, ring, Queues::new(vec![None, Some(queue)]))
}

#[test]
fn chains_are_taken_put_back_and_answered() {
    let (memory, mut ring, mut queues) = device();
    assert_eq!(queues.has_next(1, &memory), Ok(false));
    for head in [3, 5] {
        ring.chain(&memory, head, &[(0x8000, 1, false)]);
        ring.offer(&memory, head);
    }
    assert_eq!((queues.untaken(1, &memory), queues.has_next(1, &memory)), (Ok(2), Ok(true)));
    let head =
        |queues: &mut Queues| queues.take(1, &memory).unwrap().map(|chain| chain.head_index());
    assert_eq!(head(&mut queues), Some(3));
    queues.put_back(1);
    assert_eq!(queues.untaken(1, &memory), Ok(2));
    assert_eq!([(); 3].map(|()| head(&mut queues)), [Some(3), Some(5), None]);
    queues.answer(1, &memory, 5, 7).unwrap();
    assert_eq!(ring.used(&memory), [(5, 7)]);
}

#[test]
fn a_doorbell_for_more_is_asked_for_behind_what_is_there() {
    for event_idx in [false, true] {
        let (memory, mut ring, _) = device();
        let queue = SavedQueue { event_idx, ..saved(&ring) }.live(&memory).unwrap();
        let mut queues = Queues::new(vec![None, Some(queue)]);
        for head in 0..3 {
            ring.chain(&memory, head, &[(0x8000, 1, false)]);
            ring.offer(&memory, head);
        }
        assert!(queues.take(1, &memory).unwrap().is_some());
        assert_eq!(queues.await_more(1, &memory), Ok(2));
        assert_eq!(ring.avail_event(&memory), if event_idx { 3 } else { 0 });
        assert_eq!(queues.await_more(0, &memory), Ok(0));
    }
}

#[test]
fn a_queue_that_the_driver_does_not_use_is_empty() {
    let (memory, _, mut queues) = device();
    for index in [0, 2, usize::MAX] {
        assert_eq!(queues.size(index), None);
        assert_eq!(queues.has_next(index, &memory), Ok(false));
        assert!(queues.take(index, &memory).unwrap().is_none());
        assert_eq!(queues.answer(index, &memory, 0, 0), Ok(()));
        queues.put_back(index);
    }
}

#[test]
fn indices_that_no_driver_has_are_nonsense() {
    let (memory, mut ring, mut queues) = device();
    ring.set_avail(&memory, SIZE + 1);
    assert_eq!(queues.untaken(1, &memory), Err(Nonsense));
    assert!(queues.take(1, &memory).is_err());
    ring.set_avail(&memory, 0);
    ring.offer(&memory, SIZE);
    assert!(queues.take(1, &memory).is_err(), "a head beyond the table");
    assert_eq!(queues.answer(1, &memory, SIZE, 0), Err(Nonsense));
}

#[test]
fn a_copy_goes_on_where_the_original_was_and_tells_its_driver() {
    let (memory, mut ring, mut queues) = device();
    ring.offer(&memory, 2);
    ring.offer(&memory, 4);
    queues.take(1, &memory).unwrap();
    let state = queues.save();
    let mut copy = Queues::restore(&state, 2, SIZE, &memory).unwrap();
    assert_eq!(copy.save(), state);
    let signals = Arc::new(Signals::new(Box::new(())));
    queues.tell_driver(&memory, &signals);
    assert_eq!(signals.interrupt_status(), 0, "nothing was used");
    copy.tell_driver(&memory, &signals);
    assert_eq!(signals.interrupt_status(), 1);
    assert_eq!(copy.take(1, &memory).unwrap().unwrap().head_index(), 4);
}

#[test]
fn queues_of_another_device_are_refused() {
    let (memory, ring, queues) = device();
    let state = queues.save();
    let refused = |state: &[Option<SavedQueue>], count, max_size| {
        matches!(
            Queues::restore(state, count, max_size, &memory),
            Err(QueueError::Number { found: 2, .. })
        )
    };
    assert!(refused(&state, 1, SIZE) && refused(&state, 3, SIZE) && refused(&state, 2, 16));
    assert_eq!(Queues::restore(&[], 2, SIZE, &memory).unwrap().len(), 0);
    let outside = SavedQueue { used_ring: 0x1_0000, ..saved(&ring) };
    assert!(Queues::restore(&[None, Some(outside)], 2, SIZE, &memory).is_err());
}
