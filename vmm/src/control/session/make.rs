//! Guests and snapshots that are made of others.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use super::Session;
use super::kept::Kept;
use super::member::Member;
use crate::control::{Card, ControlError, Made, Own, Sockets};
use crate::devices::serial::{SerialSink, nowhere};
use crate::guest::{ChildConfig, ChildNet, ChildVsock, Guest};
use crate::virtio::net::Tap;
use crate::virtio::vsock::HostSocket;

impl Session {
    /// A child of guest `id`, which stands still if the guest does. What the child has of its own is made by
    /// `own`, when nobody else operates on the guest any more.
    ///
    /// # Errors
    /// When there is no such guest, or it cannot be forked. Then there is no child.
    pub fn fork(
        &self,
        id: u32,
        own: impl FnOnce() -> Result<ChildConfig, ControlError>,
    ) -> Result<Made, ControlError> {
        let member = self.member(id)?;
        let living = member.operate()?;
        let (child, cut) = living.guest.fork(own()?).map_err(|error| living.refused(error))?;
        let number = self.admit(child, id, living.paused)?;
        Ok(Made::by(&cut, number, id, living.paused))
    }

    /// Keeps what guest `id` is now.
    pub(super) fn snapshot(&self, id: u32) -> Result<Made, ControlError> {
        let member = self.member(id)?;
        let living = member.operate()?;
        let (snapshot, cut) = living.guest.snapshot().map_err(|error| living.refused(error))?;
        let mut state = self.state.lock();
        let number = state.next()?;
        state.snapshots.insert(number, Arc::new(Kept::new(snapshot, number, id)));
        Ok(Made::by(&cut, number, id, false))
    }

    /// A guest that goes on from snapshot `id`.
    pub(super) fn spawn(&self, id: u32, own: &Own) -> Result<Made, ControlError> {
        let kept = self.kept(id)?;
        let made = kept.snapshot.spawn(child_config(id, own)?);
        let child =
            made.map_err(|error| ControlError::Refused { id, problem: error.to_string() })?;
        let number = self.admit(child, id, false)?;
        kept.count_clone();
        Ok(Made::of_snapshot(number, id))
    }

    /// Starts a guest that was made, unless it is to stand still, and gives it a number.
    fn admit(&self, child: Guest, parent: u32, paused: bool) -> Result<u32, ControlError> {
        if !paused {
            child.machine().start().map_err(|error| ControlError::Refused {
                id: parent,
                problem: format!("its child could not be started: {error}"),
            })?;
        }
        let mut state = self.state.lock();
        let number = state.next();
        match &number {
            Ok(number) => {
                let member = Member::new(child, *number, Some(parent), paused);
                state.members.insert(*number, Arc::new(member));
            }
            // What is dropped waits for its transfers, which nobody else has to wait for.
            Err(_) => drop((state, child)),
        }
        number
    }
}

/// What a child of `id` has of its own.
pub(super) fn child_config(id: u32, own: &Own) -> Result<ChildConfig, ControlError> {
    let refused = |problem: String| ControlError::Refused { id, problem };
    let serial = match &own.serial {
        None => nowhere(),
        Some(path) => append(path).map_err(refused)?,
    };
    let nets = own.nets.iter().map(|card| plug(card).map_err(refused)).collect::<Result<_, _>>()?;
    let vsock = own.vsock.as_ref().map(|sockets| listen(sockets).map_err(refused)).transpose()?;
    Ok(ChildConfig { serial, nets, vsock })
}

/// A file to append to, which is made if it is not there. What nobody reads (a pipe) loses what it has no room for,
/// so that the guest does not wait.
fn append(path: &Path) -> Result<SerialSink, String> {
    let shown = path.display();
    if !path.is_absolute() {
        return Err(format!("{shown}: the serial line's file needs an absolute path"));
    }
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).custom_flags(libc::O_NONBLOCK).open(path);
    match opened {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

fn listen(sockets: &Sockets) -> Result<ChildVsock, String> {
    let socket = HostSocket::bind(&sockets.uds).map_err(|error| error.to_string())?;
    Ok(ChildVsock { cid: Some(sockets.cid), socket: Some(socket) })
}

fn plug(card: &Card) -> Result<ChildNet, String> {
    let tap = Tap::open(&card.tap).map_err(|error| error.to_string())?;
    Ok(ChildNet { link: Some(Box::new(tap)), mac: card.mac })
}
