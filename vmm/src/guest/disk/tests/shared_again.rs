//! Pages that a fork shares, before and after a device has them.

use pincow_mmu::Gfn;
use pincow_mmu::table::Entry;

use super::*;

#[test]
fn an_unpinned_page_is_shared_again() {
    let Some(host) = host() else { return };
    for sharing in everywhere(&[RuleSet::default()]) {
        for forked_before in [false, true] {
            share_again(&Bench { forked_before, ..Bench::new(&host) }, sharing);
        }
    }
}

fn share_again(bench: &Bench, sharing: Sharing) {
    let (parent, mut driver) = busy(bench, sharing, Policy::Reissue);
    bench.held(0).release_all();
    driver.answers(&parent, 2);
    let copies = || parent.realm().counts().early_copies;
    let (child, _) = parent.fork(nowhere()).unwrap();
    assert_eq!(copies(), 0);
    let gfn = Gfn::containing(DATA).unwrap();
    assert_eq!(parent.space().entry(gfn).unwrap(), child.space().entry(gfn).unwrap());
}

/// A page that is shared, as a device's read finds it: its guest gets a frame of its own first, so that
/// the device sees what the guest writes later. Where the rule set lets the pin sit on the shared frame,
/// the device is left behind: the negative control.
#[test]
fn a_read_pin_unshares() {
    let Some(host) = host() else { return };
    for sharing in everywhere(&[RuleSet::SingleRefcount, RuleSet::Exclusive, RuleSet::Literal]) {
        let unshares = sharing.rules.set != RuleSet::Literal;
        let bench = Bench::new(&host);
        let parent = bench.guest(sharing, Policy::Reissue);
        let mut driver = Driver::start(&parent);
        write(&parent, DATA, &[0x11; 512]);
        let (child, _) = parent.fork(nowhere()).unwrap();
        let layer =
            |guest: &Guest| match guest.space().entry(Gfn::containing(DATA).unwrap()).unwrap() {
                Entry::Mapped(mapped) => mapped.layer,
                other => panic!("{other:?}"),
            };
        assert_eq!(layer(&parent), layer(&child), "{sharing:?}: shared by the fork");

        bench.held(0).hold();
        driver.ask(&parent, 0, OUT, 200, (DATA, 512));
        wait_until_begun(&parent, 1);
        assert_eq!(layer(&parent) != layer(&child), unshares, "{sharing:?}");
        write(&parent, DATA, &[0x33; 512]);
        bench.held(0).release_all();
        driver.answers(&parent, 1);

        driver.ask(&parent, 1, IN, 200, (DATA + 0x2000, 512));
        driver.answers(&parent, 1);
        let written = if unshares { 0x33 } else { 0x11 };
        assert_eq!(
            read(&parent, DATA + 0x2000),
            [written; 512],
            "{sharing:?}: what the device read"
        );
        assert_eq!(read(&child, DATA), [0x11; 512], "{sharing:?}");
        audit(&[&parent, &child]);
    }
}
