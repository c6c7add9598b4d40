//! Snapshots: a guest at one moment, from which clones are made.

use std::sync::Arc;

use pincow_mmu::live::TrapImage;

use super::{Guest, GuestError, Realm};
use crate::devices::serial::SerialSink;
use crate::machine::MachineState;

/// A guest at one moment: its memory, shared, and the state of its vCPUs and devices.
pub struct Snapshot {
    realm: Arc<Realm>,
    image: Arc<TrapImage>,
    state: MachineState,
}

impl Snapshot {
    pub(super) fn new(realm: Arc<Realm>, image: Arc<TrapImage>, state: MachineState) -> Self {
        Self { realm, image, state }
    }

    /// A guest that goes on from this moment, when it is started.
    ///
    /// # Errors
    /// When the host has no room for another guest.
    pub fn spawn(&self, serial: SerialSink) -> Result<Guest, GuestError> {
        Guest::resume(&self.realm, self.image.spawn()?, serial, &self.state)
    }

    /// What its guests share.
    #[must_use]
    pub fn realm(&self) -> &Arc<Realm> {
        &self.realm
    }

    /// The memory.
    #[must_use]
    pub fn image(&self) -> &Arc<TrapImage> {
        &self.image
    }

    /// The vCPUs and devices.
    #[must_use]
    pub fn state(&self) -> &MachineState {
        &self.state
    }
}
