//! Drivers that do anything, and a check that the device is still one.

use proptest::prelude::*;

use super::*;
use crate::devices::bus::MmioDevice;
use crate::virtio::test_driver::Desc;

#[derive(Clone, Debug)]
enum Move {
    Register { offset: u32, value: u32 },
    Access { offset: u64, bytes: Vec<u8>, write: bool },
    Descriptor { queue: usize, index: u16, desc: Desc },
    Offer { queue: usize, head: u16 },
    Available { queue: usize, index: u16 },
    Bytes { address: u64, bytes: Vec<u8> },
    Target(u32),
    Step,
    Copy,
    Restart,
}

fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => (0..0x1_0000_u64).prop_map(|n| DATA + n),
        2 => (0..0xc000_u64).prop_map(|n| RINGS[0] + n),
        2 => (0..END / 4096).prop_map(|n| n * 4096),
        1 => (0..1024_u64).prop_map(|n| END - 512 + n),
        1 => any::<u64>(),
    ]
}

fn desc() -> impl Strategy<Value = Desc> {
    let len =
        prop_oneof![4 => (0..64_u32).prop_map(|n| n * 4), 2 => 0..0x80_0000_u32, 1 => any::<u32>()];
    (address(), len, 0..8_u16, prop_oneof![6 => 0..8_u16, 1 => any::<u16>()])
        .prop_map(|(address, len, flags, next)| Desc { address, len, flags, next })
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        2 => (0..0x40_u32, prop_oneof![4 => 0..16_u32, 1 => any::<u32>()])
            .prop_map(|(n, value)| Move::Register { offset: n * 4, value }),
        2 => (0xf0..0x110_u64, prop::collection::vec(any::<u8>(), 0..9), any::<bool>())
            .prop_map(|(offset, bytes, write)| Move::Access { offset, bytes, write }),
        6 => (0..3_usize, 0..8_u16, desc())
            .prop_map(|(queue, index, desc)| Move::Descriptor { queue, index, desc }),
        5 => (0..3_usize, prop_oneof![8 => 0..8_u16, 1 => any::<u16>()])
            .prop_map(|(queue, head)| Move::Offer { queue, head }),
        1 => (0..3_usize, any::<u16>()).prop_map(|(queue, index)| Move::Available { queue, index }),
        2 => (address(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(address, bytes)| Move::Bytes { address, bytes }),
        1 => any::<u32>().prop_map(Move::Target),
        6 => Just(Move::Step),
        1 => Just(Move::Copy),
        1 => Just(Move::Restart),
    ]
}

fn act(bench: &mut Bench, step: Move) {
    match step {
        Move::Register { offset, value } => write32(&bench.mmio, offset, value),
        Move::Access { offset, mut bytes, write } => match write {
            true => drop(bench.mmio.write(offset, &bytes)),
            false => drop(bench.mmio.read(offset, &mut bytes)),
        },
        Move::Descriptor { queue, index, desc } => {
            bench.rings[queue].put(&bench.memory, index, desc);
        }
        Move::Offer { queue, head } => bench.rings[queue].offer(&bench.memory, head),
        Move::Available { queue, index } => bench.rings[queue].set_avail(&bench.memory, index),
        // What lies behind the end cannot be written.
        Move::Bytes { address, bytes } => {
            drop(bench.memory.write_slice(&bytes, GuestAddress(address)));
        }
        Move::Target(pages) => bench.device.park().set_target(pages),
        Move::Step => {
            bench.step();
            let pages: u32 = bench.discarded().iter().map(|(_, pages)| pages).sum();
            assert!(pages <= MOST_PAGES, "{pages}");
        }
        Move::Copy => *bench = bench.copy(),
        Move::Restart => bench.restart(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Nothing outside memory is ever discarded, which [`Noted`] asserts; no step does more than it may; and
    /// after a reset the device works.
    #[test]
    fn whatever_a_driver_does(all in prop::collection::vec(moves(), 1..60)) {
        let mut bench = Bench::new();
        for step in all {
            act(&mut bench, step);
        }
        bench.restart();
        bench.discarded();
        bench.name(INFLATE, 0, &[0x300, 0x301]);
        bench.run();
        prop_assert_eq!(bench.used(INFLATE), [(0, 0)]);
        prop_assert_eq!(bench.discarded(), [(0x300, 2)]);
    }
}
