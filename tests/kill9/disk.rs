//! A disk whose writers are killed, and what each of its sectors may hold.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use pincow_guest_protocol::word;
use pincow_mmu::scenario::Random;
use pincow_tests::{Pincow, companion};
use tempfile::TempDir;

use super::journal::{Entry, Kind};

pub(crate) const SECTOR: usize = 512;
const SECTORS: usize = 4096;
const WORDS: usize = SECTOR / 8;

/// A kill comes at most so long after the first flush.
const LATEST_US: u64 = 300_000;

/// Transfers that a killed process had submitted end by themselves, some time after it.
const SETTLES: Duration = Duration::from_millis(300);

type Sector = [u8; SECTOR];

/// What a base holds.
pub(crate) fn original() -> Vec<u8> {
    (0..SECTORS * SECTOR).map(|at| (at / SECTOR * 31 + at % SECTOR * 7 + 1) as u8).collect()
}

/// A write of the journal.
#[derive(Clone, Copy)]
struct Write {
    sequence: u64,
    first: u64,
    count: u64,
    page: u64,
}

impl Write {
    /// What it writes to its sector number `index`.
    fn bytes(&self, index: usize) -> Sector {
        let mut bytes = [0; SECTOR];
        for (at, chunk) in bytes.as_chunks_mut().0.iter_mut().enumerate() {
            let at = index * WORDS + at;
            *chunk = word(self.sequence, self.page + (at / 512) as u64, at % 512).to_le_bytes();
        }
        bytes
    }
}

/// What a sector may hold after a kill: the first, or any of those that came later.
type Candidates = Vec<Sector>;

/// A disk that is killed again and again, and what each of its sectors may hold.
pub(crate) struct Disk {
    kind: Kind,
    folder: TempDir,
    sectors: Vec<Candidates>,
}

/// What a round came to.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) done: usize,
    pub(crate) in_flight: usize,
    pub(crate) flushes: usize,
    pub(crate) wrong: Vec<String>,
}

impl Disk {
    pub(crate) fn new(kind: Kind) -> Self {
        // Beside the build's own files: `/tmp` may be no place for direct transfers.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let base = original();
        fs::write(folder.path().join("base"), &base).unwrap();
        let path = kind.path(folder.path());
        match kind {
            Kind::Raw => fs::write(&path, &base).unwrap(),
            Kind::Overlay => {
                let [path, base] = [path, folder.path().join("base")].map(text);
                pincow(&["disk", "create", &path, "--base", &base]);
            }
        }
        let sectors = base.as_chunks().0.iter().map(|sector| vec![*sector]).collect();
        Self { kind, folder, sectors }
    }

    /// Lets a guest write it, kills that at some moment, and looks.
    pub(crate) fn round(&mut self, random: &mut Random, early: bool) -> Seen {
        let mut running = Running::start(self.folder.path(), self.kind, early);
        let mut entries = running.until_flushed();
        thread::sleep(Duration::from_micros(random.below(LATEST_US)));
        entries.extend(running.kill());
        let mut seen = self.follow(&entries);
        thread::sleep(SETTLES);
        self.compare(&mut seen);
        seen
    }

    /// What the journal says that the sectors may hold.
    fn follow(&mut self, entries: &[Entry]) -> Seen {
        let mut seen = Seen::default();
        let mut writes = HashMap::new();
        let mut done = Vec::new();
        for entry in entries {
            match *entry {
                Entry::Write { sequence, first, count, page } => {
                    let write = Write { sequence, first, count, page };
                    writes.insert(sequence, write);
                    for index in 0..count as usize {
                        self.sectors[first as usize + index].push(write.bytes(index));
                    }
                }
                Entry::Done { sequence } => {
                    seen.done += 1;
                    done.push(writes.remove(&sequence).expect("it was begun"));
                    if self.kind == Kind::Raw {
                        self.settle(done.drain(..));
                    }
                }
                Entry::Flushed => {
                    seen.flushes += 1;
                    self.settle(done.drain(..));
                }
            }
        }
        seen.in_flight = writes.len();
        seen
    }

    /// These writes are there whatever happens: nothing that was before them is.
    fn settle(&mut self, writes: impl Iterator<Item = Write>) {
        for write in writes {
            for index in 0..write.count as usize {
                let candidates = &mut self.sectors[write.first as usize + index];
                let bytes = write.bytes(index);
                // A later write to the same sector may have settled already.
                if let Some(place) = candidates.iter().position(|it| *it == bytes) {
                    candidates.drain(..place);
                }
            }
        }
    }

    /// Compares what is there with what may be; from now on each sector holds what it held.
    fn compare(&mut self, seen: &mut Seen) {
        let found = self.read();
        for (number, (candidates, found)) in self.sectors.iter_mut().zip(&found).enumerate() {
            if !candidates.contains(found) {
                let first = &found[..8];
                seen.wrong.push(format!("sector {number} holds {first:x?}.., nothing it may"));
            }
            *candidates = vec![*found];
        }
        let base = fs::read(self.folder.path().join("base")).unwrap();
        assert!(base == original(), "the base was written");
    }

    /// What the disk holds, as a user gets at it.
    fn read(&self) -> Vec<Sector> {
        let path = self.kind.path(self.folder.path());
        let bytes = match self.kind {
            Kind::Raw => fs::read(path).unwrap(),
            Kind::Overlay => {
                let flat = self.folder.path().join("flat");
                let [path, out] = [path, flat.clone()].map(text);
                pincow(&["disk", "check", &path]);
                pincow(&["disk", "flatten", &path, &out]);
                let bytes = fs::read(&flat).unwrap();
                fs::remove_file(flat).unwrap();
                bytes
            }
        };
        assert_eq!(bytes.len(), SECTORS * SECTOR);
        bytes.as_chunks().0.to_vec()
    }
}

fn text(path: PathBuf) -> String {
    path.display().to_string()
}

fn pincow(args: &[&str]) {
    let ran = Pincow::new(args).run();
    assert_eq!(ran.status, Some(0), "{args:?}: {}{}", ran.stdout, ran.stderr);
}

/// A guest that writes.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(folder: &Path, kind: Kind, early: bool) -> Self {
        let mut child = Command::new(companion(env!("CARGO_BIN_EXE_kill9-guest")))
            .arg(folder)
            .arg(kind.to_string())
            .args(early.then_some("early"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// What it says until its first flush is done.
    fn until_flushed(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        while entries.last() != Some(&Entry::Flushed) {
            let line = self.lines.next().expect("it goes on for ever").unwrap();
            entries.push(line.parse().unwrap());
        }
        entries
    }

    /// Kills it; what it has said until then.
    fn kill(mut self) -> Vec<Entry> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.map(|line| line.unwrap().parse().unwrap()).collect()
    }
}
