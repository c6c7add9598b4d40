use super::*;
use crate::virtio::QueueError;

#[test]
fn each_side_of_a_fork_asks_for_bytes_of_its_own() {
    let mut parent = Bench::new();
    parent.ask(0, &[(DATA, 4, true)]);
    parent.step();
    parent.ask(1, &[(DATA + 0x100, 4, true)]);
    let mut child = parent.copy(101);
    assert_eq!(child.device.park().save(), parent.device.park().save());
    assert_eq!((parent.step(), child.step()), (Next::Idle, Next::Idle));
    assert_eq!((parent.used(), child.used()), (vec![(0, 4), (1, 4)], vec![(0, 4), (1, 4)]));
    assert_eq!(parent.bytes(DATA + 0x100, 4), [5, 6, 7, 8]);
    assert_eq!(child.bytes(DATA + 0x100, 4), [101, 102, 103, 104]);
    // What was answered before the cut is in the memory of both: see the module's documentation.
    assert_eq!(parent.bytes(DATA, 4), child.bytes(DATA, 4));
}

#[test]
fn a_copy_tells_its_driver_although_nothing_was_used() {
    let parent = Bench::new();
    parent.step();
    let child = parent.copy(1);
    assert_eq!(child.line.0.load(Ordering::Acquire), 0);
    child.step();
    assert_eq!((child.line.0.load(Ordering::Acquire), read32(&child.mmio, 0x60)), (1, 1));
}

#[test]
fn devices_can_be_copied_in_any_state() {
    let idle = Bench::idle();
    assert_eq!(idle.copy(1).status(), 0);
    let mut broken = Bench::new();
    broken.ask(0, &[(END, 4, true)]);
    broken.step();
    let mut copy = broken.copy(1);
    assert_eq!((copy.status(), copy.step()), (15 | 64, Next::Idle));
    copy.restart();
    copy.ask(0, &[(DATA, 4, true)]);
    copy.step();
    assert_eq!(copy.used(), [(0, 4)]);
}

#[test]
fn damaged_states_are_refused() {
    let bench = Bench::new();
    let good = bench.device.park().save();
    let restore = |state: &RngState| {
        let source = Counting { next: 1, fails: Arc::default() };
        let signals = Arc::new(Signals::new(Box::new(())));
        RngWorker::restore(bench.memory.clone(), source, signals, state).map(drop)
    };
    assert!(restore(&good).is_ok());
    let mut two = good.clone();
    two.queues.push(None);
    assert!(matches!(restore(&two), Err(QueueError::Number { found: 2, expected: 1 })));
    for damage in [
        |queue: &mut crate::virtio::SavedQueue| queue.size = 3,
        |queue: &mut crate::virtio::SavedQueue| queue.max_size = 128,
        |queue: &mut crate::virtio::SavedQueue| queue.used_ring = END,
        |queue: &mut crate::virtio::SavedQueue| queue.avail_ring = 0,
    ] {
        let mut state = good.clone();
        damage(state.queues[0].as_mut().unwrap());
        assert!(restore(&state).is_err(), "{state:?}");
    }
}
