//! What a thread of this process takes.

#![expect(unsafe_code, reason = "the clock of another thread needs raw calls")]

use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;
use std::time::Duration;

/// The CPU time that a thread has taken, in user and kernel mode, also while it runs: pthread_getcpuclockid(3). That of
/// a vCPU has the time in its guest, and in the host's answers to its faults. 0 when the thread has ended.
pub(crate) fn cpu_time<T>(thread: &JoinHandle<T>) -> Duration {
    let mut clock: libc::clockid_t = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: whoever has the handle has neither joined nor detached the thread, so it is valid, also when the thread
    // has ended; `clock` outlives the call.
    let unknown = unsafe { libc::pthread_getcpuclockid(thread.as_pthread_t(), &raw mut clock) };
    // SAFETY: the clock is passed by value, and `time` outlives the call, which writes nothing else.
    if unknown != 0 || unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Duration::ZERO;
    }
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests;
