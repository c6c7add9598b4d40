//! What the device stands on: a pinner, a disk and an engine in memory.

use std::any::Any;
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use pincow_vmm::io::{Buffers, Completion, Engine, Kind, Refused, Region, Transfer};
use pincow_vmm::virtio::blk::{
    Direction, DiskPort, Operation, Piece, Pinner, Plan, PortError, Progress, Segment,
};
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use crate::actions::SECTORS;

/// Transfers that the engine takes at a time.
const ROOM: usize = 8;

/// A number that somebody else counts down.
pub type Countdown = Arc<AtomicUsize>;

pub fn count_down(counter: &Countdown) -> bool {
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
}

/// Gives out guest memory itself, page by page.
#[derive(Clone)]
pub struct FuzzPinner {
    pub memory: GuestMemoryMmap,
    pub pins: Arc<AtomicUsize>,
    pub busy: Countdown,
}

struct Held {
    pins: Arc<AtomicUsize>,
    _memory: GuestMemoryMmap,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.pins.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pinner for FuzzPinner {
    fn pin(&mut self, segments: &[Segment], _: Direction) -> Result<Buffers, PortError> {
        if count_down(&self.busy) {
            return Err(PortError::Busy);
        }
        let mut regions = Vec::new();
        for segment in segments {
            let end = segment.address + u64::from(segment.len);
            let mut at = segment.address;
            while at < end {
                let next = end.min((at / 4096 + 1) * 4096);
                let len_bytes = (next - at) as usize;
                assert!(self.memory.check_range(GuestAddress(at), len_bytes), "{segment:?}");
                let address = self.memory.get_host_address(GuestAddress(at)).expect("checked");
                regions.push(Region { address, len_bytes });
                at = next;
            }
        }
        self.pins.fetch_add(1, Ordering::Relaxed);
        let held: Arc<dyn Any + Send + Sync> =
            Arc::new(Held { pins: self.pins.clone(), _memory: self.memory.clone() });
        // SAFETY: what is held has the memory, and nobody makes references into it.
        Ok(unsafe { Buffers::new(regions, held) })
    }

    fn may_write(&mut self, _: u64, _: u64) -> bool {
        !count_down(&self.busy)
    }
}

/// Places on a disk whose bytes the engine has.
pub struct FuzzDisk {
    pub busy: Countdown,
    pub failing: Countdown,
    pub open: Arc<AtomicUsize>,
}

fn file() -> Arc<File> {
    static FILE: OnceLock<Arc<File>> = OnceLock::new();
    FILE.get_or_init(|| Arc::new(File::open("/dev/null").expect("/dev/null"))).clone()
}

/// How often a flush goes on after its pieces: with bytes of the disk's own, the last time only when
/// it is asked again.
const FLUSH_STAGES: u8 = 3;

impl DiskPort for FuzzDisk {
    /// How often it goes on.
    type Ticket = u8;

    fn memory_alignment(&self) -> usize {
        512
    }

    fn begin(&mut self, operation: Operation<'_>) -> Result<Plan<u8>, PortError> {
        if count_down(&self.busy) {
            return Err(PortError::Busy);
        }
        if count_down(&self.failing) {
            return Err(io::Error::from(io::ErrorKind::StorageFull).into());
        }
        let mut pieces = Vec::new();
        match operation {
            Operation::Read { sector, sectors } | Operation::Write { sector, sectors } => {
                assert!(
                    sectors > 0 && sector.checked_add(sectors).is_some_and(|end| end <= SECTORS)
                );
                for at in (sector..sector + sectors).step_by(4) {
                    let count = (sector + sectors - at).min(4);
                    let (offset, len_bytes) = (at * 512, count as usize * 512);
                    let zeros = at / 4 % 4 == 0 && matches!(operation, Operation::Read { .. });
                    pieces.push(match zeros {
                        true => Piece::Zeros { len_bytes },
                        false => Piece::Data { file: file(), offset, len_bytes },
                    });
                }
            }
            Operation::Flush => {
                pieces.push(Piece::Other { file: file(), offset: 0, kind: Kind::Sync });
            }
            Operation::Discard(ranges) | Operation::WriteZeroes(ranges) => {
                for range in ranges {
                    let end = range.sector.checked_add(range.sectors.into());
                    assert!(end.is_some_and(|end| end <= SECTORS));
                    let kind = Kind::PunchHole { len_bytes: u64::from(range.sectors) * 512 };
                    pieces.push(Piece::Other { file: file(), offset: range.sector * 512, kind });
                }
            }
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        let ticket = if operation == Operation::Flush { FLUSH_STAGES } else { 0 };
        Ok(Plan { pieces, ticket })
    }

    fn end(&mut self, stage: u8, done: bool) -> io::Result<Progress<u8>> {
        if let (true, Some(next)) = (done, stage.checked_sub(1)) {
            let own = Piece::Own { file: file(), offset: 0, bytes: [next; 512].into() };
            return Ok(match next {
                0 => Progress::Busy(next),
                _ => Progress::More(Plan { pieces: vec![own], ticket: next }),
            });
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        Ok(Progress::Over)
    }

    fn abandon(&mut self, _operation: Operation<'_>) {}
}

/// Transfers that the input ends, in any order, in part or not at all.
#[derive(Default)]
pub struct Transfers {
    queued: Vec<Transfer>,
    ended: Vec<Completion>,
}

impl Transfers {
    /// Ends transfer number `which`, after at most `most` bytes, or with an error.
    pub fn end(&mut self, which: usize, most: usize, fails: bool) {
        if self.queued.is_empty() {
            return;
        }
        let transfer = self.queued.remove(which % self.queued.len());
        let result = match fails {
            true => Err(io::Error::from_raw_os_error(5)),
            false => Ok(move_bytes(&transfer, most)),
        };
        let Transfer { id, buffers, .. } = transfer;
        self.ended.push(Completion { id, result, buffers });
    }

    /// Ends all that are queued.
    pub fn end_all(&mut self) {
        while !self.queued.is_empty() {
            self.end(0, usize::MAX, false);
        }
    }
}

/// What the disk has at each byte: always the same, since writes go nowhere.
pub fn disk_byte(offset: u64) -> u8 {
    (offset / 512 * 7 + offset % 512) as u8
}

/// Moves bytes as the kernel does: the sanitizer sees accesses to what is no memory.
fn move_bytes(transfer: &Transfer, most: usize) -> usize {
    let mut offset = transfer.offset;
    let mut left = most.min(transfer.buffers.len_bytes());
    let moved = left;
    let sum = Cell::new(0_u8);
    for region in transfer.buffers.regions() {
        for n in 0..region.len_bytes.min(left) {
            let address = region.address.wrapping_add(n);
            match transfer.kind {
                // SAFETY: the buffers' maker promised that their bytes may be written and read.
                Kind::Read => unsafe { address.write_volatile(disk_byte(offset)) },
                // SAFETY: as above.
                _ => sum.set(sum.get().wrapping_add(unsafe { address.read_volatile() })),
            }
            offset += 1;
        }
        left -= region.len_bytes.min(left);
    }
    moved
}

/// An engine over [`Transfers`].
pub struct FuzzEngine(pub Arc<Mutex<Transfers>>);

impl FuzzEngine {
    fn transfers(&self) -> std::sync::MutexGuard<'_, Transfers> {
        self.0.lock().expect("nobody panics and goes on")
    }
}

impl Engine for FuzzEngine {
    fn submit(&mut self, transfer: Transfer) -> Result<(), Refused> {
        let mut transfers = self.transfers();
        if transfers.queued.len() + transfers.ended.len() >= ROOM {
            let reason = io::ErrorKind::WouldBlock.into();
            return Err(Refused { transfer: Box::new(transfer), reason });
        }
        transfers.queued.push(transfer);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn completed(&mut self, into: &mut Vec<Completion>) {
        into.append(&mut self.transfers().ended);
    }

    fn event_fd(&self) -> RawFd {
        file().as_raw_fd()
    }

    fn in_flight(&mut self) -> usize {
        self.transfers().queued.len()
    }

    fn pending(&self) -> usize {
        let transfers = self.transfers();
        transfers.queued.len() + transfers.ended.len()
    }
}
