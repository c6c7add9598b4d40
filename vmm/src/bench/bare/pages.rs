//! The floor of what a fork does to pages that its guest has written: find them, and keep their bytes.

#![expect(unsafe_code, reason = "PAGEMAP_SCAN and mremap need raw system calls")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use pincow_guest_protocol::map::PAGE_BYTES;

use super::{BenchError, Content, Protector, View, Writes};

/// `_IOWR('f', 16, struct pm_scan_arg)` (`include/uapi/linux/fs.h`, Linux 6.7).
const PAGEMAP_SCAN: libc::Ioctl = 0xC060_6610;
/// Categories of `PAGEMAP_SCAN`.
const IS_FILE: u64 = 1 << 2;
const IS_PRESENT: u64 = 1 << 3;
const IS_SWAPPED: u64 = 1 << 4;
/// Regions that one request returns at most, and the words of one (`struct page_region`).
const BATCH: usize = 512;
const REGION_WORDS: usize = 3;

/// How long each step took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Finding the private pages (PAGEMAP_SCAN of all memory).
    pub scan: Duration,
    /// Protecting all from the first to the last, by one UFFDIO_WRITEPROTECT.
    pub protect: Duration,
    /// Or moving all memory elsewhere, by one mremap with MREMAP_DONTUNMAP.
    pub remap: Duration,
}

/// A private mapping of a memfd, as `hostcow` has one, some pages of which were written. No guest runs in it.
pub(in crate::bench) struct WrittenPages {
    // Whoever would wait is let go before the mapping goes.
    protector: Protector,
    view: View,
    pagemap: File,
    end_bytes: u64,
}

impl WrittenPages {
    /// So much memory of which the `pages` are written.
    pub(in crate::bench) fn new(
        len_bytes: usize,
        pages: impl Iterator<Item = u64>,
    ) -> Result<Self, BenchError> {
        let view = Content::zeros(len_bytes)?.map(Writes::Copy)?;
        let mut end_bytes = 0;
        for page in pages {
            view.store(page * PAGE_BYTES as u64, 1);
            end_bytes = (page + 1) * PAGE_BYTES as u64;
        }
        let pagemap = File::open("/proc/self/pagemap").map_err(BenchError::system("pagemap"))?;
        Ok(Self { protector: Protector::new(&view)?, view, pagemap, end_bytes })
    }

    /// Times each step, and undoes it. `None` on kernels without PAGEMAP_SCAN.
    pub(in crate::bench) fn sample(&self) -> Result<Option<Steps>, BenchError> {
        let Some(scan) = self.scan()? else { return Ok(None) };
        let begun = Instant::now();
        self.protector.protect(self.end_bytes)?;
        let protect = begun.elapsed();
        self.protector.lift(self.end_bytes)?;
        let remap = self.move_away_and_back().map_err(BenchError::system("mremap"))?;
        self.protector.watch(&self.view)?;
        Ok(Some(Steps { scan, protect, remap }))
    }

    fn scan(&self) -> Result<Option<Duration>, BenchError> {
        let mut regions = vec![0_u64; REGION_WORDS * BATCH];
        let begun = Instant::now();
        let (mut at, end) =
            (self.view.address(), self.view.address() + self.view.len_bytes() as u64);
        while at < end {
            // `struct pm_scan_arg`: size, flags, start, end, walk_end, vec, vec_len, max_pages, and four masks.
            let mut argument = [
                96,
                0,
                at,
                end,
                0,
                regions.as_mut_ptr() as u64,
                BATCH as u64,
                0,
                IS_FILE,
                IS_FILE,
                IS_PRESENT | IS_SWAPPED,
                IS_FILE,
            ];
            let fd = self.pagemap.as_raw_fd();
            // SAFETY: the argument has the layout that the request's number says, and the vector the length
            // given; both live across the call. Page tables are only read.
            let found = unsafe { libc::ioctl(fd, PAGEMAP_SCAN, argument.as_mut_ptr()) };
            if found < 0 {
                let error = io::Error::last_os_error();
                return match error.raw_os_error() {
                    Some(libc::ENOTTY) => Ok(None),
                    Some(libc::EINTR) => continue,
                    _ => Err(BenchError::system("PAGEMAP_SCAN")(error)),
                };
            }
            at = argument[4];
        }
        Ok(Some(begun.elapsed()))
    }

    fn move_away_and_back(&self) -> io::Result<Duration> {
        let (here, len) = (self.view.address() as *mut libc::c_void, self.view.len_bytes());
        let begun = Instant::now();
        // SAFETY: the pages of the view move to addresses that nobody else has; the view stays mapped. Nobody
        // holds a reference to its bytes, and nobody reads them until they are back.
        let away =
            unsafe { libc::mremap(here, len, len, libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP) };
        let took = begun.elapsed();
        if away == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: back to where they were, over the view's own mapping.
        let back = unsafe { libc::mremap(away, len, len, flags, here) };
        if back == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(took) }
    }
}
