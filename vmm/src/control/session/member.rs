//! One guest of a session, alive or ended.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard};

use crate::control::{
    BalloonStats, ControlError, DiskStats, Frames, GuestInfo, GuestState, GuestStats,
};
use crate::guest::Guest;
use crate::machine::Stopped;

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// One guest of a session, alive or ended.
pub(super) struct Member {
    id: u32,
    parent: Option<u32>,
    vcpus: u32,
    memory_bytes: u64,
    begun: Instant,
    started_unix_ms: u64,
    operation: Mutex<()>,
    life: Mutex<Life>,
}

enum Life {
    Living { guest: Arc<Guest>, paused: bool },
    Ended { reason: Stopped, stats: Box<GuestStats> },
}

/// A guest that lives, with nobody else operating on it.
pub(super) struct Living<'a> {
    member: &'a Member,
    pub(super) guest: Arc<Guest>,
    pub(super) paused: bool,
    _operation: MutexGuard<'a, ()>,
}

/// How a guest was ended.
pub(super) struct Killed {
    pub(super) reason: Stopped,
    pub(super) was_over: bool,
    pub(super) transfers_in_flight: usize,
}

impl Member {
    pub(super) fn new(guest: Guest, id: u32, parent: Option<u32>, paused: bool) -> Self {
        let (vcpus, memory_bytes) =
            (guest.machine().vcpus(), guest.machine().ram().len_bytes() as u64);
        let life = Mutex::new(Life::Living { guest: Arc::new(guest), paused });
        let (begun, started_unix_ms) = (Instant::now(), unix_ms());
        let operation = Mutex::default();
        Self { id, parent, vcpus, memory_bytes, begun, started_unix_ms, operation, life }
    }

    /// The guest, while it lives.
    pub(super) fn guest(&self) -> Option<Arc<Guest>> {
        match &*self.life.lock() {
            Life::Living { guest, .. } => Some(Arc::clone(guest)),
            Life::Ended { .. } => None,
        }
    }

    /// Why it has ended, if it has and was let go of.
    pub(super) fn ended(&self) -> Option<Stopped> {
        match &*self.life.lock() {
            Life::Living { .. } => None,
            Life::Ended { reason, .. } => Some(reason.clone()),
        }
    }

    /// What it does.
    pub(super) fn state(&self) -> GuestState {
        match &*self.life.lock() {
            Life::Ended { reason, .. } => GuestState::Ended(reason.clone()),
            Life::Living { guest, paused } => match (guest.machine().ended(), paused) {
                (Some(reason), _) => GuestState::Ended(reason),
                (None, true) => GuestState::Paused,
                (None, false) => GuestState::Running,
            },
        }
    }

    /// Waits until nobody else operates on it.
    pub(super) fn operate(&self) -> Result<Living<'_>, ControlError> {
        let operation = self.operation.lock();
        let ended = |reason: &Stopped| ControlError::Ended { id: self.id, reason: reason.clone() };
        match &*self.life.lock() {
            Life::Ended { reason, .. } => Err(ended(reason)),
            Life::Living { guest, paused } => match guest.machine().ended() {
                Some(reason) => Err(ended(&reason)),
                None => Ok(Living {
                    member: self,
                    guest: Arc::clone(guest),
                    paused: *paused,
                    _operation: operation,
                }),
            },
        }
    }

    /// Ends it at once, with its transfers in flight.
    pub(super) fn kill(&self) -> Killed {
        let _operation = self.operation.lock();
        let Some(guest) = self.guest() else {
            let reason = self.ended().unwrap_or(Stopped::Killed);
            return Killed { reason, was_over: true, transfers_in_flight: 0 };
        };
        let was_over = guest.machine().ended().is_some();
        let reason = guest.machine().stop();
        let transfers_in_flight = guest.disks_in_flight().iter().map(|disk| disk.transfers).sum();
        self.let_go(&guest, reason.clone());
        Killed { reason, was_over, transfers_in_flight }
    }

    /// Lets go of the guest if it has ended, unless somebody operates on it now. Its reason.
    pub(super) fn reap(&self) -> Option<Stopped> {
        let _operation = self.operation.try_lock()?;
        let guest = self.guest()?;
        let reason = guest.machine().ended()?;
        self.let_go(&guest, reason.clone());
        Some(reason)
    }

    /// Keeps what it did, and gives its memory back: at the latest when `guest` is dropped, unless others
    /// hold it too.
    fn let_go(&self, guest: &Guest, reason: Stopped) {
        let mut stats = self.stats_of(Some(guest), GuestState::Ended(reason.clone()));
        (stats.guest.frames, stats.guest.memory) = (None, None);
        let ended = Life::Ended { reason, stats: Box::new(stats) };
        drop(std::mem::replace(&mut *self.life.lock(), ended));
    }

    /// Its line in the list.
    pub(super) fn info(&self) -> GuestInfo {
        if let Life::Ended { stats, .. } = &*self.life.lock() {
            return stats.guest.clone();
        }
        self.info_of(self.guest().as_deref(), self.state())
    }

    /// What it did so far.
    pub(super) fn stats(&self) -> GuestStats {
        if let Life::Ended { stats, .. } = &*self.life.lock() {
            return GuestStats::clone(stats);
        }
        self.stats_of(self.guest().as_deref(), self.state())
    }

    fn info_of(&self, guest: Option<&Guest>, state: GuestState) -> GuestInfo {
        let &Self { id, parent, vcpus, memory_bytes, started_unix_ms, .. } = self;
        let age_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let frames = guest.map(|guest| {
            let census = guest.space().census();
            let (shared, unique) = (census.shared, census.private);
            Frames { shared, unique, pinned: census.pinned, swapped: census.swapped }
        });
        GuestInfo {
            id,
            parent,
            state,
            vcpus,
            memory_bytes,
            generation_id: guest.and_then(|guest| guest.machine().generation_id()),
            started_unix_ms,
            age_ms,
            frames,
            memory: guest.and_then(|guest| guest.space().footprint().ok()).map(Into::into),
        }
    }

    fn stats_of(&self, living: Option<&Guest>, state: GuestState) -> GuestStats {
        let guest = self.info_of(living, state);
        let Some(living) = living else {
            let (disks, nets, family) = (Vec::new(), Vec::new(), Default::default());
            return GuestStats { guest, disks, nets, rng: None, balloon: None, family };
        };
        let in_flight = living.disks_in_flight().into_iter();
        let disk = |(disk, counts): (crate::guest::InFlight, _)| DiskStats {
            transfers_in_flight: disk.transfers,
            requests_in_flight: disk.requests,
            counts,
        };
        GuestStats {
            guest,
            disks: in_flight.zip(living.disk_counts()).map(disk).collect(),
            nets: living.net_counts(),
            rng: living.rng_counts(),
            balloon: living.balloon().map(BalloonStats::of),
            family: living.realm().counts(),
        }
    }
}

impl Living<'_> {
    /// Whose operation this is.
    pub(super) fn id(&self) -> u32 {
        self.member.id
    }

    /// Lets it stand still, unless it does.
    pub(super) fn pause(&self) -> Result<(), ControlError> {
        if self.paused {
            return Ok(());
        }
        self.guest.stop_prefault();
        self.guest.machine().suspend().map_err(|error| self.refused(error))?;
        self.set_paused(true);
        Ok(())
    }

    /// Lets it run. A guest that was never started is.
    pub(super) fn resume(&self) -> Result<(), ControlError> {
        self.guest.machine().start().map_err(|error| self.refused(error))?;
        self.set_paused(false);
        Ok(())
    }

    fn set_paused(&self, now: bool) {
        if let Life::Living { paused, .. } = &mut *self.member.life.lock() {
            *paused = now;
        }
    }

    /// What the guest's end has to do with an error, if it has ended in the meantime.
    pub(super) fn refused(&self, error: impl std::fmt::Display) -> ControlError {
        let id = self.id();
        match self.guest.machine().ended() {
            Some(reason) => ControlError::Ended { id, reason },
            None => ControlError::Refused { id, problem: error.to_string() },
        }
    }
}
