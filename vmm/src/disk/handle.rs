//! A disk: the handle that a device holds.

use std::path::Path;
use std::sync::{Arc, Weak};

use parking_lot::{Condvar, Mutex};

use super::base::Base;
use super::file::DataFile;
use super::geometry::Geometry;
use super::map::Map;
use super::overlay::{self, Log};
use super::state::State;
use super::store::Store;
use super::{DiskError, DiskOptions, SECTOR_BYTES};

/// What a disk's handle and its tickets share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) geometry: Geometry,
    pub(super) base: Arc<Base>,
    pub(super) options: DiskOptions,
    pub(super) read_only: bool,
    /// The map on the device, of an overlay with a name.
    pub(super) log: Option<Mutex<Log>>,
    /// Told when an append to it is over.
    pub(super) log_idle: Condvar,
    pub(super) state: Mutex<State>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let (Some(store), None) = (&self.state.get_mut().store, &self.log) {
            store.retire();
        }
    }
}

/// Makes a store without a name, for a disk above `base`.
pub(super) fn new_store(
    geometry: Geometry,
    base: &Base,
    options: &DiskOptions,
) -> Result<Arc<Store>, DiskError> {
    let beside = || base.file()?.path().parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = options.scratch.as_deref().or_else(beside).unwrap_or(Path::new("."));
    let file = DataFile::unnamed(dir, options.direct)?;
    Ok(Store::new(Arc::new(file), geometry.cluster, 0, Vec::new()))
}

/// The shape of a disk that is as large as its base.
fn shape(base: &Base, options: &DiskOptions) -> Result<Geometry, DiskError> {
    let geometry = Geometry { sectors: base.sectors(), cluster: options.cluster };
    let (path, bytes) = (base.path().to_owned(), base.sectors() * SECTOR_BYTES);
    if geometry.is_sound() { Ok(geometry) } else { Err(DiskError::Size { path, bytes }) }
}

impl Shared {
    /// A store without a name for this disk or a child of it.
    pub(super) fn new_store(&self) -> Result<Arc<Store>, DiskError> {
        new_store(self.geometry, &self.base, &self.options)
    }

    /// Refuses when nothing may be written.
    pub(super) fn writable(&self) -> Result<(), DiskError> {
        match self.read_only {
            true => Err(DiskError::ReadOnly { path: self.base.path().to_owned() }),
            false => Ok(()),
        }
    }
}

/// A disk that can be read, written and forked, by any number of threads at once.
///
/// It knows where bytes are and moves none. Whoever does takes a plan or a ticket, holds it until
/// the transfer is over (until the kernel is done with it, not only the guest), and completes it.
#[derive(Debug)]
pub struct Disk {
    pub(super) shared: Arc<Shared>,
}

impl Disk {
    /// Opens a raw file. It is written in place until the disk is forked.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, is in use, or does not consist of whole sectors.
    pub fn open_raw(path: &Path, read_only: bool, options: DiskOptions) -> Result<Self, DiskError> {
        let base = Base::raw(path, !read_only, options.direct)?;
        // What another process left in the page cache is for the first flush to sync.
        base.file().filter(|_| !read_only).inspect(|file| file.wrote());
        let geometry = shape(&base, &options)?;
        let map = Map::new(geometry.clusters());
        let state = State::new(map, None, Vec::new());
        Ok(Self::assemble(geometry, Arc::new(base), options, read_only, None, state))
    }

    /// Opens a raw file as the base of overlays without a name. It is never written.
    ///
    /// # Errors
    ///
    /// As [`Disk::open_raw`], and when there is no place for an overlay.
    pub fn open_above(path: &Path, options: DiskOptions) -> Result<Self, DiskError> {
        let base = Base::raw(path, false, options.direct)?;
        let geometry = shape(&base, &options)?;
        let store = new_store(geometry, &base, &options)?;
        let state = State::new(Map::new(geometry.clusters()), Some(store), Vec::new());
        Ok(Self::assemble(geometry, Arc::new(base), options, false, None, state))
    }

    /// Opens an overlay with a name, made by [`overlay::create`].
    ///
    /// # Errors
    ///
    /// When it or one of the files under it cannot be opened, is in use or is damaged.
    pub fn open(path: &Path, read_only: bool, options: DiskOptions) -> Result<Self, DiskError> {
        let opened = overlay::open(path, !read_only, options.direct)?;
        let beside = path.parent().filter(|dir| !dir.as_os_str().is_empty()).map(Path::to_owned);
        let scratch = options.scratch.or(beside);
        let options = DiskOptions { scratch, cluster: opened.geometry.cluster, ..options };
        let store = (!read_only).then_some(opened.store);
        let log = (!read_only).then(|| Mutex::new(opened.log));
        let state = State::new(opened.map, store, Vec::new());
        let base = Arc::new(opened.base);
        Ok(Self::assemble(opened.geometry, base, options, read_only, log, state))
    }

    pub(super) fn assemble(
        geometry: Geometry,
        base: Arc<Base>,
        options: DiskOptions,
        read_only: bool,
        log: Option<Mutex<Log>>,
        state: State,
    ) -> Self {
        let (state, log_idle) = (Mutex::new(state), Condvar::new());
        let shared = Shared { geometry, base, options, read_only, log, log_idle, state };
        Self { shared: Arc::new(shared) }
    }

    /// A disk that is born of a cut.
    pub(super) fn born(
        parent: (Geometry, &Arc<Base>, &DiskOptions),
        map: Map,
        lineage: Vec<Weak<Store>>,
        store: Option<Arc<Store>>,
    ) -> Self {
        let (geometry, base, options) = parent;
        let read_only = store.is_none();
        let state = State::new(map, store, lineage);
        Self::assemble(geometry, Arc::clone(base), options.clone(), read_only, None, state)
    }

    /// Its size in bytes: a multiple of 512.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.shared.geometry.sectors * SECTOR_BYTES
    }

    /// Whether writes are refused.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.shared.read_only
    }
}
