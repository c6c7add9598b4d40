//! Ctrl-C, and signals that ask for an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Failure;

/// Tells whether an end is wanted.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to listen, once per process.
    pub(super) fn listen() -> Result<Self, Failure> {
        let came = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&came);
        ctrlc::set_handler(move || heard.store(true, Ordering::Relaxed))
            .map_err(|error| Failure::Other(format!("listening for Ctrl-C: {error}")))?;
        Ok(Self(came))
    }

    /// Whether one came.
    pub(super) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
