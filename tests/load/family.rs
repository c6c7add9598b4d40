//! A guest and its forks, in a session that `pincow stop` can reach.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pincow_tests::Pincow;
use pincow_vmm::boot::linux::layout::GENERATION_ID;
use pincow_vmm::control::session::FIRST;
use pincow_vmm::control::{Asking, ControlError, Made, Request, Server, Session};
use pincow_vmm::guest::{DiskConfig, Guest, GuestConfig, Sharing};
use tempfile::TempDir;

use super::console::Console;
use super::disks;
use super::lab::Lab;
use super::pace::Pace;
use super::side::Side;

/// Of each guest.
const MEMORY_BYTES: u64 = 256 << 20;
const VCPUS: u32 = 2;

/// How long their transfers take at most.
pub(crate) const LONGEST: Duration = Duration::from_millis(100);

/// The words of the kernel's command line that start the workload. The root file system is on the first
/// disk, and mounted as `access` says; the work is on the second.
fn workload(access: &str) -> String {
    let generation = GENERATION_ID / 16;
    format!(r#" root=/dev/vda {access} pincow.run="/etc/pincow/workload /dev/vdb {generation}""#)
}

/// The guests of one session. Those that live end with it.
pub(crate) struct Family {
    session: Arc<Session>,
    _server: Server,
    socket: PathBuf,
    pub(crate) pace: Pace,
    /// What has no name on the disks of its guests is here.
    _folder: TempDir,
}

impl Family {
    /// A guest that works, with disks whose files are not written.
    pub(crate) fn new(lab: &Lab, sharing: Sharing) -> (Self, Side) {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let pace = Pace::new(LONGEST);
        let disks = disks::temporary(lab, folder.path(), &pace);
        Self::with(lab, sharing, folder, (disks, pace), "ro")
    }

    /// The same with other disks, whose root is mounted as `access` says.
    pub(crate) fn with(
        lab: &Lab,
        sharing: Sharing,
        folder: TempDir,
        (disks, pace): (Vec<DiskConfig>, Pace),
        access: &str,
    ) -> (Self, Side) {
        let console = Console::default();
        let serial = console.sink();
        let config = GuestConfig { vcpus: VCPUS, serial, disks, rng: true, ..Default::default() };
        let mut linux = lab.linux("vmlinux", None);
        linux.command_line += &workload(access);
        let guest = Guest::boot_linux(&lab.host, MEMORY_BYTES, sharing, config, &linux);
        let guest = guest.unwrap_or_else(|error| panic!("{error}"));
        let session = Arc::new(Session::new(guest, Asking::NoWay));
        let socket = folder.path().join("socket");
        let server = Server::start(Arc::clone(&session), &socket).expect("a socket");
        session.start().unwrap_or_else(|error| panic!("{error}"));
        let root = Side::new(FIRST, session.guest(FIRST).expect("it lives"), console);
        root.console.wait_for("workload: begun", 0);
        (Self { session, _server: server, socket, pace, _folder: folder }, root)
    }

    /// A child of `parent`. Both go on at once.
    pub(crate) fn fork(&self, parent: &Side) -> Result<(Side, Made), ControlError> {
        // The memory of those that have switched themselves off is for those that live.
        self.session.reap();
        let console = Console::default();
        let made = self.session.fork(parent.id, || Ok(console.sink().into()))?;
        let child = self.session.guest(made.id).expect("it lives");
        println!("{} is forked from {}: {made:?}", made.id, parent.id);
        Ok((Side::new(made.id, child, console), made))
    }

    /// Keeps what the guest is now.
    pub(crate) fn snapshot(&self, side: &Side) -> Result<(), ControlError> {
        let made = self.session.execute(Request::Snapshot { id: side.id })?;
        println!("a snapshot of {}: {made:?}", side.id);
        Ok(())
    }

    /// `pincow stop --kill`. Returns how many transfers of the guest's disks were in flight.
    pub(crate) fn kill(&self, side: Side) -> u64 {
        let id = side.id.to_string();
        drop(side);
        let socket = self.socket.display().to_string();
        let ran = Pincow::new(&["stop", "--kill", "--json", "--control", &socket, &id]).run();
        let killed = ran.json_lines().remove(0);
        assert_eq!(killed["how"], "killed", "{killed}");
        println!("{id} is killed: {killed}");
        killed["transfers_in_flight"].as_u64().expect("a number")
    }
}
