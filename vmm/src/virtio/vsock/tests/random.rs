//! Drivers and programs that do anything, and a check that the device is still one.

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};

use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

use super::super::packet::*;
use super::bench::*;
use crate::virtio::Next;
use crate::virtio::test_driver::*;

#[derive(Clone, Debug)]
enum Move {
    Register {
        offset: u32,
        value: u32,
    },
    Descriptor {
        queue: u8,
        index: u16,
        desc: Desc,
    },
    Offer {
        queue: u8,
        head: u16,
    },
    Available {
        queue: u8,
        index: u16,
    },
    Bytes {
        address: u64,
        bytes: Vec<u8>,
    },
    /// A packet that may be of a connection.
    Say {
        header: Header,
        len: usize,
    },
    /// A right answer to what was heard.
    Answer,
    Connect(String),
    Write {
        stream: usize,
        len: usize,
    },
    Read(usize),
    Close(usize),
    Step,
    Copy,
    Restart,
}

fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => (0..0x1_0000_u64).prop_map(|n| OUT + n),
        3 => (0..0x1_0000_u64).prop_map(|n| IN + n),
        2 => (0..0xc000_u64).prop_map(|n| RX_RING + n),
        1 => (0..1024_u64).prop_map(|n| END - 512 + n),
        1 => any::<u64>(),
    ]
}

fn desc() -> impl Strategy<Value = Desc> {
    let length = prop_oneof![4 => 0..100_u32, 3 => 0..9000_u32, 1 => any::<u32>()];
    (address(), length, 0..8_u16, prop_oneof![6 => 0..8_u16, 1 => any::<u16>()])
        .prop_map(|(address, len, flags, next)| Desc { address, len, flags, next })
}

fn packet() -> impl Strategy<Value = Header> {
    let port = || prop_oneof![6 => 0..3_u32, 1 => Just(HOST), 1 => any::<u32>()];
    let host = prop_oneof![3 => Just(HOST), 3 => (0..3_u32).prop_map(|n| (1 << 30) + n), 1 => any::<u32>()];
    let number =
        || prop_oneof![2 => Just(0), 2 => Just(CREDIT), 2 => 0..9000_u32, 1 => any::<u32>()];
    (port(), host, 0..9_u16, 0..4_u32, number(), number()).prop_map(
        |(src_port, dst_port, op, flags, buf_alloc, fwd_cnt)| Header {
            src_cid: CID.into(),
            dst_cid: HOST_CID,
            src_port,
            dst_port,
            len: 0,
            socket_type: STREAM,
            op,
            flags,
            buf_alloc,
            fwd_cnt,
        },
    )
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        1 => (0..0x40_u32, prop_oneof![4 => 0..16_u32, 1 => any::<u32>()])
            .prop_map(|(n, value)| Move::Register { offset: n * 4, value }),
        3 => (0..3_u8, 0..8_u16, desc())
            .prop_map(|(queue, index, desc)| Move::Descriptor { queue, index, desc }),
        3 => (0..3_u8, prop_oneof![8 => 0..8_u16, 1 => any::<u16>()])
            .prop_map(|(queue, head)| Move::Offer { queue, head }),
        1 => (0..3_u8, any::<u16>()).prop_map(|(queue, index)| Move::Available { queue, index }),
        1 => (address(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(address, bytes)| Move::Bytes { address, bytes }),
        8 => (packet(), prop_oneof![3 => Just(0), 3 => 0..100_usize, 1 => 0..66_000_usize])
            .prop_map(|(header, len)| Move::Say { header, len }),
        6 => Just(Move::Answer),
        3 => prop_oneof![
            6 => (0..3_u32).prop_map(|port| format!("CONNECT {port}\n")),
            1 => "[A-Z 0-9\n]{0,30}"
        ]
        .prop_map(Move::Connect),
        3 => (0..8_usize, 0..20_000_usize).prop_map(|(stream, len)| Move::Write { stream, len }),
        2 => (0..8_usize).prop_map(Move::Read),
        1 => (0..8_usize).prop_map(Move::Close),
        8 => Just(Move::Step),
        1 => Just(Move::Copy),
        1 => Just(Move::Restart),
    ]
}

struct Play {
    bench: Bench,
    streams: Vec<UnixStream>,
    listener: UnixListener,
}

impl Play {
    fn new() -> Self {
        let bench = Bench::new();
        let listener = bench.listen(HOST);
        Self { bench, streams: Vec::new(), listener }
    }

    fn ring(&mut self, queue: u8) -> &mut Ring {
        match queue {
            0 => &mut self.bench.rx,
            1 => &mut self.bench.tx,
            _ => &mut self.bench.event,
        }
    }

    fn play(&mut self, one: Move) {
        let memory = self.bench.memory.clone();
        match one {
            Move::Register { offset, value } => write32(&self.bench.mmio, offset, value),
            Move::Descriptor { queue, index, desc } => self.ring(queue).put(&memory, index, desc),
            Move::Offer { queue, head } => self.ring(queue).offer(&memory, head),
            Move::Available { queue, index } => self.ring(queue).set_avail(&memory, index),
            Move::Bytes { address, bytes } => {
                let _ = memory.write_slice(&bytes, GuestAddress(address));
            }
            Move::Say { header, len } => self.bench.offer(header, &pattern(len)),
            Move::Answer => {
                self.bench.step();
                let heard = self.bench.rx.used(&memory);
                for (head, _) in heard {
                    let at = IN + u64::from(head % 64) * SLOT;
                    let packet = self.bench.bytes(at, HEADER_LEN);
                    let heard = Header::from_bytes(packet.first_chunk().unwrap());
                    let ports = Ports { host: heard.src_port, guest: heard.dst_port };
                    let op = if heard.op == 1 { Op::Response } else { Op::CreditUpdate };
                    self.bench.offer(header(ports, op), b"");
                    self.bench.step();
                    self.bench.buffers(head as u16 % 64..head as u16 % 64 + 1);
                }
            }
            Move::Connect(line) => self.streams.push(self.bench.connect(&line)),
            Move::Write { stream, len } => {
                if let Some(stream) = self.streams.get_mut(stream) {
                    let _ = stream.write(&pattern(len));
                }
            }
            Move::Read(stream) => {
                if let Some(stream) = self.streams.get_mut(stream) {
                    let _ = std::io::Read::read(stream, &mut [0; 50_000]);
                }
            }
            Move::Close(stream) => {
                if stream < self.streams.len() {
                    self.streams.swap_remove(stream);
                }
            }
            Move::Step => {
                self.bench.step();
                while let Ok((stream, _)) = self.listener.accept() {
                    stream.set_nonblocking(true).unwrap();
                    self.streams.push(stream);
                }
            }
            // Whatever a device got into, a copy can get into.
            Move::Copy => settle(&self.bench.copy_as(CID)),
            Move::Restart => self.bench.restart(),
        }
    }
}

/// Lets everything end that was begun.
fn settle(bench: &Bench) {
    for _ in 0..1000 {
        if bench.step() == Next::Idle {
            return;
        }
    }
    panic!("it does not end");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_device_survives_any_driver(moves in prop::collection::vec(moves(), 1..120)) {
        let mut play = Play::new();
        for one in moves {
            play.play(one);
        }
        settle(&play.bench);
        let Play { mut bench, streams, .. } = play;
        drop(streams);
        bench.restart();
        // Programs that have asked while nobody listened are heard now; they are gone.
        bench.heard();
        let (ports, mut host) = bench.host_opens();
        bench.say(header(ports, Op::Data), b"out");
        prop_assert_eq!(read(&mut host), b"out");
        host.write_all(b"in").unwrap();
        let heard = bench.heard();
        prop_assert_eq!(heard[0].1.as_slice(), b"in");
        prop_assert_eq!(bench.status(), 15);
    }
}
