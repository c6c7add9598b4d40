//! A process with a family of guests under load, which is killed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use pincow_mmu::rules::RuleSet;
use pincow_mmu::scenario::Random;
use pincow_tests::Pincow;
use pincow_vmm::disk::overlay::{self, BaseKind, BaseSpec, NewOverlay};
use pincow_vmm::disk::{Disk, DiskOptions};
use tempfile::TempDir;

use super::disks::{self, e2fsck, work_file};
use super::family::{Family, LONGEST};
use super::lab::Lab;
use super::pace::Pace;
use super::storm::a_moment;

/// Names the folder of the disks to the process that is killed.
const FOLDER: &str = "PINCOW_LOAD_FOLDER";

/// The forks that it makes before it is killed.
const FORKS: usize = 3;

/// The children that live with the first guest.
const CHILDREN: usize = 2;

/// Transfers that a killed process had submitted end by themselves, some time after it.
const SETTLES: Duration = Duration::from_secs(1);

/// The overlays with a name of the first guest, each above a raw file.
const OVERLAYS: [&str; 2] = ["root.overlay", "work.overlay"];

/// Whether this process is the one to be killed; its folder then.
pub(crate) fn victim() -> Option<OsString> {
    std::env::var_os(FOLDER)
}

/// Boots a guest, and forks it for ever.
pub(crate) fn work_until_killed(lab: &Lab, folder: &Path) {
    let open = |name: &str| {
        let options = DiskOptions { direct: true, ..DiskOptions::default() };
        Disk::open(&folder.join(name), false, options).unwrap_or_else(|error| panic!("{error}"))
    };
    let pace = Pace::new(LONGEST);
    let disks = (disks::configs(OVERLAYS.map(open), &pace), pace);
    let own = TempDir::new_in(folder).expect("a folder");
    let (family, parent) = Family::with(lab, RuleSet::default().into(), own, disks, "rw");
    let (mut random, mut children) = (Random::new(1), VecDeque::new());
    loop {
        let (child, _) = family.fork(&parent).unwrap_or_else(|error| panic!("{error}"));
        children.push_back(child);
        if children.len() > CHILDREN {
            children.pop_front().map(|child| family.kill(child));
        }
        a_moment(&mut random);
    }
}

fn make_disks(lab: &Lab, folder: &Path) {
    let bases = [disks::root(lab), work_file(folder)];
    for (name, path) in OVERLAYS.into_iter().zip(bases) {
        let base = Some(BaseSpec { path, kind: BaseKind::Raw });
        overlay::create(&folder.join(name), &NewOverlay { base, ..NewOverlay::default() })
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Has this very test, `name`, started once more as the process that is killed; then looks at its
/// disks.
pub(crate) fn kill_one(lab: &Lab, name: &str, random: &mut Random) {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    make_disks(lab, folder.path());
    let mut process = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", name, "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    // Kept until the kill: it could print no more.
    let mut said = BufReader::new(process.stdout.take().expect("a pipe")).lines();
    let lines = said.by_ref().map_while(Result::ok);
    let forks = lines.filter(|line| line.contains("is forked from")).take(FORKS).count();
    assert_eq!(forks, FORKS, "it has ended by itself");
    a_moment(random);
    process.kill().expect("it runs");
    assert_eq!(process.wait().expect("it was ours").code(), None, "it had ended before");
    thread::sleep(SETTLES);
    for name in OVERLAYS {
        looks_clean(&folder.path().join(name), &folder.path().join("flat"));
    }
}

/// A journal is replayed, as at the next mount, and nothing else is repaired.
fn looks_clean(overlay: &Path, flat: &Path) {
    let name = overlay.display().to_string();
    let ran = Pincow::new(&["disk", "flatten", &name, &flat.display().to_string()]).run();
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);
    let replayed = e2fsck(&["-p", "-E", "journal_only"], flat);
    let found = e2fsck(&["-fn"], flat);
    println!("{name}: the journal: {replayed:?}, then: {found:?}");
    assert_eq!((replayed, found), (None, None), "{name}");
    std::fs::remove_file(flat).expect("it was made");
}
