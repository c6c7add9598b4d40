//! Few samples on the real KVM: that what is measured is what it says. No times are judged.

use std::path::Path;

use super::fork::{Dirt, Effort};
use super::fork_io::{Case, ForkIoTimes};
use super::pin::Contention;
use super::*;
use crate::guest::BackingKind;
use crate::kvm::tests::host;
use crate::virtio::blk::Policy;

fn guests(vcpus: u32) -> Guests {
    Guests { memory_bytes: 16 << 20, vcpus, sharing: Sharing::default() }
}

const THREE: Effort = Effort { least: 3, most: 3, within: Duration::ZERO };

fn assert_ordered(times: &Times, samples: usize) {
    assert_eq!(times.ours.len(), samples);
    assert_eq!(times.floor_answer.len(), samples);
    assert_eq!(times.floor.len(), samples);
    for (first_exit, answer) in times.floor.iter().zip(&times.floor_answer) {
        assert!(Duration::ZERO < *first_exit && first_exit <= answer);
    }
}

#[test]
fn clones_answer_on_both_sides() {
    let Some(host) = host() else { return };
    for vcpus in [1, 2] {
        let mut steps = 0;
        let times = clone::measure(&host, &guests(vcpus), 3, &mut |_, _, _| steps += 1).unwrap();
        assert_ordered(&times, 3);
        assert_eq!(steps, 1 + WARM_UP + 3);
    }
}

#[test]
fn new_guests_answer_on_both_sides() {
    let Some(host) = host() else { return };
    for (vcpus, backing) in
        [(1, BackingKind::Trap), (2, BackingKind::Trap), (1, BackingKind::HostCow)]
    {
        let sharing = Sharing { backing, ..Sharing::default() };
        let guests = Guests { sharing, ..guests(vcpus) };
        let times = boot::measure(&host, &guests, 3, &mut |_, _, _| {}).unwrap();
        assert_ordered(&times, 3);
    }
}

/// The floor's guest is the one that pincow boots: without the payload's bytes it answers nothing.
#[test]
fn the_floor_of_boots_runs_the_payload() {
    let Some(host) = host() else { return };
    let mut floor = boot::Floor::new(&host, &guests(1)).unwrap();
    let answered = floor.boot().unwrap();
    assert!(answered.first_exit <= answered.answer);
    floor.written.clear();
    assert!(matches!(floor.boot(), Err(BenchError::FloorEnded(_) | BenchError::FloorMailbox(_))));
}

#[test]
fn forks_leave_both_sides_whole() {
    let Some(host) = host() else { return };
    for (vcpus, stride) in [(1, 1), (1, 2), (2, 1)] {
        let dirt = Dirt { pages: 64, stride };
        let times = fork::measure(&host, &guests(vcpus), dirt, THREE, &mut |_, _, _| {}).unwrap();
        assert_ordered(&times.answer, 3);
        assert_eq!(times.violations, Vec::<String>::new());
        assert_eq!((times.pause.len(), times.floor_pause.len()), (3, 3));
        assert!(times.mid_run >= 1);
    }
}

#[test]
fn forks_are_measured_until_the_time_is_over() {
    let Some(host) = host() else { return };
    let dirt = Dirt { pages: 1, stride: 1 };
    let effort = Effort { least: 2, most: 1000, within: Duration::ZERO };
    let times = fork::measure(&host, &guests(1), dirt, effort, &mut |_, _, _| {}).unwrap();
    assert_eq!(times.pause.len(), 2);
}

#[test]
fn first_writes_are_copies_and_reuses() {
    let Some(host) = host() else { return };
    let times = fault::measure(&host, &guests(1), 64, 3, &mut |_, _, _| {}).unwrap();
    assert_eq!(times.violations, Vec::<String>::new());
    assert_eq!((times.copy.len(), times.reuse.len(), times.floor.len()), (3, 3, 3));
}

#[test]
fn a_guest_without_room_is_refused() {
    let Some(host) = host() else { return };
    let dirt = Dirt { pages: 4096, stride: 2 };
    let refused = fork::measure(&host, &guests(1), dirt, THREE, &mut |_, _, _| {});
    assert!(matches!(refused, Err(BenchError::TooSmall { .. })));
    let refused = fault::measure(&host, &guests(1), 4096, 1, &mut |_, _, _| {});
    assert!(matches!(refused, Err(BenchError::TooSmall { .. })));
}

/// A disk so slow that a fork comes to it while everything is in flight, however busy the machine is.
const SLOW: Option<Duration> = Some(Duration::from_millis(400));

fn fork_io(
    host: &Arc<Host>,
    in_flight: u64,
    latency: Option<Duration>,
    policy: Policy,
) -> ForkIoTimes {
    let case = Case { in_flight, policy, latency };
    let mut nobody = |_: &str, _, _| {};
    fork_io::measure(host, &guests(1), case, 2, Path::new("."), &mut nobody).unwrap()
}

#[test]
fn forks_with_transfers_in_flight_leave_both_sides_whole() {
    let Some(host) = host() else { return };
    for (in_flight, latency, policy, at_cut) in [
        (0, None, Policy::Reissue, Some(0)),
        (8, None, Policy::Reissue, None),
        (8, SLOW, Policy::Reissue, Some(8)),
        (8, SLOW, Policy::Drain, Some(0)),
        (64, None, Policy::Drain, Some(0)),
    ] {
        let case = format!("{in_flight} in flight, {latency:?}, {policy:?}");
        let times = fork_io(&host, in_flight, latency, policy);
        assert_eq!(times.violations, Vec::<String>::new(), "{case}");
        assert_eq!((times.pause.len(), times.first.len(), times.in_flight.len()), (2, 2, 2));
        assert!(times.pause.iter().zip(&times.first).all(|(pause, first)| pause < first), "{case}");
        assert!(times.verified > 0, "{case}");
        if let Some(at_cut) = at_cut {
            assert_eq!(times.in_flight, [at_cut; 2], "{case}");
            assert_eq!(times.reissued, 2 * at_cut as u64, "{case}");
            assert_eq!(times.early_copies > 0, at_cut > 0, "{case}");
        }
    }
}

/// The negative control: a child whose transfers in flight fail has not got what it asked for.
#[test]
fn transfers_that_fail_in_the_child_are_found() {
    let Some(host) = host() else { return };
    let times = fork_io(&host, 4, SLOW, Policy::Error);
    assert_eq!(times.in_flight, [4, 4]);
    assert!(times.violations.iter().any(|what| what.contains("the child")), "{times:?}");
    assert!(!times.violations.iter().any(|what| what.contains("the parent")), "{times:?}");
}

#[test]
fn pins_leave_every_count_as_it_was() {
    for contention in Contention::ALL {
        let times = pin::measure(Sharing::default(), contention, 3, &mut |_, _, _| {}).unwrap();
        assert_eq!(times.violations, Vec::<String>::new());
        assert_eq!((times.pin.len(), times.floor.len()), (3, 3));
        assert!(times.pin.iter().chain(&times.floor).all(|nanoseconds| *nanoseconds > 0.0));
    }
}
