//! Inputs that are no scripts.

use super::*;

fn refusal(bytes: &[u8]) -> String {
    parse("some/file", bytes.to_vec()).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_is_named_with_file_and_line() {
    assert_eq!(refusal(b"read P\nwrote P\n"), "some/file:2: `wrote` is not an operation");
    assert_eq!(refusal(b"read P\n\nread \xff\n"), "some/file:3: this is not text (UTF-8)");
    assert_eq!(refusal(b""), "some/file:1: there is no scenario");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let refusal = scripts(Path::new("no/such/file")).unwrap_err().to_string();
    assert!(refusal.starts_with("no/such/file: "), "{refusal}");
}
