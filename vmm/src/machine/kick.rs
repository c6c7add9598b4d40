//! The signal that brings a vCPU thread out of `KVM_RUN`.
//!
//! Its handler does nothing: that the signal arrives is enough to end a system call. One signal
//! number is used by all machines of the process.

#![expect(unsafe_code, reason = "signals are sent to threads by their pthread handle")]

use std::sync::OnceLock;

use libc::{c_int, c_void, pthread_t, siginfo_t};
use vmm_sys_util::errno;
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler, unblock_signal};

use super::MachineError;

/// Real-time signals below are for others in the process.
const OFFSET: c_int = 3;

fn signal() -> c_int {
    SIGRTMIN() + OFFSET
}

extern "C" fn ignore(_: c_int, _: *mut siginfo_t, _: *mut c_void) {}

/// Installs the handler, once per process.
pub(super) fn install() -> Result<(), MachineError> {
    static INSTALLED: OnceLock<Result<(), errno::Error>> = OnceLock::new();
    INSTALLED
        .get_or_init(|| register_signal_handler(signal(), ignore))
        .map_err(|errno| MachineError::Signal { signal: signal(), errno })
}

/// A vCPU thread that has said that it is alive, and has not said that it ends.
#[derive(Debug)]
pub(super) struct LiveThread(pthread_t);

impl LiveThread {
    /// The calling thread, which from now on gets the signal even if its parent had blocked it.
    pub(super) fn current() -> LiveThread {
        // Unblocking fails for invalid signal numbers only, which `install` would have refused.
        let _ = unblock_signal(signal());
        // SAFETY: has no preconditions.
        LiveThread(unsafe { libc::pthread_self() })
    }

    /// Makes the thread's system call return, if it is in one.
    pub(super) fn interrupt(&self) {
        // SAFETY: the handle must be of a thread that was not joined or detached and ended. Its
        // owner removes this value, under the lock that the caller holds, before it ends.
        unsafe { libc::pthread_kill(self.0, signal()) };
    }
}
