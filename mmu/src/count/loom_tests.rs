//! Every interleaving, and every reordering that the memory model allows, of few threads:
//! `RUSTFLAGS="--cfg loom" cargo test -p pincow-mmu --lib --release loom`.

use loom::sync::Arc;
use loom::sync::atomic::AtomicU32;
use loom::thread;

use super::*;

const PIN: Holder = Holder::Pin(Direction::FromDevice, Duration::Short);

/// A frame: its count, and bytes. Nothing but the count orders their accesses: loom lets a read see
/// any older value that it does not forbid.
struct Frame {
    count: Count,
    bytes: AtomicU32,
}

impl Frame {
    fn held_by(holders: &[Holder]) -> Arc<Self> {
        let frame = Self { count: Count::default(), bytes: AtomicU32::new(7) };
        assert!(frame.count.claim(holders[0]));
        for holder in &holders[1..] {
            frame.count.add(*holder).unwrap();
        }
        Arc::new(frame)
    }

    fn write(&self, value: u32) {
        self.bytes.store(value, Ordering::Relaxed);
    }

    fn read(&self) -> u32 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What a layer does with a holder that goes. `true` when it freed the frame.
    fn let_go(&self, holder: Holder) -> bool {
        let last = self.count.let_go(holder);
        if last {
            self.write(0);
            self.count.free();
        }
        last
    }
}

#[test]
fn two_droppers_and_a_claimer_free_once_and_punch_before_reuse() {
    loom::model(|| {
        let frame = Frame::held_by(&[Holder::Map, PIN]);
        let droppers: Vec<_> = [Holder::Map, PIN]
            .into_iter()
            .map(|holder| {
                let frame = Arc::clone(&frame);
                thread::spawn(move || frame.let_go(holder))
            })
            .collect();
        if frame.count.claim(Holder::Image) {
            assert_eq!(frame.read(), 0, "claimed before it was punched");
            frame.write(9);
        }
        let freed = droppers.into_iter().map(|dropper| dropper.join().unwrap());
        assert_eq!(freed.filter(|freed| *freed).count(), 1);
        assert!(frame.count.is_free() || frame.read() == 9);
    });
}

/// Whoever punches does it after everybody's use.
#[test]
fn the_last_dropper_sees_what_the_other_did() {
    loom::model(|| {
        let frame = Frame::held_by(&[Holder::Map, PIN]);
        let device = {
            let frame = Arc::clone(&frame);
            thread::spawn(move || {
                frame.write(1);
                frame.count.let_go(PIN)
            })
        };
        let last = frame.count.let_go(Holder::Map);
        if last {
            assert_eq!(frame.read(), 1);
        }
        assert!(last ^ device.join().unwrap());
    });
}

#[test]
fn two_claimers_of_one_slot() {
    loom::model(|| {
        let count = Arc::new(Count::default());
        let other = Arc::clone(&count);
        let claimer = thread::spawn(move || other.claim(Holder::Map));
        let here = count.claim(Holder::Image);
        assert!(here ^ claimer.join().unwrap());
        assert_eq!(count.tally().refs, 1);
    });
}

/// What a former holder wrote through its pin has happened before whoever finds a count of 1
/// reuses the frame. (With a relaxed load in `tally` loom finds the stale
/// read.)
#[test]
fn a_count_of_one_grants_exclusivity() {
    loom::model(|| {
        let frame = Frame::held_by(&[Holder::Map, PIN]);
        let device = {
            let frame = Arc::clone(&frame);
            thread::spawn(move || {
                frame.write(1);
                frame.let_go(PIN)
            })
        };
        if frame.count.tally().refs == 1 {
            assert_eq!(frame.read(), 1);
            frame.write(2);
        }
        assert!(!device.join().unwrap());
    });
}

/// The same with two former holders, whose releases follow one another in one word.
#[test]
fn a_count_of_one_comes_after_all_former_holders() {
    loom::model(|| {
        let frame = Frame::held_by(&[Holder::Map, PIN, Holder::Transient]);
        let (left, right) = (Arc::clone(&frame), Arc::clone(&frame));
        let first = thread::spawn(move || {
            left.write(1);
            left.let_go(PIN)
        });
        let second = thread::spawn(move || right.let_go(Holder::Transient));
        if frame.count.tally().refs == 1 {
            assert_eq!(frame.read(), 1);
            frame.write(2);
        }
        assert!(!first.join().unwrap() && !second.join().unwrap());
    });
}

#[test]
fn the_last_place_of_a_full_field_goes_to_one() {
    loom::model(|| {
        let count = Arc::new(Count::default());
        assert!(count.claim(Holder::Map));
        let other = Arc::clone(&count);
        let adder = thread::spawn(move || other.add(Holder::Swap).is_ok());
        let here = count.add(Holder::Swap).is_ok();
        assert!(here ^ adder.join().unwrap(), "one bit holds one");
        assert_eq!(count.tally().refs, 2);
    });
}
