//! What commands inherit of how signals are taken.

#![expect(unsafe_code, reason = "how a signal is taken is set by a call of the C library")]

use libc::{SIG_DFL, SIGHUP, SIGINT, SIGQUIT, signal};

#[cfg(test)]
mod tests;

/// Takes the signals of a terminal as a program does by default. A shell starts what runs in its
/// background with some of them ignored, and so would be every command of an agent that it starts.
pub fn default_signals() {
    for number in [SIGHUP, SIGINT, SIGQUIT] {
        // SAFETY: the default is no function, so nothing runs when a signal comes; the numbers are
        // signals that have one, so the call cannot fail.
        unsafe { signal(number, SIG_DFL) };
    }
}
