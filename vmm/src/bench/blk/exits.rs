//! What leaving a guest and waking a thread cost on this host.

use std::io;
use std::time::{Duration, Instant};

use pincow_guest_protocol::Command;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EventFd};

use super::super::timed_call;
use super::BenchError;
use crate::guest::Guest;

/// Exits, or wake-ups, in a sample.
const MANY: u64 = 200;

/// What was measured, sample by sample, each the mean of many.
#[derive(Clone, Debug, Default)]
pub struct Exits {
    /// A read of a device's register: out of the guest, to this process, and back.
    pub exit: Vec<Duration>,
    /// A doorbell with nothing to do behind it.
    pub doorbell: Vec<Duration>,
    /// From a write to an event counter until the thread that waits for it runs.
    pub wake_up: Vec<Duration>,
}

/// Measures `samples` times each, with a guest whose disk was set up and has nothing to do.
pub(super) fn measure(guest: &Guest, samples: usize) -> Result<Exits, BenchError> {
    let mut exits = Exits::default();
    for _ in 0..samples {
        let call = |reads, bells| timed_call(guest, Command::DiskExits { device: 0, reads, bells });
        let none = call(0, 0)?;
        let mean = |took: Duration| took.saturating_sub(none).div_f64(MANY as f64);
        exits.exit.push(mean(call(MANY, 0)?));
        exits.doorbell.push(mean(call(0, MANY)?));
        exits.wake_up.push(wake_up().map_err(BenchError::system("eventfd"))?);
    }
    Ok(exits)
}

/// Two threads that wake each other in turn.
fn wake_up() -> io::Result<Duration> {
    let [there, back] = [EventFd::new(EFD_CLOEXEC)?, EventFd::new(EFD_CLOEXEC)?];
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            (0..MANY).try_for_each(|_| {
                there.read()?;
                back.write(1)
            })
        });
        let begun = Instant::now();
        let done = (0..MANY).try_for_each(|_| {
            there.write(1)?;
            back.read().map(drop)
        });
        let took = begun.elapsed();
        done.and(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))?;
        Ok(took.div_f64(2.0 * MANY as f64))
    })
}
