use super::*;

const WRITE: Holder = Holder::Pin(Direction::FromDevice, Duration::Short);
const SHORT: Holder = Holder::Pin(Direction::ToDevice, Duration::Short);
const LONG: Holder = Holder::Pin(Direction::ToDevice, Duration::Long);
const ALL: [Holder; 7] =
    [Holder::Map, Holder::Image, Holder::Swap, Holder::Transient, WRITE, SHORT, LONG];

fn claimed() -> Count {
    let count = Count::default();
    assert!(count.claim(Holder::Map));
    count
}

#[test]
fn a_frame_is_free_held_dying_and_free() {
    let count = Count::default();
    assert!(count.is_free());
    assert!(count.claim(Holder::Image));
    assert!(!count.is_free() && !count.claim(Holder::Map));
    assert!(count.let_go(Holder::Image));
    assert!(!count.is_free() && !count.claim(Holder::Map), "dying: it is not punched yet");
    count.free();
    assert!(count.is_free() && count.claim(Holder::Map));
}

#[test]
fn every_holder_counts_once() {
    for holder in ALL {
        let count = claimed();
        count.add(holder).unwrap();
        assert_eq!(count.tally().refs, 2, "{holder:?}");
        assert!(!count.let_go(holder), "{holder:?}");
        assert_eq!(count.tally(), Tally { refs: 1, maps: 1, ..Tally::default() }, "{holder:?}");
        assert!(count.let_go(Holder::Map));
    }
}

#[test]
fn the_tally_says_who() {
    let count = claimed();
    for holder in ALL {
        count.add(holder).unwrap();
    }
    let tally = count.tally();
    let who =
        Tally { refs: 8, maps: 3, write_pins: 1, short_reads: 1, long_reads: 1, swapped: true };
    assert_eq!(tally, who);
    assert_eq!(tally.pins(), 3);
    let long_write = Holder::Pin(Direction::FromDevice, Duration::Long);
    count.add(long_write).unwrap();
    assert_eq!(count.tally().write_pins, 2, "a write pin is a write pin, however long");
}

/// The negative control is the field that is as small as can be: one bit.
#[test]
fn saturation_is_refused_and_changes_nothing() {
    for (holder, room) in
        [(WRITE, 255), (SHORT, 511), (LONG, 511), (Holder::Swap, 1), (Holder::Image, 65_534)]
    {
        let count = claimed();
        for _ in 0..room {
            count.add(holder).unwrap();
        }
        let full = count.tally();
        assert_eq!(count.add(holder), Err(Saturated), "{holder:?}");
        assert_eq!(count.tally(), full, "{holder:?}");
        count.add(Holder::Transient).unwrap();
        assert!(!count.let_go(Holder::Transient));
        for _ in 0..room {
            assert!(!count.let_go(holder));
        }
        assert_eq!(count.tally(), Tally { refs: 1, maps: 1, ..Tally::default() }, "{holder:?}");
    }
    let count = claimed();
    for _ in 1..(1 << 20) - 1 {
        count.add(Holder::Transient).unwrap();
    }
    for holder in ALL {
        assert_eq!(count.add(holder), Err(Saturated), "{holder:?}: the count itself is full");
    }
}
