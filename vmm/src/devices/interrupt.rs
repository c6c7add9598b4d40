//! How a device interrupts its guest.

use std::io;
use std::sync::Arc;

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// The line on which a device interrupts its guest.
pub trait Interrupt: Send + Sync {
    /// Interrupts. The interrupt status says why already. Must not block.
    ///
    /// # Errors
    /// When the interrupt did not get through. The guest sees it when it polls the status.
    fn raise(&self) -> io::Result<()>;
}

/// For guests that poll.
impl Interrupt for () {
    fn raise(&self) -> io::Result<()> {
        Ok(())
    }
}

/// An edge-triggered line: an event counter that somebody else turns into an interrupt. What is
/// raised before it is connected comes when it is.
#[derive(Debug, Clone)]
pub struct Line(Arc<EventFd>);

impl Line {
    /// A line that is connected to nothing yet.
    ///
    /// # Errors
    /// When the process has no room for another descriptor.
    pub fn new() -> io::Result<Line> {
        Ok(Line(Arc::new(EventFd::new(EFD_NONBLOCK)?)))
    }

    /// Its event counter, to connect it.
    #[must_use]
    pub fn event(&self) -> &EventFd {
        &self.0
    }
}

/// A line, for guests that do not poll.
impl Interrupt for Option<Line> {
    fn raise(&self) -> io::Result<()> {
        self.as_ref().map_or(Ok(()), Interrupt::raise)
    }
}

impl Interrupt for Line {
    fn raise(&self) -> io::Result<()> {
        self.0.write(1)
    }
}
