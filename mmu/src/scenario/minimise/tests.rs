use crate::scenario::fakes::{Fake, Fault};
use crate::scenario::{Finding, Limits, Op, Random, Scope, Script, minimise, run};

fn leaks(ops: &[Op]) -> bool {
    let script = Script::new("candidate", ops.to_vec());
    let mut place = Fake::with(Fault::SharesEverything);
    run(&script, &mut place).unwrap().findings.contains(&Finding::Leak)
}

#[test]
fn what_is_left_shows_it_and_nothing_can_go() {
    let limits = Limits { guests: 3, pins: 3, uncounted: true, holds: true };
    let mut shortened = 0;
    for seed in 0..50 {
        let ops = Random::new(seed).script(60, limits);
        if !leaks(&ops) {
            continue;
        }
        let short = minimise(ops, leaks);
        assert!(leaks(&short));
        for at in 0..short.len() {
            let rest = [&short[..at], &short[at + 1..]].concat();
            assert!(!leaks(&Scope::admissible(&rest)), "seed {seed}: {short:?}");
        }
        shortened += 1;
    }
    assert!(shortened > 20);
}

#[test]
fn what_shows_nothing_is_left_alone() {
    let ops = vec![Op::Read("P".to_owned()), Op::Write("P".to_owned())];
    assert_eq!(minimise(ops.clone(), |_| false), ops);
    assert_eq!(minimise(ops, |_| true), []);
    assert_eq!(minimise(Vec::new(), |_| true), []);
}
