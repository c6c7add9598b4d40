use std::sync::Arc;

use super::super::packet::*;
use super::super::*;
use super::bench::*;
use crate::virtio::{QueueError, SavedQueue, Signals};

fn restore(bench: &Bench, state: &VsockState) -> Result<(), VsockRestoreError> {
    let signals = Arc::new(Signals::new(Box::new(())));
    VsockWorker::restore(bench.memory.clone(), cid(CID), None, signals, state).map(drop)
}

#[test]
fn a_copy_has_the_state_that_was_saved() {
    let mut bench = Bench::new();
    bench.offer(header(Ports { host: 1, guest: 2 }, Op::Request), b"");
    let state = bench.device.park().save();
    assert_eq!((state.untaken, state.cid), (1, cid(CID)));
    assert_eq!(bench.copy_as(CID).device.park().save(), state);
    let idle = Bench::idle();
    assert_eq!(idle.copy_as(CID).device.park().save(), idle.device.park().save());
}

#[test]
fn damaged_states_are_refused() {
    let bench = Bench::new();
    let good = bench.device.park().save();
    assert!(restore(&bench, &good).is_ok());
    for (untaken, without, size) in [(QUEUE_SIZE + 1, false, QUEUE_SIZE), (1, true, 0)] {
        let mut state = VsockState { untaken, ..good.clone() };
        if without {
            state.queues[1] = None;
        }
        let found = match restore(&bench, &state).unwrap_err() {
            VsockRestoreError::Untaken { untaken, size } => (untaken, size),
            other => panic!("{other}"),
        };
        assert_eq!(found, (untaken, size));
    }
    let mut two = good.clone();
    two.queues.pop();
    let refused = restore(&bench, &two).unwrap_err();
    assert!(matches!(
        refused,
        VsockRestoreError::Queue(QueueError::Number { found: 2, expected: 3 })
    ));
    for damage in [
        |queue: &mut SavedQueue| queue.size = 0,
        |queue: &mut SavedQueue| queue.max_size = 1024,
        |queue: &mut SavedQueue| queue.desc_table = u64::MAX - 15,
        |queue: &mut SavedQueue| queue.used_ring = END - 8,
    ] {
        let mut state = good.clone();
        damage(state.queues[2].as_mut().unwrap());
        assert!(restore(&bench, &state).is_err(), "{state:?}");
    }
    let text = serde_json::to_string(&good).unwrap().replace("\"cid\":3", "\"cid\":2");
    let refused = serde_json::from_str::<VsockState>(&text).unwrap_err().to_string();
    assert!(refused.contains("`2` is not the CID"), "{refused}");
}

#[test]
fn a_ring_that_is_nonsense_at_the_cut_breaks_both_sides() {
    let bench = Bench::new();
    bench.tx.set_avail(&bench.memory, 0x8000);
    let copy = bench.copy_as(CID);
    for bench in [&bench, &copy] {
        bench.step();
        assert_eq!(bench.status(), 15 | 64);
    }
}

#[test]
fn cids_are_numbers_of_guests() {
    for text in ["3", "4294967294"] {
        assert_eq!(text.parse::<Cid>().unwrap().to_string(), text);
    }
    for text in ["", "0", "1", "2", "4294967295", "4294967296", "-3", "x"] {
        let refused = text.parse::<Cid>().unwrap_err().to_string();
        assert!(refused.starts_with(&format!("`{text}` is not the CID")), "{refused}");
    }
}
