use std::io;

use super::*;

const PAGES: u32 = 1200;

/// Two private mappings of one file, and the pages that were written in the first.
fn scene() -> (Mapping, Mapping, Vec<u32>) {
    let store = super::super::Store::new(PAGES).expect("memfd");
    let window = || {
        let mapping = Mapping::reserve(PAGES as usize * PAGE_SIZE).expect("addresses");
        mapping.show_private(store.file().expect("memfd"), mapping.all()).expect("mmap");
        mapping
    };
    let (written, idle) = (window(), window());
    let pages: Vec<u32> = (0..PAGES).filter(|page| page % 2 == 0 || *page > 1100).collect();
    for page in &pages {
        written.populate(Run::one(Gfn(*page))).expect("a page");
    }
    (written, idle, pages)
}

fn numbers(runs: &[Run]) -> Vec<u32> {
    assert!(runs.windows(2).all(|pair| pair[0].numbers().end < pair[1].first.0), "{runs:?}");
    runs.iter().flat_map(|run| run.numbers()).collect()
}

fn assert_found(look: impl Fn(&Mapping, Run) -> Vec<Run>) {
    let (written, idle, pages) = scene();
    assert_eq!(numbers(&look(&written, written.all())), pages);
    assert_eq!(numbers(&look(&written, Run::new(2, 6))), [2, 4]);
    assert!(look(&written, Run::new(1, 1)).is_empty());
    // Reading makes a page of the file, which is nobody's copy.
    let at = idle.address(Run::one(Gfn(3)));
    assert_eq!(seen_from_outside(at), 0);
    assert!(look(&idle, idle.all()).is_empty());
}

/// What another process would read there.
fn seen_from_outside(at: *mut u8) -> u8 {
    let memory = File::open("/proc/self/mem").expect("procfs");
    let mut byte = [0xff];
    memory.read_exact_at(&mut byte, at as u64).expect("a page");
    byte[0]
}

#[test]
fn copies_are_found_and_pages_of_the_file_are_not() {
    assert_found(copied);
}

#[test]
fn the_file_of_words_tells_the_same() {
    let words = |mapping: &Mapping, run: Run| {
        if run.pages == 0 {
            return Vec::new();
        }
        read(open().expect("procfs"), mapping.address(run) as usize, run).expect("words")
    };
    assert_found(words);
}

/// The control of both: pages of a shared mapping are written, and nobody's copies.
#[test]
fn what_is_written_through_to_the_file_is_no_copy() -> io::Result<()> {
    let store = super::super::Store::new(8).expect("memfd");
    let mapping = Mapping::shared(store.file()?, 8 * PAGE_SIZE)?;
    mapping.populate(mapping.all())?;
    assert_eq!(copied(&mapping, mapping.all()), []);
    assert_eq!(read(open()?, mapping.start(), mapping.all())?, []);
    Ok(())
}
