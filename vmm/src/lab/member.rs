//! A guest of a lab: what its vCPU and its driver are told to do.

use std::cell::Cell;
use std::time::{Duration, Instant};

use pincow_guest_protocol::disk::{INDIRECT, WRITES, status};
use pincow_guest_protocol::{Command, map};
use pincow_mmu::rules::Direction;
use pincow_mmu::scenario::{SECTOR_A, SECTOR_B, SECTOR_BYTES, Stamp};
use pincow_mmu::table::{Entry, LayerId};
use pincow_mmu::{FromDevice, PAGE_SIZE, PinRequest, SpaceError, ToDevice};

use super::desk::Desk;
use super::{LabError, PAGE, QUEUE_SIZE};
use crate::drive::{self, DriveError, PATIENCE};
use crate::guest::Guest;

/// The number of a guest's one disk.
const DISK: u64 = 0;

const WORDS: u64 = (SECTOR_BYTES / size_of::<u64>()) as u64;

/// How long a transfer is waited for before the device is asked whether it answered with an error.
const LOOK_AFTER: Duration = Duration::from_millis(20);

/// A guest of a lab.
pub struct Member {
    pub(super) guest: Guest,
    /// Where the page's bytes are, or were before they were evicted.
    pub(super) frame: Cell<Option<LayerId>>,
    /// Requests that its driver has in flight.
    in_flight: Cell<u64>,
}

/// The guest-physical address of a byte of the page.
fn address(offset: usize) -> u64 {
    u64::from(PAGE.0) * PAGE_SIZE as u64 + offset as u64
}

impl Member {
    /// A guest that was just booted. Its driver is ready after this.
    pub(super) fn root(guest: Guest) -> Result<Self, LabError> {
        guest.machine().start()?;
        drive::wait_ready(&guest)?;
        let init =
            Command::DiskInit { device: DISK, queue_size: u64::from(QUEUE_SIZE), flags: INDIRECT };
        drive::call(&guest, 0, init)?;
        Ok(Self { guest, frame: Cell::new(None), in_flight: Cell::new(0) })
    }

    /// A child. Its driver has its parent's requests, which are the script's only in the parent: in
    /// the child they have failed, and it takes note of that.
    pub(super) fn child(guest: Guest, parent: &Self) -> Result<Self, LabError> {
        guest.machine().start()?;
        let (frame, in_flight) = (parent.frame.clone(), parent.in_flight.clone());
        let child = Self { guest, frame, in_flight };
        while child.in_flight.get() > 0 {
            let (ticket, status) = child.next_end()?;
            if status != u64::from(status::IO_ERROR) {
                let (expected, expected_status) = (ticket, status::IO_ERROR.into());
                return Err(LabError::Ended { ticket, status, expected, expected_status });
            }
        }
        Ok(child)
    }

    /// The frame of the page, if it is in memory.
    pub(super) fn frame_now(&self) -> Result<Option<LayerId>, SpaceError> {
        Ok(match self.guest.space().entry(PAGE)? {
            Entry::Mapped(mapped) => Some(mapped.layer),
            Entry::Empty | Entry::Swapped { .. } => None,
        })
    }

    /// The vCPU fills sector `b`.
    pub(super) fn write(&self, stamp: Stamp) -> Result<(), DriveError> {
        let stamp = Command::Stamp { address: address(SECTOR_B), words: WORDS, value: stamp.0 };
        drive::call(&self.guest, 0, stamp).map(drop)
    }

    /// The vCPU reads a sector.
    pub(super) fn read(&self, sector: usize) -> Result<Stamp, DriveError> {
        let look = Command::Stamped { address: address(sector), words: WORDS };
        drive::call(&self.guest, 0, look).map(|[stamp, ..]| Stamp(stamp))
    }

    /// The driver submits a request, and the device takes its pins. The driver's name for it, and
    /// its number on the desk.
    pub(super) fn begin(
        &self,
        desk: &Desk,
        (direction, asked): (Direction, PinRequest),
        sector: u64,
    ) -> Result<(u64, u64), LabError> {
        let (device, sectors, address) = match direction {
            Direction::FromDevice => (DISK, 1, address(SECTOR_A)),
            Direction::ToDevice => (DISK | WRITES, (PAGE_SIZE / SECTOR_BYTES) as u64, address(0)),
        };
        let (number, errors) = (desk.arrived(), self.errors());
        let begin = Command::DiskBegin { device, sector, sectors, address };
        let [ticket, ..] = drive::call(&self.guest, 0, begin).map_err(LabError::submitting)?;
        let deadline = Instant::now() + PATIENCE;
        while !desk.wait(number, LOOK_AFTER) {
            if self.errors() > errors {
                return Err(LabError::Refused { sector });
            }
            self.has_room(direction, asked)?;
            if Instant::now() > deadline {
                return Err(LabError::NotBegun { sector });
            }
        }
        self.in_flight.set(self.in_flight.get() + 1);
        Ok((ticket, number))
    }

    /// Fails if the frame's count has no room for another pin. A device would try again for ever.
    fn has_room(&self, direction: Direction, asked: PinRequest) -> Result<(), SpaceError> {
        let space = self.guest.space();
        let pinned = match direction {
            Direction::FromDevice => space.pin::<FromDevice>(PAGE, asked).map(drop),
            Direction::ToDevice => space.pin::<ToDevice>(PAGE, asked).map(drop),
        };
        match pinned {
            Err(error @ SpaceError::Saturated { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits until the driver has seen the end of a request, and the device has let go of its pins.
    pub(super) fn ended(&self, expected: u64, done: bool) -> Result<(), LabError> {
        let (ticket, status) = self.next_end()?;
        let expected_status = u64::from(if done { status::OK } else { status::IO_ERROR });
        if (ticket, status) != (expected, expected_status) {
            return Err(LabError::Ended { ticket, status, expected, expected_status });
        }
        // The pins end in the step of the device that wrote the used ring, a moment after that: this
        // waits until the step is over.
        self.errors();
        Ok(())
    }

    /// The next request whose end the driver sees, and its virtio status.
    fn next_end(&self) -> Result<(u64, u64), LabError> {
        let deadline = Instant::now() + PATIENCE;
        let ended = Command::DiskEnded { device: DISK };
        loop {
            let [found, ticket, status, _] = drive::call(&self.guest, 0, ended)?;
            if found != 0 {
                self.in_flight.set(self.in_flight.get().saturating_sub(1));
                return Ok((ticket, status));
            }
            if Instant::now() > deadline {
                return Err(LabError::NotEnded { left: self.in_flight.get() });
            }
        }
    }

    /// How many requests its device has answered with an error.
    fn errors(&self) -> u64 {
        self.guest.disk_counts().iter().map(|counts| counts.errors).sum()
    }
}

const _: () = assert!(PAGE.0 as u64 >= map::TABLE_FIRST_PAGE);
