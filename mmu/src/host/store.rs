//! The frames of one layer: a sparse memfd, and the layer's own mapping of it.
//!
//! The pages that the kernel copied in a window are such frames, too, without a memfd: the window is
//! their own mapping, which stays until the last of whoever uses them is gone.
//!
//! The own mapping is what devices use. It is never protected or remapped, so a device sees frames
//! as hardware does, past the page tables of guests. It must not be dereferenced where the memfd
//! has a hole: even a read would put a zero page there, and a window that waits for the frame
//! would then show zeros without an event. Pinned frames are resident, so their addresses are good.

#![expect(unsafe_code, reason = "memfd_create, fallocate and copies between mappings")]

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use vm_memory::{Bytes, VolatileSlice};

use super::mapping::Mapping;
use super::pagemap;
use crate::backing::BackingError;
use crate::gfn::{Gfn, PAGE_SIZE, Run};

/// The memfd may not be made executable (Linux 6.3); `libc` lacks it for some targets.
const MFD_NOEXEC_SEAL: libc::c_uint = 0x0008;

/// A layer's frames. See the module's docs.
#[derive(Debug)]
pub struct Store {
    /// `None` for the pages that the kernel copied in a window.
    file: Option<File>,
    own: Arc<Mapping>,
}

impl Store {
    /// Makes `pages` frames of zeros, which cost no memory yet.
    pub(super) fn new(pages: u32) -> Result<Self, BackingError> {
        let len = Run::new(0, pages).len_bytes();
        let place = || format!("a layer of {len:#x} bytes");
        let file = memfd().map_err(error("memfd_create", place()))?;
        file.set_len(len as u64).map_err(error("ftruncate", place()))?;
        seal(&file).map_err(error("fcntl(F_ADD_SEALS)", place()))?;
        let own = Mapping::shared(&file, len).map_err(error("mmap", place()))?;
        Ok(Self { file: Some(file), own: Arc::new(own) })
    }

    /// The pages that the kernel copied in a window.
    pub(super) fn of_window(own: &Arc<Mapping>) -> Self {
        Self { file: None, own: Arc::clone(own) }
    }

    /// Where a device finds the bytes of `gfn`, for as long as the store lives. Only for a frame
    /// that is resident and pinned (see the module's docs).
    ///
    /// # Panics
    ///
    /// If the layer has no such frame.
    #[must_use]
    pub fn address(&self, gfn: Gfn) -> *mut u8 {
        self.own.address(Run::one(gfn))
    }

    /// The bytes of `run` as a device sees them. Only for frames that are resident and pinned.
    ///
    /// # Panics
    ///
    /// If the layer has no such frames.
    #[must_use]
    pub fn slice(&self, run: Run) -> VolatileSlice<'_> {
        // SAFETY: `address` has checked the range; the mapping lives as long as `self`, which the
        // slice borrows; access through the slice is volatile, as memory shared with guests needs.
        unsafe { VolatileSlice::new(self.own.address(run), run.len_bytes()) }
    }

    /// Reads the bytes of a frame without making a hole resident.
    ///
    /// # Errors
    ///
    /// What pread(2) gives.
    pub fn read(&self, gfn: Gfn, page: &mut [u8; PAGE_SIZE]) -> io::Result<()> {
        self.file()?.read_exact_at(page, gfn.offset() as u64)
    }

    /// How much memory the kernel charges to the frames, in bytes: `st_blocks` of fstat(2), or what the
    /// page tables of a window say.
    ///
    /// # Errors
    ///
    /// What fstat(2) gives.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        match &self.file {
            Some(file) => Ok(file.metadata()?.blocks() * 512),
            None => {
                let copied = pagemap::copied(&self.own, self.own.all());
                Ok(copied.iter().map(|run| run.len_bytes() as u64).sum())
            }
        }
    }

    /// The frames of `run` that the kernel has given memory, or swap, as neighbours in order.
    ///
    /// # Errors
    ///
    /// What lseek(2) gives.
    pub fn resident(&self, run: Run) -> io::Result<Vec<Run>> {
        let Some(file) = &self.file else {
            return Ok(pagemap::copied(&self.own, run));
        };
        let end = run.offset() + run.len_bytes();
        let (mut at, mut found) = (run.offset(), Vec::new());
        while let Some(data) = seek(file, at, libc::SEEK_DATA)?.filter(|&data| data < end) {
            // Beyond the data there is the end of the file, if nothing else.
            at = seek(file, data, libc::SEEK_HOLE)?.map_or(end, |hole| hole.min(end));
            found.push(Run::new((data / PAGE_SIZE) as u32, (at / PAGE_SIZE) as u32));
        }
        Ok(found)
    }

    /// Whether the frames are anonymous memory of this process, as copies in a window are: the kernel counts
    /// them with its heap.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.file.is_none()
    }

    /// The inode of the memfd, as `/proc/self/maps` names it.
    ///
    /// # Errors
    ///
    /// What fstat(2) gives.
    pub fn inode(&self) -> io::Result<u64> {
        Ok(self.file()?.metadata()?.ino())
    }

    /// The memfd.
    ///
    /// # Errors
    ///
    /// `Unsupported` for pages that the kernel copied in a window.
    pub(super) fn file(&self) -> io::Result<&File> {
        self.file
            .as_ref()
            .ok_or_else(|| io::Error::new(ErrorKind::Unsupported, "pages of a window have no file"))
    }

    /// Copies `run` from another store. Holes stay holes. After a failure the run is empty.
    ///
    /// The kernel copies from the source's mapping into the page cache (pwrite), which costs less
    /// than a copy through a fresh mapping: no fault, and no zeroing before.
    pub(super) fn copy_from(&self, source: &Self, run: Run) -> io::Result<()> {
        let copied = self.copy_data(source, run);
        if copied.is_err() {
            self.punch(run);
        }
        copied
    }

    /// Copies `run` from another store. Holes stay holes. Each page is seen whole or not at all.
    pub(super) fn copy_data(&self, source: &Self, run: Run) -> io::Result<()> {
        assert_eq!(self.own.len_bytes(), source.own.len_bytes(), "layers of one guest");
        let start = source.own.address(run) as *const u8;
        let file = self.file()?;
        let Some(source) = &source.file else {
            // SAFETY: `address` has checked that `run` lies in the source's mapping.
            return unsafe { write_at(file, start, run.len_bytes(), run.offset()) };
        };
        let end = run.offset() + run.len_bytes();
        let mut at = run.offset();
        while at < end {
            let data = seek(source, at, libc::SEEK_DATA)?.unwrap_or(end).min(end);
            if data > at {
                punch(file, at, data - at)?;
            }
            let hole = match data {
                data if data == end => end,
                data if end - data == PAGE_SIZE => end,
                data => seek(source, data, libc::SEEK_HOLE)?.unwrap_or(end).min(end),
            };
            // SAFETY: `address` has checked that `run` lies in the source's mapping, and
            // `data..hole` lies in the run.
            unsafe { write_at(file, start.add(data - run.offset()), hole - data, data) }?;
            at = hole;
        }
        Ok(())
    }

    /// Makes pages of `run` that are holes pages of zeros.
    pub(super) fn fill_holes(&self, run: Run) -> io::Result<()> {
        let file = self.file()?;
        for gfn in run.gfns() {
            if seek(file, gfn.offset(), libc::SEEK_DATA)? != Some(gfn.offset()) {
                file.write_all_at(&[0; PAGE_SIZE], gfn.offset() as u64)?;
            }
        }
        Ok(())
    }

    /// Copies `run` as nobody should: the first byte that is stored puts a page of zeros there, and whoever
    /// copies may be preempted then.
    pub(super) fn copy_torn(&self, source: &Self, run: Run) {
        for page in run.gfns().map(Run::one) {
            let (from, to) = (source.slice(page), self.slice(page));
            let last = PAGE_SIZE - 1;
            to.write_obj(0_u8, last).expect("within a page");
            std::thread::sleep(std::time::Duration::from_micros(50));
            from.copy_to_volatile_slice(to);
        }
    }

    /// Gives the memory of `run` back; it reads as zeros from then on. Copies in a window went when
    /// something else was mapped there, or go with the window.
    ///
    /// Punching a hole into a memfd that is sealed against resizing only fails for ranges that do
    /// not exist (`shmem_fallocate`), or when a signal cut it short.
    pub(super) fn punch(&self, run: Run) {
        let _checked = self.own.address(run);
        let Some(file) = &self.file else {
            return;
        };
        if run.pages == 0 {
            return;
        }
        while let Err(error) = punch(file, run.offset(), run.len_bytes()) {
            assert_eq!(error.kind(), ErrorKind::Interrupted, "punching {run}: {error}");
        }
    }
}

/// Makes the error of `operation` at `place`.
fn error(operation: &'static str, place: String) -> impl FnOnce(io::Error) -> BackingError {
    move |source| BackingError { operation, place, source }
}

fn memfd() -> io::Result<File> {
    let base = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // Kernels before 6.3 do not know MFD_NOEXEC_SEAL and say EINVAL.
    match memfd_with(base | MFD_NOEXEC_SEAL) {
        Err(error) if error.kind() == ErrorKind::InvalidInput => memfd_with(base),
        result => result,
    }
}

/// Whether the kernel knows memfds that can never be made executable.
pub(super) fn knows_noexec_seal() -> bool {
    memfd_with(libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL).is_ok()
}

fn memfd_with(flags: libc::c_uint) -> io::Result<File> {
    // SAFETY: the name is a C string, and the flags are passed by value.
    let fd = unsafe { libc::memfd_create(c"pincow-layer".as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned `fd`, and nobody else knows it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

fn seal(file: &File) -> io::Result<()> {
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: F_ADD_SEALS takes flags by value.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) }.into()).map(drop)
}

/// The next data or hole at or after `at`; `None` when there is none.
///
/// It moves the file position, which nobody here uses.
fn seek(file: &File, at: usize, whence: libc::c_int) -> io::Result<Option<usize>> {
    // SAFETY: lseek takes values only.
    match check(unsafe { libc::lseek(file.as_raw_fd(), at as libc::off_t, whence) }) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Frees a range of a file (fallocate(2), FALLOC_FL_PUNCH_HOLE).
pub(super) fn punch(file: &File, offset: usize, len: usize) -> io::Result<()> {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    let (offset, len) = (offset as libc::off_t, len as libc::off_t);
    // SAFETY: fallocate takes values only.
    check(unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, len) }.into()).map(drop)
}

/// Writes `len` bytes from `from` to `file` at `offset`, all of them.
///
/// # Safety
///
/// `from..from+len` is mapped. Its bytes may change meanwhile: only the kernel reads them.
unsafe fn write_at(file: &File, from: *const u8, len: usize, offset: usize) -> io::Result<()> {
    let mut done = 0;
    while done < len {
        // SAFETY: the caller's obligation; the kernel checks the range as well (EFAULT).
        let written = unsafe {
            libc::pwrite(
                file.as_raw_fd(),
                from.add(done).cast(),
                len - done,
                (offset + done) as libc::off_t,
            )
        };
        match check(written as libc::off_t) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => done += written,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn check(result: libc::off_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests;
