use crate::scenario::{Limits, Op, Random, Scope, moves};

const SMALL: Limits = Limits { guests: 2, pins: 2, uncounted: false, holds: false };

#[test]
fn the_first_moves() {
    let count = |limits| moves(&Scope::new(), limits).len();
    // Five of the guest alone, a fork, four kinds of pin.
    assert_eq!(count(SMALL), 10);
    assert_eq!(count(Limits { guests: 1, ..SMALL }), 9);
    assert_eq!(count(Limits { pins: 0, ..SMALL }), 6);
    assert_eq!(count(Limits { uncounted: true, ..SMALL }), 14);
    assert_eq!(count(Limits { holds: true, ..SMALL }), 11);
}

#[test]
fn every_move_is_admitted_and_keeps_the_limits() {
    let limits = Limits { guests: 3, pins: 2, uncounted: true, holds: true };
    for seed in 0..50 {
        let mut scope = Scope::new();
        for op in Random::new(seed).script(40, limits) {
            for next in moves(&scope, limits) {
                let mut after = scope.clone();
                after.admit(&next).unwrap();
                assert!(after.guests().len() <= 3 && after.pins().len() <= 2);
            }
            scope.admit(&op).unwrap();
        }
    }
}

#[test]
fn free_names_are_used_again() {
    let mut scope = Scope::new();
    for op in
        [Op::Fork { parent: "P".to_owned(), child: "C1".to_owned() }, Op::Destroy("P".to_owned())]
    {
        scope.admit(&op).unwrap();
    }
    let back = Op::Fork { parent: "C1".to_owned(), child: "P".to_owned() };
    assert!(moves(&scope, SMALL).contains(&back));
}
