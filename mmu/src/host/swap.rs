//! The swap: where evicted frames keep their bytes.
//!
//! One file without a name, opened at the first eviction, as long as its highest place so far.
//! Places that are given back are used again, lowest first, and their disk space is freed at once.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::pipe::PagePipe;
use super::store::{self, Store};
use crate::backing::{BackingError, SwapPlace};
use crate::gfn::{Gfn, PAGE_SIZE};

/// The swap of one family of guests.
#[derive(Debug)]
pub(super) struct Swap {
    directory: PathBuf,
    places: Mutex<Places>,
    open: Mutex<Option<Open>>,
}

/// What is open once something was evicted.
#[derive(Debug)]
struct Open {
    file: File,
    pipe: PagePipe,
}

/// Which places are taken.
#[derive(Debug, Default)]
struct Places {
    /// Places from here on were never taken.
    end: u32,
    /// Places below `end` that were given back.
    free: BTreeSet<u32>,
}

impl Places {
    fn take(&mut self) -> Option<SwapPlace> {
        if let Some(place) = self.free.pop_first() {
            return Some(SwapPlace(place));
        }
        let place = self.end;
        self.end = self.end.checked_add(1)?;
        Some(SwapPlace(place))
    }
}

impl Swap {
    /// A swap whose file will be in `directory`. Nothing is opened yet.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, places: Mutex::default(), open: Mutex::default() }
    }

    /// How many places are taken.
    pub(super) fn used_places(&self) -> usize {
        let places = self.places.lock();
        places.end as usize - places.free.len()
    }

    /// Writes the bytes of a frame to a place of its own.
    ///
    /// Reads the frame from the memfd rather than from a mapping, which is safe for holes.
    pub(super) fn write_out(&self, store: &Store, gfn: Gfn) -> Result<SwapPlace, BackingError> {
        let mut page = [0; PAGE_SIZE];
        store.read(gfn, &mut page).map_err(error("pread of a frame", gfn))?;
        let place = self.places.lock().take().ok_or_else(|| {
            error("taking a place in the swap", gfn)(ErrorKind::StorageFull.into())
        })?;
        let written = self.with_open(|open| open.file.write_all_at(&page, offset(place)));
        if let Err(source) = written {
            self.places.lock().free.insert(place.0);
            return Err(self.failed("pwrite to the swap", gfn, source));
        }
        Ok(place)
    }

    /// Puts the bytes at `place` into a frame, in one step.
    pub(super) fn read_in(
        &self,
        place: SwapPlace,
        store: &Store,
        gfn: Gfn,
    ) -> Result<(), BackingError> {
        self.with_open(|open| {
            open.pipe.copy_page(&open.file, offset(place), store.file()?, gfn.offset() as u64)
        })
        .map_err(|source| self.failed("splice from the swap", gfn, source))
    }

    /// Gives `place` back. Where the file system cannot free a part of a file, the disk space
    /// stays until the place is used again or the swap ends.
    pub(super) fn forget(&self, place: SwapPlace) {
        let _ = self.with_open(|open| store::punch(&open.file, offset(place) as usize, PAGE_SIZE));
        let fresh = self.places.lock().free.insert(place.0);
        debug_assert!(fresh, "swap place {} was given back twice", place.0);
    }

    fn with_open<T>(&self, act: impl FnOnce(&mut Open) -> io::Result<T>) -> io::Result<T> {
        let mut guard = self.open.lock();
        match &mut *guard {
            Some(open) => act(open),
            closed => {
                let open = Open { file: unnamed_file(&self.directory)?, pipe: PagePipe::new()? };
                act(closed.insert(open))
            }
        }
    }

    fn failed(&self, operation: &'static str, gfn: Gfn, source: io::Error) -> BackingError {
        let place = format!("{gfn} (swap in {})", self.directory.display());
        BackingError { operation, place, source }
    }
}

fn offset(place: SwapPlace) -> u64 {
    u64::from(place.0) * PAGE_SIZE as u64
}

fn error(operation: &'static str, gfn: Gfn) -> impl FnOnce(io::Error) -> BackingError {
    move |source| BackingError { operation, place: gfn.to_string(), source }
}

/// A file that nobody else can open, and that is gone with its last user: O_TMPFILE (open(2)), or
/// a name that is removed at once where the file system has no such files.
fn unnamed_file(directory: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    match options.clone().custom_flags(libc::O_TMPFILE).open(directory) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {
            named_then_removed(&mut options, directory)
        }
        result => result,
    }
}

fn named_then_removed(options: &mut fs::OpenOptions, directory: &Path) -> io::Result<File> {
    for attempt in 0..u32::MAX {
        let path = directory.join(format!("pincow-swap-{}-{attempt}", std::process::id()));
        match options.create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => return fs::remove_file(&path).map(|()| file),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests;
