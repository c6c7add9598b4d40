//! Few samples on the real KVM: that what is measured is what it says. No times are judged.

use pincow_mmu::rules::{RuleSet, Rules};

use super::fork::{Dirt, Effort};
use super::*;
use crate::kvm::tests::host;

fn guests(vcpus: u32) -> Guests {
    Guests { memory_bytes: 16 << 20, vcpus, rules: Rules::from(RuleSet::default()) }
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
