use super::super::tests::{RAM, memory, read};
use super::*;

#[test]
fn an_initrd_ends_in_the_last_page_of_its_room() {
    let ram = memory(RAM);
    let placed = write(&ram, &[7; 5000], 16 << 20, RAM).unwrap();
    assert_eq!(placed, Placed { start: RAM - 8192, len_bytes: 5000 });
    assert_eq!(read::<2>(&ram, placed.start + 4999), [7, 0]);
}

#[test]
fn it_never_overlaps_the_kernel() {
    let ram = memory(RAM);
    let kernel_end = RAM - 8192;
    assert!(write(&ram, &[7; 8192], kernel_end, RAM).is_ok());
    for (len, end) in [(8193, RAM), (8192, RAM - 1), (1, kernel_end), (1, 0)] {
        let error = write(&ram, &vec![7; len], kernel_end, end).unwrap_err();
        assert!(matches!(error, LinuxError::InitrdTooLarge { .. }), "{len} {end:#x}");
    }
    assert!(matches!(write(&ram, &[], 0, RAM), Err(LinuxError::EmptyInitrd)));
}
