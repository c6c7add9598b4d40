use std::collections::HashSet;
use std::mem::discriminant;

use crate::scenario::{Limits, Op, Random, Scope, Script};

const LIMITS: Limits = Limits { guests: 3, pins: 3, uncounted: true, holds: true };

#[test]
fn the_generator_is_splitmix64() {
    let mut random = Random::new(1_234_567);
    assert_eq!(random.bits(), 6_457_827_717_110_365_317);
    assert_eq!(random.bits(), 3_203_168_211_198_807_973);
}

#[test]
fn a_seed_stands_for_its_scripts() {
    let script = |seed| Random::new(seed).script(30, LIMITS);
    assert_eq!(script(7), script(7));
    assert_ne!(script(7), script(8));
}

#[test]
fn scripts_make_sense_and_read_back() {
    for seed in 0..100 {
        let script = Script::new("random", Random::new(seed).script(50, LIMITS));
        assert_eq!(script.ops.len(), 50);
        assert_eq!(Scope::admissible(&script.ops), script.ops);
        assert_eq!(Script::parse_all("-", &script.to_string()).unwrap(), [script]);
    }
}

#[test]
fn every_kind_of_operation_comes_up() {
    let ops = Random::new(0).script(1_000, LIMITS);
    assert_eq!(ops.iter().map(discriminant).collect::<HashSet<_>>().len(), 12);
    let pins = |wanted| {
        ops.iter().filter(|op| matches!(op, Op::Pin { counted, .. } if *counted == wanted)).count()
    };
    assert!(pins(true) > 0 && pins(false) > 0);
}
