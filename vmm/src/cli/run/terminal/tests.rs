use super::*;

fn read(chunks: &[&[u8]]) -> (Vec<u8>, bool) {
    let (mut keys, mut guest) = (Keys::default(), Vec::new());
    let end = chunks.iter().any(|chunk| keys.read(chunk, &mut guest) == Escape::End);
    (guest, end)
}

#[test]
fn keys_go_to_the_guest() {
    assert_eq!(read(&[b"ls\n", b"\x03\x04"]), (b"ls\n\x03\x04".to_vec(), false));
}

#[test]
fn ctrl_a_x_ends_even_in_two_reads() {
    assert_eq!(read(&[b"a\x01xb"]), (b"a".to_vec(), true));
    assert_eq!(read(&[b"a\x01", b"Xb"]), (b"a".to_vec(), true));
}

#[test]
fn ctrl_a_twice_is_one_for_the_guest_and_unknown_wishes_are_dropped() {
    assert_eq!(read(&[b"\x01\x01x"]), (b"\x01x".to_vec(), false));
    assert_eq!(read(&[b"\x01zq"]), (b"q".to_vec(), false));
}
