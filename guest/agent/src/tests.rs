//! Agent and host over a pair of sockets.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use crate::client::{Agent, ClientError, Ended};
use crate::message::{Exec, Reason, Refusal};

mod copies;
mod dials;
mod execs;
mod hostile;
mod tells;

/// An agent that serves one connection.
fn agent() -> (Agent, JoinHandle<()>) {
    let (near, serving) = raw();
    (Agent::new(near.into()), serving)
}

/// The same, for who speaks in bytes.
fn raw() -> (UnixStream, JoinHandle<()>) {
    let (near, far) = UnixStream::pair().unwrap();
    (near, thread::spawn(move || crate::serve(far.into())))
}

/// A command of the shell.
pub(crate) fn sh(script: &str) -> Exec {
    command(&["sh", "-c", script])
}

fn command(argv: &[&str]) -> Exec {
    Exec { argv: argv.iter().map(|&word| word.to_owned()).collect(), ..Exec::default() }
}

/// Runs a command: how it ended, and what it wrote.
pub(crate) fn run(exec: Exec, input: &[u8]) -> Result<(Ended, Vec<u8>, Vec<u8>), ClientError> {
    let (agent, serving) = agent();
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let input = std::io::Cursor::new(input.to_owned());
    let ended = agent.exec(exec, input, &mut output, &mut errors, drop);
    serving.join().unwrap();
    ended.map(|ended| (ended, output, errors))
}

fn refusal<T>(result: Result<T, ClientError>) -> Refusal {
    match result {
        Err(ClientError::Refused(refusal)) => refusal,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

/// Bytes that are told by their place.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// Everything that still comes.
fn rest(mut stream: UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A connection that is closed before all was read says so by an error.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

fn write(mut stream: &UnixStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
}

fn reason<T>(result: Result<T, ClientError>) -> Reason {
    refusal(result).reason
}
