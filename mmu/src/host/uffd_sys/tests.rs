//! The numbers, against those that a C compiler makes of the kernel's header.

use super::*;

#[test]
fn request_numbers_are_the_kernels() {
    assert_eq!(IOCTL_API, 0xC018_AA3F);
    assert_eq!(IOCTL_REGISTER, 0xC020_AA00);
    assert_eq!(IOCTL_WAKE, 0x8010_AA02);
    assert_eq!(IOCTL_COPY, 0xC028_AA03);
    assert_eq!(IOCTL_WRITEPROTECT, 0xC018_AA06);
    assert_eq!(IOCTL_NEW, 0xAA00);
}

#[test]
fn a_message_has_32_bytes() {
    assert_eq!(size_of::<Message>(), 32);
}
