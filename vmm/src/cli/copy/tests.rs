//! Names as people write them.

use super::*;

#[test]
fn names_are_in_the_guest_or_not() {
    for (text, place) in [
        ("guest:/etc/hosts", Place::Guest(None, "/etc/hosts".into())),
        ("guest:a:b", Place::Guest(None, "a:b".into())),
        ("47.2:a:b", Place::Guest(Some(Name { pid: Some(47), number: 2 }), "a:b".into())),
        ("1:/x", Place::Guest(Some(Name { pid: None, number: 1 }), "/x".into())),
        ("./1:/x", Place::Host("./1:/x".into())),
        ("./guest:x", Place::Host("./guest:x".into())),
        ("-", Place::Standard),
    ] {
        assert_eq!(text.parse(), Ok(place), "{text}");
    }
    for text in ["", "guest:", "1:"] {
        assert!(text.parse::<Place>().is_err(), "{text}");
    }
}
