//! The guests of a process, and what is done with them.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{
    BalloonStats, ControlError, GuestInfo, GuestState, Process, ProcessMemory, Request, Response,
};
use crate::guest::{Guest, PeripheralError, Realm};
use crate::process::ProcessUse;

mod ask;
mod kept;
mod make;
mod member;
mod stop;
#[cfg(test)]
pub(super) mod tests;

use kept::Kept;
use member::Member;

pub use ask::Asking;

/// How many guests that have ended stay in the list. The first guest always does.
pub const ENDED_KEPT: usize = 100;

/// The number of the first guest.
pub const FIRST: u32 = 1;

/// The guests of a process: a first one, its descendants, and the snapshots that were kept of them.
///
/// Dropping it ends all of them.
pub struct Session {
    realm: Arc<Realm>,
    asking: Asking,
    state: Mutex<State>,
}

struct State {
    members: BTreeMap<u32, Arc<Member>>,
    snapshots: BTreeMap<u32, Arc<Kept>>,
    /// The number that was given last.
    last: u32,
    /// Nobody comes in any more.
    closed: bool,
}

impl State {
    fn next(&mut self) -> Result<u32, ControlError> {
        if self.closed {
            return Err(ControlError::Closing {});
        }
        self.last += 1;
        Ok(self.last)
    }

    /// Forgets guests that ended long ago.
    fn forget(&mut self) {
        let ended = |(&id, member): (&u32, &Arc<Member>)| {
            (id != FIRST && member.ended().is_some()).then_some(id)
        };
        let ended: Vec<u32> = self.members.iter().filter_map(ended).collect();
        for id in ended.iter().rev().skip(ENDED_KEPT) {
            self.members.remove(id);
        }
    }
}

impl Session {
    /// A session whose first guest, number [`FIRST`], is `guest`. One that was not started stands still until
    /// [`Session::start`]. `asking` says how guests of its kind are asked to end.
    #[must_use]
    pub fn new(guest: Guest, asking: Asking) -> Self {
        let (realm, paused) = (Arc::clone(guest.realm()), !guest.machine().is_started());
        let member = Arc::new(Member::new(guest, FIRST, None, paused));
        let members = BTreeMap::from([(FIRST, member)]);
        let state = State { members, snapshots: BTreeMap::new(), last: FIRST, closed: false };
        Self { realm, asking, state: Mutex::new(state) }
    }

    /// Carries out a request. Requests may come from several threads at once: those about one guest are
    /// carried out one after the other. For [`Request::Connect`], it is only looked at whether a program
    /// can be connected; [`Session::adopt`] does that.
    ///
    /// # Errors
    /// [`ControlError`] says why it was not carried out. Nothing was changed then.
    pub fn execute(&self, request: Request) -> Result<Response, ControlError> {
        self.reap();
        match request {
            Request::Ps {} => Ok(Response::Process(self.list())),
            Request::Pause { id } => self.pause(id),
            Request::Resume { id } => self.resume(id),
            Request::Fork { id, own } => {
                self.fork(id, || make::child_config(id, &own)).map(Response::Made)
            }
            Request::Snapshot { id } => self.snapshot(id).map(Response::Made),
            Request::Spawn { id, own } => self.spawn(id, &own).map(Response::Made),
            Request::Stop { id, kill } => self.stop(id, kill).map(Response::Stopping),
            Request::Connect { id } => self.connectable(id),
            Request::Balloon { id, bytes } => self.balloon(id, bytes),
            Request::Stats { id } => Ok(Response::Stats(Box::new(self.member(id)?.stats()))),
        }
    }

    /// Connects a program of the host, which is at the other end of `stream`, to guest `id`.
    ///
    /// # Errors
    /// When there is no such guest, or it has no vsock device.
    pub fn adopt(&self, id: u32, stream: UnixStream) -> Result<(), ControlError> {
        let member = self.member(id)?;
        let living = member.operate()?;
        living.guest.adopt(stream).map_err(|error| living.refused(error))
    }

    /// Starts the first guest.
    ///
    /// # Errors
    /// When it has ended, or the host has no thread for it.
    pub fn start(&self) -> Result<(), ControlError> {
        self.resume(FIRST).map(drop)
    }

    /// The guest, while it lives. It ends when it is told to, but its memory stays for as long as this is
    /// held.
    #[must_use]
    pub fn guest(&self, id: u32) -> Option<Arc<Guest>> {
        self.member(id).ok()?.guest()
    }

    /// What a guest does.
    ///
    /// # Errors
    /// [`ControlError::NoGuest`] and [`ControlError::IsASnapshot`].
    pub fn state(&self, id: u32) -> Result<GuestState, ControlError> {
        Ok(self.member(id)?.state())
    }

    /// The guests and the snapshots.
    #[must_use]
    pub fn list(&self) -> Process {
        let (members, snapshots): (Vec<_>, Vec<_>) = {
            let state = self.state.lock();
            (state.members.values().cloned().collect(), state.snapshots.values().cloned().collect())
        };
        let guests: Vec<_> = members.iter().map(|member| member.info()).collect();
        Process {
            pid: std::process::id(),
            resident_bytes: self.realm.resident_bytes().unwrap_or_default(),
            memory: self.memory(&guests).ok(),
            guests,
            snapshots: snapshots.iter().map(|kept| kept.info()).collect(),
        }
    }

    /// What all of it takes. The kernel is asked last: what guests write meanwhile, it knows.
    fn memory(&self, guests: &[GuestInfo]) -> io::Result<ProcessMemory> {
        let unique_bytes =
            guests.iter().filter_map(|guest| guest.memory).map(|memory| memory.unique_bytes).sum();
        let held = self.realm.held_bytes()?;
        let (frames, copies) = (self.realm.resident_bytes()?, self.realm.anonymous_bytes()?);
        let process = ProcessUse::now()?;
        Ok(ProcessMemory {
            unique_bytes,
            shared_bytes: held.saturating_sub(unique_bytes),
            other_bytes: process.anonymous_bytes.saturating_sub(copies),
            kernel_bytes: frames.saturating_sub(copies) + process.anonymous_bytes,
            pss_bytes: process.pss_bytes,
        })
    }

    /// Lets go of guests that have ended by themselves. Every request does so too.
    pub fn reap(&self) {
        let members: Vec<_> = self.state.lock().members.values().cloned().collect();
        let gone = members.iter().filter_map(|member| member.reap()).count();
        if gone > 0 {
            self.state.lock().forget();
        }
    }

    /// Whether all guests have ended. From then on there are no new ones: snapshots do not keep a session
    /// alive.
    pub fn close_if_over(&self) -> bool {
        self.reap();
        let mut state = self.state.lock();
        state.closed |= state.members.values().all(|member| member.ended().is_some());
        state.closed
    }

    /// Ends all guests, at once. There are no new ones from here on.
    pub fn end_all(&self) {
        let members: Vec<_> = {
            let mut state = self.state.lock();
            state.closed = true;
            state.members.values().cloned().collect()
        };
        for member in members {
            member.kill();
        }
    }

    fn member(&self, id: u32) -> Result<Arc<Member>, ControlError> {
        let state = self.state.lock();
        match state.members.get(&id) {
            Some(member) => Ok(Arc::clone(member)),
            None if state.snapshots.contains_key(&id) => Err(ControlError::IsASnapshot { id }),
            None => Err(ControlError::NoGuest { id }),
        }
    }

    fn kept(&self, id: u32) -> Result<Arc<Kept>, ControlError> {
        let state = self.state.lock();
        match state.snapshots.get(&id) {
            Some(kept) => Ok(Arc::clone(kept)),
            None if state.members.contains_key(&id) => Err(ControlError::IsAGuest { id }),
            None => Err(ControlError::NoSnapshot { id }),
        }
    }

    fn pause(&self, id: u32) -> Result<Response, ControlError> {
        let member = self.member(id)?;
        let living = member.operate()?;
        living.pause()?;
        Ok(Response::State { id, state: GuestState::Paused })
    }

    /// Whether a program can be connected to a guest.
    fn connectable(&self, id: u32) -> Result<Response, ControlError> {
        let member = self.member(id)?;
        let living = member.operate()?;
        match living.guest.vsock_counts() {
            Some(_) => Ok(Response::Connected { id }),
            None => Err(living.refused(PeripheralError::NoSockets)),
        }
    }

    fn balloon(&self, id: u32, bytes: u64) -> Result<Response, ControlError> {
        let member = self.member(id)?;
        let living = member.operate()?;
        let set = living.guest.set_balloon(bytes);
        let balloon = set.map(BalloonStats::of).map_err(|error| living.refused(error))?;
        Ok(Response::Balloon { id, balloon })
    }

    fn resume(&self, id: u32) -> Result<Response, ControlError> {
        let member = self.member(id)?;
        let living = member.operate()?;
        living.resume()?;
        Ok(Response::State { id, state: GuestState::Running })
    }
}
