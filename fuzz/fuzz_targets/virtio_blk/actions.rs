//! What an input is made of: things that a driver, a disk or an operator does.

use arbitrary::{Arbitrary, Result, Unstructured};

/// Guest memory, in bytes.
pub const MEMORY: u64 = 1 << 20;
/// Where the rings of queue 0 are; those of the others follow at [`RINGS_STRIDE`].
pub const RINGS: u64 = 0x1_0000;
/// From one queue's rings to the next, in bytes.
pub const RINGS_STRIDE: u64 = 0x4000;
/// Where headers, data and indirect tables are.
pub const DATA: u64 = 0x4_0000;
/// Sectors of the disk.
pub const SECTORS: u64 = 256;
/// Entries of a queue.
pub const ENTRIES: u16 = 16;
/// Queues of the device.
pub const QUEUES: u16 = 2;

/// An address that is likely to be near something.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub u64);

impl<'a> Arbitrary<'a> for Address {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let offset = u64::from(u16::arbitrary(input)?);
        Ok(Self(match input.int_in_range(0..=9)? {
            0..=4 => DATA + offset / 512 * 512,
            5 | 6 => DATA + offset,
            7 => RINGS + offset,
            8 => (MEMORY - 0x8000).wrapping_add(offset),
            _ => u64::arbitrary(input)?,
        }))
    }
}

/// A length that is likely to mean something.
#[derive(Clone, Copy, Debug)]
pub struct Length(pub u32);

impl<'a> Arbitrary<'a> for Length {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let small = u32::from(u8::arbitrary(input)?);
        Ok(Self(match input.int_in_range(0..=7)? {
            0..=2 => small % 16 * 512,
            3 => 16,
            4 => 1,
            5 => small,
            6 => small * 16,
            _ => u32::arbitrary(input)?,
        }))
    }
}

/// A sector on the disk, near its end, or anywhere.
#[derive(Clone, Copy, Debug)]
pub struct Sector(pub u64);

impl<'a> Arbitrary<'a> for Sector {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(match input.int_in_range(0..=7)? {
            0..=6 => u64::from(u8::arbitrary(input)?) + 8,
            _ => u64::arbitrary(input)?,
        }))
    }
}

/// A type of request.
#[derive(Clone, Copy, Debug)]
pub struct Type(pub u32);

impl<'a> Arbitrary<'a> for Type {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(match input.int_in_range(0..=7)? {
            0 | 1 => 0,
            2 | 3 => 1,
            4 => 4,
            5 => 8,
            6 => *input.choose(&[11, 13])?,
            _ => u32::arbitrary(input)?,
        }))
    }
}

/// A descriptor, valid or not.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Descriptor {
    /// Guest-physical address.
    pub address: Address,
    /// In bytes.
    pub len: Length,
    /// NEXT, WRITE, INDIRECT and others.
    pub flags: u8,
    /// Index of the next.
    pub next: u8,
}

/// One thing that happens.
#[derive(Arbitrary, Clone, Debug)]
pub enum Action {
    /// A 32-bit write to a register.
    Register { register: u8, value: u32 },
    /// A read of any size anywhere.
    Read { offset: u16, len: u8 },
    /// A write of any size anywhere.
    Write { offset: u16, bytes: [u8; 8], len: u8 },
    /// A doorbell.
    Notify { queue: u8 },
    /// A descriptor in a queue's table.
    Descriptor { queue: u8, index: u8, descriptor: Descriptor },
    /// An indirect table, and a descriptor that refers to it.
    Indirect { queue: u8, index: u8, table: Address, descriptors: Vec<Descriptor> },
    /// A request as a driver builds it, with a first data segment of any kind.
    Request { queue: u8, head: u8, kind: Type, sector: Sector, data: Address, len: Length },
    /// A request's ranges, for discard and write zeroes.
    Range { at: Address, sector: Sector, sectors: u32, flags: u8 },
    /// A head is made available.
    Offer { queue: u8, head: u16 },
    /// The available index becomes anything.
    Available { queue: u8, index: u16 },
    /// Bytes anywhere.
    Bytes { at: Address, bytes: [u8; 16] },
    /// The device does what it can.
    Step,
    /// A transfer ends: which, how much of it is done, whether it fails.
    End { which: u8, sectors: u8, fails: bool },
    /// The next pins, and the next operations of the disk, have to wait.
    Busy { pins: u8, operations: u8 },
    /// The disk fails the next operations.
    Failing { operations: u8 },
    /// The guest is copied, and the copy runs on.
    Copy { policy: u8 },
    /// The driver starts again.
    Restart { event_idx: bool },
}
