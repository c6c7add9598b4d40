//! The threads that end guests, while the others go on being forked: what dies races with what is
//! born.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, Scope};

use parking_lot::Mutex;

use super::decide::How;
use super::image::Watched;
use super::member::Member;
use super::{Plan, Report, StressError, inspect, storm};
use crate::machine::PauseError;

/// How many there are. Most of what they do is to wait for the disk.
pub(super) const THREADS: usize = 4;

/// What is to be done.
enum Task {
    End(Box<Member>, How),
    Verify(Watched),
}

/// The threads, as the one that decides sees them. They end with it.
pub(super) struct Desk {
    tasks: Sender<Task>,
    done: Receiver<Result<(), StressError>>,
    pending: usize,
}

impl Desk {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub(super) fn open<'scope>(
        scope: &'scope Scope<'scope, '_>,
        plan: &'scope Plan,
        report: &'scope Mutex<Report>,
    ) -> Result<Self, StressError> {
        let (tasks, todo) = channel();
        let (tell, done) = channel();
        let todo = Arc::new(Mutex::new(todo));
        for _ in 0..THREADS {
            let (todo, tell) = (Arc::clone(&todo), tell.clone());
            let work = move || {
                while let Some(task) = next(&todo) {
                    // Nobody listens any more when the run has failed.
                    let _ = tell.send(carry_out(task, plan, report));
                }
            };
            let named = Builder::new().name("stress-end".to_owned());
            named.spawn_scoped(scope, work).map_err(StressError::Thread)?;
        }
        Ok(Self { tasks, done, pending: 0 })
    }

    /// Ends a guest, some time soon.
    ///
    /// # Errors
    /// What a task before this one failed with. So for the others.
    pub(super) fn end(&mut self, member: Member, how: How) -> Result<(), StressError> {
        self.give(Task::End(Box::new(member), how))
    }

    /// Verifies a snapshot for the last time, and lets go of it.
    pub(super) fn verify(&mut self, watched: Watched) -> Result<(), StressError> {
        self.give(Task::Verify(watched))
    }

    fn give(&mut self, task: Task) -> Result<(), StressError> {
        self.pending += 1;
        // It fails only after a panic in both threads, which `wait` notices.
        let _ = self.tasks.send(task);
        self.pending().map(|_| ())
    }

    /// How many tasks were not done yet.
    pub(super) fn pending(&mut self) -> Result<usize, StressError> {
        while let Ok(done) = self.done.try_recv() {
            self.pending -= 1;
            done?;
        }
        Ok(self.pending)
    }

    /// Waits until at most `most` tasks are left.
    pub(super) fn wait(&mut self, most: usize) -> Result<(), StressError> {
        while self.pending > most {
            // Nobody is there to send only after a panic, which the scope passes on.
            let Ok(done) = self.done.recv() else { return Ok(()) };
            self.pending -= 1;
            done?;
        }
        Ok(())
    }
}

/// Waits for the next task; `None` when there will be no more.
fn next(todo: &Mutex<Receiver<Task>>) -> Option<Task> {
    todo.lock().recv().ok()
}

fn carry_out(task: Task, plan: &Plan, report: &Mutex<Report>) -> Result<(), StressError> {
    match task {
        Task::End(member, how) => end(*member, how, plan, report),
        Task::Verify(watched) => {
            let (sectors, findings) = watched.verify(plan)?;
            let mut report = report.lock();
            report.sectors_verified += sectors;
            findings.into_iter().for_each(|finding| report.found(finding));
            Ok(())
        }
    }
}

/// Ends a guest. What it did and found is in the report then.
fn end(
    mut member: Member,
    how: How,
    plan: &Plan,
    report: &Mutex<Report>,
) -> Result<(), StressError> {
    if let Some(reason) = member.guest.machine().ended() {
        report.lock().found(member.ended(reason.to_string()));
    } else {
        match how {
            How::Kill => report.lock().killed += 1,
            How::Inspect => {
                match member.guest.machine().pause() {
                    Ok(_paused) => inspected(&member, plan, report)?,
                    Err(PauseError::Stopped { reason }) => {
                        report.lock().found(member.ended(reason.to_string()));
                    }
                }
                report.lock().killed += 1;
            }
            How::Retire => match storm::stop(&member.guest, plan) {
                Ok(sectors) => {
                    inspected(&member, plan, report)?;
                    let mut report = report.lock();
                    report.retired += 1;
                    report.sectors_read_back += sectors;
                }
                Err(error) => report.lock().found(member.silent(error)?),
            },
        }
    }
    member.settle(&mut report.lock())
}

/// Verifies a guest whose vCPUs stand still.
fn inspected(member: &Member, plan: &Plan, report: &Mutex<Report>) -> Result<(), StressError> {
    let seen = inspect::verify(&member.guest, member.number, plan)?;
    let mut report = report.lock();
    report.sectors_verified += seen.sectors;
    seen.findings.into_iter().for_each(|finding| report.found(finding));
    Ok(())
}
