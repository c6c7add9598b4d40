//! Snapshots: a guest at one moment, from which clones are made.

use std::sync::Arc;

use pincow_mmu::live::LiveImage;

use super::{ChildConfig, Guest, GuestDiskError, GuestError, Prefault, Realm, Saved, SavedDisk};
use crate::disk::DiskImage;
use crate::machine::MachineState;

/// A guest at one moment: its memory, shared, and the state of its vCPUs and devices.
pub struct Snapshot {
    realm: Arc<Realm>,
    image: Arc<LiveImage>,
    saved: Saved<DiskImage>,
    prefault: Prefault,
}

impl Snapshot {
    pub(super) fn new(realm: Arc<Realm>, image: Arc<LiveImage>, saved: Saved<DiskImage>) -> Self {
        let prefault = realm.prefault();
        Self { realm, image, saved, prefault }
    }

    /// A guest that goes on from this moment, when it is started. What it does not share is `own`, as
    /// for a [fork](Guest::fork).
    ///
    /// # Errors
    /// When the host has no room for another guest.
    pub fn spawn(&self, own: impl Into<ChildConfig>) -> Result<Guest, GuestError> {
        let disk = |(state, image): &(SavedDisk, DiskImage)| Ok((state.clone(), image.spawn()?));
        let disks = self.saved.disks.iter().map(disk).collect::<Result<_, GuestDiskError>>()?;
        let peripherals = self.saved.peripherals.clone();
        let saved = Saved { machine: self.saved.machine.clone(), disks, peripherals };
        match self.prefault {
            Prefault::Off => Guest::resume(&self.realm, self.image.spawn()?, own.into(), saved),
            Prefault::Learned => {
                let (space, work) = self.image.spawn_learning()?;
                let guest = Guest::resume(&self.realm, space, own.into(), saved)?;
                let prefault = work.and_then(|work| self.realm.prefaulter()?.begin(work));
                Ok(Guest { prefault, ..guest })
            }
        }
    }

    /// Changes what is done about pages that clones made from now on will probably write. It is the family's at first.
    pub fn set_prefault(&mut self, prefault: Prefault) {
        self.prefault = prefault;
    }

    /// What its guests share.
    #[must_use]
    pub fn realm(&self) -> &Arc<Realm> {
        &self.realm
    }

    /// The memory.
    #[must_use]
    pub fn image(&self) -> &Arc<LiveImage> {
        &self.image
    }

    /// The disks.
    pub fn disks(&self) -> impl Iterator<Item = &DiskImage> {
        self.saved.disks.iter().map(|(_, image)| image)
    }

    /// The vCPUs and devices.
    #[must_use]
    pub fn state(&self) -> &MachineState {
        &self.saved.machine
    }
}
