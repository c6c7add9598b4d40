//! From what the probing guests did to words.

use super::*;

fn works(ring0: Option<&Ring0>, ring3: bool) -> [bool; 2] {
    let answers = answers(ring0, ring3);
    assert_eq!([answers[0].guests, answers[1].guests], [PAYLOADS, KERNELS]);
    [answers[0].works, answers[1].works]
}

#[test]
fn kernels_need_ring_0_and_payloads_do_not() {
    assert_eq!(works(None, false), [false; 2]);
    assert_eq!(works(Some(&Ring0::Works), true), [true; 2]);
    assert_eq!(works(Some(&Ring0::Refused("f3".into())), true), [true, false]);
    assert_eq!(works(Some(&Ring0::Hangs), false), [false; 2]);
}

#[test]
fn who_cannot_run_kernels_is_told_what_stopped_them_and_what_to_use() {
    let refused = Ring0::Refused("f3 0f b8".into());
    let why = &answers(Some(&refused), true)[1].why;
    for words in ["f3 0f b8", "EPT", "NPT", "nested virtualization", "tests/npt"] {
        assert!(why.contains(words), "no `{words}` in: {why}");
    }
}
