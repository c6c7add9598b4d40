//! A kernel boots from each kind of file, and its ends are told apart.

use pincow_mmu::rules::{RuleSet, Rules};
use pincow_vmm::boot::linux::{Linux, Protocol};
use pincow_vmm::guest::{DiskConfig, Guest, GuestConfig};
use pincow_vmm::machine::Stopped;

use super::console::{Console, LONG, type_line};
use crate::Lab;

const MEMORY_BYTES: u64 = 256 << 20;

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

#[test]
fn a_kernel_boots_to_a_shell_from_each_kind_of_file() {
    let Some(lab) = Lab::new() else { return };
    let kinds =
        [("bzImage", None), ("vmlinux", Some(Protocol::Linux64)), ("vmlinux", Some(Protocol::Pvh))];
    for (kernel, protocol) in kinds {
        for vcpus in [1, 4] {
            let (guest, console) = lab.boot(&lab.linux(kernel, protocol), vcpus, Vec::new());
            assert_eq!(console.ask(&guest, "nproc"), vcpus.to_string());
            let topology = console.ask(
                &guest,
                "grep -c 'cpu cores.*: *{}$' /proc/cpuinfo"
                    .replace("{}", &vcpus.to_string())
                    .as_str(),
            );
            assert_eq!(topology, vcpus.to_string());
            let log = console.ask(&guest, "dmesg");
            assert!(!log.contains("BUG") && !log.contains("Call Trace"), "{log}");
            assert!(matches!(ends(&guest, &console, "poweroff -f"), Stopped::PowerOff { .. }));
            println!("{kernel} {protocol:?} with {vcpus} vCPUs: booted, switched off");
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
