//! Sizes that people write, and words that are none.

use super::MemorySize;

#[test]
fn sizes_are_read_with_and_without_unit() {
    let sizes =
        [("4096", 4096), ("64M", 64 << 20), ("1G", 1 << 30), ("2MiB", 2 << 20), ("0x10", 16)];
    for (text, bytes) in sizes {
        assert_eq!(text.parse::<MemorySize>().unwrap().0, bytes, "{text}");
    }
}

#[test]
fn words_that_are_no_sizes_are_refused() {
    for text in ["", "M", "-1", "1.5G", "64Q", "99999999999G", "0xM", "é"] {
        let refused = text.parse::<MemorySize>().unwrap_err().to_string();
        assert!(refused.contains("is not a size"), "{refused}");
    }
}

#[test]
fn sizes_are_written_as_they_are_read() {
    for text in ["64M", "1G", "4K", "123"] {
        assert_eq!(text.parse::<MemorySize>().unwrap().to_string(), text);
    }
}
