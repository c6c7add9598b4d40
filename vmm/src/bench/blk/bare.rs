//! The floor: the same transfers by a loop over io_uring on the host.
//!
//! It is as plain as can be: one thread, one ring, `IORING_OP_READ` and `IORING_OP_WRITE` with addresses
//! of pages that stay where they are, one io_uring_enter that hands over what is new and waits for a
//! completion. It prepares and verifies each transfer as the guest does.

#![expect(unsafe_code, reason = "io_uring is given addresses that the kernel reads and writes")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use io_uring::types::Fd;
use io_uring::{IoUring, opcode};
use pincow_guest_protocol::disk::{Operation, SECTOR_BYTES};
use pincow_guest_protocol::load::{Pattern, content};
use pincow_guest_protocol::map::PAGE_BYTES;

use super::super::bare::{Content, View, Writes};
use super::super::disk::SEED;
use super::super::load::Shape;
use super::BenchError;

/// A transfer in flight.
#[derive(Clone, Copy)]
struct Slot {
    operation: Operation,
    block: u64,
    base: u64,
    turns: u64,
}

const IDLE: Slot = Slot { operation: Operation::Read, block: 0, base: 0, turns: 0 };

/// A loop, and its memory.
pub(super) struct Bare<'a> {
    // The ring goes first: nothing is in flight outside of `round`, which waits for all.
    ring: IoUring,
    memory: View,
    file: &'a File,
    shape: Shape,
    pattern: Pattern,
    slots: Vec<Slot>,
    shadow: Vec<u64>,
    rounds: u64,
    /// The first transfer that was bad, in words.
    pub(super) violation: Option<String>,
}

impl<'a> Bare<'a> {
    pub(super) fn new(file: &'a File, shape: Shape) -> Result<Self, BenchError> {
        let Shape { block, blocks, slots, writes } = shape;
        let entries = slots.next_power_of_two() as u32;
        let ring = IoUring::new(entries).map_err(BenchError::system("io_uring_setup"))?;
        let memory =
            Content::zeros((slots * buffer_bytes(block)) as usize)?.map(Writes::Through)?;
        for slot in 0..slots {
            for sector in 0..block {
                let address = slot * buffer_bytes(block) + sector * SECTOR_BYTES;
                for index in 0..content::SECTOR_WORDS {
                    memory.store(address + index as u64 * 8, content::body(SEED, index));
                }
            }
        }
        Ok(Self {
            ring,
            memory,
            file,
            shape,
            pattern: Pattern { seed: SEED, slots, blocks, writes },
            slots: vec![IDLE; slots as usize],
            shadow: Vec::new(),
            rounds: 0,
            violation: None,
        })
    }

    /// Makes `transfers` transfers, from the beginning of the pattern, and waits for all of them.
    pub(super) fn round(&mut self, transfers: u64) -> Result<Duration, BenchError> {
        self.rounds += 1;
        self.slots.fill(IDLE);
        self.shadow.clear();
        self.shadow.resize(self.shape.blocks as usize, content::original(SEED));
        let (mut begun, mut ended) = (0, 0);
        let since = Instant::now();
        for slot in 0..self.shape.slots.min(transfers) {
            self.begin(slot, begun);
            begun += 1;
        }
        while ended < transfers {
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => self.give_up(source)?,
            }
            loop {
                let next = self.ring.completion().next();
                let Some(completion) = next else { break };
                let slot = completion.user_data();
                self.end(slot, completion.result());
                ended += 1;
                if begun < transfers {
                    self.begin(slot, begun);
                    begun += 1;
                }
            }
        }
        Ok(since.elapsed())
    }

    /// The kernel does not tell what became of the transfers in flight: their memory stays.
    fn give_up(&mut self, source: io::Error) -> Result<(), BenchError> {
        let other = Content::zeros(PAGE_BYTES)?.map(Writes::Through)?;
        std::mem::forget(std::mem::replace(&mut self.memory, other));
        Err(BenchError::System { operation: "io_uring_enter", source })
    }

    fn begin(&mut self, slot: u64, number: u64) {
        let turns = self.slots[slot as usize].turns;
        let next = self.pattern.next(slot, turns);
        let shadow = &mut self.shadow[next.block as usize];
        let (base, spoil) = match next.operation {
            // The guest's salt is 1.
            Operation::Write => (content::written(1 + self.rounds, number), 0),
            _ => (*shadow, u64::MAX),
        };
        *shadow = base;
        let Slot { turns, .. } = Slot { turns: turns + 1, ..IDLE };
        let operation = next.operation;
        self.slots[slot as usize] = Slot { operation, block: next.block, base, turns };
        let (first, address) = (next.block * self.shape.block, slot * self.buffer_bytes());
        for index in 0..self.shape.block {
            let (stamp, at) =
                (content::stamp(base, first + index) ^ spoil, address + index * SECTOR_BYTES);
            self.memory.store(at, stamp);
            self.memory.store(at + SECTOR_BYTES - 8, !stamp);
        }
        let start = (self.memory.address() + address) as *mut u8;
        let (fd, offset) = (Fd(self.file.as_raw_fd()), first * SECTOR_BYTES);
        let len = (self.shape.block * SECTOR_BYTES) as u32;
        let entry = match operation {
            Operation::Write => opcode::Write::new(fd, start, len).offset(offset).build(),
            _ => opcode::Read::new(fd, start, len).offset(offset).build(),
        };
        // SAFETY: the buffer of a slot lies in `memory`, which is accessed by atomic words only and
        // outlives the transfer: `round` does not return before all have ended, or else `give_up`
        // leaves the memory where it is. The file is borrowed for as long as this lives.
        let pushed = unsafe { self.ring.submission().push(&entry.user_data(slot)) };
        assert!(pushed.is_ok(), "a ring has an entry for each slot");
    }

    fn end(&mut self, slot: u64, result: i32) {
        let Slot { operation, block, base, .. } = self.slots[slot as usize];
        let len = (self.shape.block * SECTOR_BYTES) as i32;
        let first = block * self.shape.block;
        let buffer = slot * self.buffer_bytes();
        let bad = match (operation, result) {
            (_, result) if result != len => Some(format!("{result}, not {len} bytes")),
            (Operation::Write, _) => None,
            _ => (0..self.shape.block).find_map(|index| {
                let (address, stamp) =
                    (buffer + index * SECTOR_BYTES, content::stamp(base, first + index));
                let found = [address, address + SECTOR_BYTES - 8].map(|at| self.memory.load(at));
                (found != [stamp, !stamp]).then(|| format!("{found:x?}, not {stamp:#x}"))
            }),
        };
        if let Some(what) = bad {
            self.violation.get_or_insert(format!("the bare loop, sector {first:#x}: {what}"));
        }
    }

    fn buffer_bytes(&self) -> u64 {
        buffer_bytes(self.shape.block)
    }
}

fn buffer_bytes(block: u64) -> u64 {
    (block * SECTOR_BYTES).next_multiple_of(PAGE_BYTES as u64)
}
