//! `pincow run`.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::disk_args::DiskArgs;
use super::net_args::NetArgs;
use super::output::Output;
use super::vsock_args::VsockArgs;
use super::{Failure, GuestArgs, Outcome, RuleArgs, failure, open_host};
use crate::control::session::FIRST;
use crate::control::{Asking, GuestState, Session};
use crate::devices::serial::SerialSink;
use crate::guest::{Guest, GuestConfig};
use crate::machine::Stopped;
use crate::payload::PAYLOAD;

mod console;
mod control_args;
mod interrupt;
mod linux;
mod terminal;
mod words;

use console::{Console, Next};
use control_args::ControlArgs;
use interrupt::Interrupt;
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
/// this host's KVM could not run it. It is 128 too after `pincow stop --kill`.
///
/// While it runs, `pincow ps` lists it, and `pincow fork`, `snapshot`, `spawn`, `pause`, `resume`,
/// `stats`, `balloon` and `stop` work on it and its descendants, which are in the same process. The process
/// ends with the last of them, or all of them with Ctrl-C; its exit status is that of the first
/// guest. Guests that were forked at the console of the embedded guest end with the first one.
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

    #[command(flatten)]
    control: ControlArgs,

    #[command(flatten)]
    vsock: VsockArgs,

    /// Print how the guest ended as one JSON object; its serial line goes to stderr.
    #[arg(long)]
    json: bool,
}

/// The exit status when a guest asks for a reboot.
const REBOOT: u8 = 129;

/// How often it is looked whether the guest has ended while nothing else happens.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the main thread is told.
enum Event {
    Line(String),
    EndOfInput,
}

/// How the first guest's console was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// The guest has ended.
    Ended,
    /// The user wants an end.
    Interrupted,
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
    let sharing = args.guest.sharing()?;
    let linux = args.linux.read(args.guest.memory.0)?;
    let payload = match &args.payload {
        Some(path) => fs::read(path).map_err(Failure::file(path))?,
        None => PAYLOAD.to_vec(),
    };
    let host = open_host()?;
    warn_of(&args.guest.rules);
    let config = GuestConfig {
        vcpus: args.guest.vcpus,
        serial: serial(args.json),
        disks: args.disks.open()?,
        inflight: args.disks.policy(),
        nets: args.nets.open()?,
        rng: args.nets.rng(),
        vsock: args.vsock.open()?,
        balloon: args.nets.balloon(),
    };
    let memory_bytes = args.guest.memory.0;
    let (guest, asking) = match &linux {
        Some(linux) => {
            (Guest::boot_linux(&host, memory_bytes, sharing, config, linux)?, Asking::Agent)
        }
        None if args.payload.is_some() => {
            (Guest::boot(&host, memory_bytes, sharing, config, &payload)?, Asking::NoWay)
        }
        None => {
            (Guest::boot(&host, memory_bytes, sharing, config, &payload)?, Asking::EmbeddedGuest)
        }
    };
    let session = Arc::new(Session::new(guest, asking));
    let interrupt = Interrupt::listen()?;
    let server = args.control.listen(&session)?;
    let left = match &linux {
        Some(_) => linux::attend(&session, &interrupt)?,
        None => {
            let console = args.payload.is_none().then(|| Console::new(&session, args.json));
            attend(&session, console, &interrupt)?
        }
    };
    let interrupted =
        left == Left::Interrupted || outlive(&session, &interrupt) == Left::Interrupted;
    if interrupted {
        session.end_all();
    }
    drop(server);
    let stopped = match session.state(FIRST)? {
        GuestState::Ended(stopped) => stopped,
        GuestState::Running | GuestState::Paused => Stopped::Killed,
    };
    if args.json {
        let known_findings = args.guest.rules.known_findings();
        let rules = args.guest.rules.set.to_string();
        let json = Json { stopped: stopped.clone(), interrupted, rules, known_findings };
        Output::new().json(&json)?;
    } else if !matches!(stopped, Stopped::Exit { code: 0, .. } | Stopped::PowerOff { .. }) {
        eprintln!("pincow: {stopped}");
    }
    Ok(status(&stopped, interrupted))
}

fn warn_of(rules: &RuleArgs) {
    if !rules.known_findings().is_empty() {
        eprintln!("pincow: the rule set {} is known for {}", rules.set, rules.known_findings());
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

/// Starts to listen to standard input, if it is wanted.
fn listen(input: bool) -> Receiver<Event> {
    let (tell, events) = mpsc::channel();
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
    events
}

/// Starts the first guest, and serves it until it has ended. Guests that were forked at its console end
/// with it.
fn attend(
    session: &Session,
    mut console: Option<Console<'_>>,
    interrupt: &Interrupt,
) -> Result<Left, Failure> {
    let events = listen(console.is_some());
    session.start()?;
    if let Some(console) = &mut console {
        console.begin()?;
    }
    loop {
        if interrupt.came() {
            return Ok(Left::Interrupted);
        }
        session.reap();
        if has_ended(session) {
            if let Some(console) = &console {
                console.end_forks();
            }
            return Ok(Left::Ended);
        }
        let event = match events.recv_timeout(LOOK_EVERY) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(LOOK_EVERY);
                continue;
            }
        };
        let Some(console) = &mut console else { continue };
        match event {
            Event::EndOfInput => console.end(0)?,
            Event::Line(line) => {
                if let Next::End(code) = console.obey(&line)? {
                    console.end(code)?;
                }
            }
        }
    }
}

/// Whether the first guest has ended.
fn has_ended(session: &Session) -> bool {
    session.guest(FIRST).is_none_or(|guest| guest.machine().ended().is_some())
}

/// After the end of the first guest, its descendants live on: until the last one has ended, or the user wants an
/// end.
fn outlive(session: &Session, interrupt: &Interrupt) -> Left {
    let mut said = false;
    while !session.close_if_over() {
        if interrupt.came() {
            return Left::Interrupted;
        }
        if !std::mem::replace(&mut said, true) {
            let pid = std::process::id();
            eprintln!(
                "pincow: guest {pid}.{FIRST} has ended, and others of this process live on (pincow ps); \
                 Ctrl-C ends them"
            );
        }
        thread::sleep(LOOK_EVERY);
    }
    Left::Ended
}
