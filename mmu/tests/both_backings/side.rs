//! One backing that lives a program, and what is seen of it.

use std::sync::Arc;

use pincow_mmu::host::{HostMemory, MemoryOptions};
use pincow_mmu::live::{self, LiveImage, LiveSpace};
use pincow_mmu::scenario::AnyPin;
use pincow_mmu::stats::Counts;
use pincow_mmu::{
    AddressSpace, Direction, Family, Gfn, PAGE_SIZE, PinRequest, Rules, Run, SpaceError,
};
use vm_memory::{Bytes, GuestAddress};

use super::program::{BYTES, Op, PAGES};

/// More living guests, images or transfers than this are not made.
const MOST: usize = 5;

/// What comes of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// There was nobody to do it, or no room.
    Nothing,
    Done,
    /// The rules forbid it.
    Refused,
    Bytes(Vec<u8>),
}

/// Guests on one backing.
pub(crate) struct Side {
    family: Arc<Family<HostMemory>>,
    guests: Vec<Arc<LiveSpace>>,
    images: Vec<Arc<LiveImage>>,
    transfers: Vec<Vec<AnyPin<HostMemory>>>,
}

fn choose<T>(list: &[T], number: u8) -> Option<usize> {
    (!list.is_empty()).then(|| usize::from(number) % list.len())
}

/// Bytes that differ from their neighbours and from those of other seeds.
fn pattern(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| seed.wrapping_add((at % 251) as u8)).collect()
}

/// The part of guest memory from `at` up that is `len` bytes long, or as long as there is room.
fn part(at: u32, len: u16) -> (GuestAddress, usize) {
    (GuestAddress(at.into()), u32::from(len).min(BYTES - at) as usize)
}

fn outcome(done: Result<(), SpaceError>) -> Seen {
    match done {
        Ok(()) => Seen::Done,
        Err(SpaceError::Busy { .. } | SpaceError::Wait { .. }) => Seen::Refused,
        Err(error) => panic!("{error}"),
    }
}

impl Side {
    pub(crate) fn new(options: MemoryOptions, rules: Rules) -> Self {
        let memory = HostMemory::new(PAGES, options).expect("a host that can");
        let family = Family::new(Arc::new(memory), rules, PAGES);
        let root = AddressSpace::root(&family).expect("a first guest");
        let mut side = Self { family, guests: vec![], images: vec![], transfers: vec![] };
        side.adopt(Ok(root));
        side
    }

    /// What happened to the frames.
    pub(crate) fn counts(&self) -> Counts {
        self.family.counts()
    }

    /// One operation.
    pub(crate) fn step(&mut self, op: Op) -> Seen {
        match op {
            Op::Write { guest, at, len, seed } => {
                let (at, len) = part(at, len);
                let memory = self.guest(guest).window().guest_memory();
                memory.write_slice(&pattern(seed, len), at).expect("guest memory");
                Seen::Done
            }
            Op::Read { guest, at, len } => {
                let (at, len) = part(at, len);
                read(self.guest(guest), at, len)
            }
            Op::Fork { guest } if self.guests.len() < MOST => {
                let child = self.guest(guest).fork();
                self.adopt(child)
            }
            Op::Snapshot { guest } if self.images.len() < MOST => {
                let image = self.guest(guest).snapshot();
                outcome(image.map(|image| self.images.push(image)))
            }
            Op::Clone { image } if self.guests.len() < MOST => match choose(&self.images, image) {
                Some(image) => self.adopt(self.images[image].spawn()),
                None => Seen::Nothing,
            },
            Op::DropGuest { guest } if self.guests.len() > 1 => {
                self.guests.swap_remove(usize::from(guest) % self.guests.len());
                Seen::Done
            }
            Op::DropImage { image } => gone(&mut self.images, image),
            Op::Begin { guest, page, pages, way } if self.transfers.len() < MOST => {
                let pages = (u32::from(page)..PAGES).take(usize::from(pages));
                let pins: Result<Vec<_>, _> =
                    pages.map(|page| pin(self.guest(guest), Gfn(page), way)).collect();
                outcome(pins.map(|pins| self.transfers.push(pins)))
            }
            Op::DeviceWrites { transfer, page, at, len, seed } => {
                self.device_writes(transfer, page, at.into(), &pattern(seed, len.into()))
            }
            Op::DeviceReads { transfer } => match choose(&self.transfers, transfer) {
                Some(transfer) => device_reads(&self.transfers[transfer]),
                None => Seen::Nothing,
            },
            Op::Finish { transfer } => gone(&mut self.transfers, transfer),
            Op::Evict { guest, page } => outcome(self.guest(guest).evict(Gfn(page.into()))),
            Op::Discard { guest, page } => outcome(self.guest(guest).discard(Gfn(page.into()))),
            Op::Fork { .. }
            | Op::Snapshot { .. }
            | Op::Clone { .. }
            | Op::DropGuest { .. }
            | Op::Begin { .. } => Seen::Nothing,
        }
    }

    /// All bytes that anybody sees at last: devices, guests, and clones of the images.
    pub(crate) fn everything(&self) -> Vec<(String, Seen)> {
        let transfers = self.transfers.iter().map(|pins| device_reads(pins));
        let mut all: Vec<_> =
            transfers.enumerate().map(|(n, seen)| (format!("transfer {n}"), seen)).collect();
        let whole = |space: &LiveSpace| read(space, GuestAddress(0), BYTES as usize);
        all.extend(
            self.guests.iter().enumerate().map(|(n, guest)| (format!("guest {n}"), whole(guest))),
        );
        all.extend(self.images.iter().enumerate().map(|(n, image)| {
            let clone = image.spawn().expect("a clone");
            live::attach(&clone);
            (format!("a clone of image {n}"), whole(&clone))
        }));
        all
    }

    fn guest(&self, number: u8) -> &Arc<LiveSpace> {
        &self.guests[usize::from(number) % self.guests.len()]
    }

    fn adopt(&mut self, space: Result<Arc<LiveSpace>, SpaceError>) -> Seen {
        outcome(space.map(|space| {
            live::attach(&space);
            self.guests.push(space);
        }))
    }

    fn device_writes(&self, transfer: u8, page: u8, at: usize, bytes: &[u8]) -> Seen {
        let Some(transfer) = choose(&self.transfers, transfer) else { return Seen::Nothing };
        let pins = &self.transfers[transfer];
        let Some(pin) = choose(pins, page).map(|page| &pins[page]) else { return Seen::Nothing };
        if pin.direction() == Direction::ToDevice {
            return Seen::Nothing;
        }
        let (layer, gfn) = pin.frame();
        let bytes = &bytes[..bytes.len().min(PAGE_SIZE - at)];
        layer.store().slice(Run::one(gfn)).write_slice(bytes, at).expect("within a page");
        Seen::Done
    }
}

fn read(space: &LiveSpace, at: GuestAddress, len: usize) -> Seen {
    let mut bytes = vec![0; len];
    space.window().guest_memory().read_slice(&mut bytes, at).expect("guest memory");
    Seen::Bytes(bytes)
}

fn pin(space: &LiveSpace, gfn: Gfn, way: Direction) -> Result<AnyPin<HostMemory>, SpaceError> {
    Ok(match way {
        Direction::FromDevice => AnyPin::From(space.pin(gfn, PinRequest::TRANSFER)?),
        Direction::ToDevice => AnyPin::To(space.pin(gfn, PinRequest::TRANSFER)?),
    })
}

fn device_reads(pins: &[AnyPin<HostMemory>]) -> Seen {
    let mut bytes = vec![0; pins.len() * PAGE_SIZE];
    for (pin, bytes) in pins.iter().zip(bytes.chunks_mut(PAGE_SIZE)) {
        let (layer, gfn) = pin.frame();
        layer.store().slice(Run::one(gfn)).read_slice(bytes, 0).expect("a page");
    }
    Seen::Bytes(bytes)
}

fn gone<T>(list: &mut Vec<T>, number: u8) -> Seen {
    match choose(list, number) {
        Some(at) => {
            drop(list.swap_remove(at));
            Seen::Done
        }
        None => Seen::Nothing,
    }
}
