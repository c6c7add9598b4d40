//! The thread that drives a device.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use thiserror::Error;
use vmm_sys_util::eventfd::EventFd;

use super::device::Device;
use crate::io::wait_readable;

/// How long what was busy is left alone.
const SOON: Duration = Duration::from_millis(1);

/// When a device wants its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// After a doorbell, or when its [source](Driven::source) is readable.
    Idle,
    /// In a moment: something was busy, and nothing says when it is not any more.
    Soon,
    /// At once: there was something to do, and there may be more.
    Now,
}

/// A device that a [`Reactor`] drives. All its queues have one [bell](Device::bell), and a step
/// looks at each of them.
///
/// A step takes the device's lock and does a bounded amount of work: whoever wants to stop the
/// device takes that lock, and has stopped it between two steps.
pub trait Driven: Device {
    /// Does what can be done now, without waiting for anything.
    fn step(&self) -> Next;

    /// What the device waits for after a step besides its bell, until it is readable.
    fn source(&self) -> Option<RawFd>;
}

/// A reactor that could not be started.
#[derive(Debug, Error)]
#[error("starting the thread of a device: {0}: the process may have too many threads (ulimit -u)")]
pub struct ReactorError(#[from] io::Error);

/// The thread. Dropping it stops and joins it, after the step that it is in.
pub struct Reactor {
    stop: Arc<AtomicBool>,
    bell: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Reactor {
    /// Drives `device` on a thread called `name`, beginning with a look at all queues.
    ///
    /// # Errors
    /// [`ReactorError`] when there is no thread.
    pub fn start<D: Driven + 'static>(name: &str, device: Arc<D>) -> Result<Self, ReactorError> {
        let stop = Arc::new(AtomicBool::new(false));
        let bell = Arc::clone(device.bell(0));
        let (stopped, heard) = (Arc::clone(&stop), Arc::clone(&bell));
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            loop {
                // Before the look at `stopped` and before the step, so that what rings during them is not
                // lost. It fails where nobody rang.
                let _ = heard.read();
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                let timeout = match device.step() {
                    Next::Now => continue,
                    Next::Soon => Some(SOON),
                    Next::Idle => None,
                };
                match device.source() {
                    Some(source) => wait_readable(&[heard.as_raw_fd(), source], timeout),
                    None => wait_readable(&[heard.as_raw_fd()], timeout),
                }
            }
        })?;
        Ok(Self { stop, bell, thread: Some(thread) })
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // It fails only where the counter is full, and then it is readable anyway.
        let _ = self.bell.write(1);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported, and there is nobody to pass it on to.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
