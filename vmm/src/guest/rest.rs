//! A guest at rest: nothing of it moves.

use std::time::{Duration, Instant};

use super::disk::ParkedDisk;
use super::{Guest, GuestError};
use crate::machine::Paused;

/// The vCPUs are parked and the disks idle while this lives: no request is in flight, and none is
/// taken. So nobody but the maps of the family holds a frame of this guest.
pub struct Rest<'a> {
    // The disks go first: a vCPU that runs may want them.
    _disks: Vec<ParkedDisk<'a>>,
    _paused: Paused<'a>,
}

impl Guest {
    /// Parks the vCPUs, and then waits until the requests that are in flight have ended.
    ///
    /// # Errors
    /// When the guest has ended, or the requests do not end within `patience`. It goes on then.
    pub fn rest(&self, patience: Duration) -> Result<Rest<'_>, GuestError> {
        let paused = self.machine.pause()?;
        let deadline = Instant::now() + patience;
        let idle = self.disks.iter().map(|disk| disk.drained(deadline));
        let disks = idle.collect::<Result<Vec<_>, _>>()?;
        Ok(Rest { _disks: disks, _paused: paused })
    }
}
