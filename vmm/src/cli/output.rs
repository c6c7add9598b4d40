//! Data on stdout.

use std::io::{self, ErrorKind, Stdout, Write};

use serde::Serialize;

use super::Failure;

/// Stdout, for a command's results.
pub(super) struct Output(Stdout);

impl Output {
    /// Stdout.
    pub(super) fn new() -> Self {
        Self(io::stdout())
    }

    /// Prints one JSON value on a line of its own.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.text(|to| {
            serde_json::to_writer(&mut *to, value)?;
            writeln!(to)
        })
    }

    /// Prints whatever `write` writes. A reader that went away has read enough.
    pub(super) fn text(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        let written =
            write(&mut bytes).and_then(|()| self.0.write_all(&bytes)).and_then(|()| self.0.flush());
        match written {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::Other(format!("writing to stdout: {error}")))
            }
            _ => Ok(()),
        }
    }
}
