use super::super::tests::{RAM, memory, read};
use super::*;

#[test]
fn a_line_ends_with_zero() {
    let ram = memory(RAM);
    assert_eq!(write(&ram, "quiet init=/x", 2047).unwrap(), 14);
    assert_eq!(&read::<14>(&ram, COMMAND_LINE), b"quiet init=/x\0");
    let ram = memory(RAM);
    assert_eq!(write(&ram, "", 2047).unwrap(), 1);
    assert_eq!(read::<1>(&ram, COMMAND_LINE), [0]);
}

#[test]
fn the_longest_line_fits_and_one_more_byte_does_not() {
    let ram = memory(RAM);
    let line = "x".repeat(2047);
    assert_eq!(write(&ram, &line, 2047).unwrap(), 2048);
    let longer = write(&ram, &"x".repeat(2048), 2047).unwrap_err();
    let told = matches!(longer, LinuxError::CommandLineTooLong { len_bytes: 2048, most: 2047 });
    assert!(told, "{longer}");
    // A kernel may claim more than there is room for.
    let room = COMMAND_LINE_ROOM as usize;
    assert!(write(&ram, &"x".repeat(room), usize::MAX).is_err());
    assert!(write(&ram, &"x".repeat(room - 1), usize::MAX).is_ok());
}

#[test]
fn strange_bytes_are_named() {
    for (line, byte, at) in [("a\nb", b'\n', 1), ("\0", 0, 0), ("caf\u{e9}", 0xc3, 3)] {
        let error = write(&memory(RAM), line, 2047).unwrap_err();
        let told =
            matches!(error, LinuxError::CommandLineByte { byte: b, at: a } if (b, a) == (byte, at));
        assert!(told, "{error}");
    }
}
