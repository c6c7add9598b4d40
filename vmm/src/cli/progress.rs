//! Progress on stderr, for work that takes more than a second.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Nothing is said before this.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a terminal sees a new line, and a log.
const ON_TERMINAL: Duration = Duration::from_millis(100);
const IN_LOG: Duration = Duration::from_secs(5);

/// Says how far the work is: on a terminal in one line that changes, in a log now and then.
pub(super) struct Progress {
    begun: Instant,
    said: Option<Instant>,
    terminal: bool,
}

impl Progress {
    /// The work begins now.
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), said: None, terminal: std::io::stderr().is_terminal() }
    }

    /// How far the work is; `what` is called only when something is to be said.
    pub(super) fn at(&mut self, what: impl FnOnce() -> String) {
        let every = if self.terminal { ON_TERMINAL } else { IN_LOG };
        let due = self.said.map_or(self.begun + PATIENCE, |said| said + every);
        if Instant::now() < due {
            return;
        }
        self.said = Some(Instant::now());
        let (before, after) = if self.terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        eprint!("{before}pincow: {}{after}", what());
        let _ = std::io::stderr().flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal && self.said.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
