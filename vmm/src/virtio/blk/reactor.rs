//! The thread that drives a disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use thiserror::Error;
use vm_memory::GuestMemory;

use super::device::Blk;
use super::ports::{DiskPort, Pinner};
use super::worker::Next;
use crate::io::{Engine, wait_readable};

/// How long what was busy is left alone.
const SOON: Duration = Duration::from_millis(1);

/// A reactor that could not be started.
#[derive(Debug, Error)]
#[error("starting the thread of a disk: {0}: the process may have too many threads (ulimit -u)")]
pub struct ReactorError(#[from] io::Error);

/// The thread. Dropping it stops and joins it, after the step that it is in.
pub struct Reactor {
    stop: Arc<AtomicBool>,
    ring: Box<dyn Fn() + Send>,
    thread: Option<JoinHandle<()>>,
}

impl Reactor {
    /// Drives `disk`, beginning with a look at all queues.
    ///
    /// # Errors
    /// [`ReactorError`] when there is no thread.
    pub fn start<M, P, D, E>(disk: Arc<Blk<M, P, D, E>>) -> Result<Self, ReactorError>
    where
        M: GuestMemory + Send + 'static,
        P: Pinner + 'static,
        D: DiskPort + 'static,
        E: Engine + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let (driven, stopped) = (disk.clone(), stop.clone());
        let thread = thread::Builder::new().name("disk".into()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                // Before the step, so that a doorbell that rings during it is not lost.
                driven.hear();
                let next = driven.park().step();
                let timeout = match next {
                    Next::Now => continue,
                    Next::Soon => Some(SOON),
                    Next::Idle => None,
                };
                wait_readable(&driven.wakers(), timeout);
            }
        })?;
        Ok(Self { stop, ring: Box::new(move || disk.ring()), thread: Some(thread) })
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        (self.ring)();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported, and there is nobody to pass it on to.
            let _ = thread.join();
        }
    }
}
