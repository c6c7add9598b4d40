//! What guests and their devices do, drawn at random.

use pincow_mmu::Direction;
use proptest::prelude::*;

/// Frames of guest memory: room for runs that are joined and for some that are not.
pub(crate) const PAGES: u32 = 48;

/// Bytes of guest memory.
pub(crate) const BYTES: u32 = PAGES * 4096;

/// One operation. Numbers choose among what lives, whatever that is by then.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// A CPU writes at any byte, over page ends, too.
    Write {
        guest: u8,
        at: u32,
        len: u16,
        seed: u8,
    },
    /// A CPU reads.
    Read {
        guest: u8,
        at: u32,
        len: u16,
    },
    Fork {
        guest: u8,
    },
    Snapshot {
        guest: u8,
    },
    Clone {
        image: u8,
    },
    DropGuest {
        guest: u8,
    },
    DropImage {
        image: u8,
    },
    /// A device pins neighbouring pages for one request.
    Begin {
        guest: u8,
        page: u8,
        pages: u8,
        way: Direction,
    },
    /// A device writes in a page that it has pinned for that.
    DeviceWrites {
        transfer: u8,
        page: u8,
        at: u16,
        len: u16,
        seed: u8,
    },
    /// A device reads all that it has pinned, whatever for.
    DeviceReads {
        transfer: u8,
    },
    Finish {
        transfer: u8,
    },
    Evict {
        guest: u8,
        page: u8,
    },
    Discard {
        guest: u8,
        page: u8,
    },
}

fn operation() -> impl Strategy<Value = Op> {
    let n = any::<u8>;
    // Few pages most of the time, so that several things happen to one.
    let page = || prop_oneof![3 => 0..4_u8, 1 => 0..PAGES as u8];
    let at = || prop_oneof![3 => 0..4 * 4096_u32, 1 => 0..BYTES];
    let len = || prop_oneof![4 => 1..300_u16, 1 => 1..20_000_u16];
    let way = prop_oneof![Just(Direction::FromDevice), Just(Direction::ToDevice)];
    prop_oneof![
        9 => (n(), at(), len(), n())
            .prop_map(|(guest, at, len, seed)| Op::Write { guest, at, len, seed }),
        4 => (n(), at(), len()).prop_map(|(guest, at, len)| Op::Read { guest, at, len }),
        4 => n().prop_map(|guest| Op::Fork { guest }),
        2 => n().prop_map(|guest| Op::Snapshot { guest }),
        2 => n().prop_map(|image| Op::Clone { image }),
        2 => n().prop_map(|guest| Op::DropGuest { guest }),
        1 => n().prop_map(|image| Op::DropImage { image }),
        5 => (n(), page(), 1..4_u8, way)
            .prop_map(|(guest, page, pages, way)| Op::Begin { guest, page, pages, way }),
        6 => (n(), n(), 0..4096_u16, 1..600_u16, n()).prop_map(
            |(transfer, page, at, len, seed)| Op::DeviceWrites { transfer, page, at, len, seed }
        ),
        4 => n().prop_map(|transfer| Op::DeviceReads { transfer }),
        3 => n().prop_map(|transfer| Op::Finish { transfer }),
        3 => (n(), page()).prop_map(|(guest, page)| Op::Evict { guest, page }),
        3 => (n(), page()).prop_map(|(guest, page)| Op::Discard { guest, page }),
    ]
}

/// Programs of up to `most` operations.
pub(crate) fn program(most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(operation(), 1..=most)
}
