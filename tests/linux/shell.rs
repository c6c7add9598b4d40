//! The shell on a guest's console.

use pincow_vmm::guest::Guest;

use super::console::{Console, type_line};

/// What a kernel says in its log when something went wrong.
const TROUBLE: &str = "BUG|Call Trace|lockup|I/O error|jumps|stalls on|Oops";

/// What every log has.
const SOUND: &str = "Linux version";

impl Console {
    /// Types `command` into the guest's shell; returns what it printed.
    pub(crate) fn ask(&self, guest: &Guest, command: &str) -> String {
        let from = self.text().len();
        // The shell's echo of the line has quotes in it; what the line prints has none.
        type_line(guest, &format!("echo be''gin; {command}; echo en''d $?"));
        let begin = self.wait_for("begin\r\n", from);
        let end = self.wait_for("end ", begin);
        self.wait_for("\n", end);
        let answer = self.text()[begin..end - "end ".len()].replace('\r', "");
        answer.trim_end().to_owned()
    }

    /// The kernel had no trouble. It is the guest that reads its log: to print all of it takes tens of thousands of
    /// exits to the serial port.
    pub(crate) fn has_a_clean_log(&self, guest: &Guest) {
        let found = self.ask(guest, &format!("dmesg | grep -E '{SOUND}|{TROUBLE}'"));
        let clean = found.lines().count() == 1 && found.contains(SOUND);
        assert!(clean, "{found}\n{}", self.ask(guest, "dmesg"));
    }
}
