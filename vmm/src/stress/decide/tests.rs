use std::collections::HashSet;
use std::mem::discriminant;

use super::*;

/// The first decisions of a seed, over a family that grows and shrinks as they say.
fn decisions(seed: u64, count: usize, most: usize) -> (Vec<Step>, u32) {
    let mut chooser = Chooser::new(seed);
    let mut shape = Shape { members: 1, most, has_snapshot: false };
    let steps = (0..count).map(|_| {
        let step = chooser.next(shape);
        let (first, born) = match step.decision {
            Decision::Fork { first, .. } | Decision::Spawn { first } => (first, 1),
            Decision::End(end) => (Some(end), 0),
            _ => (None, 0),
        };
        if let Some(end) = first {
            assert!(end.victim < shape.members, "{step:?}");
            shape.members -= 1;
        }
        match step.decision {
            Decision::Fork { parent, .. } | Decision::Snapshot { parent } => {
                assert!(parent.guest < shape.members, "{step:?}");
            }
            Decision::Evict { guest, .. } | Decision::Discard { guest, .. } => {
                assert!(guest < shape.members, "{step:?}");
            }
            _ => {}
        }
        shape.members += born;
        shape.has_snapshot |= matches!(step.decision, Decision::Snapshot { .. });
        assert!((1..=most).contains(&shape.members), "{step:?}");
        step
    });
    (steps.collect(), chooser.fingerprint())
}

#[test]
fn the_same_seed_decides_the_same_and_another_does_not() {
    for most in [2, 5, 64] {
        let (steps, fingerprint) = decisions(1, 500, most);
        assert_eq!((steps.clone(), fingerprint), decisions(1, 500, most));
        let (others, other) = decisions(2, 500, most);
        assert!(steps != others && fingerprint != other);
    }
    assert_ne!(decisions(1, 500, 5).1, decisions(1, 499, 5).1, "the number of decisions counts");
}

#[test]
fn everything_happens() {
    let (steps, _) = decisions(3, 2000, 5);
    let kinds: HashSet<_> = steps.iter().map(|step| discriminant(&step.decision)).collect();
    assert_eq!(kinds.len(), 7);
    let ends = steps.iter().filter_map(|step| match step.decision {
        Decision::End(end) => Some(end.how),
        Decision::Fork { first, .. } | Decision::Spawn { first } => first.map(|end| end.how),
        _ => None,
    });
    let ends: Vec<How> = ends.collect();
    for how in [How::Kill, How::Inspect, How::Retire] {
        assert!(ends.iter().filter(|end| **end == how).count() > 50, "{how:?}");
    }
    let forks = steps.iter().filter(|step| matches!(step.decision, Decision::Fork { .. })).count();
    assert!(forks > 900, "{forks}");
}
