//! A kernel boots from each kind of file, and its ends are told apart.

use std::path::{Path, PathBuf};

use pincow_mmu::rules::{RuleSet, Rules};
use pincow_vmm::boot::linux::{Linux, Protocol};
use pincow_vmm::disk::{Disk, DiskOptions};
use pincow_vmm::guest::{DiskConfig, Guest, GuestConfig, NetConfig, PinMode, VsockConfig, uring};
use pincow_vmm::machine::Stopped;
use pincow_vmm::virtio::blk::BlkOptions;
use pincow_vmm::virtio::vsock::HostSocket;
use tempfile::TempDir;

use super::agent::exec;
use super::console::{Console, LONG, type_line};
use super::net::{GUEST, HOST, Network};
use crate::Lab;

const MEMORY_BYTES: u64 = 256 << 20;
/// Its number; others have those from 0 on.
const NETWORK: usize = 9;

impl Lab {
    /// A guest whose shell waits for a line.
    pub(crate) fn boot(
        &self,
        linux: &Linux,
        vcpus: u32,
        disks: Vec<DiskConfig>,
    ) -> (Guest, Console) {
        self.boot_as(linux, GuestConfig { vcpus, disks, ..Default::default() })
    }

    /// The same, of any kind.
    pub(crate) fn boot_as(&self, linux: &Linux, config: GuestConfig) -> (Guest, Console) {
        let console = Console::default();
        let config = GuestConfig { serial: console.sink(), ..config };
        let rules = Rules::from(RuleSet::default());
        let guest = Guest::boot_linux(&self.host, MEMORY_BYTES, rules, config, linux);
        let guest = guest.unwrap_or_else(|error| panic!("{error}"));
        guest.machine().start().expect("it starts");
        let up = console.wait_for("guest is up: ", 0);
        console.wait_for("# ", up);
        (guest, console)
    }
}

fn ends(guest: &Guest, console: &Console, command: &str) -> Stopped {
    type_line(guest, command);
    let ended = guest.machine().wait_timeout(LONG);
    ended.unwrap_or_else(|| panic!("`{command}` did not end the guest:\n{}", console.text()))
}

/// A guest with a root file system on a disk, and all that it needs to be of use.
struct Whole {
    guest: Guest,
    console: Console,
    network: Network,
    socket: PathBuf,
    _folder: TempDir,
}

impl Whole {
    fn boot(lab: &Lab, mut linux: Linux, vcpus: u32, root: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("v");
        let (network, link) = Network::new(NETWORK);
        let options = DiskOptions { direct: true, ..DiskOptions::default() };
        let disk = Disk::open_raw(root, true, options).unwrap_or_else(|error| panic!("{error}"));
        let options = BlkOptions::default();
        let disk =
            DiskConfig { disk, direct: true, options, engine: uring(), pins: PinMode::Rules };
        let bound = Some(HostSocket::bind(&socket).expect("a socket"));
        let vsock = Some(VsockConfig { cid: 3.try_into().expect("a CID"), socket: bound });
        let nets =
            vec![NetConfig { link: Some(link), mac: "02:00:00:00:00:09".parse().expect("one") }];
        linux.command_line += &format!(" root=/dev/vda ro ip={GUEST}::{HOST}:255.255.255.0::eth0");
        let config = GuestConfig { vcpus, disks: vec![disk], nets, vsock, ..Default::default() };
        let (guest, console) = lab.boot_as(&linux, config);
        Self { guest, console, network, socket, _folder: folder }
    }

    fn ask(&self, command: &str) -> String {
        self.console.ask(&self.guest, command)
    }

    fn is_whole(&self, vcpus: u32) {
        assert_eq!(self.ask("nproc"), vcpus.to_string());
        let cores = format!("grep -c 'cpu cores.*: *{vcpus}$' /proc/cpuinfo");
        assert_eq!(self.ask(&cores), vcpus.to_string());
        assert_eq!(
            self.ask("awk '$2 == \"/\" { t = $1 \" \" $3 } END { print t }' /proc/mounts"),
            "/dev/vda ext4"
        );
        self.network.ping(GUEST).unwrap_or_else(|said| panic!("{said}\n{}", self.console.text()));
        let ran = exec(&self.socket, "read line; echo $line from $(uname -s); exit 42", "hi\n");
        assert_eq!(
            (ran.status, ran.stdout.as_str()),
            (Some(42), "hi from Linux\n"),
            "{}",
            ran.stderr
        );
        self.console.has_a_clean_log(&self.guest);
    }
}

#[test]
fn a_kernel_boots_to_a_shell_from_each_kind_of_file() {
    let Some(lab) = Lab::new() else { return };
    let root = lab.images.join("rootfs.ext4");
    if !root.exists() || !Network::possible() {
        eprintln!("skipped: no {} (images/build rootfs), or no network", root.display());
        return;
    }
    let kinds =
        [("bzImage", None), ("vmlinux", Some(Protocol::Linux64)), ("vmlinux", Some(Protocol::Pvh))];
    for (kernel, protocol) in kinds {
        for vcpus in [1, 4] {
            let whole = Whole::boot(&lab, lab.linux(kernel, protocol), vcpus, &root);
            whole.is_whole(vcpus);
            let ended = ends(&whole.guest, &whole.console, "poweroff -f");
            assert!(matches!(ended, Stopped::PowerOff { .. }), "{ended}");
            println!("{kernel} {protocol:?} with {vcpus} vCPUs: booted, reached, switched off");
        }
    }
}

#[test]
fn a_reboot_and_a_panic_are_told_apart() {
    let Some(lab) = Lab::new() else { return };
    let linux = lab.linux("vmlinux", None);
    let (guest, console) = lab.boot(&linux, 1, Vec::new());
    let reset = ends(&guest, &console, "reboot -f");
    assert!(matches!(reset, Stopped::Reset { .. }), "{reset}");
    let (guest, console) = lab.boot(&linux, 1, Vec::new());
    let panicked = ends(&guest, &console, "echo c > /proc/sysrq-trigger");
    assert!(matches!(panicked, Stopped::Panicked { .. }), "{panicked}");
    assert!(console.text().contains("sysrq triggered crash"), "{}", console.text());
}
