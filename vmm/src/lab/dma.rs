//! The device's side of a script: real io_uring transfers between a request's place on its disk and
//! the very frame that the request has pinned, at the address in the frame's own layer.

#![expect(unsafe_code, reason = "the kernel is given the address of a pinned frame")]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use pincow_mmu::PAGE_SIZE;
use pincow_mmu::scenario::{Page, SECTOR_A, SECTOR_B, SECTOR_BYTES, Stamp};

use super::LabError;
use super::desk::Part;
use crate::io::{Buffers, Engine, Kind, Region, Transfer, Uring, UringError, wait_readable};

/// A page of this process, aligned as files opened with `O_DIRECT` want it.
#[repr(align(4096))]
struct Block([u8; PAGE_SIZE]);

/// Moves bytes for every device of a lab, one transfer at a time.
pub(super) struct Dma {
    uring: Uring,
    block: Box<Block>,
    next: u64,
}

impl Dma {
    pub(super) fn new() -> Result<Self, UringError> {
        Ok(Self { uring: Uring::new(1)?, block: Box::new(Block([0; PAGE_SIZE])), next: 0 })
    }

    /// Puts `stamp` on the disk where the request reads its sector `a`, and transfers it to memory.
    pub(super) fn write(&mut self, part: Part, stamp: Stamp) -> Result<(), LabError> {
        let sector = &mut self.block.0[..SECTOR_BYTES];
        sector.as_chunks_mut().0.fill(stamp.0.to_le_bytes());
        part.file.write_all_at(sector, part.offset).map_err(LabError::Medium)?;
        self.transfer(Kind::Read, &part.file, part.offset, part.buffers)
    }

    /// Transfers the page to the disk where the request is, and looks at what came there.
    pub(super) fn read(&mut self, part: Part) -> Result<Page, LabError> {
        let (frame, offset) = whole_frame(&part)?;
        self.transfer(Kind::Write, &part.file, offset, frame)?;
        part.file.read_exact_at(&mut self.block.0, offset).map_err(LabError::Medium)?;
        Ok(Page { a: self.stamp(SECTOR_A), b: self.stamp(SECTOR_B) })
    }

    fn stamp(&self, sector: usize) -> Stamp {
        let (words, _) = self.block.0[sector..sector + SECTOR_BYTES].as_chunks();
        let same = words.iter().all(|word| *word == words[0]);
        if same { Stamp(u64::from_le_bytes(words[0])) } else { Stamp::TORN }
    }

    fn transfer(
        &mut self,
        kind: Kind,
        file: &Arc<File>,
        offset: u64,
        buffers: Buffers,
    ) -> Result<(), LabError> {
        let wanted = buffers.len_bytes();
        let moved = self.carry_out(kind, file, offset, buffers);
        match moved {
            Ok(moved) if moved == wanted => Ok(()),
            Ok(moved) => Err(LabError::Short { moved, wanted }),
            Err(error) => Err(LabError::Transfer(error)),
        }
    }

    /// How many bytes were moved. The buffers are let go before it returns.
    fn carry_out(
        &mut self,
        kind: Kind,
        file: &Arc<File>,
        offset: u64,
        buffers: Buffers,
    ) -> io::Result<usize> {
        let id = self.next;
        self.next += 1;
        let transfer = Transfer { id, file: Arc::clone(file), offset, kind, buffers };
        self.uring.submit(transfer).map_err(|refused| refused.reason)?;
        self.uring.flush()?;
        let mut ended = Vec::new();
        loop {
            self.uring.completed(&mut ended);
            if let Some(completion) = ended.drain(..).find(|completion| completion.id == id) {
                return completion.result;
            }
            wait_readable(&[self.uring.event_fd()], None);
        }
    }
}

/// The frame that a request's buffers lie in, and the place on the disk that belongs to its first
/// byte. A request that writes the disk is about the whole page; one that reads it, about sector `a`.
fn whole_frame(part: &Part) -> Result<(Buffers, u64), LabError> {
    let &[Region { address, len_bytes }] = part.buffers.regions() else {
        return Err(LabError::Shape { regions: part.buffers.regions().len() });
    };
    match (address as usize % PAGE_SIZE, len_bytes) {
        (0, PAGE_SIZE) => Ok((part.buffers.clone(), part.offset)),
        (SECTOR_A, SECTOR_BYTES) => {
            let address = address.wrapping_sub(SECTOR_A);
            let frame = Region { address, len_bytes: PAGE_SIZE };
            // SAFETY: the region is the page around a region that lies in one frame of a layer (or in
            // the window, which is the layer of what the kernel copied), as the device's pinner gives it
            // out: bounce buffers begin at a page, this one does not. A layer's mapping consists of whole
            // pages, is readable and writable, and what keeps the part that was given out keeps all of it. Frames are never referenced by Rust.
            let frame = unsafe { Buffers::new(vec![frame], Arc::clone(part.buffers.held())) };
            Ok((frame, part.offset - SECTOR_A as u64))
        }
        _ => Err(LabError::Shape { regions: 1 }),
    }
}
