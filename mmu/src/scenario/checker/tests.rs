use std::collections::BTreeSet;

use crate::rules::Duration;
use crate::scenario::{Checker, Finding, Owner, Page, Stamp};

const NEW: Stamp = Stamp(1);
const NEWER: Stamp = Stamp(2);
const NEWEST: Stamp = Stamp(3);
const FOREIGN: Stamp = Stamp(99);

fn page(a: Stamp, b: Stamp) -> Page {
    Page { a, b }
}

/// What `act` shows, to a checker that knows one guest.
fn shown(act: impl FnOnce(&mut Checker, Owner)) -> Vec<Finding> {
    let mut checker = Checker::new();
    let root = checker.root();
    act(&mut checker, root);
    checker.findings().iter().copied().collect()
}

#[test]
fn what_should_be_there_is_no_finding() {
    let findings = shown(|checker, root| {
        checker.read(root, Page::default());
        checker.write(root, NEW);
        let pin = checker.pin(root, Duration::Long);
        checker.dma_write(&pin, NEWER);
        checker.read(root, page(NEWER, NEW));
        checker.dma_read(&pin, page(NEWER, NEW));
        let child = checker.fork(root);
        checker.read(child, page(NEWER, NEW));
    });
    assert_eq!(findings, []);
}

#[test]
fn a_stamp_from_elsewhere_is_a_leak_and_nothing_else() {
    assert_eq!(shown(|c, root| c.read(root, page(FOREIGN, FOREIGN))), [Finding::Leak]);
    assert_eq!(shown(|c, root| c.read(root, page(Stamp::INITIAL, FOREIGN))), [Finding::Leak]);
    for duration in [Duration::Short, Duration::Long] {
        let findings = shown(|checker, root| {
            let pin = checker.pin(root, duration);
            checker.dma_read(&pin, page(FOREIGN, Stamp::INITIAL));
        });
        assert_eq!(findings, [Finding::Leak]);
    }
}

#[test]
fn a_torn_sector_is_seen() {
    assert_eq!(shown(|c, root| c.read(root, page(Stamp::TORN, Stamp::INITIAL))), [Finding::Leak]);
}

#[test]
fn a_stamp_in_the_wrong_sector_is_a_leak() {
    let findings = shown(|checker, root| {
        checker.write(root, NEW);
        checker.read(root, page(NEW, NEW));
    });
    assert_eq!(findings, [Finding::Leak]);
}

#[test]
fn a_missing_device_write_is_lost_and_a_missing_cpu_write_corrupt() {
    let missed = |seen: Page| {
        shown(move |checker, root| {
            let pin = checker.pin(root, Duration::Long);
            checker.dma_write(&pin, NEW);
            checker.write(root, NEWER);
            checker.read(root, seen);
        })
    };
    assert_eq!(missed(page(Stamp::INITIAL, NEWER)), [Finding::Lost]);
    assert_eq!(missed(page(NEW, Stamp::INITIAL)), [Finding::Corrupt]);
    assert_eq!(missed(Page::default()), [Finding::Corrupt, Finding::Lost]);
    assert_eq!(missed(page(Stamp::INITIAL, FOREIGN)), [Finding::Leak, Finding::Lost]);
}

#[test]
fn what_happens_to_one_side_after_a_fork_is_foreign_to_the_other() {
    let findings = shown(|checker, root| {
        checker.write(root, NEW);
        let child = checker.fork(root);
        checker.write(child, NEWER);
        checker.read(root, page(Stamp::INITIAL, NEW));
        checker.read(child, page(Stamp::INITIAL, NEWER));
        assert!(checker.findings().is_empty());
        checker.read(root, page(Stamp::INITIAL, NEWER));
    });
    assert_eq!(findings, [Finding::Leak]);
    // What it inherited is only missing there.
    let findings = shown(|checker, root| {
        checker.write(root, NEW);
        let child = checker.fork(root);
        checker.read(child, Page::default());
    });
    assert_eq!(findings, [Finding::Corrupt]);
}

#[test]
fn only_a_short_pin_may_show_what_was_there_since_it_was_taken() {
    let seen = |duration, seen| {
        shown(move |checker, root| {
            checker.write(root, NEW);
            let pin = checker.pin(root, duration);
            checker.write(root, NEWER);
            checker.write(root, NEWEST);
            checker.dma_read(&pin, page(Stamp::INITIAL, seen));
        })
    };
    assert_eq!(seen(Duration::Short, NEW), [Finding::Old]);
    assert_eq!(seen(Duration::Long, NEW), [Finding::Stale]);
    // The owner may have written to the pinned page itself before it moved on.
    assert_eq!(seen(Duration::Short, NEWER), [Finding::Old]);
    assert_eq!(seen(Duration::Long, NEWER), [Finding::Stale]);
    // Older than the pin is never right.
    assert_eq!(seen(Duration::Short, Stamp::INITIAL), [Finding::Stale]);
    assert_eq!(seen(Duration::Short, NEWEST), []);
}

#[test]
fn the_pins_of_the_dead_can_only_leak() {
    let findings = shown(|checker, root| {
        checker.write(root, NEW);
        let pin = checker.pin(root, Duration::Long);
        checker.destroy(root);
        checker.dma_read(&pin, Page::default());
        checker.dma_write(&pin, NEWER);
        checker.dma_read(&pin, page(NEWER, NEW));
        checker.dma_read(&pin, Page::default());
        assert_eq!(*checker.findings(), BTreeSet::new());
        checker.dma_read(&pin, page(NEWER, FOREIGN));
    });
    assert_eq!(findings, [Finding::Leak]);
}
