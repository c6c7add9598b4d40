//! A Linux guest with its serial console on standard input and output.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;

use super::interrupt::Interrupt;
use super::terminal::{Escape, Keys, RawTerminal, standard_input};
use super::{Failure, LOOK_EVERY, Left};
use crate::boot::linux::{Linux, Protocol};
use crate::control::Session;
use crate::control::session::FIRST;

/// A command line with which a kernel shows itself, and ends the guest when it cannot go on.
const COMMAND_LINE: &str = "console=ttyS0 panic=-1";

/// The options of a Linux guest.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct LinuxArgs {
    /// Boot this Linux kernel: a bzImage (/boot/vmlinuz-*) or an uncompressed ELF vmlinux.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,

    /// The kernel's initrd, such as a cpio archive.
    #[arg(long, value_name = "FILE", requires = "kernel")]
    initrd: Option<PathBuf>,

    /// The kernel's command line.
    #[arg(long, value_name = "TEXT", requires = "kernel", default_value = COMMAND_LINE)]
    cmdline: String,

    /// How the kernel is entered. `auto` is PVH for a vmlinux that offers it, and the 64-bit
    /// protocol for all others.
    #[arg(long, value_enum, value_name = "NAME", requires = "kernel", default_value = "auto")]
    boot_protocol: BootProtocol,
}

/// [`Protocol`], as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum BootProtocol {
    /// What the file offers.
    Auto,
    /// Xen's protocol for hardware virtual machines: an ELF vmlinux with CONFIG_PVH.
    Pvh,
    /// Linux' 64-bit boot protocol.
    Linux64,
}

impl LinuxArgs {
    /// Reads the files, if a kernel is named. None can be larger than the guest's memory.
    pub(super) fn read(&self, memory_bytes: u64) -> Result<Option<Linux>, Failure> {
        let read = |path: &PathBuf| read_at_most(path, memory_bytes);
        let Some(kernel) = &self.kernel else { return Ok(None) };
        Ok(Some(Linux {
            kernel: read(kernel)?,
            initrd: self.initrd.as_ref().map(read).transpose()?,
            command_line: self.cmdline.clone(),
            protocol: match self.boot_protocol {
                BootProtocol::Auto => None,
                BootProtocol::Pvh => Some(Protocol::Pvh),
                BootProtocol::Linux64 => Some(Protocol::Linux64),
            },
        }))
    }
}

/// A file of at most `most` bytes. A device may have no end.
fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Failure::file(path))?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(Failure::file(path))?;
    if bytes.len() as u64 > most {
        let path = path.display();
        return Err(Failure::Other(format!(
            "{path}: it is larger than the guest's memory ({most:#x} bytes): give the guest more \
             (--memory)"
        )));
    }
    Ok(bytes)
}

/// Input that is read at once.
const CHUNK: usize = 1024;

fn no_input(error: io::Error) -> Failure {
    Failure::Other(format!("preparing standard input for the guest: {error}"))
}

/// Passes on what comes in, until it ends. A guest goes on without input.
fn listen(mut input: File, tell: &SyncSender<Vec<u8>>) {
    let mut chunk = [0; CHUNK];
    while let Ok(len @ 1..) = input.read(&mut chunk) {
        if tell.send(chunk[..len].to_vec()).is_err() {
            return;
        }
    }
}

/// Starts the first guest and serves its console until it has ended.
pub(super) fn attend(session: &Session, interrupt: &Interrupt) -> Result<Left, Failure> {
    // One chunk may wait, so that a long input waits where it comes from.
    let (tell, input) = mpsc::sync_channel(1);
    // The thread may sleep in a read for ever; it ends with the process.
    let from = standard_input().map_err(no_input)?;
    thread::spawn(move || listen(from, &tell));
    let terminal = RawTerminal::enter().map_err(no_input)?;
    let mut keys = terminal.is_some().then(Keys::default);
    session.start()?;
    let mut typed = Vec::new();
    loop {
        if interrupt.came() {
            return Ok(Left::Interrupted);
        }
        session.reap();
        match session.guest(FIRST) {
            Some(guest) if guest.machine().ended().is_none() => {
                let taken = guest.machine().serial().receive(&typed);
                typed.drain(..taken);
            }
            _ => return Ok(Left::Ended),
        }
        if !typed.is_empty() {
            thread::sleep(LOOK_EVERY);
            continue;
        }
        match input.recv_timeout(LOOK_EVERY) {
            Ok(bytes) => match &mut keys {
                None => typed = bytes,
                Some(keys) => match keys.read(&bytes, &mut typed) {
                    Escape::End => return Ok(Left::Interrupted),
                    Escape::None => {}
                },
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(LOOK_EVERY),
        }
    }
}
