//! Commands.

use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use socket2::SockRef;

use super::Host;
use crate::frame::{CHUNK, Kind};
use crate::message::{Exec, Reason, Refusal, Reply};

/// As much as a pipe can hold of what a command has written before it ended (pipe(7),
/// `/proc/sys/fs/pipe-max-size` as it is by default).
const PIPE_MOST: usize = 1 << 20;

/// Runs a command until it has ended.
pub(super) fn run(host: &Host, exec: &Exec) -> Result<Reply, Refusal> {
    let mut child = spawn(exec)?;
    host.reply(&Reply::Started { pid: child.id() });
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // Readable by its end, when the command has ended.
    let (ended, end) = io::pipe().map_err(|error| Refusal::failed(format!("a pipe: {error}")))?;
    let status = thread::scope(|scope| {
        scope.spawn(|| feed(host, stdin, &ended));
        let status = thread::scope(|scope| {
            scope.spawn(|| pump(host, Kind::Stdout, stdout.map(OwnedFd::from), &ended));
            scope.spawn(|| pump(host, Kind::Stderr, stderr.map(OwnedFd::from), &ended));
            let status = child.wait();
            drop(end);
            status
        });
        // Nothing of the host is wanted any more: this ends the thread that waits for it.
        let _ = SockRef::from(&host.stream).shutdown(Shutdown::Read);
        status
    });
    status.map(told).map_err(|error| Refusal::failed(format!("waiting for the command: {error}")))
}

fn told(status: ExitStatus) -> Reply {
    match (status.code(), status.signal()) {
        (Some(code), _) => Reply::Exited { code: code as u8 },
        (None, signal) => Reply::Killed { signal: signal.unwrap_or_default() as u8 },
    }
}

fn spawn(exec: &Exec) -> Result<Child, Refusal> {
    let Some((program, arguments)) = exec.argv.split_first() else {
        return Err(Refusal::new(Reason::Request, "a command without a program"));
    };
    let mut command = Command::new(program);
    command.args(arguments).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, value) in &exec.env {
        // What setenv(3) does not take would be a panic or another variable.
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(Refusal::new(Reason::Request, format!("{name:?} cannot be a variable")));
        }
        command.env(name, value);
    }
    if let Some(folder) = &exec.cwd {
        // An error of spawn does not say what is missing.
        if !Path::new(folder).is_dir() {
            return Err(Refusal::failed(format!("{folder}: there is no such folder in the guest")));
        }
        command.current_dir(folder);
    }
    command.spawn().map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => Reason::NoProgram,
            io::ErrorKind::PermissionDenied => Reason::NotRunnable,
            _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
                Reason::NotRunnable
            }
            _ => Reason::Failed,
        };
        Refusal::new(reason, format!("{program}: {error}"))
    })
}

/// Passes on what the host sends for standard input, until one of the two ends. A command that does
/// not want it does not hold up what comes after it.
fn feed(host: &Host, stdin: Option<ChildStdin>, ended: &PipeReader) {
    let mut stdin = stdin.filter(|stdin| rustix::io::ioctl_fionbio(stdin, true).is_ok());
    let mut bytes = Vec::new();
    while let Ok(Kind::Data) = host.read(&mut bytes) {
        if bytes.is_empty() || stdin.as_mut().is_some_and(|to| !fill(to, &bytes, ended)) {
            stdin = None;
        }
    }
}

/// Writes all of `bytes`, unless nobody reads them or the command has ended: a descendant may hold the
/// pipe for ever.
fn fill(stdin: &mut ChildStdin, mut bytes: &[u8], ended: &PipeReader) -> bool {
    while !bytes.is_empty() {
        if wait(stdin.as_fd(), PollFlags::OUT, ended) {
            return false;
        }
        match stdin.write(bytes) {
            Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => {}
                _ => return false,
            },
        }
    }
    true
}

/// Waits until `pipe` is ready, or the command has ended: whether it has.
fn wait(pipe: BorrowedFd<'_>, ready: PollFlags, ended: &PipeReader) -> bool {
    let end = PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN);
    let mut fds = [PollFd::from_borrowed_fd(pipe, ready), end];
    // Interrupted at worst, and then nothing is ready.
    let _ = poll(&mut fds, None);
    !fds[1].revents().is_empty()
}

/// Passes on what comes out of `pipe`, until its end, or until there is nothing more when the command
/// `ended`: a descendant may hold the pipe for ever.
fn pump(host: &Host, kind: Kind, pipe: Option<OwnedFd>, ended: &PipeReader) {
    let Some(pipe) = pipe.map(File::from) else { return };
    if rustix::io::ioctl_fionbio(&pipe, true).is_err() {
        return;
    }
    let mut bytes = vec![0; CHUNK];
    let mut left = PIPE_MOST;
    loop {
        let has_ended = wait(pipe.as_fd(), PollFlags::IN, ended);
        match (&pipe).read(&mut bytes) {
            Ok(0) => return,
            Ok(len) => {
                host.write(kind, bytes.get(..len).unwrap_or_default());
                if has_ended {
                    left = left.saturating_sub(len);
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock if !has_ended => {}
                _ => return,
            },
        }
        if left == 0 {
            return;
        }
    }
}

/// Sends a signal to a command's process group.
pub(super) fn signal(pid: u32, signal: u32) -> Result<Reply, Refusal> {
    let refused =
        || Refusal::new(Reason::Request, format!("signal {signal} to {pid}: no such thing"));
    let group = i32::try_from(pid).ok().filter(|&pid| pid > 1).and_then(Pid::from_raw);
    let number = i32::try_from(signal).ok().and_then(Signal::from_named_raw);
    let (Some(group), Some(number)) = (group, number) else { return Err(refused()) };
    kill_process_group(group, number)
        .map(|()| Reply::Sent)
        .map_err(|error| Refusal::failed(format!("signal {signal} to {pid}: {error}")))
}
