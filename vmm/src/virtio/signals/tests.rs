use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::*;

struct Line(Arc<AtomicUsize>);

impl Interrupt for Line {
    fn raise(&self) -> io::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn signals() -> (Signals, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    (Signals::new(Box::new(Line(count.clone()))), count)
}

#[test]
fn what_is_left_after_an_acknowledgement_is_raised_again() {
    let (signals, raised) = signals();
    signals.buffers_used();
    signals.config_changed();
    assert_eq!((signals.interrupt_status(), signals.generation()), (3, 1));
    signals.acknowledge(1);
    assert_eq!((signals.interrupt_status(), raised.load(Ordering::Relaxed)), (2, 3));
    signals.acknowledge(0xffff_ffff);
    assert_eq!((signals.interrupt_status(), raised.load(Ordering::Relaxed)), (0, 3));
    signals.raise_again();
    assert_eq!(raised.load(Ordering::Relaxed), 3);
}

#[test]
fn a_broken_device_interrupts_once_and_only_a_ready_driver() {
    let (signals, raised) = signals();
    signals.broken();
    assert_eq!((signals.status(), raised.load(Ordering::Relaxed)), (NEEDS_RESET, 0));
    signals.reset_done();
    signals.add_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    assert!(signals.is_live());
    signals.broken();
    signals.broken();
    assert_eq!((signals.interrupt_status(), raised.load(Ordering::Relaxed)), (CONFIG_CHANGED, 1));
    assert!(!signals.is_live());
}

#[test]
fn a_reset_under_way_keeps_the_visible_status_until_it_is_done() {
    let (signals, _) = signals();
    signals.add_status(0xffff_ffff);
    let before = signals.status();
    signals.begin_reset();
    assert!(signals.is_resetting() && !signals.is_live());
    assert_eq!(signals.status(), before);
    signals.reset_done();
    assert_eq!((signals.status(), signals.is_resetting()), (0, false));
}

#[test]
fn saved_bits_that_do_not_exist_are_invalid() {
    let state = SignalsState { status: 15, interrupt: 3, generation: 9 };
    assert!(state.is_valid());
    assert_eq!(Signals::restore(state, Box::new(())).save(), state);
    assert!(!SignalsState { status: RESETTING, ..state }.is_valid());
    assert!(!SignalsState { status: 0x100, ..state }.is_valid());
    assert!(!SignalsState { interrupt: 4, ..state }.is_valid());
}
