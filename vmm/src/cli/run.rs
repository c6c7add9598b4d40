//! `pincow run`.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use serde::Serialize;

use super::disk_args::DiskArgs;
use super::net_args::NetArgs;
use super::output::Output;
use super::{Failure, GuestArgs, Outcome, failure};
use crate::devices::serial::SerialSink;
use crate::guest::{Guest, GuestConfig};
use crate::machine::Stopped;
use crate::payload::PAYLOAD;

mod console;
mod linux;
mod terminal;
mod words;

use console::{Console, Next};
use linux::LinuxArgs;

/// Boot a guest, with its serial line on the terminal.
///
/// Without PAYLOAD the embedded guest is booted, and takes commands from standard input: type
/// `help`. It ends at the end of the input. A payload is a static 64-bit ELF file that follows
/// guest/README.md; it is on its own until it ends or Ctrl-C ends it.
///
/// With --kernel an unmodified Linux is booted instead, and standard input is its serial console. On
/// a terminal, Ctrl-A X ends it. This needs a host whose KVM runs guests with EPT or NPT:
/// `pincow doctor` says whether this one does.
///
///   pincow run --kernel vmlinuz --initrd initrd.img --memory 512M --vcpus 2
///
/// The exit status is the guest's own (255 for larger ones), 128 if it crashed, 130 after Ctrl-C,
/// and 2 if it could not be started. That of a Linux guest is 0 if it switched itself off, 129 if it
/// asked for a reboot, 128 if it crashed or said by pvpanic that its kernel has panicked, and 2 if
/// this host's KVM could not run it.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// An ELF payload to boot instead of the embedded guest.
    #[arg(conflicts_with = "kernel")]
    payload: Option<PathBuf>,

    #[command(flatten)]
    linux: LinuxArgs,

    #[command(flatten)]
    guest: GuestArgs,

    #[command(flatten)]
    disks: DiskArgs,

    #[command(flatten)]
    nets: NetArgs,

    /// Print how the guest ended as one JSON object; its serial line goes to stderr.
    #[arg(long)]
    json: bool,
}

/// The exit status when a guest asks for a reboot.
const REBOOT: u8 = 129;

/// What the main thread is told.
enum Event {
    Line(String),
    EndOfInput,
    Interrupted,
    Ended,
}

/// How the guest ended, as a machine reads it.
#[derive(Serialize)]
struct Json {
    #[serde(flatten)]
    stopped: Stopped,
    interrupted: bool,
    rules: String,
    known_findings: &'static str,
}

pub(super) fn run(args: Args) -> Outcome {
    let rules = args.guest.rules()?;
    let linux = args.linux.read(args.guest.memory.0)?;
    let payload = match &args.payload {
        Some(path) => fs::read(path).map_err(Failure::file(path))?,
        None => PAYLOAD.to_vec(),
    };
    let host = args.guest.host()?;
    warn_of(&args.guest);
    let config = GuestConfig {
        vcpus: args.guest.vcpus,
        serial: serial(args.json),
        disks: args.disks.open()?,
        inflight: args.disks.policy(),
        nets: args.nets.open()?,
        rng: args.nets.rng(),
    };
    let memory_bytes = args.guest.memory.0;
    let (guest, interrupted) = match &linux {
        Some(linux) => {
            let guest = Guest::boot_linux(&host, memory_bytes, rules, config, linux)?;
            let interrupted = linux::attend(&guest)?;
            (guest, interrupted)
        }
        None => {
            let guest = Guest::boot(&host, memory_bytes, rules, config, &payload)?;
            let console = args.payload.is_none().then(|| Console::new(&guest, args.json));
            let events = listen(console.is_some())?;
            guest.machine().start()?;
            let interrupted = attend(&guest, console, &events)?;
            (guest, interrupted)
        }
    };
    let stopped = guest.machine().stop();
    if args.json {
        let known_findings = args.guest.known_findings();
        let rules = args.guest.rules.to_string();
        let json = Json { stopped: stopped.clone(), interrupted, rules, known_findings };
        Output::new().json(&json)?;
    } else if !matches!(stopped, Stopped::Exit { code: 0, .. } | Stopped::PowerOff { .. }) {
        eprintln!("pincow: {stopped}");
    }
    Ok(status(&stopped, interrupted))
}

fn warn_of(args: &GuestArgs) {
    if !args.known_findings().is_empty() {
        eprintln!("pincow: the rule set {} is known for {}", args.rules, args.known_findings());
    }
}

fn serial(json: bool) -> SerialSink {
    if json { Box::new(io::stderr()) } else { Box::new(io::stdout()) }
}

fn status(stopped: &Stopped, interrupted: bool) -> ExitCode {
    ExitCode::from(match stopped {
        Stopped::Exit { code, .. } => u8::try_from(*code).unwrap_or(u8::MAX),
        Stopped::PowerOff { .. } => 0,
        Stopped::Reset { .. } => REBOOT,
        // KVM could not run a kernel, which is no crash of the kernel's.
        Stopped::InternalError { ring, .. } if *ring != Some(3) => failure::STATUS,
        _ if interrupted => 130,
        _ => 128,
    })
}

/// Starts to listen for Ctrl-C and, for a console, to standard input.
fn listen(input: bool) -> Result<Receiver<Event>, Failure> {
    let (tell, events) = mpsc::channel();
    let interrupt = tell.clone();
    let heard = ctrlc::set_handler(move || {
        let _ = interrupt.send(Event::Interrupted);
    });
    heard.map_err(|error| Failure::Other(format!("listening for Ctrl-C: {error}")))?;
    if input {
        // The thread may sleep in a read for ever; it ends with the process.
        thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                if tell.send(Event::Line(line)).is_err() {
                    return;
                }
            }
            let _ = tell.send(Event::EndOfInput);
        });
    }
    Ok(events)
}

/// Serves the guest until it has ended; `true` when it was interrupted.
fn attend(
    guest: &Guest,
    mut console: Option<Console<'_>>,
    events: &Receiver<Event>,
) -> Result<bool, Failure> {
    if let Some(console) = &mut console {
        console.begin()?;
    }
    loop {
        match next(guest, events) {
            Event::Ended => return Ok(false),
            Event::Interrupted => return Ok(true),
            Event::EndOfInput => match &mut console {
                Some(console) => console.end(0)?,
                None => continue,
            },
            Event::Line(line) => {
                let Some(console) = &mut console else { continue };
                if let Next::End(code) = console.obey(&line)? {
                    console.end(code)?;
                }
            }
        }
    }
}

/// How often it is looked whether the guest has ended while nothing else happens.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(20);

fn next(guest: &Guest, events: &Receiver<Event>) -> Event {
    loop {
        if guest.machine().ended().is_some() {
            return Event::Ended;
        }
        if let Ok(event) = events.recv_timeout(LOOK_EVERY) {
            return event;
        }
    }
}
