//! Disks that are understood, and words that are none.

use super::*;

#[test]
fn disks_are_read_with_their_modes() {
    let modes = [
        ("a.raw", Mode::Kept),
        ("/x,y/b.raw,ro", Mode::ReadOnly),
        ("c,temporary", Mode::Temporary),
    ];
    for (text, mode) in modes {
        assert_eq!(text.parse::<DiskArg>().unwrap().mode, mode, "{text}");
    }
}

#[test]
fn other_words_are_refused() {
    for text in ["", ",ro", "a,rw", "a,"] {
        assert!(text.parse::<DiskArg>().is_err(), "{text}");
    }
}
