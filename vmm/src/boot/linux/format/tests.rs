use super::super::tests::{ElfParts, bzimage};
use super::*;

#[test]
fn kernels_are_told_by_their_first_bytes() {
    assert_eq!(of(&ElfParts::default().build()).unwrap(), Format::Elf);
    assert_eq!(of(&bzimage(100).0).unwrap(), Format::BzImage);
}

#[test]
fn what_is_no_kernel_is_refused_with_what_to_give() {
    for bytes in [&b""[..], b"\x7fEL", b"#!/bin/sh\n", &[0; 2000], &[0xff; 0x204]] {
        assert!(matches!(of(bytes), Err(LinuxError::NotAKernel)), "{:?}", bytes.first());
    }
    let compressed = [
        (&b"\x1f\x8b\x08"[..], "a gzip file"),
        (b"\xfd7zXZ\0\0", "an xz file"),
        (b"\x28\xb5\x2f\xfd\0", "a zstd file"),
        (b"\x02\x21\x4c\x18", "an lz4 file"),
    ];
    for (bytes, what) in compressed {
        let text = of(bytes).unwrap_err().to_string();
        assert!(text.contains(what) && text.contains("unpack it"), "{text}");
    }
}
