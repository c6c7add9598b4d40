//! An agent that was started in a background.

use libc::SIG_IGN;

use super::*;
use crate::client::Ended;
use crate::tests::{run, sh};

#[test]
fn commands_take_the_signals_of_a_terminal_by_default() {
    for (name, number) in [("HUP", SIGHUP), ("INT", SIGINT), ("QUIT", SIGQUIT)] {
        // SAFETY: to ignore is no function, so nothing runs when a signal comes.
        unsafe { signal(number, SIG_IGN) };
        let script = format!("kill -{name} $$; exit 5");
        assert_eq!(run(sh(&script), b"").unwrap().0, Ended::Exited(5), "{name} is inherited");
        default_signals();
        assert_eq!(run(sh(&script), b"").unwrap().0, Ended::Killed(number as u8), "{name}");
    }
}
