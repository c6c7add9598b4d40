//! Disks as a whole: what each reads, and when.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::overlay::{BaseKind, BaseSpec, NewOverlay};
use super::*;

mod crash;
mod flushes;
mod held_write;
mod lifetime;
mod model;
mod property;
mod refusals;
mod threads;

/// Sectors of the disks here: five clusters of 4 KiB and a half.
const SECTORS: u64 = 44;

/// What a sector holds: a number, all over it.
type Token = u64;

fn bytes_of(tokens: &[Token]) -> Vec<u8> {
    tokens.iter().flat_map(|token| token.to_le_bytes().repeat(64)).collect()
}

fn token_of(sector: &[u8]) -> Token {
    let token: [u8; 8] = sector[..8].try_into().unwrap();
    assert!(sector.chunks(8).all(|chunk| chunk == token), "a torn sector: {sector:x?}");
    Token::from_le_bytes(token)
}

/// The tokens that a new base holds.
fn base_tokens() -> Vec<Token> {
    (0..SECTORS).map(|sector| 1_000_000 + sector).collect()
}

/// A folder with a raw base in it.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("base"), bytes_of(&base_tokens())).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn base_bytes(&self) -> Vec<u8> {
        std::fs::read(self.path("base")).unwrap()
    }

    fn raw(&self, options: DiskOptions) -> Disk {
        Disk::open_raw(&self.path("base"), false, options).unwrap()
    }

    /// The base under an overlay without a name.
    fn above(&self, options: DiskOptions) -> Disk {
        Disk::open_above(&self.path("base"), options).unwrap()
    }

    /// Makes an overlay with a name on the base, and opens it.
    fn named(&self, name: &str) -> Disk {
        self.create(name, "base", BaseKind::Raw);
        open(&self.path(name))
    }

    fn create(&self, name: &str, base: &str, kind: BaseKind) {
        let base = Some(BaseSpec { path: self.path(base), kind });
        let new = NewOverlay { base, cluster: options().cluster, ..NewOverlay::default() };
        overlay::create(&self.path(name), &new).unwrap();
    }
}

fn options() -> DiskOptions {
    DiskOptions { cluster: ClusterSize::from_bytes(4096).unwrap(), ..DiskOptions::default() }
}

fn open(path: &Path) -> Disk {
    Disk::open(path, false, options()).unwrap()
}

/// The transfer of a write: moves the bytes and says nothing to the disk.
fn transfer(ticket: &Ticket, tokens: &[Token]) {
    let bytes = bytes_of(tokens);
    let mut at = 0;
    for extent in ticket.extents() {
        let Place::File { file, offset } = &extent.place else {
            panic!("a write goes to a file, not to {:?}", extent.place);
        };
        let end = at + (extent.sectors * SECTOR_BYTES) as usize;
        file.write_all_at(&bytes[at..end], *offset).unwrap();
        at = end;
    }
    assert_eq!(at, bytes.len(), "the extents have the size of the write");
}

fn write(disk: &Disk, first: u64, tokens: &[Token]) {
    let ticket = disk.begin_write(first, tokens.len() as u64).unwrap();
    transfer(&ticket, tokens);
    ticket.complete();
}

/// Carries out a step of a flush, as an engine does.
fn step(flush: Flush) -> FlushProgress {
    match flush.step() {
        FlushStep::Sync(files) => files.iter().for_each(|file| file.sync_data().unwrap()),
        FlushStep::Write { file, offset, bytes } => file.write_all_at(&bytes, offset).unwrap(),
    }
    flush.done().unwrap()
}

/// The flush after one more step, which is not its last.
fn more(flush: Flush) -> Flush {
    match step(flush) {
        FlushProgress::More(flush) => flush,
        other => panic!("{other:?}"),
    }
}

/// What the disk reads, `None` for sectors that are unreadable.
fn read(disk: &Disk, first: u64, count: u64) -> Vec<Option<Token>> {
    let plan = disk.read_plan(first, count).unwrap();
    let mut tokens = Vec::new();
    for extent in plan.extents() {
        match &extent.place {
            Place::Zeroes => tokens.extend((0..extent.sectors).map(|_| Some(0))),
            Place::Unreadable => tokens.extend((0..extent.sectors).map(|_| None)),
            Place::File { file, offset } => {
                let mut bytes = vec![0; (extent.sectors * SECTOR_BYTES) as usize];
                file.read_exact_at(&mut bytes, *offset).unwrap();
                tokens.extend(bytes.chunks(SECTOR_BYTES as usize).map(|it| Some(token_of(it))));
            }
        }
    }
    assert_eq!(tokens.len() as u64, count, "the extents have the size of the read");
    tokens
}

fn all(disk: &Disk) -> Vec<Option<Token>> {
    read(disk, 0, SECTORS)
}

fn one(disk: &Disk, sector: u64) -> Option<Token> {
    read(disk, sector, 1)[0]
}
