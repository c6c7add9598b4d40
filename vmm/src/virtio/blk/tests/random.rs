//! Drivers that do anything, and a check that the device is still a device.

use proptest::prelude::*;
use virtio_bindings::virtio_mmio as reg;

use super::bench::*;
use crate::devices::bus::MmioDevice;
use crate::virtio::blk::{BlkOptions, Policy};
use crate::virtio::test_driver::*;

#[derive(Clone, Debug)]
enum Move {
    Register { offset: u32, value: u32 },
    Access { offset: u64, bytes: Vec<u8>, write: bool },
    Descriptor { table: bool, index: u16, desc: Desc },
    Header { head: u16, kind: u32, sector: u64 },
    Offer(u16),
    Available(u16),
    Bytes { address: u64, bytes: Vec<u8> },
    Request { head: u16, kind: u32, sector: u64, address: u64, len: u32 },
    Step,
    Hold,
    Release(usize),
    Shorten(usize),
    Fail,
    Busy,
    Copy(Policy),
    Restart { event_idx: bool },
}

/// Mostly small, now and then anything.
fn number(small: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0..small,
        1 => any::<u64>(),
        1 => (0..16_u64).prop_map(|n| u64::MAX - n),
        1 => (0..1024_u64).prop_map(|n| MEMORY as u64 - 512 + n),
    ]
}

/// An address in the rings, the headers or the data, or anywhere.
fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0..64_u64).prop_map(|n| DATA + n * 512),
        2 => (0..0x8000_u64).prop_map(|n| DATA + n),
        2 => (0..64_u64, 0..32_u64).prop_map(|(head, n)| HEADERS + head * 32 + n),
        1 => (0..0x4000_u64).prop_map(|n| 0x1_0000 + n),
        1 => number(MEMORY as u64),
    ]
}

fn length() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => (0..9_u32).prop_map(|n| n * 512),
        2 => 0..100_u32,
        1 => Just(16),
        1 => Just(1),
        1 => any::<u32>(),
    ]
}

fn desc() -> impl Strategy<Value = Desc> {
    (address(), length(), 0..8_u16, prop_oneof![6 => 0..8_u16, 1 => any::<u16>()])
        .prop_map(|(address, len, flags, next)| Desc { address, len, flags, next })
}

fn kind() -> impl Strategy<Value = u32> {
    prop_oneof![
        8 => prop::sample::select(vec![0_u32, 1, 4, 8, 11, 13]),
        1 => any::<u32>(),
    ]
}

fn moves() -> impl Strategy<Value = Move> {
    let policy = prop::sample::select(vec![Policy::Reissue, Policy::Error, Policy::Drain]);
    prop_oneof![
        2 => (0..0x40_u32, number(16)).prop_map(|(n, value)| {
            Move::Register { offset: n * 4, value: value as u32 }
        }),
        1 => (number(0x140), prop::collection::vec(any::<u8>(), 0..9), any::<bool>())
            .prop_map(|(offset, bytes, write)| Move::Access { offset, bytes, write }),
        6 => (any::<bool>(), 0..16_u16, desc())
            .prop_map(|(table, index, desc)| Move::Descriptor { table, index, desc }),
        3 => (0..16_u16, kind(), number(SECTORS))
            .prop_map(|(head, kind, sector)| Move::Header { head, kind, sector }),
        6 => prop_oneof![8 => 0..16_u16, 1 => any::<u16>()].prop_map(Move::Offer),
        1 => any::<u16>().prop_map(Move::Available),
        1 => (address(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(address, bytes)| Move::Bytes { address, bytes }),
        6 => (0..16_u16, kind(), number(SECTORS), address(), length()).prop_map(
            |(head, kind, sector, address, len)| Move::Request { head, kind, sector, address, len }
        ),
        8 => Just(Move::Step),
        1 => Just(Move::Hold),
        2 => (0..4_usize).prop_map(Move::Release),
        1 => (1..4_usize).prop_map(|n| Move::Shorten(n * 512)),
        1 => Just(Move::Fail),
        1 => Just(Move::Busy),
        1 => policy.prop_map(Move::Copy),
        2 => any::<bool>().prop_map(|event_idx| Move::Restart { event_idx }),
    ]
}

fn play(bench: &mut Bench, one: Move) {
    use vm_memory::{Bytes, GuestAddress};
    match one {
        Move::Register { offset, value } => write32(&bench.mmio, offset, value),
        Move::Access { offset, mut bytes, write } => {
            match write {
                true => bench.mmio.write(offset, &bytes),
                false => bench.mmio.read(offset, &mut bytes),
            };
        }
        Move::Descriptor { table, index, desc } => match table {
            true => bench.ring.put(&bench.memory, index, desc),
            false => put_desc(&bench.memory, DATA, index, desc),
        },
        Move::Header { head, kind, sector } => drop(bench.header(head, kind, sector)),
        Move::Offer(head) => bench.ring.offer(&bench.memory, head),
        Move::Available(index) => bench.ring.set_avail(&bench.memory, index),
        Move::Bytes { address, bytes } => {
            let _ = bench.memory.write_slice(&bytes, GuestAddress(address));
        }
        Move::Request { head, kind, sector, address, len } => {
            bench.request(head, (kind, sector), &[(address, len)], matches!(kind, 0 | 8));
        }
        Move::Step => drop(bench.step()),
        Move::Hold => bench.control.hold(),
        Move::Release(nth) => bench.control.release(nth),
        Move::Shorten(len) => bench.control.shorten(1, len),
        Move::Fail => bench.control.fail(1, libc::EIO),
        Move::Busy => bench.busy.store(2, std::sync::atomic::Ordering::Release),
        Move::Copy(policy) => {
            // Whatever a device got into, a copy can get out of.
            match bench.copy(policy) {
                Ok(copy) => settle(&copy),
                Err(error) => assert!(policy == Policy::Drain, "{error}"),
            }
        }
        Move::Restart { event_idx } => {
            bench.control.release_all();
            bench.reset();
            settle(bench);
            bench.ring = Ring::new(0, 0x1_0000, 16);
            bench.fill(0x1_0000, &[0; 0x4000]);
            bench.start(event_idx);
        }
    }
}

/// Lets everything in flight end.
fn settle(bench: &Bench) {
    bench.control.release_all();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while bench.disk.park().requests_in_flight() > 0
        || bench.pins() > 0
        || bench.in_flight() > 0
        || bench.disk.park().ports().disk.open > 0
    {
        assert!(std::time::Instant::now() < deadline, "it hangs");
        bench.step();
    }
    bench.step();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_device_survives_any_driver(moves in prop::collection::vec(moves(), 1..120)) {
        let mut bench = Bench::idle(BlkOptions { queue_size: 16, ..options() });
        bench.start(false);
        for one in moves {
            play(&mut bench, one);
        }
        settle(&bench);
        // After a reset it serves a driver that behaves.
        bench.reset();
        settle(&bench);
        assert_eq!(bench.device_status(), 0);
        bench.ring = Ring::new(0, 0x1_0000, 16);
        bench.fill(0x1_0000, &[0; 0x4000]);
        bench.start(false);
        bench.control.shorten(0, 0);
        bench.control.fail(0, 0);
        bench.read(0, 1530, &[(DATA, 2048)]);
        prop_assert_eq!(bench.answers(1), [(0, 2049)]);
        prop_assert_eq!(bench.status(0), 0);
        prop_assert_eq!(bench.bytes(DATA, 2048), bench.on_disk(1530, 2048));
        write32(&bench.mmio, reg::VIRTIO_MMIO_INTERRUPT_ACK, 3);
        prop_assert_eq!(read32(&bench.mmio, reg::VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    }
}
