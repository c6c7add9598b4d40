use pincow_mmu::gfn::{Gfn, Run};
use pincow_mmu::space::{FromDevice, PinRequest};

use super::*;
use crate::guest::{BackingKind, Sharing};
use crate::virtio::balloon::QUEUE_SIZE as ENTRIES;

/// The queue of reports comes third.
const REPORT: u32 = 2;
const RINGS: u64 = 0x50_0000;
/// What is reported: 1 MiB.
const FREE: u64 = 0x80_0000;
const LEN: u32 = 0x10_0000;
const PINNED: u64 = FREE + 0x1000;

/// Where memory is shared in one way or the other.
const BACKINGS: [BackingKind; 2] = [BackingKind::Trap, BackingKind::HostCow];

/// A guest with a balloon, and the ring of its reports.
fn boot_with_balloon(host: &Arc<crate::kvm::Host>, backing: BackingKind) -> (Guest, Ring) {
    let config = GuestConfig { balloon: true, ..GuestConfig::default() };
    let sharing = Sharing { backing, ..Sharing::default() };
    let guest = Guest::boot(host, MEMORY, sharing, config, PAYLOAD).unwrap();
    guest.machine().start().unwrap();
    let rings = [0, 1, 2].map(|n| Ring::new(n, RINGS + u64::from(n) * 0x4000, ENTRIES));
    test_driver::start(&*registers(&guest), &rings.each_ref(), false);
    let [.., report] = rings;
    (guest, report)
}

fn registers(guest: &Guest) -> Arc<crate::virtio::Mmio> {
    Arc::clone(&guest.peripherals.balloon.as_ref().unwrap().registers)
}

/// Reports the range as free, and waits for the answer.
fn report(guest: &Guest, ring: &mut Ring) {
    ring.chain(guest.machine().ram().memory(), 0, &[(FREE, LEN, true)]);
    ring.offer(guest.machine().ram().memory(), 0);
    write32(&*registers(guest), 0x50, REPORT);
    assert_eq!(wait_used(guest, ring, 1), [(0, 0)]);
}

fn resident(guest: &Guest) -> u64 {
    guest.realm().resident_bytes().unwrap()
}

#[test]
fn what_is_reported_goes_back_to_the_host_but_for_what_is_pinned() {
    let Some(host) = host() else { return };
    for backing in BACKINGS {
        let (guest, mut ring) = boot_with_balloon(&host, backing);
        write(&guest, FREE, &vec![7; LEN as usize]);
        let before = resident(&guest);
        let gfn = Gfn::containing(PINNED).unwrap();
        let pin = guest.space().pin::<FromDevice>(gfn, PinRequest::TRANSFER).unwrap();
        report(&guest, &mut ring);
        let freed = before - resident(&guest);
        assert!(freed >= u64::from(LEN) / 2, "{backing}: {freed:#x} bytes");
        assert_eq!((read(&guest, FREE), read(&guest, PINNED)), ([0; 64], [7; 64]), "{backing}");
        assert_eq!(read(&guest, FREE + u64::from(LEN) - 64), [0; 64]);
        let (_, counts) = guest.balloon().unwrap();
        assert_eq!((counts.discarded, counts.kept), (255, 1));
        // The device is not done, and its bytes arrive where the guest sees them.
        let (layer, frame) = pin.frame();
        layer.store().slice(Run::one(frame)).copy_from(&[9_u8; 64]);
        assert_eq!(read(&guest, PINNED), [9; 64], "{backing}");
        drop(pin);
        assert_eq!(guest.realm().family().audit([]), Ok(()));
    }
}

#[test]
fn what_one_side_of_a_fork_discards_the_other_keeps() {
    let Some(host) = host() else { return };
    for backing in BACKINGS {
        let (parent, mut ring) = boot_with_balloon(&host, backing);
        write(&parent, FREE, &vec![7; LEN as usize]);
        let (child, _) = parent.fork(nowhere()).unwrap();
        let mut its = ring.clone();
        let mappings = child.space().census().mappings;
        report(&child, &mut its);
        let more = child.space().census().mappings - mappings;
        assert!(more <= 16, "{backing}: {more} mappings for neighbours");
        assert_eq!((read(&parent, PINNED), read(&child, PINNED)), ([7; 64], [0; 64]), "{backing}");
        write(&child, PINNED, &[8; 64]);
        let (grandchild, _) = child.fork(nowhere()).unwrap();
        report(&parent, &mut ring);
        let sides = [&parent, &child, &grandchild];
        assert_eq!(sides.map(|side| read(side, PINNED)), [[0; 64], [8; 64], [8; 64]], "{backing}");
        assert_eq!(sides.map(|side| side.balloon().unwrap().1.discarded), [256, 256, 0]);
        // What it has taken up again, and forked, goes back once more.
        report(&child, &mut its);
        assert_eq!([&child, &grandchild].map(|side| read(side, PINNED)), [[0; 64], [8; 64]]);
        assert_eq!(parent.realm().family().audit([]), Ok(()));
    }
}

#[test]
fn a_balloon_has_a_size_if_there_is_one() {
    let Some(host) = host() else { return };
    let (guest, _) = boot_with_balloon(&host, BackingKind::default());
    let (size, _) = guest.set_balloon(4 << 20).unwrap();
    assert_eq!(size.target, 1024);
    for bytes in [MEMORY, u64::MAX, 4095] {
        let refused = guest.set_balloon(bytes);
        assert!(matches!(refused, Err(PeripheralError::BalloonSize { .. })), "{bytes:#x}");
    }
    let (child, _) = guest.fork(nowhere()).unwrap();
    assert_eq!(child.balloon().unwrap().0, size);
    let without = boot(&host, vec![], false);
    assert!(matches!(without.set_balloon(0), Err(PeripheralError::NoBalloon)));
    assert_eq!(without.balloon(), None);
}
