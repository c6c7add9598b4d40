use super::*;

#[test]
fn bytes_go_in_and_out_and_never_beyond() {
    let bounce = Bounce::new(1000).unwrap();
    bounce.put(0, &[1; 10]);
    bounce.put(995, &[2; 10]);
    bounce.put(5000, &[3; 10]);
    let mut bytes = [9; 10];
    bounce.get(995, &mut bytes);
    assert_eq!(bytes, [2, 2, 2, 2, 2, 9, 9, 9, 9, 9]);
    bounce.get(usize::MAX, &mut bytes);
    assert_eq!(bytes[5..], [9; 5]);
    bounce.get(5, &mut bytes);
    assert_eq!(bytes, [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
}

#[test]
fn a_block_is_aligned_and_outlives_its_owner_while_it_is_used() {
    let bounce = Bounce::new(512).unwrap();
    let buffers = bounce.buffers();
    assert!(buffers.is_aligned(512));
    assert!((buffers.regions()[0].address as usize).is_multiple_of(4096));
    assert_eq!((buffers.len_bytes(), bounce.len_bytes()), (512, 512));
    drop(bounce);
    assert_eq!(Arc::strong_count(buffers.held()), 1);
    assert!(Bounce::new(usize::MAX).is_err());
}
