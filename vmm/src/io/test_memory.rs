//! Memory and files for the tests of engines.

#![expect(unsafe_code, reason = "buffers are made of raw addresses, and poll is a system call")]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use super::{Buffers, Completion, Engine, Kind, Region, Transfer};

/// Page-aligned memory of this process that may be read while the kernel writes it.
pub(crate) struct Area(Arc<GuestMemoryMmap>);

impl Area {
    pub(crate) fn new(len_bytes: usize) -> Self {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), len_bytes)]).unwrap();
        Self(Arc::new(memory))
    }

    pub(crate) fn buffers(&self, pieces: &[(usize, usize)]) -> Buffers {
        let regions = pieces
            .iter()
            .map(|&(offset, len_bytes)| {
                assert!(self.0.check_range(GuestAddress(offset as u64), len_bytes));
                let address = self.0.get_host_address(GuestAddress(offset as u64)).unwrap();
                Region { address, len_bytes }
            })
            .collect();
        // SAFETY: the area keeps its addresses, and its accesses are volatile.
        unsafe { Buffers::new(regions, self.0.clone()) }
    }

    pub(crate) fn fill(&self, offset: usize, bytes: &[u8]) {
        self.0.write_slice(bytes, GuestAddress(offset as u64)).unwrap();
    }

    pub(crate) fn bytes(&self, offset: usize, len_bytes: usize) -> Vec<u8> {
        let mut bytes = vec![0; len_bytes];
        self.0.read_slice(&mut bytes, GuestAddress(offset as u64)).unwrap();
        bytes
    }

    /// How many buffers hold it, beside the area itself.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// A temporary file beside the build's own files, where direct I/O works.
pub(crate) fn direct_file(content: &[u8]) -> (NamedTempFile, Arc<File>) {
    let temporary = NamedTempFile::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    std::fs::write(temporary.path(), content).unwrap();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(temporary.path())
        .unwrap();
    (temporary, Arc::new(file))
}

pub(crate) fn pattern(len_bytes: usize, seed: usize) -> Vec<u8> {
    (0..len_bytes).map(|n| ((n / 7) ^ (n >> 9) ^ (seed * 37)) as u8).collect()
}

pub(crate) fn transfer(
    id: u64,
    file: &Arc<File>,
    offset: u64,
    kind: Kind,
    buffers: Buffers,
) -> Transfer {
    Transfer { id, file: file.clone(), offset, kind, buffers }
}

/// Waits, by the event descriptor, until there are `count` completions.
pub(crate) fn wait(engine: &mut impl Engine, count: usize) -> Vec<Completion> {
    let mut completions = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    while completions.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} completions", completions.len());
        readable(engine, 1000);
        engine.completed(&mut completions);
    }
    completions
}

/// Whether the event descriptor becomes readable in time.
pub(crate) fn readable(engine: &impl Engine, timeout_ms: i32) -> bool {
    let mut poll = libc::pollfd { fd: engine.event_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd is passed, and there is one.
    unsafe { libc::poll(&raw mut poll, 1, timeout_ms) == 1 }
}
