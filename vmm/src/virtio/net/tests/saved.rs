use std::sync::Arc;

use super::bench::*;
use crate::virtio::net::*;
use crate::virtio::{QueueError, SavedQueue, Signals};

fn restore(bench: &Bench, state: &NetState) -> Result<(), NetRestoreError> {
    let signals = Arc::new(Signals::new(Box::new(())));
    NetWorker::restore(bench.memory.clone(), None, mac(), signals, state).map(drop)
}

#[test]
fn a_copy_has_the_state_that_was_saved() {
    let mut bench = Bench::new();
    bench.buffers(0..5);
    for number in 0..7 {
        bench.send(number, &frame(number.into(), 60));
    }
    let state = bench.device.park().save();
    assert_eq!((state.untaken, state.mac, state.up), (7, mac(), true));
    assert_eq!(bench.copy().device.park().save(), state);
    let idle = Bench::idle();
    assert_eq!(idle.copy().device.park().save(), idle.device.park().save());
}

#[test]
fn damaged_states_are_refused() {
    let mut bench = Bench::new();
    bench.send(0, &frame(0, 60));
    let good = bench.device.park().save();
    assert!(restore(&bench, &good).is_ok());
    for (untaken, without, size) in [(QUEUE_SIZE + 1, false, QUEUE_SIZE), (1, true, 0)] {
        let mut state = NetState { untaken, ..good.clone() };
        if without {
            state.queues[1] = None;
        }
        let refused = restore(&bench, &state).unwrap_err();
        let found = match refused {
            NetRestoreError::Untaken { untaken, size } => (untaken, size),
            other => panic!("{other}"),
        };
        assert_eq!(found, (untaken, size));
    }
    let mut one = good.clone();
    one.queues.pop();
    let refused = restore(&bench, &one).unwrap_err();
    assert!(matches!(
        refused,
        NetRestoreError::Queue(QueueError::Number { found: 1, expected: 2 })
    ));
    for damage in [
        |queue: &mut SavedQueue| queue.size = 0,
        |queue: &mut SavedQueue| queue.max_size = 1024,
        |queue: &mut SavedQueue| queue.desc_table = u64::MAX - 15,
        |queue: &mut SavedQueue| queue.used_ring = END - 8,
    ] {
        let mut state = good.clone();
        damage(state.queues[0].as_mut().unwrap());
        assert!(restore(&bench, &state).is_err(), "{state:?}");
    }
    let text = serde_json::to_string(&good).unwrap().replace("[2,0,0,0,0,1]", "[3,0,0,0,0,1]");
    let refused = serde_json::from_str::<NetState>(&text).unwrap_err().to_string();
    assert!(refused.contains("03:00:00:00:00:01"), "{refused}");
}

#[test]
fn a_ring_that_is_nonsense_at_the_cut_breaks_both_sides() {
    let bench = Bench::new();
    bench.tx.set_avail(&bench.memory, 0x8000);
    let copy = bench.copy();
    for bench in [&bench, &copy] {
        bench.step();
        assert_eq!(bench.status(), 15 | 64);
    }
}
