//! A guest's load, driven from outside.

use pincow_guest_protocol::control::{SALT, STOP};
use pincow_guest_protocol::disk::{Disk, EVENT_IDX};
use pincow_guest_protocol::load::words::{self, flag};
use pincow_guest_protocol::load::{Plan, Totals};
use pincow_guest_protocol::map::{PAGE_BYTES, TABLE_FIRST_PAGE};
use pincow_guest_protocol::{Command, Memory};
use vm_memory::{Bytes, GuestAddress};

use super::BenchError;
use super::disk::SEED;
use crate::drive;
use crate::guest::Guest;

/// To a guest whose load goes on until it is stopped.
pub(super) const GO_ON: Command = Command::DiskLoadOn { limit: 0 };

/// What a load is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Sectors of a block.
    pub(super) block: u64,
    /// Blocks of the disk.
    pub(super) blocks: u64,
    /// Slots.
    pub(super) slots: u64,
    /// How many of 256 transfers are writes.
    pub(super) writes: u64,
}

impl Shape {
    fn pages(&self) -> u64 {
        Plan::pages_for(self.slots, self.block, self.blocks)
    }

    /// Fails when a guest with so much memory has no room for the load.
    pub(super) fn check(&self, memory_bytes: u64) -> Result<(), BenchError> {
        let least = (TABLE_FIRST_PAGE + self.pages()) * PAGE_BYTES as u64;
        match memory_bytes < least {
            true => Err(BenchError::TooSmall { memory_bytes, wanted: self.pages(), least }),
            false => Ok(()),
        }
    }
}

/// Sets the disk up.
pub(super) fn init(guest: &Guest) -> Result<(), BenchError> {
    drive::call(guest, 0, Command::DiskInit { device: 0, queue_size: 0, flags: EVENT_IDX })?;
    Ok(())
}

/// Prepares a load, which may use all of its slots, on a disk that was set up.
pub(super) fn prepare(guest: &Guest, shape: Shape, flags: u64) -> Result<(), BenchError> {
    let parameters = [
        (words::DEVICE, 0),
        (words::SECTOR, 0),
        (words::BLOCK, shape.block),
        (words::BLOCKS, shape.blocks),
        (words::SLOTS, shape.slots),
        (words::WRITES, shape.writes),
        (words::FLAGS, flags),
        (words::DEPTH, shape.slots),
        (words::BATCH, 1),
        (words::UNTIL, 0),
        (SALT, 1),
    ];
    parameters.into_iter().try_for_each(|(word, value)| set(guest, word, value))?;
    let command = Command::DiskLoad { first: TABLE_FIRST_PAGE, pages: shape.pages(), seed: SEED };
    drive::call(guest, 0, command)?;
    Ok(())
}

pub(super) fn set(guest: &Guest, word: usize, value: u64) -> Result<(), BenchError> {
    Ok(drive::set_control_word(guest, 0, word, value)?)
}

pub(super) fn get(guest: &Guest, word: usize) -> Result<u64, BenchError> {
    Ok(drive::control_word(guest, 0, word)?)
}

/// Asks for something, and waits for the totals.
pub(super) fn call(guest: &Guest, command: Command) -> Result<Totals, BenchError> {
    Ok(Totals::from_values(drive::call(guest, 0, command)?))
}

/// Waits for the totals of a load that goes on.
pub(super) fn reply(guest: &Guest) -> Result<Totals, BenchError> {
    Ok(Totals::from_values(drive::reply(guest, 0, GO_ON)?))
}

/// Ends a load that goes on, with its last transfer.
pub(super) fn stop(guest: &Guest) -> Result<Totals, BenchError> {
    set(guest, STOP, 1)?;
    reply(guest)
}

/// Runs `limit` more transfers, and verifies all words of what they read.
pub(super) fn verify_whole(guest: &Guest, limit: u64) -> Result<Totals, BenchError> {
    let flags = get(guest, words::FLAGS)?;
    set(guest, words::FLAGS, flags | flag::WHOLE)?;
    let totals = call(guest, Command::DiskLoadOn { limit })?;
    set(guest, words::FLAGS, flags)?;
    Ok(totals)
}

/// What was wrong with the transfers of a guest, in words.
pub(super) fn violation(
    guest: &Guest,
    who: &str,
    totals: Totals,
) -> Result<Option<String>, BenchError> {
    if totals.bad == 0 {
        return Ok(None);
    }
    let [sector, expected, found] =
        [words::BAD_SECTOR, words::BAD_EXPECTED, words::BAD_FOUND].map(|word| get(guest, word));
    Ok(Some(format!(
        "{who}: {} transfers were bad; the first at sector {:#x}: {:#x} was found, not {:#x}",
        totals.bad, sector?, found?, expected?
    )))
}

/// How many requests the device of a guest has ended that its driver has not seen.
pub(super) fn unseen(guest: &Guest) -> Result<u64, BenchError> {
    let memory = Words(guest);
    Ok(Disk::open(&memory, 0).map_or(0, |disk| disk.unseen(&memory)))
}

/// A guest's memory, to be read.
struct Words<'a>(&'a Guest);

impl Memory for Words<'_> {
    /// Reads 0 where there is no RAM: the driver's places lie in it.
    fn load(&self, page: u64, index: usize) -> u64 {
        let address = GuestAddress(page * PAGE_BYTES as u64 + index as u64 * 8);
        self.0.machine().ram().memory().read_obj(address).unwrap_or_default()
    }

    fn store(&mut self, page: u64, index: usize, value: u64) {
        let address = GuestAddress(page * PAGE_BYTES as u64 + index as u64 * 8);
        // As for `load`.
        let _ = self.0.machine().ram().memory().write_obj(value, address);
    }
}
