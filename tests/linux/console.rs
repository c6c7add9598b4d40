//! The serial console of a guest, as a test types on it and reads it.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use pincow_vmm::guest::Guest;

/// Long enough for anything in an emulated processor that is shared with other tests.
pub(crate) const LONG: Duration = Duration::from_secs(180);

/// What a guest has printed so far.
#[derive(Clone, Default)]
pub(crate) struct Console(Arc<(Mutex<String>, Condvar)>);

impl Write for Console {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.0.lock().expect("no panic").push_str(&String::from_utf8_lossy(data));
        self.0.1.notify_all();
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Console {
    /// Where its output goes.
    pub(crate) fn sink(&self) -> Box<dyn Write + Send> {
        Box::new(self.clone())
    }

    /// All that was printed.
    pub(crate) fn text(&self) -> String {
        self.0.0.lock().expect("no panic").clone()
    }

    /// Waits until `wanted` was printed after byte `from`; returns where it ends.
    pub(crate) fn wait_for(&self, wanted: &str, from: usize) -> usize {
        let deadline = Instant::now() + LONG;
        let mut text = self.0.0.lock().expect("no panic");
        loop {
            if let Some(at) = text[from..].find(wanted) {
                return from + at + wanted.len();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "`{wanted}` did not come:\n{text}");
            text = self.0.1.wait_timeout(text, left).expect("no panic").0;
        }
    }
}

/// Types a line, in pieces that the port has room for.
pub(crate) fn type_line(guest: &Guest, line: &str) {
    let mut left = format!("{line}\n").into_bytes();
    while !left.is_empty() {
        let taken = guest.machine().serial().receive(&left);
        left.drain(..taken);
    }
}
