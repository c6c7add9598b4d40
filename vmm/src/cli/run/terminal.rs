//! Standard input as the terminal of a guest: keys go to the guest as they are typed, Ctrl-C too.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use vmm_sys_util::terminal::Terminal;

#[cfg(test)]
mod tests;

/// A copy of standard input. Reading it takes no lock, so that a thread may sleep in it for ever.
pub(super) fn standard_input() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// While it lives, the terminal neither echoes nor waits for whole lines nor makes signals of keys.
pub(super) struct RawTerminal(());

impl RawTerminal {
    /// `None` when standard input is no terminal.
    pub(super) fn enter() -> io::Result<Option<RawTerminal>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        io::stdin().lock().set_raw_mode()?;
        Ok(Some(RawTerminal(())))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no reset.
        let _ = io::stdin().lock().set_canon_mode();
    }
}

/// The key that begins a wish of the user's to the monitor: Ctrl-A.
const PREFIX: u8 = 1;

/// What the user wants of the monitor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// Nothing.
    None,
    /// The end of the guest: Ctrl-A X.
    End,
}

/// Tells keys for the guest from keys for the monitor.
#[derive(Default)]
pub(super) struct Keys {
    prefixed: bool,
}

impl Keys {
    /// Adds what is for the guest to `guest`. Ctrl-A twice is one Ctrl-A for the guest.
    pub(super) fn read(&mut self, typed: &[u8], guest: &mut Vec<u8>) -> Escape {
        for &key in typed {
            match (std::mem::take(&mut self.prefixed), key) {
                (false, PREFIX) => self.prefixed = true,
                (false, key) | (true, key @ PREFIX) => guest.push(key),
                (true, b'x' | b'X') => return Escape::End,
                // No wish that is known: both keys are dropped.
                (true, _) => {}
            }
        }
        Escape::None
    }
}
