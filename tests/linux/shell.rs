//! The shell on a guest's console.

use pincow_vmm::guest::Guest;

use super::console::{Console, type_line};

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
}
