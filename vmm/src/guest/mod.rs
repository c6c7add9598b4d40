//! Guests that can be forked: a machine, its memory, and the family that it belongs to.
//!
//! # A fork
//!
//! ```text
//! park the vCPUs            every exit completed; the fault thread keeps running
//!   copy their state        registers and devices, without the memory
//!   fork the memory         plan, prepare the child, protect the parent, commit
//! let the parent go on      this ends the pause
//! make the child's machine  from the copied state, over the child's memory
//! let the child go on       where the parent was
//! ```
//!
//! A failure before the parent goes on leaves it as it was. One after it leaves a parent that has
//! lost nothing but a few write faults, and no child.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pincow_mmu::live::{self, TrapSpace};
use pincow_mmu::rules::Rules;

use crate::devices::serial::SerialSink;
use crate::kvm::Host;
use crate::machine::{GuestRam, Machine, MachineConfig, MachineState, ParkedAt};

mod error;
mod realm;
mod snapshot;
#[cfg(test)]
mod tests;

pub use error::GuestError;
pub use realm::{BackingKind, Realm};
pub use snapshot::Snapshot;

/// One guest of a family.
///
/// Dropping it stops the guest and gives its memory back; what descendants and snapshots share
/// with it stays.
pub struct Guest {
    // The machine goes first: its vCPUs use the memory.
    machine: Machine,
    space: Arc<TrapSpace>,
    realm: Arc<Realm>,
}

/// What a new guest is made of.
pub struct GuestConfig {
    /// How many vCPUs.
    pub vcpus: u32,
    /// Where serial output goes.
    pub serial: SerialSink,
}

impl Default for GuestConfig {
    /// One vCPU, and serial output to nowhere.
    fn default() -> Self {
        Self { vcpus: 1, serial: nowhere() }
    }
}

fn nowhere() -> Box<dyn Write + Send> {
    Box::new(std::io::sink())
}

/// How a fork or snapshot met its guest.
#[derive(Clone, Debug)]
pub struct Cut {
    /// How long the guest stood still.
    pub pause: Duration,
    /// Where each vCPU was.
    pub parked_at: Vec<ParkedAt>,
}

impl Cut {
    /// Whether a vCPU was interrupted in its own code, with no exit pending.
    #[must_use]
    pub fn was_mid_run(&self) -> bool {
        self.parked_at.contains(&ParkedAt::MidRun)
    }
}

impl Guest {
    /// The first guest of a family of its own, at the entry of `payload`.
    ///
    /// # Errors
    /// When the host cannot give what the guest needs, or the payload is not one.
    pub fn boot(
        host: &Arc<Host>,
        memory_bytes: u64,
        rules: Rules,
        config: GuestConfig,
        payload: &[u8],
    ) -> Result<Self, GuestError> {
        let realm = Realm::new(host, memory_bytes, rules)?;
        let space = realm.root_space()?;
        let ram = GuestRam::of_space(&space);
        let machine = Machine::boot(host, ram, config.into(), payload)?;
        Ok(Self { machine, space, realm })
    }

    /// A guest that goes on where `state` was saved, over memory that it shares.
    fn resume(
        realm: &Arc<Realm>,
        space: Arc<TrapSpace>,
        serial: SerialSink,
        state: &MachineState,
    ) -> Result<Self, GuestError> {
        live::attach(&space);
        let config = MachineConfig { serial, ..MachineConfig::default() };
        let machine = Machine::restore(realm.host(), GuestRam::of_space(&space), config, state)?;
        Ok(Self { machine, space, realm: Arc::clone(realm) })
    }

    /// A child that stands where this guest is now, and shares its memory. This guest goes on at
    /// once; the child when it is started. Its serial output goes to `serial`.
    ///
    /// # Errors
    /// When the guest has ended, the rule set refuses because of a pinned page, or the host has no
    /// room. This guest goes on in any case.
    pub fn fork(&self, serial: SerialSink) -> Result<(Self, Cut), GuestError> {
        let (space, state, cut) = self.cut(TrapSpace::fork)?;
        let child = Self::resume(&self.realm, space, serial, &state)?;
        Ok((child, cut))
    }

    /// A snapshot of this guest, which goes on at once.
    ///
    /// # Errors
    /// As [`fork`](Self::fork).
    pub fn snapshot(&self) -> Result<(Snapshot, Cut), GuestError> {
        let (image, state, cut) = self.cut(TrapSpace::snapshot)?;
        Ok((Snapshot::new(Arc::clone(&self.realm), image, state), cut))
    }

    /// Shares the memory and copies the rest, while all writers are parked.
    fn cut<T>(
        &self,
        share: impl FnOnce(&TrapSpace) -> Result<T, pincow_mmu::SpaceError>,
    ) -> Result<(T, MachineState, Cut), GuestError> {
        let begun = Instant::now();
        let paused = self.machine.pause()?;
        let state = paused.save()?;
        let shared = share(&self.space)?;
        let parked_at = paused.parked_at().to_vec();
        drop(paused);
        Ok((shared, state, Cut { pause: begun.elapsed(), parked_at }))
    }

    /// The machine: its vCPUs, mailboxes and devices.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The memory.
    #[must_use]
    pub fn space(&self) -> &Arc<TrapSpace> {
        &self.space
    }

    /// What it shares with its family.
    #[must_use]
    pub fn realm(&self) -> &Arc<Realm> {
        &self.realm
    }
}

impl From<GuestConfig> for MachineConfig {
    fn from(config: GuestConfig) -> Self {
        Self { vcpus: config.vcpus, serial: config.serial, ..Self::default() }
    }
}
