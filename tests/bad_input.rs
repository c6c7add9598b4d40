//! What `pincow` cannot do is said in few words, with what to do about it: exit status 2, nothing on
//! stdout, nothing left behind.

use std::fs;
use std::path::Path;

use pincow_mmu::host::HostFeatures;
use pincow_tests::{Elsewhere, NOBODY, Pincow, is_root};
use tempfile::NamedTempFile;

/// The commands that run guests.
const GUESTS: [&[&str]; 9] = [
    &["run"],
    &["demo"],
    &["bench", "boot"],
    &["bench", "clone"],
    &["bench", "fork"],
    &["bench", "fork-io"],
    &["bench", "fault"],
    &["bench", "density"],
    &["bench", "blk"],
];

fn refused(args: &[&str], words: &[&str]) {
    println!("pincow {}", args.join(" "));
    Pincow::new(args).run().assert_refused(words);
}

#[test]
fn payloads_that_are_none() {
    let no_elf = NamedTempFile::new().unwrap();
    fs::write(no_elf.path(), "#!/bin/sh\n").unwrap();
    let half = NamedTempFile::new().unwrap();
    fs::write(half.path(), &pincow_vmm::payload::PAYLOAD[..100]).unwrap();
    let text = |file: &NamedTempFile| file.path().display().to_string();
    refused(&["run", "/no/such/payload"], &["/no/such/payload", "No such file"]);
    refused(&["run", "/"], &["/: ", "directory"]);
    refused(&["run", &text(&no_elf)], &["not an ELF file", "give a static x86-64 ELF"]);
    refused(&["run", &text(&half)], &["payload"]);
}

#[test]
fn kernels_that_are_none() {
    let file = |bytes: &[u8]| {
        let file = NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        file
    };
    let kernel = |file: &NamedTempFile, words: &[&str]| {
        refused(&["run", "--kernel", &file.path().display().to_string()], words);
    };
    refused(&["run", "--kernel", "/no/such/kernel"], &["/no/such/kernel", "No such file"]);
    refused(&["run", "--kernel", "/dev/zero"], &["/dev/zero", "--memory"]);
    refused(&["run", "--initrd", "/dev/null"], &["--kernel"]);
    refused(&["run", "--kernel", "a", "b"], &["cannot be used with"]);
    refused(&["run", "--kernel", "a", "--boot-protocol", "bios"], &["pvh, linux64"]);
    kernel(&file(b""), &["neither an ELF file (vmlinux) nor a bzImage"]);
    kernel(&file(b"#!/bin/sh\n"), &["neither an ELF file (vmlinux) nor a bzImage"]);
    kernel(&file(b"\x1f\x8b\x08\0\0\0\0\0"), &["a gzip file", "unpack it"]);
    kernel(&file(&pincow_vmm::payload::PAYLOAD[..100]), &["cut off"]);
}

#[test]
fn payloads_that_may_not_be_read() {
    if !is_root() {
        return;
    }
    let secret = NamedTempFile::new().unwrap();
    let path = secret.path().display().to_string();
    let ran = Elsewhere::default().as_user(NOBODY, &["run", &path]).run();
    ran.assert_refused(&[&path, "Permission denied"]);
}

#[test]
fn network_cards_that_cannot_be_had() {
    refused(&["run", "--net", "tap0"], &["`tap0` is not a part", "write tap=NAME"]);
    refused(&["run", "--net", "tap=t,mac=01:00:00:00:00:00"], &["not the MAC address", "02:"]);
    refused(&["run", "--net", "tap=no-such-tap"], &["`no-such-tap`", "ip tuntap add no-such-tap"]);
    refused(&["run", "--net", "tap=a/b"], &["cannot be the name of a network interface"]);
}

#[test]
fn sizes_that_no_guest_can_have() {
    for command in ["run", "demo"] {
        let with = |size: &str, words: &[&str]| {
            refused(&[command, &format!("--memory={size}")], words);
        };
        with("lots", &["`lots` is not a size", "such as 64M"]);
        with("", &["`` is not a size"]);
        with("-1", &["`-1` is not a size"]);
        with("99999999999999G", &["is not a size"]);
        with("33M", &["multiple of 2 MiB"]);
        with("65537K", &["multiple of 2 MiB"]);
    }
    for few in ["0", "4K", "6M"] {
        refused(&["run", "--memory", few], &["multiple of 2 MiB, at least 8 MiB"]);
        refused(&["demo", "--memory", few], &["too few", "(--memory)"]);
    }
}

#[test]
fn more_memory_than_the_host_has() {
    let host = HostFeatures::probe().total_memory_bytes;
    let more = format!("{}M", (host >> 21) * 2 + 2);
    for command in ["run", "demo"] {
        refused(&[command, "--memory", &more], &["this host has", "give it less (--memory)"]);
    }
}

#[test]
fn numbers_of_vcpus_that_no_guest_can_have() {
    for command in GUESTS {
        refused(&[command, &["--vcpus", "0"]].concat(), &["1 to 32"]);
        refused(&[command, &["--vcpus", "33"]].concat(), &["1 to 32"]);
        for vcpus in ["4294967296", "two"] {
            refused(&[command, &["--vcpus", vcpus]].concat(), &["--vcpus", vcpus]);
        }
    }
}

#[test]
fn rule_sets_that_there_are_not() {
    let more: [&[&str]; 2] = [&["rules", "run", "-"], &["rules", "explore"]];
    for command in GUESTS.iter().chain(&more) {
        let args = [command, &["--rules", "nonsense"][..]].concat();
        refused(&args, &["no rule set `nonsense`", "single-refcount", "mapcount"]);
    }
}

#[test]
fn a_guest_under_unsafe_rules_needs_the_flag() {
    for command in GUESTS {
        let args = [command, &["--rules", "mapcount"]].concat();
        refused(&args, &["`mapcount` loses and leaks", "--unsafe"]);
    }
    // With the flag the next thing that is wrong is found.
    refused(&["run", "--rules", "mapcount", "--unsafe", "/no/such/payload"], &["No such file"]);
}

#[test]
fn rules_that_want_to_decide_what_the_host_decides() {
    for rules in ["wait", "refcount", "pin-bias"] {
        for command in GUESTS {
            let args = [command, &["--backing", "hostcow", "--rules", rules]].concat();
            refused(&args, &[rules, "`hostcow` leaves to the host", "--backing trap"]);
        }
    }
}

#[test]
fn pages_cannot_be_prefaulted_where_the_host_copies_none() {
    for command in [&["run"][..], &["demo"], &["stress"]] {
        let args = [command, &["--backing", "trap", "--prefault", "learned"]].concat();
        refused(&args, &["--prefault learned", "--backing hostcow"]);
    }
    refused(&["run", "--prefault", "always"], &["always", "off, learned"]);
    refused(&["bench", "cow", "--memory", "8M"], &["no room for 1000 pages", "--memory"]);
}

#[test]
fn a_host_without_kvm() {
    if !is_root() {
        return;
    }
    let elsewhere = Elsewhere::default();
    for command in GUESTS {
        let ran = elsewhere.with_devices(&[], 0, command).run();
        ran.assert_refused(&["/dev/kvm does not exist", "modprobe"]);
    }
}

#[test]
fn no_permission_for_kvm() {
    if !is_root() || !Path::new("/dev/kvm").exists() {
        return;
    }
    let elsewhere = Elsewhere::default();
    if elsewhere.as_user(NOBODY, &["doctor"]).run().stdout.contains("yes, API version") {
        println!("skipped: everybody may open /dev/kvm here");
        return;
    }
    for command in GUESTS {
        let ran = elsewhere.as_user(NOBODY, command).run();
        ran.assert_refused(&["/dev/kvm may not be opened", "run: sudo"]);
    }
}

/// Nobody needs them where the host's kernel answers.
#[test]
fn guests_whose_pages_the_host_copies_need_no_permission_for_faults() {
    if !is_root() || !Path::new("/dev/kvm").exists() {
        return;
    }
    let elsewhere = Elsewhere::default();
    let run = ["run", "--backing", "hostcow"];
    let ran = elsewhere.with_devices(&["kvm"], NOBODY, &run).input("fork\nexit 3\n").run();
    assert_eq!(ran.status, Some(3), "{}", ran.stderr);
}

/// Where the device is there and closed, and where it is not there at all.
#[test]
fn no_permission_for_page_faults_of_guests() {
    if !is_root() || !Path::new("/dev/kvm").exists() {
        return;
    }
    let sysctl = fs::read_to_string("/proc/sys/vm/unprivileged_userfaultfd").unwrap_or_default();
    if sysctl.trim() == "1" {
        println!("skipped: everybody may use userfaultfd here (vm.unprivileged_userfaultfd=1)");
        return;
    }
    let elsewhere = Elsewhere::default();
    for command in GUESTS {
        let command = [command, &["--backing", "trap"]].concat();
        let ran = elsewhere.with_devices(&["kvm"], NOBODY, &command).run();
        ran.assert_refused(&["userfaultfd", "sudo sysctl -w vm.unprivileged_userfaultfd=1"]);
    }
    let on_memory = ["rules", "run", "-", "--on", "memory"];
    let ran = elsewhere.with_devices(&[], NOBODY, &on_memory).input("read P\n").run();
    ran.assert_refused(&["userfaultfd", "vm.unprivileged_userfaultfd=1"]);
    let closed = elsewhere.as_user(NOBODY, &on_memory).input("read P\n").run();
    if Path::new("/dev/userfaultfd").exists() {
        closed.assert_refused(&["/dev/userfaultfd", "sudo setfacl"]);
    }
}

#[test]
fn scripts_that_are_none() {
    let bad = NamedTempFile::new().unwrap();
    fs::write(bad.path(), "read P\n\nread Q\n").unwrap();
    let good = NamedTempFile::new().unwrap();
    fs::write(good.path(), "read P\n").unwrap();
    let [bad, good] = [&bad, &good].map(|file| file.path().display().to_string());
    refused(&["rules", "run", "/no/such/script"], &["/no/such/script", "No such file"]);
    refused(&["rules", "run"], &["FILE"]);
    for place in ["model", "memory"] {
        let args = ["rules", "run", &good, &bad, "--on", place];
        refused(&args, &[&format!("{bad}:3: "), "never a guest `Q`"]);
    }
}
