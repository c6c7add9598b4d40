use super::*;

fn options() -> BlkOptions {
    BlkOptions {
        capacity: 0x1122_3344_5566_7788,
        block_size: 4096,
        physical_block_exponent: 2,
        optimal_blocks: 0x0a0b,
        queues: 3,
        ..BlkOptions::default()
    }
}

fn config(options: BlkOptions) -> BlkConfig {
    options.try_into().unwrap()
}

fn number(config: &BlkConfig, offset: u64, len: usize) -> u64 {
    let mut bytes = [0; 8];
    config.read(offset, &mut bytes[..len]);
    u64::from_le_bytes(bytes)
}

#[test]
fn fields_are_where_the_specification_has_them() {
    let config = config(options());
    for (offset, len, value) in [
        (0, 8, 0x1122_3344_5566_7788),
        (4, 4, 0x1122_3344),
        (8, 4, 128 << 10),
        (12, 4, 254),
        (20, 4, 4096),
        (24, 1, 2),
        (25, 1, 0),
        (26, 2, 1),
        (28, 4, 0x0a0b),
        (34, 2, 3),
        (36, 4, 4 << 20),
        (40, 4, 16),
        (44, 4, 8),
        (48, 4, 4 << 20),
        (52, 4, 16),
        (56, 1, 1),
    ] {
        assert_eq!(number(&config, offset, len), value, "offset {offset}");
    }
}

#[test]
fn what_lies_beyond_the_space_is_left_alone() {
    let config = config(options());
    for offset in [60, 61, 4096, u64::MAX] {
        let mut bytes = [0xff; 8];
        config.read(offset, &mut bytes);
        assert_eq!(bytes, [0xff; 8], "{offset}");
    }
    let mut bytes = [0xff; 8];
    config.read(56, &mut bytes);
    assert_eq!(bytes, [1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
}

#[test]
fn features_follow_the_options() {
    let offered = |options| config(options).features();
    let one = offered(BlkOptions::default());
    assert_eq!(one & 1 << 12, 0, "one queue is not multi-queue");
    assert_eq!(one & (1 << 13 | 1 << 14 | 1 << 9), 1 << 13 | 1 << 14 | 1 << 9);
    assert_ne!(offered(BlkOptions { queues: 2, ..BlkOptions::default() }) & 1 << 12, 0);
    let read_only = offered(BlkOptions { read_only: true, ..BlkOptions::default() });
    assert_eq!(read_only & (1 << 5 | 1 << 13 | 1 << 14), 1 << 5);
    assert_eq!(one & COMMON, COMMON);
}

#[test]
fn impossible_options_are_refused() {
    let with = |change: fn(&mut BlkOptions)| {
        let mut options = BlkOptions { capacity: 64, ..BlkOptions::default() };
        change(&mut options);
        BlkConfig::try_from(options).unwrap_err()
    };
    assert_eq!(with(|it| it.block_size = 0), OptionsError::BlockSize(0));
    assert_eq!(with(|it| it.block_size = 768), OptionsError::BlockSize(768));
    assert_eq!(with(|it| it.physical_block_exponent = 8), OptionsError::PhysicalBlock(8));
    assert_eq!(with(|it| it.queues = 0), OptionsError::Queues(0));
    assert_eq!(with(|it| it.queues = 17), OptionsError::Queues(17));
    assert_eq!(with(|it| it.queue_size = 0), OptionsError::QueueSize(0));
    assert_eq!(with(|it| it.queue_size = 100), OptionsError::QueueSize(100));
    assert_eq!(with(|it| it.queue_size = 2048), OptionsError::QueueSize(2048));
    let refused = with(|it| {
        it.block_size = 4096;
        it.capacity = 9;
    });
    assert_eq!(refused, OptionsError::Capacity { capacity: 9, block_size: 4096 });
}

#[test]
fn long_names_are_cut() {
    let id = config(BlkOptions { id: "x".repeat(30), ..BlkOptions::default() }).id();
    assert_eq!(id, [b'x'; 20]);
}
