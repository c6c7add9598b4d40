//! A vCPU's mailbox: commands come in, replies go out. Each access is an exit, so there are few.

use pincow_guest_protocol::command::NO_COMMAND;
use pincow_guest_protocol::devices::{REPORT_READY, VALUES};
use pincow_guest_protocol::{Command, Register, Status};

use crate::mmio::{read_mailbox, write_mailbox};

/// The mailbox of one vCPU.
pub(crate) struct Mailbox {
    vcpu: usize,
}

/// What a command replies.
pub(crate) enum Answer {
    /// One value; it takes one exit.
    Value(u64),
    /// Several values.
    Values([u64; VALUES]),
    /// It could not be done.
    Failed(Status),
}

impl Mailbox {
    /// The mailbox of vCPU `vcpu`.
    pub(crate) fn new(vcpu: usize) -> Self {
        Self { vcpu }
    }

    /// Tells the monitor that this vCPU has started.
    pub(crate) fn report_ready(&self) {
        write_mailbox(self.vcpu, Register::Report, REPORT_READY);
    }

    /// Waits for the next command; `None` if it is one that this payload does not know.
    pub(crate) fn next(&self) -> Option<Command> {
        let code = loop {
            let code = read_mailbox(self.vcpu, Register::Command);
            if code != NO_COMMAND {
                break code;
            }
        };
        Command::decode(code, |n| read_mailbox(self.vcpu, Register::Arg(n)))
    }

    /// Posts the reply.
    pub(crate) fn reply(&self, answer: Answer) {
        match answer {
            Answer::Value(value) => write_mailbox(self.vcpu, Register::DoneValue, value),
            Answer::Values(values) => {
                for (n, value) in values.into_iter().enumerate() {
                    write_mailbox(self.vcpu, Register::Reply(n), value);
                }
                write_mailbox(self.vcpu, Register::Done, Status::Ok as u64);
            }
            Answer::Failed(status) => write_mailbox(self.vcpu, Register::Done, status as u64),
        }
    }
}

/// Ends the guest.
pub(crate) fn exit(code: u64) -> ! {
    loop {
        write_mailbox(0, Register::Exit, code);
    }
}
