//! Names that are understood, and words that are none.

use super::*;

#[test]
fn guests_are_named_by_process_and_number() {
    assert_eq!("4711.2".parse::<Name>().unwrap(), Name { pid: Some(4711), number: 2 });
    assert_eq!("2".parse::<Name>().unwrap(), Name { pid: None, number: 2 });
    for name in ["4711.2", "7"] {
        assert_eq!(name.parse::<Name>().unwrap().to_string(), name);
    }
}

#[test]
fn other_words_are_refused_by_what_to_write() {
    for text in ["", ".", "4711.", ".2", "-1", "+1", "1.+2", "4711.2.3", "4294967296", "one", "1 "]
    {
        let refused = text.parse::<Name>().unwrap_err().to_string();
        assert!(refused.contains("PID.N"), "{text}: {refused}");
    }
}
