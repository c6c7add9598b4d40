use super::*;
use crate::fake::Fake;
use crate::family::Family;
use crate::rules::{Direction, Duration, RuleSet};
use crate::space::{FromDevice, PinRequest};
use crate::table::LayerId;

const GUESTS_PAGES: u32 = 64;

/// A map whose pages are, letter by letter: `w`ritable, `p`rotected or in the `s`wap.
fn table(letters: &str) -> Table {
    let pages = u32::try_from(letters.len()).unwrap();
    let mut table = Table::filled(pages, Entry::Empty);
    for (gfn, letter) in (0..).map(Gfn).zip(letters.chars()) {
        let own = Mapped::own(LayerId(0));
        table.set(
            gfn,
            match letter {
                'w' => Entry::Mapped(own),
                'p' => Entry::Mapped(Mapped { writable: false, ..own }),
                _ => Entry::Swapped { slot: crate::table::SlotId(0), private: false },
            },
        );
    }
    table
}

/// The calls that lead from one map to another, as `first..end`.
fn calls(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (table(before), table(after));
    let calls = in_few_calls(&before, &after);
    let writable = |run: &Run| {
        run.gfns()
            .all(|gfn| matches!(before.get(gfn), Entry::Mapped(Mapped { writable: true, .. })))
    };
    assert!(calls.iter().flat_map(|call| &call.writable).all(writable));
    let range = |run: Run| format!("{}..{}", run.first.0, run.first.0 + run.pages);
    calls.iter().map(|call| range(call.run)).collect()
}

#[test]
fn few_calls_protect_all_that_was_writable() {
    assert_eq!(calls("wwww", "pppp"), ["0..4"]);
    assert_eq!(calls("pppp", "pppp"), [""; 0]);
    assert_eq!(calls("wppw", "pppp"), ["0..4"], "over pages that are protected already");
    assert_eq!(calls("pwpwp", "ppppp"), ["1..4"], "from the first to the last that need it");
    assert_eq!(calls("wpwpw", "pppww"), ["0..3"], "but not what comes after them");
}

#[test]
fn no_call_covers_a_page_that_stays_writable_or_is_not_there() {
    assert_eq!(calls("www", "pwp"), ["0..1", "2..3"]);
    assert_eq!(calls("wpwpw", "ppwpp"), ["0..1", "4..5"]);
    assert_eq!(calls("wsw", "psp"), ["0..1", "2..3"]);
    assert_eq!(calls("wpspw", "ppspp"), ["0..1", "4..5"]);
}

#[test]
fn calls_do_not_reach_over_too_much() {
    let far = |between: usize| {
        let before = format!("w{}w", "p".repeat(between));
        calls(&before, &"p".repeat(between + 2)).len()
    };
    assert_eq!(far(MOST_BETWEEN as usize), 1);
    assert_eq!(far(MOST_BETWEEN as usize + 1), 2);
}

fn root(mappings: usize) -> (Arc<Fake>, Arc<AddressSpace<Fake>>) {
    let fake = Arc::new(Fake::new(GUESTS_PAGES, mappings));
    let family = Family::new(Arc::clone(&fake), RuleSet::SingleRefcount.into(), GUESTS_PAGES);
    (fake, AddressSpace::root(&family).unwrap())
}

/// A protection that fails in the middle: what was writable is so again, and nothing else is.
#[test]
fn a_protection_that_fails_is_undone_exactly() {
    let (fake, parent) = root(usize::MAX / 2);
    let own = [0, 20, 40, 41, 63].map(Gfn);
    let view = || -> Vec<_> {
        (0..GUESTS_PAGES).map(|gfn| fake.shown(parent.window(), Gfn(gfn))).collect()
    };
    let map = || parent.map().iter().collect::<Vec<_>>();
    drop(parent.fork().unwrap());
    let mut failures = 0;
    for nth in 1.. {
        for gfn in own {
            parent.fault(gfn, true).unwrap();
        }
        let before = (view(), map());
        fake.fail_at(nth);
        let forked = parent.fork();
        let untouched = fake.disarm();
        if let Err(error) = forked {
            failures += usize::from(error.to_string().starts_with("protect"));
            assert_eq!((view(), map()), before, "{error}");
        }
        if untouched {
            break;
        }
    }
    assert_eq!(failures, 4, "one for each call");
}

#[test]
fn a_fork_beyond_the_budget_is_refused_and_leaves_everything() {
    let (fake, parent) = root(30);
    let mut children = Vec::new();
    let error = loop {
        let reserved = fake.reserved();
        match parent.fork() {
            Ok(child) => children.push(child),
            Err(error) => {
                assert_eq!(fake.reserved(), reserved);
                break error;
            }
        }
    };
    assert!(matches!(error, SpaceError::NoMappings { .. }), "{error}");
    assert!(error.to_string().contains("vm.max_map_count"), "{error}");
    assert_eq!(fake.objects().1, children.len() + 1);
    children.clear();
    parent.fork().unwrap();
}

/// A device's page stays where it is, and the child has its bytes of now.
#[test]
fn a_pinned_page_is_copied_for_the_other_side() {
    let (fake, parent) = root(usize::MAX / 2);
    let request = PinRequest { duration: Duration::Long, counted: true };
    let pin = parent.pin::<FromDevice>(Gfn(5), request).unwrap();
    assert_eq!(pin.holder(), Holder::Pin(Direction::FromDevice, Duration::Long));
    fake.device_write(pin.frame().0.store(), Gfn(5), 0, 11);
    let (before, child) = (parent.entry(Gfn(5)).unwrap(), parent.fork().unwrap());
    let image = parent.snapshot().unwrap();
    assert_eq!(parent.entry(Gfn(5)).unwrap(), before);
    fake.device_write(pin.frame().0.store(), Gfn(5), 0, 12);
    assert_eq!(fake.cpu_read(parent.window(), Gfn(5)), Ok([12, 0]));
    assert_eq!(fake.cpu_read(child.window(), Gfn(5)), Ok([11, 0]));
    assert_eq!(fake.cpu_read(image.spawn().unwrap().window(), Gfn(5)), Ok([11, 0]));
    assert_eq!(parent.family().counters().now().early_copies, 2);
}
