//! The guests of a run, and what happens to them.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use pincow_guest_protocol::map::TABLE_FIRST_PAGE;
use pincow_mmu::scenario::Random;
use pincow_mmu::{Gfn, SpaceError};

use super::storm::{self, Progress};
use super::{Control, Plan, Report, StressError};
use crate::devices::serial::nowhere;
use crate::disk::{Disk, DiskOptions};
use crate::drive;
use crate::guest::{DiskConfig, Guest, GuestConfig, MakeEngine, PinMode, Realm, Snapshot, uring};
use crate::io::{Held, Uring, UringError};
use crate::kvm::Host;
use crate::payload::PAYLOAD;
use crate::virtio::blk::{BlkOptions, Policy};

const LEAST_MEMORY: u64 = 16 << 20;

/// Pages that one eviction looks at.
const EVICTED_AT_ONCE: u64 = 16;

/// A guest, its number, and what it was born with.
struct Member {
    guest: Guest,
    number: u64,
    born_with: Progress,
}

/// All guests that live.
pub(super) struct Family<'a> {
    plan: &'a Plan,
    realm: Arc<Realm>,
    members: Vec<Member>,
    born: u64,
}

fn any<T>(random: &mut Random, list: &[T]) -> usize {
    random.below(list.len() as u64) as usize
}

/// A disk of zeros, which nobody writes but through an overlay.
fn make_disk(plan: &Plan) -> Result<DiskConfig, StressError> {
    let path = plan.folder.join(format!("pincow-stress-{}.raw", std::process::id()));
    let failed = |source| StressError::File { path: path.clone(), source };
    let file = File::create_new(&path).map_err(failed)?;
    let made = file.set_len(storm::SECTORS * crate::disk::SECTOR_BYTES).map_err(failed);
    let opened = made.and_then(|()| {
        let visible_at_submission = plan.control == Some(Control::MapAtSubmission);
        let open = |direct| {
            let options = DiskOptions { direct, visible_at_submission, ..DiskOptions::default() };
            Disk::open_above(&path, options).map(|disk| (disk, direct))
        };
        Ok(open(true).or_else(|_| open(false))?)
    });
    // It stays open, and goes with the process.
    std::fs::remove_file(&path).map_err(failed)?;
    let (disk, direct) = opened?;
    let options = BlkOptions { queue_size: 256, ..BlkOptions::default() };
    let pins = match plan.control {
        Some(Control::UnpinAtSubmission) => PinMode::LetGoAtOnce,
        Some(Control::PinWithoutBreakingCow) => PinMode::AsItIs,
        _ => PinMode::Rules,
    };
    let engine = match plan.control {
        Some(Control::MapAtSubmission) => slow(),
        _ => uring(),
    };
    Ok(DiskConfig { disk, direct, options, engine, pins })
}

/// A disk on which writes are in flight for so long that whoever reads a snapshot at once finds
/// them not there yet.
const SLOW: Duration = Duration::from_millis(20);

fn slow() -> MakeEngine {
    Arc::new(|entries| {
        let failed = |source| UringError { operation: "eventfd", entries, source };
        let held = Held::new(Uring::new(entries)?).map_err(failed)?;
        held.control().delay(SLOW);
        Ok(Box::new(held))
    })
}

impl<'a> Family<'a> {
    pub(super) fn new(host: &Arc<Host>, plan: &'a Plan) -> Result<Self, StressError> {
        if plan.memory_bytes < LEAST_MEMORY {
            return Err(StressError::TooSmall(plan.memory_bytes));
        }
        let config = GuestConfig {
            disks: vec![make_disk(plan)?],
            inflight: Policy::Reissue,
            ..GuestConfig::default()
        };
        let root = Guest::boot(host, plan.memory_bytes, plan.rules(), config, PAYLOAD)?;
        root.machine().start()?;
        drive::wait_ready(&root)?;
        storm::start(&root, plan)?;
        let realm = Arc::clone(root.realm());
        let members = vec![Member { guest: root, number: 0, born_with: Progress::default() }];
        Ok(Self { plan, realm, members, born: 1 })
    }

    /// Takes a newborn guest in, and lets it run.
    fn adopt(&mut self, guest: Guest, report: &mut Report) -> Result<(), StressError> {
        storm::salt(&guest, self.born)?;
        let born_with = storm::progress(&guest)?;
        guest.machine().start()?;
        self.members.push(Member { guest, number: self.born, born_with });
        self.born += 1;
        report.guests_peak = report.guests_peak.max(self.members.len());
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.members.len() >= self.plan.guests
    }

    pub(super) fn fork(
        &mut self,
        random: &mut Random,
        report: &mut Report,
    ) -> Result<(), StressError> {
        if self.is_full() {
            return self.retire(random, report);
        }
        let parent = &self.members[any(random, &self.members)];
        let (child, cut) = parent.guest.fork(nowhere())?;
        report.forks += 1;
        report.in_flight_at_fork.push(cut.transfers_in_flight);
        self.adopt(child, report)
    }

    pub(super) fn snapshot(
        &mut self,
        random: &mut Random,
        report: &mut Report,
    ) -> Result<Snapshot, StressError> {
        let parent = &self.members[any(random, &self.members)];
        report.snapshots += 1;
        Ok(parent.guest.snapshot()?.0)
    }

    pub(super) fn spawn(
        &mut self,
        snapshot: Option<&Snapshot>,
        random: &mut Random,
        report: &mut Report,
    ) -> Result<(), StressError> {
        match snapshot {
            Some(snapshot) if !self.is_full() => self.adopt(snapshot.spawn(nowhere())?, report),
            _ => self.evict(random, report),
        }
    }

    /// Stops a guest, and verifies all that it has.
    pub(super) fn retire(
        &mut self,
        random: &mut Random,
        report: &mut Report,
    ) -> Result<(), StressError> {
        if self.members.len() < 2 {
            return Ok(());
        }
        let member = self.members.swap_remove(any(random, &self.members));
        self.settle(member, report)
    }

    fn settle(&self, member: Member, report: &mut Report) -> Result<(), StressError> {
        let who = (member.number, &member.born_with);
        storm::stop(&member.guest, who, self.plan, report)?;
        count(&member, report);
        Ok(())
    }

    /// Ends a guest with whatever it has in flight.
    pub(super) fn kill(&mut self, random: &mut Random, report: &mut Report) {
        if self.members.len() > 1 {
            let member = self.members.swap_remove(any(random, &self.members));
            count(&member, report);
            report.killed += 1;
        }
    }

    /// Evicts pages of a guest, those that transfers use among them.
    pub(super) fn evict(
        &self,
        random: &mut Random,
        report: &mut Report,
    ) -> Result<(), StressError> {
        let member = &self.members[any(random, &self.members)];
        for _ in 0..EVICTED_AT_ONCE {
            let gfn = Gfn((TABLE_FIRST_PAGE + random.below(storm::PAGES)) as u32);
            match member.guest.space().evict(gfn) {
                Ok(()) => {}
                Err(SpaceError::Busy { .. } | SpaceError::Wait { .. }) => report.busy += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Stops and verifies everybody, then what is left.
    pub(super) fn end(mut self, report: &mut Report) -> Result<(), StressError> {
        while let Some(member) = self.members.pop() {
            self.settle(member, report)?;
        }
        let counts = self.realm.counts();
        report.early_copies = counts.early_copies;
        report.evictions = counts.evicted;
        report.swapped_in = counts.swapped_in;
        if let Err(miscount) = self.realm.family().audit([]) {
            report.violations.push(format!("after the last guest: {miscount}"));
        }
        let (shared, private) = self.realm.family().frames();
        if shared + private > 0 {
            let left = shared + private;
            report.violations.push(format!("{left} frames are left after the last guest"));
        }
        Ok(())
    }
}

/// Adds what a guest did itself.
fn count(member: &Member, report: &mut Report) {
    if let Ok(now) = storm::progress(&member.guest) {
        report.transfers += now.transfers - member.born_with.transfers;
        report.bytes += now.bytes - member.born_with.bytes;
    }
    let reissued = member.guest.disk_counts().iter().map(|counts| counts.reissued).sum::<u64>();
    report.reissued += reissued;
    if let Some(reason) = member.guest.machine().ended() {
        report.violations.push(format!("guest {} ended: {reason}", member.number));
    }
}
