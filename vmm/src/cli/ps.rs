//! `pincow ps`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::memory_size::{MemorySize, rounded};
use super::output::Output;
use super::remote::{Name, unexpected};
use super::{Failure, Outcome, failure};
use crate::control::place::{self, Found};
use crate::control::{
    Client, ClientError, GuestInfo, GuestMemory, Process, ProcessMemory, Request, Response,
    SnapshotInfo,
};

/// List the guests of all running processes of this user.
///
/// Those are the ones that `pincow run` has in processes with a control socket in the runtime folder of this
/// user: $XDG_RUNTIME_DIR/pincow, or /run/pincow for root where that is not set. A guest's name is PID.N:
/// N is 1 for the guest that the process was started with. Guests that have ended stay in the list while their
/// process lives. UNIQUE is host memory that is this guest's alone, SHARED what other guests and snapshots have a
/// part in, and PINNED what disk transfers in flight hold, of both. Memory that nobody has touched yet takes none.
/// The last line of a process adds up what its guests have to themselves, what is shared, each page once, and the
/// rest; beside it is what the kernel says of the same, and the process' proportional share (PSS).
///
/// Sockets that dead processes have left behind are removed.
#[derive(clap::Args)]
pub(super) struct Args {
    /// List the guests of the process with this control socket.
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// How long a process may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that was found.
#[derive(Default, Serialize)]
struct Json {
    processes: Vec<Running>,
    removed: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Running {
    control: PathBuf,
    pid: u32,
    resident_bytes: u64,
    memory: Option<ProcessMemory>,
    guests: Vec<Named<GuestInfo>>,
    snapshots: Vec<Named<SnapshotInfo>>,
}

#[derive(Serialize)]
struct Named<T> {
    name: String,
    #[serde(flatten)]
    what: T,
}

pub(super) fn run(args: &Args) -> Outcome {
    let mut json = Json::default();
    let mut status = ExitCode::SUCCESS;
    if let Some(path) = &args.control {
        json.processes.push(named(path.clone(), ask(path)?));
        return show(args, &json, status);
    }
    let Found { live, removed } = place::find(&place::folder()?)?;
    json.removed = removed;
    for (_, path) in live {
        match ask(&path) {
            Ok(process) => json.processes.push(named(path, process)),
            // It has ended in the meantime.
            Err(Failure::Client(ClientError::Gone { .. } | ClientError::Connect { .. })) => {}
            Err(failure) => {
                eprintln!("pincow: {failure}");
                status = ExitCode::from(failure::STATUS);
            }
        }
    }
    for path in &json.removed {
        eprintln!("pincow: removed {}, which a dead process had left behind", path.display());
    }
    show(args, &json, status)
}

fn show(args: &Args, json: &Json, status: ExitCode) -> Outcome {
    let mut out = Output::new();
    match args.json {
        true => out.json(json)?,
        false => out.text(|to| write(to, &json.processes))?,
    }
    Ok(status)
}

fn ask(path: &Path) -> Result<Process, Failure> {
    match Client::connect(path, PATIENCE)?.call(&Request::Ps {})? {
        Response::Process(process) => Ok(process),
        other => Err(unexpected(&other)),
    }
}

fn named(control: PathBuf, process: Process) -> Running {
    let Process { pid, resident_bytes, memory, guests, snapshots } = process;
    let name = |number| Name { pid: Some(pid), number }.to_string();
    let guest = |what: GuestInfo| Named { name: name(what.id), what };
    let snapshot = |what: SnapshotInfo| Named { name: name(what.id), what };
    let guests = guests.into_iter().map(guest).collect();
    let snapshots = snapshots.into_iter().map(snapshot).collect();
    Running { control, pid, resident_bytes, memory, guests, snapshots }
}

/// A guest as people read it.
pub(super) struct Columns {
    name: String,
    parent: String,
    pub(super) state: String,
    memory: String,
    pub(super) age: String,
    pub(super) unique: String,
    pub(super) shared: String,
    pub(super) pinned: String,
}

impl Columns {
    pub(super) fn of(guest: &GuestInfo, name: impl Fn(u32) -> Name) -> Self {
        let nothing = || "-".to_owned();
        let bytes =
            |of: fn(GuestMemory) -> u64| guest.memory.map_or_else(nothing, |m| rounded(of(m)));
        let seconds = guest.age_ms / 1000;
        let age = match seconds {
            0..60 => format!("{}.{} s", seconds, guest.age_ms % 1000 / 100),
            60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
            _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        };
        Self {
            name: name(guest.id).to_string(),
            parent: guest.parent.map_or_else(nothing, |parent| name(parent).to_string()),
            state: guest.state.to_string(),
            memory: MemorySize(guest.memory_bytes).to_string(),
            age,
            unique: bytes(|memory| memory.unique_bytes),
            shared: bytes(|memory| memory.shared_bytes),
            pinned: bytes(|memory| memory.pinned_bytes),
        }
    }
}

/// All of a process, as people read it.
fn sum(memory: &ProcessMemory) -> String {
    let &ProcessMemory { unique_bytes, shared_bytes, other_bytes, kernel_bytes, pss_bytes } =
        memory;
    format!(
        "in all: {} unique, {} shared, {} of stacks and heap; the kernel says {}, PSS {}",
        rounded(unique_bytes),
        rounded(shared_bytes),
        rounded(other_bytes),
        rounded(kernel_bytes),
        rounded(pss_bytes)
    )
}

fn write(to: &mut dyn Write, processes: &[Running]) -> io::Result<()> {
    let wide = |name: &str| name.len().max(10);
    writeln!(
        to,
        "{:<12}{:<12}{:>6}{:>8}{:>13}{:>12}{:>12}{:>12}  STATE",
        "ID", "PARENT", "VCPUS", "MEMORY", "AGE", "UNIQUE", "SHARED", "PINNED"
    )?;
    for running in processes {
        let name = |number| Name { pid: Some(running.pid), number };
        for Named { what: guest, .. } in &running.guests {
            let columns = Columns::of(guest, name);
            let Columns { name, parent, state, memory, age, unique, shared, pinned } = &columns;
            let (width, parent_width) = (wide(name) + 2, wide(parent) + 2);
            writeln!(
                to,
                "{name:<width$}{parent:<parent_width$}{:>6}{memory:>8}{age:>13}{unique:>12}{shared:>12}\
                 {pinned:>12}  {state}",
                guest.vcpus
            )?;
        }
        for Named { name: own, what } in &running.snapshots {
            let (of, clones) = (name(what.of), what.clones);
            writeln!(to, "{own:<12}{of:<12}a snapshot, of which {clones} guests were made")?;
        }
        if let Some(memory) = &running.memory {
            writeln!(to, "{:<12}{}", running.pid, sum(memory))?;
        }
    }
    Ok(())
}
