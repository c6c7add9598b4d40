//! Names as people write them.

use super::*;

#[test]
fn names_are_in_the_guest_or_not() {
    for (text, place) in [
        ("guest:/etc/hosts", Place::Guest("/etc/hosts".into())),
        ("guest:a:b", Place::Guest("a:b".into())),
        ("./guest:x", Place::Host("./guest:x".into())),
        ("-", Place::Standard),
    ] {
        assert_eq!(text.parse(), Ok(place), "{text}");
    }
    for text in ["", "guest:"] {
        assert!(text.parse::<Place>().is_err(), "{text}");
    }
}
