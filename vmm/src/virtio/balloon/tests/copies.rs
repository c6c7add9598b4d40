use super::*;
use crate::virtio::QueueError;

#[test]
fn a_request_that_is_half_done_is_begun_again_in_a_copy() {
    let mut parent = Bench::new();
    parent.ask(REPORT, 0, &[(0x100_0000, 2 * MOST_PAGES * 4096, true)]);
    assert_eq!(parent.step(), Next::Now);
    let mut child = parent.copy();
    assert_eq!(child.device.park().save(), parent.device.park().save());
    parent.discarded();
    parent.run();
    child.run();
    assert_eq!(parent.discarded(), [(0x1000 + MOST_PAGES, MOST_PAGES)]);
    assert_eq!(child.discarded(), [(0x1000, MOST_PAGES), (0x1000 + MOST_PAGES, MOST_PAGES)]);
    for side in [&mut parent, &mut child] {
        assert_eq!(side.used(REPORT), [(0, 0)]);
    }
}

#[test]
fn a_copy_has_the_size_of_its_original_and_one_of_its_own_from_then_on() {
    let parent = Bench::new();
    parent.device.park().set_target(100);
    write32(&parent.mmio, 0x104, 60);
    let child = parent.copy();
    assert_eq!(child.device.park().size(), Size { target: 100, actual: 60 });
    child.device.park().set_target(0);
    assert_eq!(parent.device.park().size().target, 100);
    assert_eq!(read32(&child.mmio, 0x100), 0);
}

#[test]
fn a_copy_tells_its_driver_although_nothing_was_used() {
    let parent = Bench::new();
    parent.step();
    let child = parent.copy();
    assert_eq!(child.line.0.load(Ordering::Acquire), 0);
    child.step();
    assert_eq!((child.line.0.load(Ordering::Acquire), read32(&child.mmio, 0x60)), (1, 1));
}

#[test]
fn devices_can_be_copied_in_any_state() {
    let idle = Bench::idle(&[]);
    assert_eq!(idle.copy().status(), 0);
    let mut broken = Bench::new();
    broken.ask(REPORT, 0, &[(END, 4, true)]);
    broken.step();
    let mut copy = broken.copy();
    assert_eq!((copy.status(), copy.step()), (15 | 64, Next::Idle));
    copy.restart();
    copy.name(INFLATE, 0, &[5]);
    copy.run();
    assert_eq!(copy.used(INFLATE), [(0, 0)]);
}

#[test]
fn damaged_states_are_refused() {
    let bench = Bench::new();
    let good = bench.device.park().save();
    let restore = |state: &BalloonState| {
        let signals = Arc::new(Signals::new(Box::new(())));
        BalloonWorker::restore(bench.memory.clone(), Noted::default(), signals, state).map(drop)
    };
    assert!(restore(&good).is_ok());
    let mut two = good.clone();
    two.queues.pop();
    assert!(matches!(restore(&two), Err(QueueError::Number { found: 2, expected: 3 })));
    for damage in [
        |queue: &mut crate::virtio::SavedQueue| queue.size = 3,
        |queue: &mut crate::virtio::SavedQueue| queue.max_size = 128,
        |queue: &mut crate::virtio::SavedQueue| queue.used_ring = END,
        |queue: &mut crate::virtio::SavedQueue| queue.avail_ring = 0,
    ] {
        let mut state = good.clone();
        damage(state.queues[REPORT].as_mut().unwrap());
        assert!(restore(&state).is_err(), "{state:?}");
    }
}
