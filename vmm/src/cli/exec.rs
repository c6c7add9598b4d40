//! `pincow exec`.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use pincow_guest_agent::client::{Agent, ClientError, Ended};
use pincow_guest_agent::message::{Exec, Reason};

use super::Failure;
use super::agent_args::AgentArgs;
use super::remote::Name;

#[cfg(test)]
mod tests;

/// Run a command in a Linux guest.
///
/// Standard input, output and error are the command's, byte by byte; there is no terminal. Ctrl-C
/// sends the command SIGINT. If this process is killed, the command goes on, as it does in the child
/// of a fork: its connection stays with the parent.
///
/// The guest is named by its ID, as `pincow ps` lists it, or by the Unix socket of its vsock device. It
/// needs a vsock device (`pincow run --vsock`) and pincow-agent, which the images of images/build start.
///
///   pincow exec 4711.1 -- uname -r
///   pincow exec --vsock guest.sock --cwd /var/log -- tar cf - . | tar xf -
///
/// The exit status is the command's own, or 128 and the number of the signal that ended it. It is
/// 127 if there is no such program, 126 if it cannot be run, and 125 if this command itself could not
/// do its work: no guest, no agent, a connection that ended early. (It is 2 if the command line
/// makes no sense.)
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The guest, as `pincow ps` lists it: PID.N, or N where one process runs.
    #[arg(value_name = "ID", required_unless_present = "vsock", conflicts_with = "vsock")]
    id: Option<Name>,

    #[command(flatten)]
    agent: AgentArgs,

    /// A variable for the command's environment. May be given several times.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,

    /// The folder of the guest that the command runs in.
    #[arg(long, value_name = "FOLDER")]
    cwd: Option<String>,

    /// The command: a program, looked for in the agent's PATH, and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    argv: Vec<String>,
}

/// Exit statuses that are not the command's own, as env(1) and others have them.
const FAILED: u8 = 125;
const NOT_RUNNABLE: u8 = 126;
const NO_PROGRAM: u8 = 127;
/// What is added to the number of a signal.
const SIGNAL: u8 = 128;

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

pub(super) fn run(args: Args) -> ExitCode {
    let ended = execute(args);
    if let Err(error) = &ended {
        eprintln!("pincow: {error}");
    }
    ExitCode::from(status(&ended))
}

fn status(ended: &Result<Ended, Failure>) -> u8 {
    match ended {
        Ok(Ended::Exited(code)) => *code,
        Ok(Ended::Killed(signal)) => SIGNAL.saturating_add(*signal),
        Err(Failure::Agent(ClientError::Refused(refusal))) => match refusal.reason {
            Reason::NoProgram => NO_PROGRAM,
            Reason::NotRunnable => NOT_RUNNABLE,
            Reason::Request | Reason::Failed => FAILED,
        },
        Err(_) => FAILED,
    }
}

fn execute(args: Args) -> Result<Ended, Failure> {
    let agent = args.agent.connect(args.id)?;
    let exec = Exec { argv: args.argv, env: args.env, cwd: args.cwd };
    let command = Arc::new(AtomicU32::new(0));
    interrupt(args.agent, args.id, Arc::clone(&command))?;
    let started = |pid| command.store(pid, Ordering::Release);
    Ok(agent.exec(exec, io::stdin(), io::stdout(), io::stderr(), started)?)
}

/// Passes Ctrl-C on to the process that `command` will be, over a connection of its own: that of the
/// command may be full of its input.
fn interrupt(
    args: AgentArgs,
    id: Option<Name>,
    command: Arc<AtomicU32>,
) -> Result<(), ClientError> {
    let heard = ctrlc::set_handler(move || {
        let pid = command.load(Ordering::Acquire);
        if pid == 0 {
            // Without a command, there is nothing to wait for.
            std::process::exit((SIGNAL + libc::SIGINT as u8).into());
        }
        let signal = |agent: Agent| Ok(agent.signal(pid, libc::SIGINT as u32)?);
        let sent = args.connect(id).and_then(signal);
        if let Err(error) = sent {
            eprintln!("pincow: the command was not interrupted: {error}");
        }
    });
    heard.map_err(|error| ClientError::Local {
        what: "listening for Ctrl-C".to_owned(),
        source: io::Error::other(error),
    })
}
