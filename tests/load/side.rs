//! A guest under load: one side of its forks.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pincow_vmm::guest::Guest;
use pincow_vmm::machine::Stopped;

use super::console::{Console, LONG, type_line};
use super::disks;
use super::verdict::{Verdict, WRONG};

/// A guest's clock may be so many seconds off.
const CLOCK_SECONDS: u64 = 2;

/// What its disks answer before a side is told to end: twice what they have to do at a time.
const TRANSFERS: u64 = 64;

/// A guest at work.
pub(crate) struct Side {
    /// Its number in its session.
    pub(crate) id: u32,
    guest: Arc<Guest>,
    pub(crate) console: Console,
}

impl Side {
    pub(crate) fn new(id: u32, guest: Arc<Guest>, console: Console) -> Self {
        Self { id, guest, console }
    }

    /// Why it has ended by itself, if it has.
    pub(crate) fn ended(&self) -> Option<Stopped> {
        self.guest.machine().ended()
    }

    /// Tells it to end its work and to switch itself off, and looks at all that it leaves. The error says all
    /// that was wrong.
    pub(crate) fn end(self) -> Result<Verdict, String> {
        let mut findings = Vec::from_iter(self.goes_on());
        let asked = now();
        type_line(&self.guest, "stop");
        match self.guest.machine().wait_timeout(LONG) {
            Some(Stopped::PowerOff { .. }) => {}
            Some(other) => findings.push(other.to_string()),
            None => findings.push(format!("no end within {LONG:?}: {}", self.whereabouts())),
        }
        let times = asked - CLOCK_SECONDS..=now() + CLOCK_SECONDS;
        self.guest.machine().stop();
        findings.extend(self.guest.disks().filter_map(disks::check));
        let said = self.console.text();
        findings.extend(said.lines().filter(|line| line.starts_with(WRONG)).map(str::to_owned));
        let verdict = Verdict::find(&said);
        if let Some(verdict) = &verdict {
            findings.extend(verdict.findings());
            if !times.contains(&verdict.seconds) {
                findings.push(format!("its time is {}, and not in {times:?}", verdict.seconds));
            }
            let generation = self.guest.machine().generation_id().map(|id| id.to_string());
            if generation.as_ref() != Some(&verdict.generation) {
                findings.push(format!("its generation ID is not {generation:?}"));
            }
        }
        match verdict {
            Some(verdict) if findings.is_empty() => Ok(verdict),
            verdict => {
                let findings = findings.join("\n");
                Err(format!("guest {}: {verdict:?}\n{findings}\nits console:\n{said}", self.id))
            }
        }
    }

    /// Waits until it has done some more work, or has ended by itself. Returns what is wrong where it does
    /// nothing.
    fn goes_on(&self) -> Option<String> {
        let enough = answered(&self.guest) + TRANSFERS;
        let deadline = Instant::now() + LONG;
        while self.ended().is_none() && answered(&self.guest) < enough {
            if Instant::now() > deadline {
                return Some(format!("not at work for {LONG:?}: {}", self.whereabouts()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// Where its vCPUs are.
    fn whereabouts(&self) -> String {
        let state = match self.guest.machine().pause() {
            Ok(paused) => paused.save(),
            Err(error) => return error.to_string(),
        };
        let Ok(state) = state else { return "its state cannot be read".to_owned() };
        let vcpu = |vcpu: &pincow_vmm::machine::SavedVcpu| {
            let (regs, run) = (&vcpu.state.regs, vcpu.state.mp_state.mp_state);
            format!("rip {:#x} rflags {:#x} run state {run}", regs.rip, regs.rflags)
        };
        state.vcpus.iter().map(vcpu).collect::<Vec<_>>().join(", ")
    }
}

/// What the disks of a guest have answered.
fn answered(guest: &Guest) -> u64 {
    guest.disk_counts().iter().map(|counts| counts.answered).sum()
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}
