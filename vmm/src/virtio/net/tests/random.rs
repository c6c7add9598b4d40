//! Drivers that do anything, and a check that the card is still a card.

use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

use super::bench::*;
use crate::devices::bus::MmioDevice;
use crate::virtio::Next;
use crate::virtio::test_driver::*;

#[derive(Clone, Debug)]
enum Move {
    Register { offset: u32, value: u32 },
    Access { offset: u64, bytes: Vec<u8>, write: bool },
    Descriptor { queue: u8, index: u16, desc: Desc },
    Offer { queue: u8, head: u16 },
    Available { queue: u8, index: u16 },
    Bytes { address: u64, bytes: Vec<u8> },
    Send { head: u16, len: usize },
    Buffer(u16),
    Arrive(usize),
    Read,
    Step,
    Unplug,
    Copy { plugged: bool },
    Restart,
}

fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => (0..0x1_0000_u64).prop_map(|n| OUT + n),
        3 => (0..0x1_0000_u64).prop_map(|n| IN + n),
        2 => (0..0x8000_u64).prop_map(|n| RX_RING + n),
        1 => (0..1024_u64).prop_map(|n| END - 512 + n),
        1 => any::<u64>(),
    ]
}

fn length() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..100_u32, 3 => 0..3000_u32, 1 => 0..0x2_0000_u32, 1 => any::<u32>()]
}

fn desc() -> impl Strategy<Value = Desc> {
    (address(), length(), 0..8_u16, prop_oneof![6 => 0..8_u16, 1 => any::<u16>()])
        .prop_map(|(address, len, flags, next)| Desc { address, len, flags, next })
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        2 => (0..0x40_u32, prop_oneof![4 => 0..16_u32, 1 => any::<u32>()])
            .prop_map(|(n, value)| Move::Register { offset: n * 4, value }),
        1 => (0..0x140_u64, prop::collection::vec(any::<u8>(), 0..9), any::<bool>())
            .prop_map(|(offset, bytes, write)| Move::Access { offset, bytes, write }),
        6 => (0..3_u8, 0..8_u16, desc())
            .prop_map(|(queue, index, desc)| Move::Descriptor { queue, index, desc }),
        5 => (0..2_u8, prop_oneof![8 => 0..8_u16, 1 => any::<u16>()])
            .prop_map(|(queue, head)| Move::Offer { queue, head }),
        1 => (0..2_u8, any::<u16>()).prop_map(|(queue, index)| Move::Available { queue, index }),
        1 => (address(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(address, bytes)| Move::Bytes { address, bytes }),
        4 => (0..8_u16, 14..1500_usize).prop_map(|(head, len)| Move::Send { head, len }),
        4 => (0..8_u16).prop_map(Move::Buffer),
        4 => prop_oneof![8 => 0..1600_usize, 1 => 0..70_000_usize].prop_map(Move::Arrive),
        2 => Just(Move::Read),
        8 => Just(Move::Step),
        1 => Just(Move::Unplug),
        1 => any::<bool>().prop_map(|plugged| Move::Copy { plugged }),
        1 => Just(Move::Restart),
    ]
}

fn play(bench: &mut Bench, one: Move) {
    let ring = |bench: &Bench, queue| match queue {
        0 => bench.rx.clone(),
        _ => bench.tx.clone(),
    };
    match one {
        Move::Register { offset, value } => write32(&bench.mmio, offset, value),
        Move::Access { offset, mut bytes, write } => {
            match write {
                true => bench.mmio.write(offset, &bytes),
                false => bench.mmio.read(offset, &mut bytes),
            };
        }
        Move::Descriptor { queue: 2, index, desc } => put_desc(&bench.memory, OUT, index, desc),
        Move::Descriptor { queue, index, desc } => {
            ring(bench, queue).put(&bench.memory, index, desc);
        }
        Move::Offer { queue: 0, head } => bench.rx.offer(&bench.memory, head),
        Move::Offer { head, .. } => bench.tx.offer(&bench.memory, head),
        Move::Available { queue, index } => ring(bench, queue).set_avail(&bench.memory, index),
        Move::Bytes { address, bytes } => {
            let _ = bench.memory.write_slice(&bytes, GuestAddress(address));
        }
        Move::Send { head, len } => bench.send(head, &frame(0, len)),
        Move::Buffer(head) => bench.buffers(head..head + 1),
        // A full link has lost it.
        Move::Arrive(len) => drop(bench.far.send(&vec![0x55; len])),
        Move::Read => drop(bench.arrived()),
        Move::Step => drop(bench.step()),
        Move::Unplug => bench.device.connect(None),
        // Whatever a device got into, a copy can get into.
        Move::Copy { plugged } => settle(&bench.copy_as(Child { plugged, mac: mac() })),
        Move::Restart => restart(bench),
    }
}

/// Lets everything end that was begun, with somebody who reads the link.
fn settle(bench: &Bench) {
    for _ in 0..1000 {
        if bench.step() == Next::Idle {
            return;
        }
        bench.arrived();
    }
    panic!("it does not end");
}

fn restart(bench: &mut Bench) {
    let (near, far) = link();
    bench.far = far;
    bench.device.connect(Some(Box::new(near)));
    bench.restart();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_card_survives_any_driver(moves in prop::collection::vec(moves(), 1..120)) {
        let mut bench = Bench::new();
        for one in moves {
            play(&mut bench, one);
        }
        settle(&bench);
        restart(&mut bench);
        bench.send(0, &frame(1, 60));
        bench.buffers(0..1);
        bench.far.send(&frame(2, 60)).unwrap();
        settle(&bench);
        prop_assert_eq!(bench.received(), [(0, 72)]);
        prop_assert_eq!(bench.sent(), [(0, 0)]);
        prop_assert_eq!(bench.bytes(IN, 72), [&HEADER[..], &frame(2, 60)].concat());
    }
}
