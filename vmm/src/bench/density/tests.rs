//! Few clones on the real KVM, and what is refused. Memory is judged where it is exact.

use super::limits::{Room, check, rooms};
use super::*;
use crate::guest::tests::everywhere;
use crate::kvm::tests::host;
use pincow_mmu::rules::RuleSet;

const CLONES: usize = 20;
const PAGES: u64 = 8;

#[test]
fn clones_are_alive_at_once_on_both_backings() {
    let Some(host) = host() else { return };
    for sharing in everywhere(&[RuleSet::default()]) {
        let guests = Guests { memory_bytes: 16 << 20, vcpus: 1, sharing };
        let density = measure(&host, &guests, CLONES, PAGES, &mut |_, _, _| {}).unwrap();
        for crowd in [&density.ours, &density.floor] {
            assert_eq!((crowd.spawn.len(), crowd.written_bytes.len()), (CLONES, CLONES));
            // What was asked for, and at most a stack.
            let few = PAGES * PAGE_BYTES as u64..=(PAGES + 4) * PAGE_BYTES as u64;
            assert!(crowd.written_bytes.iter().all(|bytes| few.contains(bytes)), "{crowd:?}");
            let alive: Vec<_> = crowd.looks.iter().map(|look| look.alive).collect();
            assert_eq!(alive, (0..=10).map(|look| look * 2).collect::<Vec<_>>());
            // Other tests of this process come and go, so that nothing else of it is judged.
            assert!(crowd.spawn.iter().all(|time| *time > Duration::ZERO));
        }
        let both = [&density.ours, &density.floor].map(|crowd| &crowd.written_bytes);
        assert_eq!(both[0], both[1], "the same payload does the same on both sides");
    }
}

#[test]
fn a_guest_without_room_for_what_it_is_to_write_is_refused() {
    let Some(host) = host() else { return };
    let guests = Guests { memory_bytes: 16 << 20, vcpus: 1, sharing: Default::default() };
    let refused = measure(&host, &guests, 1, 1 << 20, &mut |_, _, _| {}).unwrap_err();
    assert!(matches!(refused, BenchError::TooSmall { .. }), "{refused}");
}

#[test]
fn what_each_adds_is_an_average_of_the_kernels_figures() {
    let process = |guests: u64| ProcessUse {
        anonymous_bytes: 5000 + guests * 100,
        pss_bytes: 7000 + guests * 300,
        page_table_bytes: guests * 20,
        threads: 3 + guests,
        descriptors: 9 + guests * 2,
        mappings: 50 + guests * 5,
    };
    let look = |guests: u64| Look {
        alive: guests as usize,
        memfd_bytes: (1 << 20) + guests * 11,
        process: process(guests),
        host: HostUse { available_bytes: 1 << 30, kvm_page_table_bytes: None },
    };
    let crowd = Crowd {
        spawn: vec![Duration::ZERO; 4],
        written_bytes: vec![10, 20, 30, 40],
        looks: vec![look(0), look(2), look(4)],
    };
    let each = crowd.each();
    assert_eq!((each.unique, each.memfd, each.written), (111.0, 11.0, 25.0));
    assert_eq!((each.pss, each.page_tables, each.kvm_page_tables), (300.0, 20.0, None));
    assert_eq!((each.threads, each.descriptors, each.mappings, each.host), (1.0, 2.0, 5.0, 0.0));
    let floor = Crowd { looks: vec![look(0)], ..Crowd::default() };
    let (beyond, limit) = Density { ours: crowd, floor }.beyond_floor();
    assert_eq!((beyond, limit), (111.0, 65536.0 + 25.0));
}

#[test]
fn too_many_are_refused_with_the_number_that_would_fit() {
    let room = |what, free, each| Room { what, free, each, advice: "ask for less" };
    let rooms = [room("chairs", 1000, 3), room("tables", 50, 0), room("lamps", 200, 1)];
    assert!(check(200, &rooms).is_ok());
    let refused = check(201, &rooms).unwrap_err().to_string();
    assert_eq!(
        refused,
        "201 guests at once need 201 lamps, and this process may have 200 more: 200 would fit (--clones); ask \
         for less"
    );
    assert!(check(400, &rooms).unwrap_err().to_string().contains("400 lamps"));
}

#[test]
fn nobody_has_room_for_a_million() {
    let need = Need { descriptors: 2, mappings: 8, threads: 1, memory_bytes: 1 << 20 };
    let rooms = rooms(need).unwrap();
    assert!(rooms.iter().all(|room| room.free > 0), "{rooms:?}");
    let refused = check(100_000_000, &rooms).unwrap_err();
    assert!(matches!(refused, BenchError::NoRoom { fits: 1..100_000_000, .. }), "{refused}");
}
