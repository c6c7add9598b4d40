//! The guests of a run, and what happens to them.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pincow_mmu::SpaceError;

use super::belongings::Belongings;
use super::decide::{Decision, End, How, Parent, Shape};
use super::desk::{self, Desk};
use super::finding::{Finding, Kind};
use super::image::Watched;
use super::member::Member;
use super::{Plan, Report, StressError, disk, memory, storm};
use crate::devices::serial::nowhere;
use crate::drive;
use crate::guest::{Guest, GuestConfig, GuestError, Realm};
use crate::kvm::Host;
use crate::machine::PauseError;
use crate::payload::PAYLOAD;

/// How long requests in flight may take to end before references are counted.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a guest that is to be forked may take to have a part of its transfers in flight again, and
/// how often it is looked.
const TAKING_UP_WORK: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// How often references are counted before the family has its size and the process its memory.
const SETTLED_AFTER: u64 = 5;

/// All guests that live. The one that has not been forked or born for longest comes first.
pub(super) struct Family<'a> {
    plan: &'a Plan,
    report: &'a Mutex<Report>,
    realm: Arc<Realm>,
    members: Vec<Member>,
    born: u64,
    snapshot: Option<Watched>,
}

impl<'a> Family<'a> {
    pub(super) fn new(
        host: &Arc<Host>,
        plan: &'a Plan,
        report: &'a Mutex<Report>,
    ) -> Result<Self, StressError> {
        let config = GuestConfig {
            vcpus: plan.vcpus,
            disks: disk::make(plan)?,
            inflight: plan.inflight,
            ..GuestConfig::default()
        };
        let root = Guest::boot(host, plan.memory_bytes, plan.sharing(), config, PAYLOAD)?;
        let realm = Arc::clone(root.realm());
        root.machine().start()?;
        drive::wait_ready(&root)?;
        storm::start(&root, plan)?;
        let members = vec![Member::new(root, 0)?];
        Ok(Self { plan, report, realm, members, born: 1, snapshot: None })
    }

    /// What the next decision depends on. Some places are kept for guests that are being ended.
    pub(super) fn shape(&self) -> Shape {
        let most = self.plan.most_guests();
        Shape {
            members: self.members.len(),
            most: (most - desk::THREADS.min(most / 2)).max(2),
            has_snapshot: self.snapshot.is_some(),
        }
    }

    /// Carries a decision out.
    pub(super) fn obey(&mut self, decision: Decision, desk: &mut Desk) -> Result<(), StressError> {
        match decision {
            Decision::Fork { first, parent } => {
                self.make_room(first, desk)?;
                self.fork(parent)
            }
            Decision::Spawn { first } => {
                self.make_room(first, desk)?;
                self.spawn()
            }
            Decision::Snapshot { parent } => self.take_snapshot(parent, desk),
            Decision::Evict { guest, pages } => {
                memory::evict(&self.members[guest], pages, self.plan, self.report)
            }
            Decision::Discard { guest, pages } => {
                memory::discard(&self.members[guest], pages, self.plan, self.report)
            }
            Decision::End(end) => self.end_one(end, desk),
            Decision::Audit => {
                desk.wait(0)?;
                self.audit()
            }
        }
    }

    /// Takes over what guests have found since the last look. One that has ended is a finding, and
    /// leaves.
    pub(super) fn look(&mut self) -> Result<(), StressError> {
        let mut report = self.report.lock();
        for member in &mut self.members {
            member.look(&mut report)?;
        }
        let has_ended = |member: &mut Member| member.guest.machine().ended().is_some();
        for mut member in self.members.extract_if(.., has_ended) {
            let reason = member.guest.machine().ended().map(|reason| reason.to_string());
            report.found(member.ended(reason.unwrap_or_default()));
            member.settle(&mut report)?;
        }
        Ok(())
    }

    /// Whether nobody is left.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Waits for those that are being ended, where the newborn would be one too many.
    fn make_room(&mut self, first: Option<End>, desk: &mut Desk) -> Result<(), StressError> {
        if let Some(end) = first {
            self.end_one(end, desk)?;
        }
        desk.wait((self.plan.most_guests() - 1).saturating_sub(self.members.len()))?;
        let living = self.members.len() + desk.pending()? + 1;
        let mut report = self.report.lock();
        report.guests_peak = report.guests_peak.max(living);
        Ok(())
    }

    fn end_one(&mut self, end: End, desk: &mut Desk) -> Result<(), StressError> {
        desk.end(self.members.remove(end.victim), end.how)
    }

    fn fork(&mut self, parent: Parent) -> Result<(), StressError> {
        let parent = self.meet(parent);
        let forked = self.members[parent].guest.fork(nowhere());
        let Some((child, cut)) = self.allowed(parent, forked)? else { return Ok(()) };
        {
            let mut report = self.report.lock();
            report.forks += 1;
            report.in_flight_at_fork.push(cut.transfers_in_flight);
        }
        self.was_cut(parent);
        self.adopt(child)
    }

    /// Waits until a guest is at work, if that is wanted, and not for ever.
    fn meet(&self, parent: Parent) -> usize {
        let guest = &self.members[parent.guest].guest;
        let deadline = Instant::now() + TAKING_UP_WORK;
        let is_at_work = || {
            let mut disks = guest.disks_in_flight().into_iter();
            disks.any(|disk| disk.transfers as u64 > self.plan.depth / 4)
        };
        while parent.at_work && !is_at_work() && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
        parent.guest
    }

    fn spawn(&mut self) -> Result<(), StressError> {
        let Some(watched) = &self.snapshot else { return Ok(()) };
        let clone = watched.snapshot.spawn(nowhere())?;
        self.report.lock().clones += 1;
        self.adopt(clone)
    }

    /// A guest goes to the end of the list.
    fn was_cut(&mut self, member: usize) {
        let member = self.members.remove(member);
        self.members.push(member);
    }

    /// Takes a newborn guest in, and lets it run.
    fn adopt(&mut self, guest: Guest) -> Result<(), StressError> {
        storm::salt(&guest, self.born)?;
        let member = Member::new(guest, self.born)?;
        member.guest.machine().start()?;
        self.members.push(member);
        self.born += 1;
        Ok(())
    }

    fn take_snapshot(&mut self, parent: Parent, desk: &mut Desk) -> Result<(), StressError> {
        let parent = self.meet(parent);
        let taken = self.members[parent].guest.snapshot();
        let Some((snapshot, _)) = self.allowed(parent, taken)? else { return Ok(()) };
        let watched = Watched::new(snapshot, self.members[parent].number)?;
        self.was_cut(parent);
        self.report.lock().snapshots += 1;
        match self.snapshot.replace(watched) {
            Some(older) => desk.verify(older),
            None => Ok(()),
        }
    }

    /// What a fork or snapshot came to. A rule set may refuse it, and a guest may have ended.
    fn allowed<T>(
        &mut self,
        member: usize,
        outcome: Result<T, GuestError>,
    ) -> Result<Option<T>, StressError> {
        match outcome {
            Ok(made) => Ok(Some(made)),
            Err(GuestError::Space(SpaceError::Busy { .. } | SpaceError::Wait { .. })) => {
                self.report.lock().forks_refused += 1;
                Ok(None)
            }
            Err(GuestError::Pause(PauseError::Stopped { reason })) => {
                let finding = self.members[member].ended(reason.to_string());
                self.report.lock().found(finding);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lets everybody stand still with nothing in flight, and counts all references. Nobody may be
    /// at work on a guest that is being ended.
    fn audit(&self) -> Result<(), StressError> {
        let mut resting = Vec::new();
        for member in &self.members {
            match member.guest.rest(PATIENCE) {
                Ok(rest) => resting.push(rest),
                Err(GuestError::Pause(PauseError::Stopped { reason })) => {
                    self.report.lock().found(member.ended(reason.to_string()));
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        let counted = self.realm.family().audit([]);
        let now = Belongings::now();
        drop(resting);
        let mut report = self.report.lock();
        report.audits += 1;
        if report.audits == SETTLED_AFTER {
            report.process.early = Some(now);
        }
        report.process.late = Some(now);
        if let Err(miscount) = counted {
            report.found(counted_wrong(&miscount.to_string(), "while everybody stood still"));
        }
        Ok(())
    }

    /// Ends everybody, all at once. Only guests that have found nothing are asked for more, if nobody else has.
    pub(super) fn end_all(&mut self, desk: &mut Desk) -> Result<(), StressError> {
        desk.wait(0)?;
        self.look()?;
        let how = if self.report.lock().is_clean() { How::Retire } else { How::Inspect };
        if let Some(watched) = self.snapshot.take() {
            desk.verify(watched)?;
        }
        for member in self.members.drain(..) {
            desk.end(member, how)?;
        }
        desk.wait(0)
    }

    /// Looks at what is left when everybody has ended.
    pub(super) fn end(self) {
        let mut report = self.report.lock();
        let counts = self.realm.counts();
        report.early_copies = counts.early_copies;
        report.evictions = counts.evicted;
        report.swapped_in = counts.swapped_in;
        if let Err(miscount) = self.realm.family().audit([]) {
            report.found(counted_wrong(&miscount.to_string(), "after the last guest"));
        }
        let (shared, private) = self.realm.family().frames();
        if shared + private > 0 {
            let found = format!("{} after the last guest", shared + private);
            report.found(Finding::plain(Kind::Left, None, "no frames", found));
        }
    }
}

fn counted_wrong(miscount: &str, when: &str) -> Finding {
    let found = format!("{miscount}, {when}");
    Finding::plain(Kind::Count, None, "as many references as holders", found)
}
