//! One vCPU's place in a machine: what it is asked to do, and what it does.

use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use super::kick::LiveThread;
use crate::kvm::Vcpu;
use crate::process::cpu_time;

/// Where a vCPU was when it was parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParkedAt {
    /// In the guest's code, with no exit pending: the kick found the vCPU in the guest. (Or on its
    /// way in, some microseconds after an exit was completed. KVM does not tell the two apart.)
    MidRun,
    /// Just after an exit that was completed, or before its first instruction.
    Exit,
    /// In a read of its mailbox's command register, which read "no command" because of the pause.
    Blocked,
}

/// What a vCPU thread is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Run,
    Park,
    Stop,
}

/// What a vCPU does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Parked(ParkedAt),
    Running,
    Stopped,
}

#[derive(Debug)]
struct Control {
    request: Request,
    run: Run,
    thread: Option<LiveThread>,
}

/// A vCPU, its thread, and the agreement between the thread and everybody else.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) vcpu: Vcpu,
    control: Mutex<Control>,
    changed: Condvar,
    handle: Mutex<Option<JoinHandle<()>>>,
}

/// What is to be done after [`Slot::set_running`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resumed {
    /// The thread goes on by itself.
    Yes,
    /// There is no thread yet.
    NeedsThread,
    /// The vCPU has stopped for good.
    No,
}

impl Slot {
    pub(super) fn new(vcpu: Vcpu, parked_at: ParkedAt) -> Slot {
        let control = Control { request: Request::Park, run: Run::Parked(parked_at), thread: None };
        Slot {
            vcpu,
            control: Mutex::new(control),
            changed: Condvar::new(),
            handle: Mutex::new(None),
        }
    }

    /// Asks the vCPU to park. Follow with [`Slot::wait_parked`].
    pub(super) fn request_park(&self) {
        self.request(Request::Park);
    }

    /// Asks the vCPU to stop for good.
    pub(super) fn request_stop(&self) {
        self.request(Request::Stop);
    }

    /// Request, byte and signal are one step under the lock, so that a vCPU that is just being
    /// resumed cannot clear the byte after it was set for this request.
    fn request(&self, request: Request) {
        let mut control = self.control.lock();
        if control.request == Request::Stop {
            return;
        }
        control.request = request;
        if control.run == Run::Running {
            self.vcpu.set_immediate_exit(true);
            if let Some(thread) = &control.thread {
                thread.interrupt();
            }
        }
        self.changed.notify_all();
    }

    /// Waits until the vCPU is parked; `None` when it has stopped for good.
    pub(super) fn wait_parked(&self) -> Option<ParkedAt> {
        let mut control = self.control.lock();
        loop {
            match (control.run, control.request) {
                (Run::Parked(_), Request::Stop) | (Run::Stopped, _) => return None,
                (Run::Parked(at), _) => return Some(at),
                (Run::Running, _) => self.changed.wait(&mut control),
            }
        }
    }

    /// Lets a parked vCPU run.
    pub(super) fn set_running(&self) -> Resumed {
        let mut control = self.control.lock();
        match (control.request, control.run) {
            (Request::Stop, _) | (_, Run::Stopped) => return Resumed::No,
            _ => {}
        }
        control.request = Request::Run;
        control.run = Run::Running;
        self.vcpu.set_immediate_exit(false);
        self.changed.notify_all();
        match self.handle.lock().is_some() {
            true => Resumed::Yes,
            false => Resumed::NeedsThread,
        }
    }

    pub(super) fn set_handle(&self, handle: JoinHandle<()>) {
        *self.handle.lock() = Some(handle);
    }

    /// The CPU time of the thread, if there is one.
    pub(super) fn cpu_time(&self) -> Duration {
        self.handle.lock().as_ref().map_or(Duration::ZERO, cpu_time)
    }

    /// Waits for the thread to end, if there is one.
    pub(super) fn join(&self) {
        let handle = self.handle.lock().take();
        if let Some(handle) = handle {
            // A vCPU thread that panicked has said so on stderr and has ended all the same.
            let _ = handle.join();
        }
    }

    /// For the vCPU thread: it is alive.
    pub(super) fn enter(&self) {
        self.control.lock().thread = Some(LiveThread::current());
    }

    /// For the vCPU thread: it ends. Nobody signals it from here on.
    pub(super) fn leave(&self) {
        let mut control = self.control.lock();
        control.thread = None;
        control.run = Run::Stopped;
        self.changed.notify_all();
    }

    /// For the vCPU thread, which has come back from the guest with nothing pending: whether it is
    /// wanted for something else than running.
    pub(super) fn is_wanted(&self) -> bool {
        self.control.lock().request != Request::Run
    }

    /// For the vCPU thread: does as it is asked. `false` means to end.
    pub(super) fn obey(&self, at: ParkedAt) -> bool {
        let mut control = self.control.lock();
        while control.request == Request::Park {
            if control.run == Run::Running {
                control.run = Run::Parked(at);
                self.changed.notify_all();
            }
            self.changed.wait(&mut control);
        }
        control.request == Request::Run
    }
}
