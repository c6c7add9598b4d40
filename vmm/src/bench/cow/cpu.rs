//! How much CPU time threads of this process took, also of one that runs at the moment.

#![expect(unsafe_code, reason = "the clock of another thread needs a raw call")]

use std::fs;
use std::io;
use std::time::Duration;

/// The CPU time, in user and kernel mode, of all threads that live now and whose name begins with `name`.
/// That of a vCPU has the time in its guest, and in the host's answers to its faults.
pub(super) fn of_threads(name: &str) -> io::Result<Duration> {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?;
        let called = fs::read_to_string(task.path().join("comm"));
        if !called.is_ok_and(|called| called.starts_with(name)) {
            continue;
        }
        if let Some(thread) = task.file_name().to_str().and_then(|name| name.parse().ok()) {
            // One that has ended since took nothing of what is measured.
            sum += of_thread(thread).unwrap_or_default();
        }
    }
    Ok(sum)
}

/// The clock of a thread: the complement of its id in the bits from 3 on, 4 for "of a thread", and 2 for
/// the scheduler's time (`include/linux/posix-timers_types.h`, as pthread_getcpuclockid(3) does it).
fn of_thread(thread: libc::pid_t) -> io::Result<Duration> {
    let clock: libc::clockid_t = !thread << 3 | 4 | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is passed by value, and `time` outlives the call, which writes nothing else.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

#[cfg(test)]
mod tests;
